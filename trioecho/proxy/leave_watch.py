"""Notices that a peer has left, although nothing reads from its socket."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from types import TracebackType

import trio

OnLeft = Callable[[bool], object]


class LeaveWatch:
    """Reports ends and resets as soon as they arrive, also behind bytes that were not read.

    A read finds them only after the bytes before them. The proxy does not read from a side
    while the other side takes nothing, or in a stall, and would not notice that it leaves.

    A context manager; use it around its `run`. It needs epoll (`open_leave_watch`).
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, OnLeft] = {}

    def __enter__(self) -> LeaveWatch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._epoll.close()

    def watch(self, sock: socket.socket, on_left: OnLeft) -> None:
        """Call ``on_left(is_reset)`` when the peer has ended its stream, or reset it, until `unwatch`.

        Raises:
          OSError: the machine is short of something.
        """
        # Edge-triggered: one event for each; errors and hang-ups are always reported.
        self._epoll.register(sock, select.EPOLLRDHUP | select.EPOLLET)
        self._watched[sock.fileno()] = on_left

    def unwatch(self, sock: socket.socket) -> None:
        """Forget a socket, before it is closed."""
        if self._watched.pop(sock.fileno(), None) is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(sock)

    async def run(self) -> None:
        """Watch, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for descriptor, events in self._epoll.poll(0):
                on_left = self._watched.get(descriptor)
                if on_left is not None:
                    on_left(bool(events & select.EPOLLERR))


def open_leave_watch() -> LeaveWatch | None:
    """Return a watch if the system has epoll, else None."""
    return LeaveWatch() if hasattr(select, "epoll") else None
