"""Services on blocking sockets for a client on blocking sockets; each connection has a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.guard import GUARD_S
from tests.support.sockets import LOOPBACK, receive_exactly
from trioecho.locust.client import FramedClient
from trioecho.locust.connection import ConnectionSettings
from trioecho.locust.service_address import ServiceAddress

Serve = Callable[[socket.socket], object]


@contextlib.contextmanager
def service(*serve: Serve, listener: socket.socket | None = None) -> Iterator[ServiceAddress]:
    """Serve connections, the first with the first function and so on, the last one with all others."""
    listener = listener or socket.create_server((LOOPBACK, 0))
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                peer.settimeout(GUARD_S)
                connections.append(peer)
                one = serve[min(len(connections), len(serve)) - 1]
                threads.append(threading.Thread(target=handle, args=(peer, one)))
                threads[-1].start()

    def handle(peer: socket.socket, one: Serve) -> None:
        with contextlib.suppress(OSError), peer:
            one(peer)

    accepting = threading.Thread(target=accept)
    accepting.start()
    address = listener.getsockname()
    try:
        yield (
            ServiceAddress(*address[:2])
            if isinstance(address, tuple)
            else ServiceAddress(f"unix:{address}", 0)
        )
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()
        for peer in connections:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def request_of(peer: socket.socket) -> bytes:
    """The next message, as it is on the wire; empty at the end."""
    header = receive_exactly(peer, 4)
    return header + receive_exactly(peer, int.from_bytes(header, "big")) if header else b""


def echo(peer: socket.socket) -> None:
    while wire := request_of(peer):
        peer.sendall(wire)


def replying(*wires: bytes, ends: bool = False) -> Serve:
    """Send these bytes for each message, one after the other; then wait, or end."""

    def serve(peer: socket.socket) -> None:
        for wire in wires:
            request_of(peer)
            peer.sendall(wire)
        while not ends and peer.recv(1 << 16):
            pass

    return serve


class Events:
    """In the place of Locust: what it would count."""

    def __init__(self) -> None:
        self.fired: list[dict[str, Any]] = []

    def fire(self, **event: Any) -> None:
        self.fired.append(event)

    @property
    def counted(self) -> list[tuple[str, str, str | None]]:
        """Type and name of each, and what is in Locust's table of failures."""
        return [
            (
                event["request_type"],
                event["name"],
                None if event["exception"] is None else repr(event["exception"]),
            )
            for event in self.fired
        ]


@contextlib.contextmanager
def client_of(
    target: ServiceAddress, *, timeout_s: float = GUARD_S, **settings: Any
) -> Iterator[tuple[FramedClient, Events]]:
    events = Events()
    client = FramedClient(ConnectionSettings(target, **settings), events.fire, timeout_s=timeout_s)
    try:
        yield client, events
    finally:
        client.close()
