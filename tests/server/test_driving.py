"""What whoever drives a connection on a real socket must get right: its clocks, its bytes and its end.

The clock of these tests stands still unless they move it, so that no time
passes unseen while the kernel works.
"""

from __future__ import annotations

import gc
import socket
import weakref

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.guard import GUARD_S
from tests.support.serving import Serving, each_handler, serving
from tests.support.streams import connect, is_echoed, listen, receive_all, receive_exactly, tcp_pair
from tests.support.wire import frame, frames
from trioecho import FrameChannel, Handler, echo

pytestmark = pytest.mark.usefixtures("driver")


async def end_of_the_handler(running: Serving, clock: MockClock) -> float:
    """When the only handler has ended, in steps of a second."""
    while not running.handler_ends:
        await trio.testing.wait_all_tasks_blocked(0.001)
        clock.jump(1)
    [(at, _)] = running.handler_ends
    return at


# ---- clocks ----


@each_handler
async def test_the_idle_clock(handler: Handler, mock_clock: MockClock) -> None:
    listener = await listen()
    async with serving(handler, [listener], idle_timeout_s=300) as running:
        client = await connect(listener)
        for _ in range(3):
            mock_clock.jump(299)
            assert await is_echoed(client, b"still here")
        assert await end_of_the_handler(running, mock_clock) >= 3 * 299 + 300
        assert await receive_all(client) == b""
        await client.aclose()
    assert running.errors == {"idle_timeout": 1}


@each_handler
async def test_the_frame_clock_runs_although_the_idle_clock_is_longer(
    handler: Handler, mock_clock: MockClock
) -> None:
    listener = await listen()
    async with serving(handler, [listener], idle_timeout_s=9999, frame_timeout_s=60) as running:
        client = await connect(listener)
        assert await is_echoed(client, b"one")
        await client.send_all(frame(b"never whole")[:-1])
        assert 60 <= await end_of_the_handler(running, mock_clock) < 9999
        assert await receive_all(client) == b""
        await client.aclose()
    assert running.errors == {"frame_timeout": 1}


@each_handler
async def test_the_frame_clock_runs_on_over_waits_that_are_cancelled(
    handler: Handler, mock_clock: MockClock
) -> None:
    async def impatient(channel: FrameChannel) -> None:
        while True:
            with trio.move_on_after(7):
                await handler(channel)

    listener = await listen()
    async with serving(impatient, [listener], frame_timeout_s=60) as running:
        client = await connect(listener)
        await client.send_all(frame(b"never whole")[:-1])
        assert 60 <= await end_of_the_handler(running, mock_clock) <= 61
        await client.aclose()
    assert running.errors == {"frame_timeout": 1}


@each_handler
async def test_a_peer_that_never_reads_is_not_read_from_and_dropped(
    handler: Handler, mock_clock: MockClock
) -> None:
    listener = await listen(buffer=16_384)
    async with (
        serving(handler, [listener], write_timeout_s=60, idle_timeout_s=9999) as running,
        trio.open_nursery() as nursery,
    ):
        client = await connect(listener)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        sent = 0

        async def send_for_ever() -> None:
            nonlocal sent
            while sent < 1 << 30:
                await client.send_all(frame(bytes(996)))
                sent += 1000

        async def send_until_dropped() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await send_for_ever()

        nursery.start_soon(send_until_dropped)
        assert 60 <= await end_of_the_handler(running, mock_clock) < 9999
        assert sent < 4_000_000
        await client.aclose()
    assert running.errors == {"write_timeout": 1}


# ---- bytes ----


async def test_an_echo_that_waits_stays_as_it_is_while_others_are_received() -> None:
    may_begin = trio.Event()

    async def handler(channel: FrameChannel) -> None:
        if running.server.connections == 1:
            await may_begin.wait()  # so that all frames are received at once, and end where that ends
        await echo(channel)

    listener = await listen()
    listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    wire = frames(*(bytes([number]) * 996 for number in range(50)))
    async with serving(handler, [listener]) as running:
        late = trio.socket.socket()
        late.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        await late.connect(listener.socket.getsockname())
        client = trio.SocketStream(late)
        await client.send_all(wire)
        await trio.testing.wait_all_tasks_blocked()
        may_begin.set()
        others = [await connect(listener) for _ in range(3)]
        for number in range(5):
            for other in others:
                assert await is_echoed(other, bytes([200 + number]) * 40_000)
        assert await receive_exactly(client, len(wire)) == wire
        for stream in (client, *others):
            await stream.aclose()
    assert running.messages == 50 + 15


# ---- ends ----


@each_handler
async def test_a_connection_that_another_handler_closes_ends_at_once(
    handler: Handler, mock_clock: MockClock
) -> None:
    channels: list[FrameChannel] = []

    async def close_the_first(channel: FrameChannel) -> None:
        channels.append(channel)
        if len(channels) > 1:
            assert await channel.receive() == b"close it"
            await channels[0].aclose()
        await handler(channel)

    listener = await listen()
    async with serving(close_the_first, [listener]) as running:
        first = await connect(listener)
        assert await is_echoed(first, b"one")
        second = await connect(listener)
        await second.send_all(frame(b"close it"))
        assert await receive_all(first) == b""
        assert await is_echoed(second, b"after")
        while running.server.connections > 1:
            await trio.lowlevel.checkpoint()
        mock_clock.jump(1)
        for client in (first, second):
            await client.aclose()


async def test_who_is_cancelled_can_still_wait_for_an_answer_in_a_shield() -> None:
    answers: list[bytes] = []

    async def handler(channel: FrameChannel) -> None:
        try:
            await channel.receive()
        finally:
            with trio.move_on_after(GUARD_S / 3, shield=True):
                await channel.send(b"goodbye")
                answers.append(await channel.receive())

    listener = await listen()
    async with serving(handler, [listener]) as running:
        client = await connect(listener)
        await trio.testing.wait_all_tasks_blocked()
        running.cancel_scope.cancel()
        assert await receive_exactly(client, 11) == frame(b"goodbye")
        await trio.testing.wait_all_tasks_blocked()
        await client.send_all(frame(b"until then"))
        await running.ended.wait()
        await client.aclose()
    assert answers == [b"until then"]


@each_handler
async def test_who_is_cancelled_can_still_do_all_of_it_in_a_shield(handler: Handler) -> None:
    async def go_on_in_a_shield(channel: FrameChannel) -> None:
        try:
            await handler(channel)
        finally:
            with trio.move_on_after(GUARD_S / 3, shield=True) as shield:
                await handler(channel)
            assert not shield.cancelled_caught

    listener = await listen()
    async with serving(go_on_in_a_shield, [listener]) as running:
        client = await connect(listener)
        assert await is_echoed(client, b"before")
        running.cancel_scope.cancel()
        for message in (b"after", b"and again"):
            await trio.testing.wait_all_tasks_blocked()
            assert await is_echoed(client, message)
        await client.send_eof()
        await running.ended.wait()
        await client.aclose()


async def test_a_receive_that_another_task_closes_before_it_waits_says_so() -> None:
    async def handler(channel: FrameChannel) -> None:
        async def receive() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await channel.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.lowlevel.checkpoint()  # by now it is at its first checkpoint
            await channel.aclose()

    listener = await listen()
    async with serving(handler, [listener]) as running:
        for _ in range(10):  # which of them comes first, Trio decides anew
            client = await connect(listener)
            assert await receive_all(client) == b""
            await client.aclose()
    assert running.errors == {}


async def test_what_a_peer_sent_while_nobody_listened_is_not_silence(mock_clock: MockClock) -> None:
    stream, peer = await tcp_pair(send_buffer=4096)
    channel = FrameChannel(stream)
    await peer.send_all(frame(b"first"))
    assert await channel.receive() == b"first"
    mock_clock.jump(3600)  # as in a send that was blocked
    await peer.send_all(b"unread")
    await peer.send_eof()
    channel.drain()
    # More than the peer's buffer takes, so a part waits in this side's kernel.
    last = [bytes(2000)] * 3
    for message in last:
        await channel.send(message)
    # Closing with something unread would be a reset, and destroy that part.
    assert await channel.finish(linger_s=5)
    assert await receive_all(peer) == frames(*last)
    await peer.aclose()


@each_handler
async def test_nothing_keeps_a_connection_that_has_ended(handler: Handler) -> None:
    channels: list[weakref.ref[FrameChannel]] = []

    async def noted(channel: FrameChannel) -> None:
        channels.append(weakref.ref(channel))
        await handler(channel)

    listener = await listen()
    async with serving(noted, listeners=[listener]) as running:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                client = await connect(listener)
                assert await is_echoed(client, b"hello")
                await client.send_eof()
                assert await receive_all(client) == b""
                await client.aclose()
            while running.server.connections:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            assert [channel() for channel in channels] == [None] * 3
        finally:
            gc.enable()


# ---- the sending half ----


async def test_an_echo_never_comes_between_the_bytes_of_another_send() -> None:
    causes: list[type[BaseException]] = []

    async def handler(channel: FrameChannel) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.send, bytes(1_000_000))
            try:
                await channel.echo()
            except trio.BusyResourceError as error:
                causes.append(type(error))

    listener = await listen(buffer=16_384)
    async with serving(handler, [listener]) as running:
        client = await connect(listener)
        begun = await receive_exactly(client, 4)  # more than all buffers hold is still to be sent
        await client.send_all(frame(b"between"))
        while not causes:
            await trio.lowlevel.checkpoint()
        assert begun + await receive_all(client) == frame(bytes(1_000_000))
        await client.aclose()
        await running.drain()
    assert causes == [trio.BusyResourceError]
