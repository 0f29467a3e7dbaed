"""What has arrived in the kernel counts: before a clock ends a connection, its socket is looked at."""

from __future__ import annotations

import select
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.guard import GUARD_S, guarded
from tests.support.serving import log_lines, receive_and_send, return_it, serving
from tests.support.stopped import receive_now, send_now, stopped
from tests.support.streams import connect, listen, receive_exactly, tcp_pair
from tests.support.wire import frame, frames
from trioecho import FrameChannel, FrameTimeoutError, Handler, IdleTimeoutError, echo, reply_with
from trioecho.connection.transport import STREAM_RECEIVE_CAPACITY

CROWD = 5
# Trio runs tasks in any order: in some of so many rounds the clock comes first.
ROUNDS = 12


async def pass_on(channel: FrameChannel) -> None:
    while True:
        await channel.send_batch(await channel.receive_batch())


each_handler = pytest.mark.parametrize("handler", [echo, reply_with(return_it), receive_and_send, pass_on])


@each_handler
@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(
    ("clock", "before"), [("idle_timeout_s", b""), ("frame_timeout_s", frame(b"in time")[:6])]
)
async def test_what_came_while_the_server_was_stopped_beats_the_clock(
    clock: str, before: bytes, handler: Handler, mock_clock: MockClock
) -> None:
    listener = await listen()
    limits: dict[str, Any] = {clock: 2}
    async with serving(handler, [listener], **limits) as running:
        crowd = [await connect(listener) for _ in range(CROWD)]

        def meanwhile() -> None:
            for peer in crowd:
                send_now(peer, frame(b"in time")[len(before) :])

        for _ in range(ROUNDS):
            for peer in crowd:
                if before:
                    await peer.send_all(before)
            await stopped(mock_clock, meanwhile)
            for peer in crowd:
                assert await receive_exactly(peer, 11) == frame(b"in time")
        for peer in crowd:
            await peer.aclose()
        await running.drain()
    assert running.errors == {}


@each_handler
@pytest.mark.usefixtures("driver")
async def test_a_peer_that_has_read_while_the_server_was_stopped_beats_the_write_clock(
    handler: Handler, mock_clock: MockClock
) -> None:
    wire = frames(*(bytes([number]) * 50_000 for number in range(100)))
    limits: dict[str, Any] = {"idle_timeout_s": 0, "frame_timeout_s": 0, "write_timeout_s": 2}
    received = bytearray()
    async with serving(handler, **limits) as running:
        server, peer = await tcp_pair(send_buffer=1 << 13)
        descriptor = server.socket.fileno()
        running.listener.connect_with(server)

        def meanwhile() -> None:
            received.extend(receive_now(peer))
            select.select([], [descriptor], [], GUARD_S)  # the kernel takes bytes again

        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send_all, wire)
            for _ in range(2 * ROUNDS):
                await stopped(mock_clock, meanwhile)
            received += await receive_exactly(peer, len(wire) - len(received))
        await peer.aclose()
        await running.drain()
    assert received == wire
    assert running.errors == {}


@pytest.mark.usefixtures("driver")
async def test_who_has_sent_nothing_meanwhile_is_dropped_all_the_same(
    mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await listen()
    async with serving(
        listeners=[listener], idle_timeout_s=2, frame_timeout_s=3, write_timeout_s=0
    ) as running:
        silent, torn, late = [await connect(listener) for _ in range(3)]
        await torn.send_all(frame(b"hello")[:6])
        await late.send_all(frame(b"hello")[:5])
        await stopped(mock_clock, lambda: send_now(late, b"el"))  # and not the rest
        for peer in (silent, torn, late):
            assert await peer.receive_some() == b""
            await peer.aclose()
    assert running.errors == {"idle_timeout": 1, "frame_timeout": 2}
    assert sorted(line.partition(": ")[2] for line in log_lines(caplog)) == [
        "a frame was not complete 3 s after it began (frame timeout)",
        "a frame was not complete 3 s after it began (frame timeout)",
        "no frame began for 2 s (idle timeout)",
    ]


async def test_a_frame_that_has_arrived_and_takes_several_receives_beats_the_frame_clock(
    mock_clock: MockClock,
) -> None:
    stream, peer = await tcp_pair()
    payload = bytes(range(250)) * 360
    with guarded():
        async with peer, FrameChannel(stream, frame_timeout_s=2) as channel:
            await peer.send_all(frame(payload)[:6])
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    assert await channel.receive() == payload

                nursery.start_soon(receive)
                await stopped(mock_clock, lambda: send_now(peer, frame(payload)[6:]))


async def test_in_memory_what_comes_when_a_clock_runs_out_counts(autojump_clock: MockClock) -> None:
    async with serving(idle_timeout_s=300, frame_timeout_s=60) as running:
        client = running.listener.connect()
        await trio.sleep(300)
        await client.send_all(frame(b"one")[:1])
        await trio.sleep(60)
        await client.send_all(frame(b"one")[1:])
        assert await receive_exactly(client, 7) == frame(b"one")
        assert await client.receive_some() == b""
        assert trio.current_time() == 660
    assert running.errors == {"idle_timeout": 1}


class Flood(trio.abc.Stream):
    """Begins a frame of a GiB, waits until its clock has run out, and then never stops sending."""

    given = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        assert max_bytes is not None
        if not self.given:
            self.given = 8
            return b"\x40\0\0\0" + bytes(4)
        if trio.current_time() < 60:
            await trio.sleep(60)
        await trio.lowlevel.checkpoint()
        self.given += max_bytes
        return bytes(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise NotImplementedError

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_what_arrives_is_no_more_than_the_kernel_can_have(autojump_clock: MockClock) -> None:
    flood = Flood()
    with guarded():
        async with FrameChannel(flood, max_frame_length=1 << 30, frame_timeout_s=60) as channel:
            with pytest.raises(FrameTimeoutError):
                await channel.receive()
            assert trio.current_time() == 60
            assert STREAM_RECEIVE_CAPACITY <= flood.given <= STREAM_RECEIVE_CAPACITY + (1 << 18)


async def test_a_channel_that_times_out_can_be_asked_again(autojump_clock: MockClock) -> None:
    stream, peer = await tcp_pair()
    with guarded():
        async with peer, FrameChannel(stream, idle_timeout_s=5) as channel:
            for _ in range(2):
                with pytest.raises(IdleTimeoutError):
                    await channel.receive()
            await peer.send_all(frame(b"late"))
            assert await channel.receive() == b"late"
