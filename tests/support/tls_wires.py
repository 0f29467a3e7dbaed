"""TLS over wires in memory, which accept and give only so much at a time. No sockets."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Iterable, Iterator

import trio

from trioecho.connection.tls_transport import TlsTransport
from trioecho.connection.transport import Transport

from .guard import guarded
from .tls import client_context, server_context

EVER = 1 << 30


class Wire(Transport):
    """One end of a wire in memory, which accepts and gives only so much at a time."""

    peer: Wire

    def __init__(self, accepts: Iterable[int] = (), gives: Iterable[int] = ()) -> None:
        self.accepts: Iterator[int] = itertools.chain(accepts, itertools.repeat(EVER))
        self.gives: Iterator[int] = itertools.chain(gives, itertools.repeat(EVER))
        self.arrived = bytearray()
        self.has_ended = False  # the peer's half
        self.was_aborted = False
        self.news = trio.Event()

    def receive_nowait(self, buffer: memoryview | None = None) -> bytes | None:
        count = min(len(self.arrived), next(self.gives) if self.arrived else 0)
        if not count:
            return b"" if self.has_ended and not self.arrived else None
        piece = bytes(self.arrived[:count])
        del self.arrived[:count]
        return piece

    def send_nowait(self, data: bytes | memoryview) -> int:
        count = min(len(data), next(self.accepts))
        self.peer.arrived += memoryview(data)[:count]
        self.peer.wake()
        return count

    def wake(self) -> None:
        self.news.set()
        self.news = trio.Event()

    async def receive(self, buffer: memoryview | None = None) -> bytes | None:
        if not self.arrived and not self.has_ended:
            await self.news.wait()
        else:
            await trio.lowlevel.checkpoint()
        return self.receive_nowait()

    async def receive_arrived(self, buffer: memoryview | None = None) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self.receive_nowait()

    async def look(self, buffer: memoryview | None = None) -> bytes | None:
        return await self.receive_arrived()

    async def send(self, data: bytes | memoryview) -> int:
        await trio.lowlevel.checkpoint()
        return self.send_nowait(data)

    def receive_capacity(self) -> int:
        return EVER

    @property
    def can_send_nowait(self) -> bool:
        return True

    @property
    def can_half_close(self) -> bool:
        return True

    async def send_eof(self) -> None:
        self.peer.has_ended = True
        self.peer.wake()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await self.send_eof()

    async def abort(self) -> None:
        self.was_aborted = True
        await trio.lowlevel.checkpoint()


def wires() -> tuple[Wire, Wire]:
    one, other = Wire(), Wire()
    one.peer, other.peer = other, one
    return one, other


def under_tls(
    for_client: Transport,
    for_server: Transport,
    context: ssl.SSLContext | None = None,
    buffer: memoryview | None = None,
) -> tuple[TlsTransport, TlsTransport]:
    client = TlsTransport(
        for_client, context or client_context(), server_side=False, server_hostname="localhost"
    )
    return client, TlsTransport(for_server, server_context(), server_side=True, shared_buffer=buffer)


async def pair(buffer: memoryview | None = None) -> tuple[TlsTransport, TlsTransport]:
    """Both ends, after the handshake."""
    client, server = under_tls(*wires(), buffer=buffer)
    with guarded():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.shake_hands)
            assert await server.shake_hands()
    return client, server


def wire_of(end: TlsTransport) -> Wire:
    assert isinstance(end.below, Wire)
    return end.below
