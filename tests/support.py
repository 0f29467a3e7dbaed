"""What several test files need: streams, a listener and a server in memory, bytes on the wire.

Bytes on the wire are made and read here without the project's own framing, so
that a mistake in it cannot hide itself.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
import trio
import trio.testing

from trioecho import FrameChannel, FrameServer, Handler, Limits, Report, ServeResult, echo, serve_frames

# Only so that a test that hangs fails: nothing waits this long when all is well.
GUARD_S = 30.0
LOOPBACK = "127.0.0.1"

Stream = trio.abc.HalfCloseableStream
Pair = tuple[Stream, Stream]


# ---- bytes on the wire ----


def frame(payload: bytes) -> bytes:
    return header(len(payload)) + payload


def frames(*payloads: bytes) -> bytes:
    return b"".join(map(frame, payloads))


def header(length: int) -> bytes:
    return length.to_bytes(4, "big")


def whole_frames(wire: bytes | bytearray) -> list[bytes]:
    """The payloads on a wire that ends after a whole frame."""
    payloads = []
    while wire:
        end = 4 + int.from_bytes(wire[:4], "big")
        assert len(wire) >= end, "the wire ends inside a frame"
        payloads.append(bytes(wire[4:end]))
        wire = wire[end:]
    return payloads


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


async def is_echoed(stream: Stream, *payloads: bytes) -> bool:
    wire = frames(*payloads)
    await stream.send_all(wire)
    return await receive_exactly(stream, len(wire)) == wire


# ---- time ----


@contextlib.contextmanager
def guarded(seconds: float = GUARD_S) -> Iterator[None]:
    """Fail instead of hanging; in real time, even where the test's clock stands still."""
    with trio.CancelScope() as scope:
        token = trio.lowlevel.current_trio_token()
        timer = threading.Timer(seconds, token.run_sync_soon, [scope.cancel])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
    if scope.cancelled_caught:
        pytest.fail(f"not done after {seconds:g} s")


# ---- streams ----


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


# ---- a server ----


@dataclass
class Serving:
    """A server that runs, or has run.

    Attributes:
      listener: where a test connects, unless it gave listeners of its own.
      reports: those that the server has made.
      handler_ends: when each handler ended, and by which exception.
      result: what `serve_frames` returned, when it has.
      ended_at: when that was.
    """

    listener: MemoryListener
    reports: list[Report] = field(default_factory=list)
    handler_ends: list[tuple[float, BaseException | None]] = field(default_factory=list)
    result: ServeResult | None = None
    ended_at: float | None = None
    cancel_scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    server: FrameServer = field(init=False)

    async def drain(self) -> ServeResult:
        """Stop the server, and wait until it has."""
        self.server.drain()
        await self.ended.wait()
        assert self.result is not None
        return self.result

    @property
    def errors(self) -> dict[str, int]:
        """As in the last report."""
        return dict(self.reports[-1].errors)

    @property
    def messages(self) -> int:
        """As in the last report."""
        return self.reports[-1].messages_total


@contextlib.asynccontextmanager
async def serving(
    handler: Handler = echo,
    listeners: Sequence[trio.abc.Listener[Any]] = (),
    *,
    report_interval_s: float = 0,
    on_report: Callable[[Report], object] = lambda report: None,
    **limits: Any,
) -> AsyncIterator[Serving]:
    """Run `serve_frames`, drained at the end; keywords that are not named here go to `Limits`."""
    running = Serving(MemoryListener())

    async def recorded(channel: FrameChannel) -> None:
        cause: BaseException | None = None
        try:
            await handler(channel)
        except BaseException as error:
            cause = error
            raise
        finally:
            running.handler_ends.append((trio.current_time(), cause))

    def report(report: Report) -> None:
        running.reports.append(report)
        on_report(report)

    async def run(task_status: trio.TaskStatus[FrameServer]) -> None:
        try:
            with running.cancel_scope:
                running.result = await serve_frames(
                    recorded,
                    listeners or [running.listener],
                    limits=Limits(**limits),
                    on_report=report,
                    report_interval_s=report_interval_s,
                    task_status=task_status,
                )
        finally:
            running.ended_at = trio.current_time()
            running.ended.set()

    with guarded():
        async with trio.open_nursery() as nursery:
            running.server = await nursery.start(run)
            yield running
            running.server.drain()


def log_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the project has logged; with a traceback only its last line."""
    return [
        f"{record.getMessage()}: {type(record.exc_info[1]).__name__}"
        if record.exc_info
        else record.getMessage()
        for record in caplog.records
        if record.name.startswith("trioecho") and record.levelno >= logging.WARNING
    ]
