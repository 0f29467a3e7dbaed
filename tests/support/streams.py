"""Trio's streams and listeners, over loopback and in memory."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import pytest
import trio
import trio.testing

from . import sockets
from .guard import guarded
from .sockets import LOOPBACK
from .wire import frames

Stream = trio.abc.HalfCloseableStream
Pair = tuple[Stream, Stream]


async def receive_exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        piece = await stream.receive_some(count - len(received))
        assert piece, f"the stream ended after {bytes(received)!r}"
        received += piece
    return bytes(received)


async def receive_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Everything until the end; a reset is a `trio.BrokenResourceError`."""
    received = bytearray()
    while piece := await stream.receive_some():
        received += piece
    return bytes(received)


def reset(stream: trio.abc.Stream) -> None:
    """Close a connection with an RST."""
    assert isinstance(stream, trio.SocketStream)
    sockets.reset(stream.socket)


async def is_echoed(stream: Stream, *payloads: bytes) -> bool:
    wire = frames(*payloads)
    await stream.send_all(wire)
    return await receive_exactly(stream, len(wire)) == wire


async def tcp_pair(*, send_buffer: int | None = None) -> tuple[trio.SocketStream, trio.SocketStream]:
    """Both ends of a connection over loopback; ``send_buffer`` is for the first, and keeps it small."""
    [listener] = await trio.open_tcp_listeners(0, host=LOOPBACK)
    async with listener:
        if send_buffer is not None:
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, send_buffer)
        one = await trio.open_tcp_stream(LOOPBACK, port_of(listener))
        other = await listener.accept()
    if send_buffer is not None:
        one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    return one, other


def pair_fixture(*kinds: Literal["memory", "lockstep", "tcp"]) -> Callable[..., AsyncIterator[Pair]]:
    """A fixture: a stream and its peer's, of each of these kinds; and the test is guarded."""

    @pytest.fixture(params=kinds)
    async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
        one, other = await open_pair(request.param)
        with guarded():
            yield one, other
        for stream in (other, one):
            await trio.aclose_forcefully(stream)

    return pair


async def open_pair(kind: str) -> Pair:
    if kind == "memory":
        return trio.testing.memory_stream_pair()
    if kind == "lockstep":
        return trio.testing.lockstep_stream_pair()
    return await tcp_pair()


def port_of(listener: trio.SocketListener) -> int:
    port = listener.socket.getsockname()[1]
    assert isinstance(port, int)
    return port


async def listen(*, port: int = 0, host: str = LOOPBACK, buffer: int | None = None) -> trio.SocketListener:
    [listener] = await trio.open_tcp_listeners(port, host=host)
    if buffer is not None:  # what is accepted inherits them
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    return listener


async def connect(listener: trio.SocketListener) -> trio.SocketStream:
    return await trio.open_tcp_stream(LOOPBACK, port_of(listener))


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Gives the server's ends of in-memory streams, in the order of `connect`."""

    def __init__(self) -> None:
        self._to_accept, self._queue = trio.open_memory_channel[trio.abc.Stream | OSError](math.inf)
        self.accepted = 0
        self.is_closed = False

    def connect(self, pair: Callable[[], tuple[Any, Any]] = trio.testing.memory_stream_pair) -> Any:
        """Connect; returns the client's end. ``pair`` may be `lockstep_stream_pair`: it buffers nothing."""
        client, server = pair()
        self._to_accept.send_nowait(server)
        return client

    def connect_with(self, server: trio.abc.Stream) -> None:
        """Connect a stream whose other end the test has already."""
        self._to_accept.send_nowait(server)

    def fail_with(self, error: OSError) -> None:
        """Let an accept fail."""
        self._to_accept.send_nowait(error)

    async def accept(self) -> trio.abc.Stream:
        accepted = await self._queue.receive()
        if isinstance(accepted, OSError):
            raise accepted
        self.accepted += 1
        return accepted

    async def aclose(self) -> None:
        self.is_closed = True
        self._queue.close()
        await trio.lowlevel.checkpoint()
