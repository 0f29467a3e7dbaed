"""Which errors out of a handler are the client's: those that the channel of its connection has raised."""

from __future__ import annotations

import errno
import math
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.serving import Serving, log_lines, serving
from tests.support.streams import connect, is_echoed, listen, receive_all
from tests.support.wire import frame, frames
from trioecho import (
    ConnectionEndedError,
    FrameChannel,
    FrameTooLargeError,
    Handler,
    IdleTimeoutError,
    PeerTimeoutError,
    reply_with,
)

# ---- another connection of the handler ----


async def ask_one_that_is_lost() -> None:
    stream, back_end = trio.testing.memory_stream_pair()
    async with FrameChannel(stream) as channel:
        await back_end.aclose()
        await channel.send(b"a question")


async def ask_one_that_ends() -> None:
    stream, back_end = trio.testing.memory_stream_pair()
    async with FrameChannel(stream) as channel:
        await back_end.send_eof()
        await channel.receive()


async def ask_one_that_is_late() -> None:
    stream, _back_end = trio.testing.memory_stream_pair()
    async with FrameChannel(stream, idle_timeout_s=1) as channel:
        await channel.receive()


async def ask_a_task_that_is_gone() -> None:
    answers, receiver = trio.open_memory_channel[bytes](math.inf)
    answers.close()
    await receiver.receive()


async def ask_in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_one_that_ends)


async def break_a_stream() -> None:
    raise trio.BrokenResourceError


async def handle(channel: FrameChannel, ask: Callable[[], Awaitable[None]]) -> None:
    async for message in channel:
        if message == b"ask":
            await ask()
        await channel.send(message)


def handler_that_asks(ask: Callable[[], Awaitable[None]]) -> Handler:
    return lambda channel: handle(channel, ask)


def reply_that_asks(ask: Callable[[], Awaitable[None]]) -> Handler:
    async def reply(message: bytes) -> bytes:
        if message == b"ask":
            await ask()
        return message

    return reply_with(reply)


async def over_memory(running: Serving, wire: bytes) -> bytes:
    client = running.listener.connect()
    await client.send_all(wire)
    return await receive_all(client)


@pytest.mark.parametrize(
    "ask",
    [
        ask_one_that_is_lost,
        ask_one_that_ends,
        ask_one_that_is_late,
        ask_a_task_that_is_gone,
        ask_in_a_nursery,
        break_a_stream,
    ],
)
@pytest.mark.parametrize("handler_of", [handler_that_asks, reply_that_asks])
async def test_an_error_of_another_connection_is_the_handlers(
    handler_of: Callable[[Callable[[], Awaitable[None]]], Handler],
    ask: Callable[[], Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    async with serving(handler_of(ask)) as running:
        assert await over_memory(running, frames(b"one", b"ask", b"three")) == frame(b"one")
        await running.drain()
    assert running.errors == {"handler_failed": 1}
    [line] = log_lines(caplog)
    assert line.startswith("a StapledStream: the handler failed; its connection is closed: ")
    assert f"in {ask.__name__}" in caplog.text


@pytest.mark.parametrize("together", [(b"ask",), (b"one", b"ask", b"three")])
async def test_so_it_is_where_a_reactor_moves_the_bytes(
    together: tuple[bytes, ...], caplog: pytest.LogCaptureFixture
) -> None:
    listener = await listen()
    async with serving(reply_that_asks(ask_one_that_ends), [listener]) as running:
        async with await connect(listener) as client:
            assert await is_echoed(client, b"before")
            await client.send_all(frames(*together))
            assert await receive_all(client) == frames(*together[:-2])
        await running.drain()
    assert running.errors == {"handler_failed": 1}
    assert "in ask_one_that_ends" in caplog.text


# ---- this connection ----


async def test_an_error_of_the_client_is_the_clients_though_another_connection_failed_before(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def handler(channel: FrameChannel) -> None:
        for ask in (ask_one_that_ends, ask_one_that_is_lost, ask_one_that_is_late):
            with pytest.raises(ConnectionEndedError):
                await ask()
        await handle(channel, ask_a_task_that_is_gone)

    async with serving(handler) as running:
        client = running.listener.connect()
        await client.send_all(frame(b"one")[:-1])
        await client.send_eof()
        await receive_all(client)
        await running.drain()
    assert running.errors == {"incomplete_frame": 1}
    [line] = log_lines(caplog)
    assert "the stream ended inside a frame" in line


async def test_what_both_halves_of_a_channel_raise_together_is_the_clients(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def handler(channel: FrameChannel) -> None:
        with pytest.raises(FrameTooLargeError) as refused:
            await channel.receive()
        with pytest.raises(ConnectionEndedError) as lost:
            await channel.send(b"one")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raise_it, lost.value)
            nursery.start_soon(raise_it, refused.value)

    async def raise_it(error: Exception) -> None:
        raise error

    async with serving(handler, max_frame_length=3) as running:
        client = running.listener.connect()
        await client.send_all(frame(b"four"))
        await client.aclose()
        await running.drain()
    assert list(running.errors) in (["connection_lost"], ["frame_too_large"])
    assert len(log_lines(caplog)) == 1


# ---- what it is called ----


class IdleForLongError(IdleTimeoutError):
    """Of a stream that has a clock of its own."""


class EndsWith(trio.abc.Stream):
    """A stream that raises something of its own."""

    def __init__(self, error: ConnectionEndedError | OSError) -> None:
        self._error = error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise self._error

    async def wait_send_all_might_not_block(self) -> None:
        raise self._error

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        raise self._error

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (IdleTimeoutError(3), "idle_timeout"),
        (IdleForLongError(3), "idle_timeout"),
        (PeerTimeoutError(3), "connection_lost"),
        (ConnectionEndedError("gone"), "connection_lost"),
        (OSError(errno.EIO, "no such thing"), "handler_failed"),
    ],
)
async def test_an_error_of_any_kind_counts_as_the_nearest_that_has_a_name(
    error: ConnectionEndedError | OSError, kind: str, autojump_clock: MockClock
) -> None:
    async with serving() as running:
        running.listener.connect_with(EndsWith(error))
        await trio.testing.wait_all_tasks_blocked()
        await running.drain()
    assert running.errors == {kind: 1}
