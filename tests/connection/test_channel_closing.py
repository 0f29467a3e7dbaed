"""How a `FrameChannel` ends: half-close, close, `drain`, and `finish` with its linger."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock, assert_checkpoints, memory_stream_pair

from tests.support.guard import guarded
from tests.support.streams import Pair, Stream, pair_fixture, receive_all, receive_exactly, tcp_pair
from tests.support.wire import frame, frames
from trioecho import EndOfMessagesError, FrameChannel, FrameTimeoutError, LocalProtocolError
from trioecho.connection.channel import QUIET_S, UNTAKEN_LOOK_S
from trioecho.connection.transport import STREAM_ARRIVED_S, STREAM_RECEIVE_CAPACITY, Transport, open_transport

pair = pair_fixture("memory", "tcp")
memory = pair_fixture("memory")


# ---- ending ----


async def test_after_the_half_close_messages_still_come(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel:
        await channel.send(b"last")
        await channel.send_eof()
        await channel.send_eof()  # once more changes nothing
        assert await receive_all(peer) == frame(b"last")
        await peer.send_all(frame(b"answer"))
        assert await channel.receive() == b"answer"
        with pytest.raises(trio.ClosedResourceError):
            await channel.send(b"after the end")


async def test_a_closed_channel_is_closed_for_everything(pair: Pair) -> None:
    stream, peer = pair
    channel = FrameChannel(stream)
    await peer.send_all(frame(b"unread"))
    await channel.aclose()
    await channel.aclose()
    for use in (channel.send(b""), channel.receive(), channel.receive_batch(), channel.send_eof()):
        with pytest.raises(trio.ClosedResourceError):
            await use


async def test_closing_ends_a_receive_of_another_task(pair: Pair) -> None:
    stream, _ = pair
    channel = FrameChannel(stream)

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await channel.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        await channel.aclose()


class Whole(trio.abc.Stream):
    """A stream without half-close, as TLS."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_a_stream_without_half_close_says_so_and_stays_of_use(memory: Pair) -> None:
    stream, peer = memory
    async with FrameChannel(Whole(stream)) as channel:
        with pytest.raises(LocalProtocolError, match="no half-close"):
            await channel.send_eof()
        await channel.send(b"as before")
    assert await receive_all(peer) == frame(b"as before")


async def test_every_operation_is_a_checkpoint(pair: Pair) -> None:
    stream, peer = pair
    channel = FrameChannel(stream)
    await peer.send_all(frames(b"one", b"two") + frame(b"three"))
    operations: list[Callable[[], Awaitable[object]]] = [
        channel.receive_batch,
        lambda: channel.send(b"one"),
        channel.send_eof,
        channel.send_eof,
        channel.aclose,
        channel.aclose,
    ]
    for operation in operations:
        with assert_checkpoints():
            await operation()


async def test_a_message_that_lies_ready_is_received_with_a_checkpoint(pair: Pair) -> None:
    stream, peer = pair
    async with FrameChannel(stream) as channel:
        await peer.send_all(frames(b"one", b"two"))
        assert await channel.receive() == b"one"
        with assert_checkpoints():
            assert await channel.receive() == b"two"


# ---- drain ----


async def test_a_drain_ends_a_wait_at_once_on_a_socket(mock_clock: MockClock) -> None:
    stream, peer = await tcp_pair()
    with guarded():
        async with peer, FrameChannel(stream) as channel, trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.EndOfChannel):
                    await channel.receive()

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            channel.drain()  # with a clock that stands still, only at once will do


async def test_a_drain_ends_a_wait_on_any_other_stream_soon(autojump_clock: MockClock, memory: Pair) -> None:
    stream, _ = memory
    async with FrameChannel(stream) as channel, trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.EndOfChannel):
                await channel.receive()
            assert trio.current_time() == pytest.approx(7 + STREAM_ARRIVED_S)

        nursery.start_soon(receive)
        await trio.sleep(7)
        channel.drain()


@pytest.mark.parametrize("has_peer_ended", [True, False])
async def test_the_end_of_a_drain_is_not_called_the_peers(
    has_peer_ended: bool, autojump_clock: MockClock, memory: Pair
) -> None:
    stream, peer = memory
    async with FrameChannel(stream) as channel:
        if has_peer_ended:
            await peer.send_eof()
        channel.drain()
        why = "the peer has ended its stream" if has_peer_ended else "this side drains the connection"
        for _ in range(2):
            with pytest.raises(EndOfMessagesError, match=f"no more messages: {why}"):
                await channel.receive()


async def finish_the_frame(peer: Stream, payload: bytes) -> None:
    """When everybody waits, send the end of this frame, and the beginning of another."""
    await trio.testing.wait_all_tasks_blocked()
    await peer.send_all(frame(payload)[-1:] + frame(b"begun after the drain")[:-1])


async def test_a_drain_waits_for_the_rest_of_a_frame_as_long_as_its_caller_lets_it(
    autojump_clock: MockClock, memory: Pair
) -> None:
    stream, peer = memory
    async with FrameChannel(stream) as channel:
        await peer.send_all(frame(b"begun")[:6])
        channel.drain()
        with trio.move_on_after(1e6) as patience:  # there is no frame clock
            await channel.receive()
        assert patience.cancelled_caught
        await peer.send_all(frame(b"begun")[6:] + frame(b"after the drain")[:-1])
        assert await channel.receive() == b"begun"
        with pytest.raises(EndOfMessagesError):
            await channel.receive()


async def test_a_drain_gives_the_frames_that_have_arrived(mock_clock: MockClock) -> None:
    stream, peer = await tcp_pair()
    with guarded():
        async with peer, FrameChannel(stream) as channel:
            await peer.send_all(frames(b"one", b"", b"three") + frame(b"finished")[:-1])
            assert await channel.receive() == b"one"
            channel.drain()
            assert [await channel.receive() for _ in range(2)] == [b"", b"three"]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(finish_the_frame, peer, b"finished")
                assert [message async for message in channel] == [b"finished"]
            with pytest.raises(trio.EndOfChannel):
                await channel.receive()
            await channel.send(b"still sends")
            assert await receive_exactly(peer, 15) == frame(b"still sends")


async def test_a_drain_takes_what_lies_in_the_kernel(mock_clock: MockClock) -> None:
    stream, peer = await tcp_pair()
    with guarded():
        async with peer, FrameChannel(stream) as channel:
            await peer.send_all(frames(b"one", b"two"))
            await peer.send_eof()
            channel.drain()
            assert [message async for message in channel] == [b"one", b"two"]


async def test_a_drain_of_a_stream_that_never_stops_ends_after_what_can_have_arrived(
    autojump_clock: MockClock,
) -> None:
    class Endless(trio.abc.Stream):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            await trio.lowlevel.checkpoint()
            return frame(bytes(996)) * 60

        async def send_all(self, data: object) -> None:
            raise NotImplementedError

        async def wait_send_all_might_not_block(self) -> None:
            raise NotImplementedError

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    async with FrameChannel(Endless()) as channel:
        channel.drain()
        received = 0
        with guarded(), contextlib.suppress(trio.EndOfChannel):
            while True:
                received += len((await channel.receive_batch()).data)
    assert 0 <= received - STREAM_RECEIVE_CAPACITY < 60_000


# ---- finish ----

LINGER_S = 5


def peer_that_ends(after_s: float) -> Callable[[trio.abc.HalfCloseableStream], Awaitable[None]]:
    async def peer(stream: trio.abc.HalfCloseableStream) -> None:
        await trio.sleep(after_s)
        await stream.send_eof()

    return peer


async def peer_that_sends_for_ever(stream: trio.abc.HalfCloseableStream) -> None:
    while True:
        await stream.send_all(b"more")
        await trio.sleep(0.2)


async def peer_that_is_silent(stream: trio.abc.HalfCloseableStream) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("peer_does", "until"),
    [
        pytest.param(peer_that_ends(0), 0, id="until the peer's end: at once"),
        pytest.param(peer_that_ends(3), 3, id="until the peer's end: after 3 s"),
        pytest.param(peer_that_sends_for_ever, LINGER_S, id="a peer that sends for ever"),
        pytest.param(peer_that_is_silent, LINGER_S, id="a peer that is silent"),
    ],
)
async def test_finishing_sends_the_end_and_lingers(
    peer_does: Callable[[trio.abc.HalfCloseableStream], Awaitable[None]],
    until: float,
    autojump_clock: MockClock,
    memory: Pair,
) -> None:
    stream, peer = memory
    channel = FrameChannel(stream)
    await channel.send(b"last")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer_does, peer)

        async def see_the_end() -> None:
            assert await receive_all(peer) == frame(b"last")
            assert trio.current_time() == 0

        nursery.start_soon(see_the_end)
        await channel.finish(linger_s=LINGER_S)
        assert trio.current_time() == until
        nursery.cancel_scope.cancel()
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()


async def test_without_a_linger_it_closes_at_once(autojump_clock: MockClock, memory: Pair) -> None:
    stream, peer = memory
    await FrameChannel(stream).finish(linger_s=0)
    assert trio.current_time() == 0
    assert await receive_all(peer) == b""


@pytest.mark.parametrize("silent_s", [0, 0.3, QUIET_S, 60])
async def test_in_a_drain_it_lingers_until_half_a_second_of_silence(
    silent_s: float, autojump_clock: MockClock, memory: Pair
) -> None:
    stream, peer = memory
    channel = FrameChannel(stream)
    await trio.sleep(10)
    await peer.send_all(frame(b"one") + b"\0")
    assert await channel.receive() == b"one"
    await trio.sleep(silent_s)
    channel.drain()
    await channel.finish(linger_s=LINGER_S)
    assert trio.current_time() == 10 + max(silent_s, QUIET_S)


@pytest.mark.parametrize(
    ("takes", "ends_at", "is_clean"),
    [
        pytest.param([(0, 900), (0.7, 300), (3, 0)], 3 + QUIET_S, True, id="slowly"),
        pytest.param(
            [(0, 900), (4, 300), (8, 100), (12.3, 0)], 12.3 + QUIET_S, True, id="longer than the linger"
        ),
        pytest.param([(0, 900)], LINGER_S, False, id="nothing"),
        pytest.param([(0, 900), (2, 300)], 2 + LINGER_S, False, id="not all"),
        pytest.param([(0, 900), (1, 901), (2, 900)], LINGER_S, False, id="no less"),
    ],
)
async def test_in_a_drain_a_peer_that_is_still_to_take_something_is_not_silent(
    takes: list[tuple[float, int]],
    ends_at: float,
    is_clean: bool,
    autojump_clock: MockClock,
    memory: Pair,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def left(transport: Transport) -> int:
        return [left for since, left in takes if trio.current_time() >= since][-1]

    monkeypatch.setattr(Transport, "count_untaken", left)
    stream, _peer = memory
    channel = FrameChannel(stream)
    channel.drain()
    assert await channel.finish(linger_s=LINGER_S) is is_clean
    assert trio.current_time() == pytest.approx(ends_at, abs=2 * UNTAKEN_LOOK_S)


async def test_without_a_drain_what_a_peer_takes_does_not_prolong_the_linger(
    autojump_clock: MockClock, memory: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transport, "count_untaken", lambda transport: 1000 - int(trio.current_time()))
    stream, _peer = memory
    assert await FrameChannel(stream).finish(linger_s=LINGER_S) is False
    assert trio.current_time() == LINGER_S


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell")
async def test_what_a_peer_has_not_taken_is_what_the_kernel_says() -> None:
    client, server = await tcp_pair()
    transport = open_transport(server)
    assert transport.count_untaken() == 0
    while sent := transport.send_nowait(bytes(1 << 20)):
        assert sent
    assert transport.count_untaken() > 100_000
    await transport.send_eof()
    await receive_all(client)
    while transport.count_untaken():  # the last acknowledgement is on its way
        await trio.lowlevel.checkpoint()
    await transport.aclose()
    await client.aclose()


async def test_in_a_drain_a_peer_that_sends_on_is_read_until_the_linger_ends(
    autojump_clock: MockClock, memory: Pair
) -> None:
    stream, peer = memory
    channel = FrameChannel(stream)
    channel.drain()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer_that_sends_for_ever, peer)
        await channel.finish(linger_s=LINGER_S)
        assert trio.current_time() == LINGER_S
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("drain_at", [QUIET_S / 4, 2])
async def test_a_drain_shortens_a_linger_that_has_begun(
    drain_at: float, autojump_clock: MockClock, memory: Pair
) -> None:
    stream, _ = memory
    channel = FrameChannel(stream)
    async with trio.open_nursery() as nursery:

        async def finish() -> None:
            await channel.finish(linger_s=LINGER_S)
            assert trio.current_time() == max(QUIET_S, drain_at)

        nursery.start_soon(finish)
        await trio.sleep(drain_at)
        channel.drain()


async def test_finishing_a_connection_that_is_lost_closes_it(autojump_clock: MockClock, memory: Pair) -> None:
    stream, peer = memory
    channel = FrameChannel(stream)
    await peer.aclose()
    await channel.finish(linger_s=LINGER_S)
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()


async def test_finishing_when_cancelled_closes_all_the_same(autojump_clock: MockClock, memory: Pair) -> None:
    stream, _ = memory
    channel = FrameChannel(stream)
    with trio.move_on_after(1) as cancelled:
        await channel.finish(linger_s=LINGER_S)
    assert cancelled.cancelled_caught
    assert trio.current_time() == 1
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()


async def test_finishing_in_a_scope_that_is_cancelled_destroys_no_message() -> None:
    stream, peer = await tcp_pair()
    channel = FrameChannel(stream)
    await channel.send(b"last")
    with trio.CancelScope() as cancelled:
        cancelled.cancel()
        await channel.finish(linger_s=LINGER_S)
    with guarded():
        async with peer:
            assert await receive_all(peer) == frame(b"last")


async def test_finishing_a_closed_channel_is_nothing_but_a_checkpoint(memory: Pair) -> None:
    stream, _ = memory
    channel = FrameChannel(stream)
    await channel.aclose()
    with assert_checkpoints():
        await channel.finish(linger_s=LINGER_S)


async def test_time_in_which_nobody_listens_is_not_on_the_frame_clock(autojump_clock: MockClock) -> None:
    stream, peer = memory_stream_pair()
    channel = FrameChannel(stream, frame_timeout_s=10)
    await peer.send_all(frame(b"slow")[:5])
    with trio.move_on_after(6):
        await channel.receive()
    await trio.sleep(3600)
    with pytest.raises(FrameTimeoutError):
        await channel.receive()
    assert trio.current_time() == 6 + 3600 + 4


async def test_finishing_while_another_task_receives_closes_and_raises_nothing() -> None:
    stream, peer = await tcp_pair()
    channel = FrameChannel(stream)

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await channel.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        assert await channel.finish(linger_s=5)
    assert await receive_all(peer) == b""
    await peer.aclose()
