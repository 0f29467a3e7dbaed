"""`serve_frames` over streams in memory: echoes, isolation, backpressure, accepting."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock, lockstep_stream_pair

from tests.support.serving import log_lines, serving
from tests.support.streams import MemoryListener, is_echoed, receive_all, receive_exactly
from tests.support.wire import frame, frames, header
from trioecho import FrameChannel, FrameServer, Limits, Report, echo, reply_with, serve_frames

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup, ExceptionGroup


# ---- echoes ----


async def test_frames_come_back_as_they_were_however_they_were_cut(autojump_clock: MockClock) -> None:
    wire = frames(b"one", b"", b"three", bytes(3000), b"")
    async with serving() as running:
        for size in (1, 5, 1000, len(wire)):
            client = running.listener.connect()
            for start in range(0, len(wire), size):
                await client.send_all(wire[start : start + size])
            assert await receive_exactly(client, len(wire)) == wire
            await client.send_eof()
            assert await receive_all(client) == b""
        assert (await running.drain()).connections_aborted == 0
    assert running.messages == 4 * 5
    assert running.errors == {}


async def test_replies_come_in_the_order_of_the_messages(autojump_clock: MockClock) -> None:
    async def reply(message: bytes) -> bytes:
        await trio.sleep(float(message))
        return b"after " + message

    async with serving(reply_with(reply)) as running:
        client = running.listener.connect()
        await client.send_all(frames(b"3", b"1", b"2"))
        await client.send_eof()
        assert await receive_all(client) == frames(b"after 3", b"after 1", b"after 2")
        assert trio.current_time() == 6


async def test_a_handler_may_let_the_end_of_the_channel_out(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def handler(channel: FrameChannel) -> None:
        while True:
            await channel.send(await channel.receive())

    async with serving(handler) as running:
        client = running.listener.connect()
        await client.send_all(frames(b"one", b"two"))
        await client.send_eof()
        assert await receive_all(client) == frames(b"one", b"two")
        await running.drain()
    assert running.errors == {}
    assert log_lines(caplog) == []


async def test_a_handler_that_returns_ends_its_connection(autojump_clock: MockClock) -> None:
    async def handler(channel: FrameChannel) -> None:
        await channel.send(b"goodbye")

    async with serving(handler) as running:
        assert await receive_all(running.listener.connect()) == frame(b"goodbye")


async def test_the_server_is_told_when_it_serves_and_gives_its_listeners(autojump_clock: MockClock) -> None:
    listeners = [MemoryListener(), MemoryListener()]
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_frames, echo, listeners)
        assert isinstance(server, FrameServer)
        assert server.listeners == tuple(listeners)
        assert server.connections == 0
        for listener in listeners:
            client = listener.connect()
            assert await is_echoed(client, b"served")
        assert server.connections == 2
        nursery.cancel_scope.cancel()


# ---- one connection and the others ----


async def raise_an_error() -> None:
    raise ValueError("a mistake")


async def raise_a_group() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raise_an_error)


async def raise_an_error_beside_one_of_the_peer() -> None:
    raise ExceptionGroup("", [trio.BrokenResourceError(), ValueError("a mistake")])


@pytest.mark.parametrize(
    "fail",
    [raise_an_error, raise_a_group, raise_an_error_beside_one_of_the_peer],
    ids=lambda fail: fail.__name__,
)
async def test_a_handler_that_fails_ends_only_its_own_connection(
    fail: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def handler(channel: FrameChannel) -> None:
        async for message in channel:
            if message == b"fail":
                await fail()
            await channel.send(message)

    async with serving(handler) as running:
        bystander, client = running.listener.connect(), running.listener.connect()
        assert await is_echoed(bystander, b"before")
        await client.send_all(frames(b"one", b"fail", b"three"))
        assert await receive_all(client) == frame(b"one")
        assert await is_echoed(bystander, b"after")
        await running.drain()
    assert running.errors == {"handler_failed": 1}
    [record] = [record for record in caplog.records if record.name == "trioecho.server.serving"]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "ValueError: a mistake" in caplog.text
    assert "in raise_an_error" in caplog.text


Harm = Callable[[MemoryListener], Awaitable[trio.abc.Stream]]


async def torn(listener: MemoryListener) -> trio.abc.Stream:
    client: trio.abc.HalfCloseableStream = listener.connect()
    await client.send_all(frame(b"one") + frame(b"two")[:-1])
    await client.send_eof()
    return client


async def over_limit(listener: MemoryListener) -> trio.abc.Stream:
    client: trio.abc.HalfCloseableStream = listener.connect()
    await client.send_all(frame(b"one") + b"GET / HTTP/1.1\r\n\r\n")
    await client.send_eof()
    return client


async def vanished(listener: MemoryListener) -> trio.abc.Stream:
    client: trio.abc.HalfCloseableStream = listener.connect()
    await client.send_all(frame(b"one"))
    await client.aclose()
    return client


@pytest.mark.parametrize(
    ("harm", "kind", "line"),
    [
        (torn, "incomplete_frame", "the stream ended inside a frame, after 6 of 7 bytes"),
        (
            over_limit,
            "frame_too_large",
            "is over the limit of 1048576: the bytes b'GET ' begin an HTTP request",
        ),
        (vanished, "connection_lost", "a StapledStream: "),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_a_peer_does_to_itself_is_one_line_without_a_traceback(
    harm: Harm, kind: str, line: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with serving() as running:
        bystander = running.listener.connect()
        assert await is_echoed(bystander, b"before")
        await harm(running.listener)
        await trio.testing.wait_all_tasks_blocked()
        assert await is_echoed(bystander, b"after")
        await running.drain()
    assert running.errors == {kind: 1}
    [record] = caplog.records
    assert line in record.getMessage()
    assert record.exc_info is None
    assert record.levelno == logging.WARNING


async def test_an_error_of_the_peer_out_of_a_nursery_is_still_the_peers(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def handler(channel: FrameChannel) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo, channel)

    async with serving(handler) as running:
        await torn(running.listener)
        await trio.testing.wait_all_tasks_blocked()
        await running.drain()
    assert running.errors == {"incomplete_frame": 1}
    assert len(log_lines(caplog)) == 1


async def test_the_echoes_before_an_error_of_the_peer_arrive(autojump_clock: MockClock) -> None:
    async with serving() as running:
        for harm in (torn, over_limit):
            assert await receive_all(await harm(running.listener)) == frame(b"one")


async def test_a_channel_that_another_handler_closes_while_it_lingers_harms_nobody(
    autojump_clock: MockClock,
) -> None:
    channels: list[FrameChannel] = []

    async def handler(channel: FrameChannel) -> None:
        channels.append(channel)
        if len(channels) > 1:
            await channel.receive()
            await channels[0].aclose()
            await echo(channel)

    async with serving(handler) as running:
        running.listener.connect()  # its handler returns at once, and the channel lingers
        await trio.testing.wait_all_tasks_blocked()
        bystander = running.listener.connect()
        await bystander.send_all(frame(b"close it"))
        assert await is_echoed(bystander, b"after")
        assert running.server.connections == 1
    assert running.errors == {}


async def test_a_channel_that_another_task_sends_on_when_its_handler_returns_harms_nobody(
    autojump_clock: MockClock,
) -> None:
    async def send(channel: FrameChannel) -> None:
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            await channel.send(b"never read")

    async def handler(channel: FrameChannel) -> None:
        if await channel.receive() == b"return":
            broadcasts.start_soon(send, channel)
            await trio.testing.wait_all_tasks_blocked()
        else:
            await echo(channel)

    async with trio.open_nursery() as broadcasts, serving(handler) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await client.send_all(frame(b"return"))
        bystander = running.listener.connect()
        await bystander.send_all(frame(b"echo from here on"))
        await trio.sleep(100)
        assert await is_echoed(bystander, b"after")
        assert running.server.connections == 1


async def test_what_is_not_an_error_but_a_stop_passes_through(autojump_clock: MockClock) -> None:
    class Stop(BaseException):
        pass

    async def handler(channel: FrameChannel) -> None:
        raise BaseExceptionGroup("", [Stop(), ValueError()])

    with pytest.RaisesGroup(Stop, flatten_subgroups=True):
        async with serving(handler) as running:
            running.listener.connect()
            await trio.sleep_forever()
    assert running.errors == {"handler_failed": 1, "aborted": 1}


async def test_a_handler_that_fails_in_a_nursery_while_it_is_cancelled_ends_only_itself(
    autojump_clock: MockClock,
) -> None:
    async def fail_at_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("a mistake in cleaning up")

    async def handler(channel: FrameChannel) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail_at_the_end)

    async with serving(handler, grace_s=10) as running:
        running.listener.connect()
        await trio.testing.wait_all_tasks_blocked()
        assert (await running.drain()).connections_aborted == 1
    assert running.errors == {"handler_failed": 1, "aborted": 1}


async def test_a_peer_that_does_not_read_delays_nobody_and_is_not_read_from(
    autojump_clock: MockClock,
) -> None:
    async with serving() as running, trio.open_nursery() as nursery:
        stalled = running.listener.connect(lockstep_stream_pair)
        sent = 0

        async def send_for_ever() -> None:
            nonlocal sent
            while True:
                await stalled.send_all(frame(b"never read"))
                sent += 1

        nursery.start_soon(send_for_ever)
        await trio.testing.wait_all_tasks_blocked()
        assert sent == 1  # the server reads no further while its echo waits
        other = running.listener.connect()
        for _ in range(100):
            assert await is_echoed(other, b"one", b"two")
        assert sent == 1
        nursery.cancel_scope.cancel()
        running.cancel_scope.cancel()


# ---- setting up ----


async def test_limits_and_format_have_defaults(autojump_clock: MockClock) -> None:
    reports: list[Report] = []
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_frames, echo, [listener])
        assert await is_echoed(listener.connect(), bytes(Limits().max_frame_length))
        client = listener.connect()
        await client.send_all(header(Limits().max_frame_length + 1))
        assert await receive_all(client) == b""
        await client.aclose()
        server.drain()
    assert reports == []
