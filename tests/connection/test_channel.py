"""Messages through a `FrameChannel`, one way and the other, over every kind of stream."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock, assert_checkpoints, assert_no_checkpoints

from tests.support.guard import guarded
from tests.support.streams import Pair, pair_fixture, receive_all, receive_exactly, reset, tcp_pair
from tests.support.wire import frame, frames, header
from trioecho import (
    FrameChannel,
    FrameFormat,
    FrameTimeoutError,
    FrameTooLargeError,
    IdleTimeoutError,
    IncompleteFrameError,
    PayloadTooLargeError,
    PeerTimeoutError,
    WriteTimeoutError,
    open_frame_channel,
)

pair = pair_fixture("memory", "tcp")
memory = pair_fixture("memory")
lockstep = pair_fixture("lockstep")


# ---- receiving ----


async def test_messages_are_received_as_they_were_sent(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel:
        await peer.send_all(frames(b"one", b"", b"three") + frame(b"four")[:6])
        assert [await channel.receive() for _ in range(3)] == [b"one", b"", b"three"]
        await peer.send_all(frame(b"four")[6:])
        assert await channel.receive() == b"four"


async def test_iterating_gives_messages_until_the_peer_ends(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel:
        await peer.send_all(frames(b"one", b"", b"three"))
        await peer.send_eof()
        assert [message async for message in channel] == [b"one", b"", b"three"]
        with pytest.raises(trio.EndOfChannel):
            await channel.receive()


async def test_the_end_inside_a_frame_is_told_from_the_end_after_one(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel:
        await peer.send_all(frame(b"whole") + frame(b"seven..")[:9])
        await peer.send_eof()
        assert await channel.receive() == b"whole"
        for _ in range(2):
            with pytest.raises(IncompleteFrameError) as caught:
                await channel.receive()
            assert (caught.value.received, caught.value.expected) == (9, 11)


async def test_a_run_is_all_frames_that_are_complete(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel:
        await peer.send_all(frames(b"one", b"", b"three") + b"\0")
        batch = await channel.receive_batch()
        assert (bytes(batch.data), batch.frame_count) == (frames(b"one", b"", b"three"), 3)
        await channel.send_batch(batch)
        assert await receive_exactly(peer, len(batch.data)) == batch.data


async def test_to_receive_a_batch_is_a_checkpoint_only_if_it_has_to_wait(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel:
        await peer.send_all(frames(b"one", b"two"))
        with assert_checkpoints():
            assert await channel.receive() == b"one"
        with assert_no_checkpoints():
            assert (await channel.receive_batch()).frame_count == 1


async def test_a_frame_over_the_limit_is_refused_after_those_before_it(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream, max_frame_length=5) as channel:
        await peer.send_all(frame(b"just5") + header(6))
        assert await channel.receive() == b"just5"
        for _ in range(2):
            with pytest.raises(FrameTooLargeError) as caught:
                await channel.receive()
            assert (caught.value.length, caught.value.limit) == (6, 5)


async def test_a_cancelled_receive_loses_nothing(pair: Pair) -> None:
    stream, peer = pair
    messages = [b"one", b"", b"three"]
    received = []
    async with FrameChannel(stream) as channel:
        for byte in frames(*messages):
            await peer.send_all(bytes([byte]))
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    received.append(await channel.receive())

                nursery.start_soon(receive)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        await peer.send_eof()
        received += [message async for message in channel]
    assert received == messages


async def test_a_lost_connection_is_broken() -> None:
    stream, peer = await tcp_pair()
    async with FrameChannel(stream) as channel:
        reset(peer)
        with guarded(), pytest.raises(trio.BrokenResourceError, match="connection lost"):
            await channel.receive()


async def test_one_task_at_a_time_may_receive(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel, trio.open_nursery() as nursery:
        received = []

        async def receive() -> None:
            received.append(await channel.receive())

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="from this channel"):
            await channel.receive()
        with pytest.raises(trio.BusyResourceError, match="from this channel"):
            await channel.receive_batch()
        await peer.send_all(frame(b"for the first"))
        while not received:
            await trio.lowlevel.checkpoint()
        assert received == [b"for the first"]


async def test_input_that_lies_ready_leaves_turns_to_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.connection.transport.RECEIVE_BYTES", 100)
    stream, peer = await tcp_pair()
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    with guarded():
        async with FrameChannel(stream) as channel, peer, trio.open_nursery() as nursery:
            await peer.send_all(frame(bytes(96)) * 200)
            await peer.send_eof()
            nursery.start_soon(take_turns)
            batches = 0
            with contextlib.suppress(trio.EndOfChannel):
                while True:
                    await channel.receive_batch()
                    batches += 1
            assert batches >= 200
            assert turns >= batches / 2
            nursery.cancel_scope.cancel()


# ---- sending ----


async def test_a_message_is_sent_as_a_frame(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel:
        await channel.send(b"one")
        await channel.send(b"")
        await channel.send(b"three")
    assert await receive_all(peer) == frames(b"one", b"", b"three")


async def test_a_format_is_for_both_directions(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream, format=FrameFormat(2, "little", length_includes_header=True)) as channel:
        await peer.send_all(b"\5\0one")
        assert await channel.receive() == b"one"
        await channel.send(b"three")
        assert await receive_exactly(peer, 7) == b"\7\0three"


@pytest.mark.parametrize(
    ("frame_format", "limit", "at_most"), [(FrameFormat(), 5, 5), (FrameFormat(header_bytes=1), 1000, 255)]
)
async def test_a_payload_over_the_limit_is_not_sent_and_harms_nothing(
    frame_format: FrameFormat, limit: int, at_most: int, memory: Pair
) -> None:
    stream, peer = memory
    async with FrameChannel(stream, format=frame_format, max_frame_length=limit) as channel:
        with pytest.raises(PayloadTooLargeError) as caught:
            await channel.send(bytes(at_most + 1))
        assert (caught.value.length, caught.value.limit) == (at_most + 1, at_most)
        await channel.send(bytes(at_most))
    sent = await receive_all(peer)
    assert sent == at_most.to_bytes(frame_format.header_bytes, "big") + bytes(at_most)


async def test_one_task_at_a_time_may_send(lockstep: Pair) -> None:
    stream, peer = lockstep
    async with FrameChannel(stream) as channel, trio.open_nursery() as nursery:
        nursery.start_soon(channel.send, b"first")
        await trio.testing.wait_all_tasks_blocked()
        for second in (channel.send(b"second"), channel.send_eof()):
            with pytest.raises(trio.BusyResourceError, match="on this channel"):
                await second
        assert await receive_exactly(peer, 9) == frame(b"first")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(channel.send, b"third")
        assert await receive_exactly(peer, 9) == frame(b"third")


async def test_both_directions_may_be_used_at_once(lockstep: Pair) -> None:
    stream, peer = lockstep
    async with FrameChannel(stream) as channel, trio.open_nursery() as nursery:
        nursery.start_soon(channel.send, b"to the peer")
        nursery.start_soon(peer.send_all, frame(b"from the peer"))
        assert await channel.receive() == b"from the peer"
        assert await receive_exactly(peer, 15) == frame(b"to the peer")


# ---- clocks ----


async def test_clocks_are_off_by_default(autojump_clock: MockClock, memory: Pair) -> None:
    stream, peer = memory
    async with FrameChannel(stream) as channel:
        with trio.move_on_after(1e9) as waited:
            await channel.receive()
        assert waited.cancelled_caught
        await peer.send_all(frame(b"late")[:5])
        with trio.move_on_after(1e9) as waited:
            await channel.receive()
        assert waited.cancelled_caught
        await peer.send_all(frame(b"late")[5:])
        assert await channel.receive() == b"late"


async def test_the_clocks_of_receiving_tell_what_was_late(autojump_clock: MockClock, memory: Pair) -> None:
    stream, peer = memory
    async with FrameChannel(stream, idle_timeout_s=7, frame_timeout_s=5) as channel:
        with pytest.raises(IdleTimeoutError, match="7 s"):
            await channel.receive()
        assert trio.current_time() == 7
        await peer.send_all(b"\0")
        with pytest.raises(FrameTimeoutError, match="5 s"):
            await channel.receive()
        assert trio.current_time() == 12


# ---- the client's way in ----


async def test_open_frame_channel_connects() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with guarded():
        async with listener, trio.open_nursery() as nursery:
            port = listener.socket.getsockname()[1]

            async def answer() -> None:
                async with await listener.accept() as stream:
                    assert await receive_exactly(stream, 7) == frame(b"one")
                    await stream.send_all(frame(b"two"))

            nursery.start_soon(answer)
            async with await open_frame_channel("127.0.0.1", port, max_frame_length=3) as channel:
                await channel.send(b"one")
                assert await channel.receive() == b"two"
                with pytest.raises(PayloadTooLargeError):
                    await channel.send(b"four")


@pytest.mark.parametrize(
    ("clocks", "kind"),
    [
        ({"idle_timeout_s": 0.01}, IdleTimeoutError),
        ({"frame_timeout_s": 0.01}, FrameTimeoutError),
        ({"write_timeout_s": 0.01}, WriteTimeoutError),
    ],
)
async def test_open_frame_channel_sets_the_clocks(
    clocks: dict[str, Any], kind: type[PeerTimeoutError]
) -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    with guarded():
        async with (
            listener,
            await open_frame_channel("127.0.0.1", port, max_frame_length=0, **clocks) as channel,
            await listener.accept() as stream,
        ):
            await stream.send_all(b"" if kind is IdleTimeoutError else frame(b"one")[:-1])
            with pytest.raises(kind):
                await (channel.send(bytes(1 << 26)) if kind is WriteTimeoutError else channel.receive())


async def test_open_frame_channel_leaves_nothing_open_when_a_setting_cannot_be() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with guarded():
        async with listener:
            with pytest.raises(ValueError, match="idle_timeout_s"):
                await open_frame_channel("127.0.0.1", listener.socket.getsockname()[1], idle_timeout_s=-1)
            async with await listener.accept() as stream:
                assert await stream.receive_some() == b""
