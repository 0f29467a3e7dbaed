"""The way of large frames through pipes: what goes into them, what comes back, and whose pipes these are."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.wire import frame
from trioecho import FrameFormat, IncompleteFrameError, Limits
from trioecho.connection import splicing
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Interest, Use
from trioecho.connection.registration import Registration
from trioecho.connection.sending import PipedBytes, Wire
from trioecho.connection.splicing import MOST_PIPES, PIPE_BYTES, PipePool
from trioecho.connection.transport import SocketTransport

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs splice(2)")

LARGE = frame(bytes(range(256)) * 4096)  # 1 MiB
# What an exchange sees of a frame before it says that the rest need not be seen.
SEEN = 100


class Registry:
    """What a registration needs of a reactor."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.pipes = PipePool()
        self.connections: list[Connection] = []
        self.cut: list[Registration] = []

    def leave(self, registration: Registration) -> None:
        pass


class Connection:
    """An echoing connection whose turns a test takes, and its peer."""

    def __init__(self, registry: Registry) -> None:
        self.peer, ours = socket.socketpair()
        self.peer.settimeout(10)
        transport = SocketTransport(ours, memoryview(bytearray(1 << 18)))
        limits = Limits(max_frame_length=64 << 20)
        self.exchange = Exchange(
            format=FrameFormat(), limits=limits, receive_capacity=lambda: 1 << 20, now=0.0
        )
        self.exchange.start(Use.ECHO, 0.0)
        self.registration = Registration(registry, transport, self.exchange)
        self.kinds: list[type[Any]] = []
        self.ours = ours
        registry.connections.append(self)

    def turn(self) -> bool:
        """Receive or send what is possible; return whether there was anything to do."""
        exchange, registration = self.exchange, self.registration
        wire: Wire | None
        if exchange.interest is Interest.WRITABLE:
            wire = exchange.unsent
        else:
            with contextlib.suppress(BlockingIOError):
                received = registration.receive_large()
                if received is not None:
                    self.kinds.append(type(received))
                    wire = exchange.receive(received, 0.0)
                    self._send(wire)
                    return True
            return False
        return self._send(wire)

    def _send(self, wire: Wire | None) -> bool:
        sent_any = False
        while wire is not None:
            count = 0
            with contextlib.suppress(BlockingIOError):
                count = self.registration.send(wire)
            sent_any = sent_any or count > 0
            wire = self.exchange.sent(count, 0.0)
        return sent_any

    def push(self, data: bytes) -> bytes:
        """Let the peer send all of that, and return what it has received by then."""
        echoed = b""
        rest = memoryview(data)
        self.peer.setblocking(False)
        idle = 0
        while rest or idle < 2:
            with contextlib.suppress(BlockingIOError):
                rest = rest[self.peer.send(rest) :]
            idle = 0 if self.turn() else idle + 1
            with contextlib.suppress(BlockingIOError):
                piece = self.peer.recv(1 << 20)
                echoed += piece
                idle = 0
        return echoed

    def close(self) -> None:
        self.exchange.close()
        self.registration.leave()
        self.ours.close()
        self.peer.close()

    def begin(self) -> None:
        """The peer begins a large frame, of which the next byte goes into a pipe."""
        assert self.push(LARGE[:SEEN]) == b""
        assert self.push(LARGE[SEEN:10_000]) == b""
        assert self.exchange.piped_bytes == 10_000 - SEEN


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    yield registry
    for connection in registry.connections:
        connection.close()
    registry.epoll.close()
    registry.pipes.close()


async def test_the_rest_of_large_frames_goes_through_pipes_and_the_last_turn_leaves_none(
    registry: Registry,
) -> None:
    connection = Connection(registry)
    before = open_descriptors()
    assert connection.push(LARGE[:SEEN]) == b""
    small = frame(b"small")
    assert connection.push(LARGE[SEEN:] + LARGE + small + LARGE) == LARGE + LARGE + small + LARGE
    assert PipedBytes in connection.kinds
    assert connection.exchange.piped_bytes == 0
    registry.pipes.close()
    assert open_descriptors() == before


async def test_a_pipe_that_is_full_of_small_pieces_leads_back_into_the_decoder(registry: Registry) -> None:
    connection = Connection(registry)
    assert connection.push(LARGE[:SEEN]) == b""
    for position in range(SEEN, SEEN + 300):  # more than a pipe has slots
        connection.peer.send(LARGE[position : position + 1])
        connection.turn()
    assert connection.exchange.piped_bytes == 0
    assert connection.exchange.decoder.buffered_bytes == SEEN + 300
    assert connection.push(LARGE[SEEN + 300 :]) == LARGE
    # It has been seen that this is not worth it.
    connection.kinds.clear()
    assert connection.push(LARGE) == LARGE
    assert PipedBytes not in connection.kinds


async def test_a_frame_takes_several_pipes_and_without_one_more_it_comes_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    very_large = frame(os.urandom(32 << 20))
    connection = Connection(registry)
    assert connection.push(very_large) == very_large
    pipes = []
    while (pipe := registry.pipes.take()) is not None:
        pipes.append(pipe)
    assert len(pipes) == MOST_PIPES
    registry.pipes.give_back(pipes.pop())  # there is one, and it is not enough
    assert connection.push(very_large) == very_large
    for pipe in pipes:
        registry.pipes.give_back(pipe)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EINVAL])
@pytest.mark.parametrize("call", [0, 1, 2, 3, 4])
async def test_where_splice_is_refused_all_goes_the_ordinary_way(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, number: int, call: int
) -> None:
    calls = 0
    real = os.splice

    def splice(*arguments: Any, **options: Any) -> int:
        nonlocal calls
        calls += 1
        if calls > call:
            raise OSError(number, os.strerror(number))
        return real(*arguments, **options)

    before = open_descriptors()
    connection = Connection(registry)
    monkeypatch.setattr(os, "splice", splice)
    assert connection.push(LARGE[:SEEN]) == b""
    assert connection.push(LARGE[SEEN:] + LARGE) == LARGE + LARGE
    assert not registry.pipes.is_usable
    calls_then = calls
    assert connection.push(LARGE) == LARGE
    assert calls == calls_then
    connection.close()
    assert open_descriptors() == before


async def test_other_errors_of_splice_are_the_connection_s(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Connection(registry)
    connection.begin()

    def splice(*_: Any, **__: Any) -> int:
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    monkeypatch.setattr(os, "splice", splice)
    with pytest.raises(ConnectionResetError):
        connection.push(LARGE[10_000:20_000])
    assert registry.pipes.is_usable


async def test_a_reset_while_pipes_are_sent_is_reported_as_a_reset(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Connection(registry)
    connection.begin()
    real = os.splice

    def splice(source: int, *arguments: Any, **options: Any) -> int:
        if source == connection.ours.fileno():
            return real(source, *arguments, **options)
        raise errors.pop(0)  # the kernel reports a reset once, and then only that the pipe is broken

    errors = [ConnectionResetError(errno.ECONNRESET, "reset"), BrokenPipeError(errno.EPIPE, "broken")]
    monkeypatch.setattr(os, "splice", splice)
    with pytest.raises(ConnectionResetError):
        connection.push(LARGE[10_000:])
    connection.exchange.give_up(0.0)
    assert connection.exchange.piped_bytes == 0


async def test_the_end_of_the_stream_inside_a_frame_comes_after_all_that_was_in_pipes(
    registry: Registry,
) -> None:
    connection = Connection(registry)
    connection.begin()
    connection.peer.shutdown(socket.SHUT_WR)
    with pytest.raises(IncompleteFrameError) as raised:
        connection.turn()
    assert raised.value.received == 10_000
    assert raised.value.expected == len(LARGE)


async def test_who_leaves_takes_back_what_lies_in_pipes(registry: Registry) -> None:
    connection = Connection(registry)
    before = open_descriptors()
    connection.begin()
    assert open_descriptors() == before + 2
    connection.registration.leave()
    assert connection.exchange.piped_bytes == 0
    assert connection.exchange.decoder.buffered_bytes == 10_000
    assert connection.push(LARGE[10_000:]) == LARGE
    registry.pipes.close()
    assert open_descriptors() == before


async def test_what_lies_in_pipes_of_a_closed_connection_is_gone_with_them(registry: Registry) -> None:
    connection = Connection(registry)
    before = open_descriptors()
    connection.begin()
    connection.exchange.close()
    connection.registration.leave()
    assert open_descriptors() == before
    assert connection.exchange.decoder.buffered_bytes == 10_000  # as the exchange counts them


async def test_a_send_that_is_blocked_goes_on_without_pipes(registry: Registry) -> None:
    very_large = frame(os.urandom(4 << 20))
    connection = Connection(registry)
    assert connection.push(very_large[:SEEN]) == b""
    rest = memoryview(very_large)[SEEN:]
    connection.peer.setblocking(False)
    while rest:
        with contextlib.suppress(BlockingIOError):
            rest = rest[connection.peer.send(rest) :]
        connection.turn()
    while connection.turn():
        pass
    assert connection.exchange.interest is Interest.WRITABLE
    assert connection.exchange.piped_bytes > 0
    connection.registration.leave()
    assert connection.exchange.piped_bytes == 0
    assert connection.push(b"") == very_large


# ---- the pool ----


def test_a_pool_has_few_pipes_and_makes_none_that_would_be_small(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_descriptors()
    pool = PipePool()
    pipes = [pipe for _ in range(MOST_PIPES + 1) if (pipe := pool.take()) is not None]
    assert len(pipes) == MOST_PIPES
    assert open_descriptors() == before + 2 * MOST_PIPES
    pool.give_back(pipes[0])
    assert pool.take() is pipes[0]
    pipes[0].held = 1
    pool.give_back(pipes[0])  # with something in it: never used again
    another = pool.take()
    assert another is not None
    assert another is not pipes[0]
    for pipe in (another, *pipes[1:]):
        pool.give_back(pipe)
    pool.close()
    assert open_descriptors() == before

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EPERM, "more than pipe-user-pages-soft")

    pool = PipePool()
    monkeypatch.setattr("fcntl.fcntl", refuse)
    assert pool.take() is None
    assert open_descriptors() == before


def test_a_pool_does_without_where_descriptors_are_few_or_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splicing, "allow_open_files", lambda wanted: 130)
    pool = PipePool()
    first, second, third = pool.take(), pool.take(), pool.take()
    assert third is None
    assert first is not None
    assert second is not None
    for pipe in (first, second):
        pool.give_back(pipe)
    pool.close()

    def fail(flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.undo()
    monkeypatch.setattr(os, "pipe2", fail)
    assert PipePool().take() is None


def test_a_pipe_has_as_much_as_an_ordinary_user_may_have() -> None:
    with open("/proc/sys/fs/pipe-max-size") as most:  # noqa: PTH123 - not a file but the kernel
        assert int(most.read()) >= PIPE_BYTES
