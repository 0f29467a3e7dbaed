"""A send that was cancelled or failed: no later byte follows a torn frame, and the counts are exact."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.guard import guarded
from tests.support.serving import counted_channel
from tests.support.streams import Pair, pair_fixture, receive_all, receive_exactly, tcp_pair
from tests.support.wire import frame
from trioecho import FrameChannel, WriteTimeoutError
from trioecho.connection.transport import STREAM_SEND_BYTES
from trioecho.framing import FrameBatch

memory = pair_fixture("memory")
lockstep = pair_fixture("lockstep")


SMALL = 8192
LARGE = bytes(range(256)) * 4096  # more than any buffer of a socket made small


Narrow = tuple[trio.SocketStream, trio.SocketStream]


@pytest.fixture
async def narrow() -> AsyncIterator[Narrow]:
    """A connection that takes little before its peer reads."""
    one, other = await tcp_pair(send_buffer=SMALL)
    with guarded():
        yield one, other
    await other.aclose()
    await one.aclose()


async def cancel_when_blocked(channel: FrameChannel, payload: bytes) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.send, payload)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def assert_torn(channel: FrameChannel) -> None:
    for _ in range(2):
        with pytest.raises(trio.BrokenResourceError, match="nothing may follow"):
            await channel.send(b"later")
        with pytest.raises(trio.BrokenResourceError, match="nothing may follow"):
            await channel.send_batch(FrameBatch(memoryview(frame(b"later")), 1))
        with pytest.raises(trio.BrokenResourceError, match="nothing may follow"):
            await channel.send_eof()


async def receive_to_the_reset(peer: trio.SocketStream) -> bytes:
    received = bytearray()

    async def receive() -> None:
        while piece := await peer.receive_some():
            received.extend(piece)

    with pytest.raises(trio.BrokenResourceError) as caught:
        await receive()
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ECONNRESET
    return bytes(received)


async def test_nothing_follows_a_cancelled_send_and_the_peer_sees_a_reset(narrow: Narrow) -> None:
    stream, peer = narrow
    channel = FrameChannel(stream)
    await channel.send(b"whole")
    await cancel_when_blocked(channel, LARGE)
    await assert_torn(channel)
    await channel.aclose()
    received = await receive_to_the_reset(peer)
    assert (frame(b"whole") + frame(LARGE)).startswith(received)


async def test_a_send_cancelled_by_closing_is_reset_too(narrow: Narrow) -> None:
    stream, peer = narrow
    channel = FrameChannel(stream)

    async def send() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await channel.send(LARGE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await channel.aclose()
    await receive_to_the_reset(peer)


async def test_finishing_a_torn_channel_resets_without_lingering(narrow: Narrow) -> None:
    stream, peer = narrow
    channel = FrameChannel(stream)
    await cancel_when_blocked(channel, LARGE)
    await channel.finish(linger_s=1e9)
    await receive_to_the_reset(peer)


async def test_aborting_resets(narrow: Narrow) -> None:
    stream, peer = narrow
    channel = FrameChannel(stream)
    await channel.send(b"whole")
    assert await receive_exactly(peer, 9) == frame(b"whole")
    await channel.abort()
    assert await receive_to_the_reset(peer) == b""


async def test_a_torn_channel_still_receives(narrow: Narrow) -> None:
    stream, peer = narrow
    async with FrameChannel(stream) as channel:
        await cancel_when_blocked(channel, LARGE)
        await peer.send_all(frame(b"from the peer"))
        assert await channel.receive() == b"from the peer"


async def test_nothing_follows_a_send_that_timed_out(autojump_clock: MockClock, lockstep: Pair) -> None:
    stream, peer = lockstep
    async with FrameChannel(stream, write_timeout_s=60) as channel:
        with pytest.raises(WriteTimeoutError, match="60 s"):
            await channel.send(b"never read")
        assert trio.current_time() == 60
        await assert_torn(channel)
    assert await receive_all(peer) in (b"", frame(b"never read"))


async def test_nothing_follows_a_send_that_failed(memory: Pair) -> None:
    stream, peer = memory
    async with FrameChannel(stream) as channel:
        await peer.aclose()
        with pytest.raises(trio.BrokenResourceError, match="closed"):
            await channel.send(b"to nobody")
        await assert_torn(channel)


async def test_a_cancelled_half_close_leaves_no_torn_frame(narrow: Narrow) -> None:
    stream, peer = narrow
    async with FrameChannel(stream) as channel:
        await channel.send(b"whole")
        with trio.CancelScope() as cancelled:
            cancelled.cancel()
            await channel.send_eof()
    assert await receive_all(peer) == frame(b"whole")


async def test_the_write_clock_runs_from_the_last_byte_that_was_accepted(
    autojump_clock: MockClock, lockstep: Pair
) -> None:
    stream, peer = lockstep
    async with FrameChannel(stream, write_timeout_s=10) as channel, trio.open_nursery() as nursery:

        async def send() -> None:
            with pytest.raises(WriteTimeoutError):
                await channel.send(bytes(5 * STREAM_SEND_BYTES))
            assert trio.current_time() == 9 + 9 + 10

        nursery.start_soon(send)
        for _ in range(2):
            await trio.sleep(9)
            await receive_exactly(peer, STREAM_SEND_BYTES)


async def test_the_write_clock_runs_from_the_last_byte_that_a_socket_accepted(
    narrow: Narrow, mock_clock: MockClock
) -> None:
    stream, peer = narrow
    failed_at = None

    async def send() -> None:
        nonlocal failed_at
        with pytest.raises(WriteTimeoutError):
            await channel.send(LARGE)
        failed_at = trio.current_time()

    async with FrameChannel(stream, write_timeout_s=10) as channel, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(9)
        await receive_exactly(peer, len(LARGE) // 2)  # more than was under way
        while failed_at is None:
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
    assert failed_at >= 9 + 10


# ---- counts ----


class Counts:
    """What `on_sent` was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def __call__(self, messages: int, wire_bytes: int, *_: object) -> None:
        self.calls.append((messages, wire_bytes))


async def test_every_send_is_counted_with_its_frames_and_bytes(memory: Pair) -> None:
    counts = Counts()
    stream, peer = memory
    async with counted_channel(stream, counts) as channel:
        await channel.send(b"")
        await channel.send(b"seven..")
        await peer.send_all(frame(b"one") * 3)
        await channel.send_batch(await channel.receive_batch())
    assert counts.calls == [(1, 4), (1, 11), (3, 21)]


@pytest.mark.parametrize(("read", "whole"), [(0, 0), (1, 3), (2, 6), (3, 9), (4, 13)], ids=str)
async def test_of_a_torn_run_the_whole_frames_are_counted(read: int, whole: int, lockstep: Pair) -> None:
    counts = Counts()
    stream, peer = lockstep
    size = 20_004  # three and a bit in a piece
    async with counted_channel(stream, counts) as channel, trio.open_nursery() as nursery:
        batch = FrameBatch(memoryview(frame(bytes(size - 4)) * 20), 20)
        nursery.start_soon(channel.send_batch, batch)
        await receive_exactly(peer, read * STREAM_SEND_BYTES)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert counts.calls == [(whole, whole * size)]


async def test_of_a_run_torn_in_a_socket_the_whole_frames_are_counted(
    narrow: Narrow, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = socket.socket.send
    accepted = 0

    def counting_send(self: socket.socket, data: bytes | memoryview) -> int:
        nonlocal accepted
        count = send(self, data)
        accepted += count
        return count

    monkeypatch.setattr(socket.socket, "send", counting_send)
    counts = Counts()
    stream, peer = narrow
    size = 1003
    batch = FrameBatch(memoryview(frame(bytes(size - 4)) * 10_000), 10_000)
    async with counted_channel(stream, counts) as channel:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.send_batch, batch)
            await receive_exactly(peer, 100_000)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert 100_000 <= accepted < len(batch.data)
        whole = accepted // size
        assert counts.calls == [(whole, whole * size)]
        # What was counted does arrive.
        await receive_exactly(peer, accepted - 100_000)


async def test_a_cancelled_send_is_counted_as_none_when_it_was_not_whole(lockstep: Pair) -> None:
    counts = Counts()
    stream, peer = lockstep
    async with counted_channel(stream, counts) as channel:
        await cancel_when_blocked(channel, b"never read")
    assert counts.calls == [(0, 0)]
    await peer.aclose()
