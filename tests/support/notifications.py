"""What a service tells its manager by sd_notify(3), read as it comes."""

from __future__ import annotations

import contextlib
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Iterator

from tests.support.guard import GUARD_S

_END = b"end of the test"


class Notifications:
    """The datagrams of a service, in their order.

    A thread reads them: the queue of such a socket is short, and who tells does not wait for a place in it.

    Attributes:
      address: what NOTIFY_SOCKET has to be.
    """

    def __init__(self, told: socket.socket, address: str) -> None:
        self.address = address
        self._told = told
        self._received: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read(self) -> None:
        """Read until the end of the test is told."""
        while (datagram := self._told.recv(1 << 16)) != _END:
            self._received.put(datagram)

    def next(self, within_s: float = GUARD_S) -> str:
        """Wait for the next datagram."""
        return self._received.get(timeout=max(0.0, within_s)).decode()

    def forget(self) -> None:
        """Forget what was told, until nothing comes for a moment."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._received.get(timeout=0.2)

    def lines_until(self, wanted: str) -> list[str]:
        """Return what was told, up to a line."""
        lines: list[str] = []
        ends = time.monotonic() + GUARD_S  # others may come without end
        while wanted not in lines:
            lines += self.next(ends - time.monotonic()).splitlines()
        return lines


@contextlib.contextmanager
def open_notifications(*, abstract: bool = False) -> Iterator[Notifications]:
    """The socket of a service manager."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        path = f"{folder}/notify"
        told.bind(f"\0{path}" if abstract else path)
        notifications = Notifications(told, f"@{path}" if abstract else path)
        reader = threading.Thread(target=notifications.read)
        reader.start()
        try:
            yield notifications
        finally:
            told.sendto(_END, told.getsockname())
            reader.join()
