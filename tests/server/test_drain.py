"""How a server stops: what a drain still serves, how long it takes, and how it is counted."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from trio.testing import MockClock, lockstep_stream_pair

from tests.support.serving import each_handler, log_lines, serving
from tests.support.streams import (
    MemoryListener,
    Stream,
    connect,
    is_echoed,
    listen,
    receive_all,
    receive_exactly,
    tcp_pair,
)
from tests.support.wire import frame, frames, whole_frames
from trioecho import FrameChannel, Handler, Limits, ServeResult, echo, reply_with
from trioecho.connection.channel import QUIET_S
from trioecho.connection.transport import STREAM_ARRIVED_S, Transport, open_transport
from trioecho.server.accepting import Acceptor

# ---- how long ----


async def test_with_no_connections_it_ends_at_once(autojump_clock: MockClock) -> None:
    async with serving() as running:
        await trio.sleep(100)
        assert await running.drain() == ServeResult(connections_aborted=0)
        assert running.ended_at == 100
    assert running.listener.is_closed


async def test_idle_connections_end_as_soon_as_it_is_known_that_nothing_has_arrived(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as running:
        clients = [running.listener.connect() for _ in range(10)]
        for client in clients[:5]:
            assert await is_echoed(client, b"one")
        await trio.sleep(QUIET_S)
        assert (await running.drain()).connections_aborted == 0
        assert running.ended_at == pytest.approx(QUIET_S + STREAM_ARRIVED_S)
        for client in clients:
            assert await receive_all(client) == b""
    assert running.errors == {}
    assert log_lines(caplog) == []


async def test_idle_connections_of_sockets_end_at_once(mock_clock: MockClock) -> None:
    async with serving() as running:
        clients = []
        for _ in range(3):
            client, server = await tcp_pair()
            running.listener.connect_with(server)
            assert await is_echoed(client, b"one")
            clients.append(client)
        mock_clock.jump(QUIET_S)
        await running.drain()  # with a clock that stands still, only at once will do
        for client in clients:
            assert await receive_all(client) == b""
            await client.aclose()


@pytest.mark.parametrize("silent_s", [0.0, 0.2])
async def test_a_peer_that_was_sending_just_now_is_given_half_a_second(
    silent_s: float, autojump_clock: MockClock
) -> None:
    async with serving() as running:
        client = running.listener.connect()
        await trio.sleep(10)
        assert await is_echoed(client, b"just now")
        await trio.sleep(silent_s)
        await running.drain()
        assert running.ended_at == 10 + QUIET_S
        assert await receive_all(client) == b""


async def test_a_peer_that_ends_ends_the_linger(autojump_clock: MockClock) -> None:
    async with serving() as running:
        client = running.listener.connect()
        await trio.sleep(10)
        assert await is_echoed(client, b"just now")
        running.server.drain()
        assert await receive_all(client) == b""
        await trio.sleep(0.1)
        await client.send_eof()
        await running.ended.wait()
        assert running.ended_at == pytest.approx(10 + STREAM_ARRIVED_S + 0.1)


async def send_for_ever(client: Stream, data: bytes, every_s: float) -> None:
    while True:
        try:
            await client.send_all(data)
        except trio.BrokenResourceError:
            return
        await trio.sleep(every_s)


async def test_a_peer_that_never_stops_sending_is_read_until_the_linger_ends(
    autojump_clock: MockClock,
) -> None:
    async with serving(linger_s=5) as running, trio.open_nursery() as nursery:
        client = running.listener.connect()
        nursery.start_soon(send_for_ever, client, frame(b"more"), 0.2)
        await trio.sleep(10.1)
        assert (await running.drain()).connections_aborted == 1
        assert running.ended_at == pytest.approx(10.1 + STREAM_ARRIVED_S + 5)
        echoes = whole_frames(await receive_all(client))
        assert echoes == [b"more"] * 51
    assert running.messages == 51
    assert running.errors == {"aborted": 1}


async def test_a_connection_that_lingered_before_the_drain_ends_with_it(autojump_clock: MockClock) -> None:
    async def handler(channel: FrameChannel) -> None:
        await channel.send(b"goodbye")

    async with serving(handler, linger_s=1000) as running:
        client = running.listener.connect()
        assert await receive_all(client) == frame(b"goodbye")
        await trio.sleep(100)
        assert running.server.connections == 1
        await running.drain()
        assert running.ended_at == 100


# ---- what is still served ----


async def test_frames_that_have_arrived_are_echoed_and_a_partial_one_is_finished(
    autojump_clock: MockClock,
) -> None:
    async def reply(message: bytes) -> bytes:
        await trio.sleep(3)
        return message

    async with serving(reply_with(reply), grace_s=100) as running:
        client = running.listener.connect()
        await client.send_all(frames(b"one", b"", b"three", b"four") + frame(b"partial")[:-1])
        await trio.sleep(4)
        running.server.drain()
        echoes = frames(b"one", b"", b"three", b"four")
        assert await receive_exactly(client, len(echoes)) == echoes
        assert trio.current_time() == 12
        await trio.sleep(60)
        await client.send_all(frame(b"partial")[-1:])
        assert await receive_all(client) == frame(b"partial")
        assert trio.current_time() == 72 + 3
        await client.send_eof()
        await running.ended.wait()
        assert running.ended_at == 75
    assert running.result == ServeResult(connections_aborted=0)
    assert running.errors == {}
    assert running.messages == 5


async def test_frames_that_arrive_with_the_drain_are_echoed(autojump_clock: MockClock) -> None:
    async with serving() as running:
        client = running.listener.connect()
        assert await is_echoed(client, b"one")
        await client.send_all(frames(b"two", b"three"))
        running.server.drain()
        assert await receive_all(client) == frames(b"two", b"three")


@each_handler
@pytest.mark.usefixtures("driver")
async def test_a_frame_whose_beginning_lay_in_the_kernel_is_finished(
    handler: Handler, mock_clock: MockClock
) -> None:
    wire = frames(b"one", b"", bytes(3000))
    for cut in (1, 4, 7, 8, len(wire) - 1):
        listener = await listen()
        async with serving(handler, [listener]) as running:
            peer = await connect(listener)
            assert await is_echoed(peer, b"hello")
            await peer.send_all(wire[:cut])
            running.server.drain()
            await trio.testing.wait_all_tasks_blocked()
            assert running.result is None
            await peer.send_all(wire[cut:] + b"\0")  # and the first byte of the next, which comes too late
            finished = 7 if cut <= 7 else 11 if cut <= 11 else len(wire)
            echoes = await receive_all(peer)
            assert len(echoes) >= finished
            assert wire.startswith(echoes)
            assert whole_frames(echoes)
            await peer.aclose()
            assert await running.drain() == ServeResult(connections_aborted=0)
        assert running.errors == {}
        assert running.messages == 1 + len(whole_frames(echoes))


@each_handler
async def test_a_frame_that_is_not_finished_within_the_grace_is_aborted_and_counted(
    handler: Handler, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(handler, grace_s=10) as running:
        stuck, idle = running.listener.connect(), running.listener.connect()
        await stuck.send_all(frames(b"one", b"two") + b"\0")
        await trio.sleep(20)
        assert (await running.drain()).connections_aborted == 1
        assert running.ended_at == 30
        assert await receive_all(stuck) == frames(b"one", b"two")
        assert await receive_all(idle) == b""
    assert running.errors == {"aborted": 1}
    assert running.messages == 2
    assert log_lines(caplog) == ["a StapledStream: aborted before it was done"]


async def test_a_peer_that_ends_inside_a_frame_ends_the_drain(autojump_clock: MockClock) -> None:
    async with serving(grace_s=100) as running:
        client = running.listener.connect()
        await client.send_all(frame(b"one")[:-1])
        await trio.sleep(20)
        running.server.drain()
        await trio.sleep(5)
        await client.send_eof()
        await running.ended.wait()
        assert running.ended_at == 25
        assert await receive_all(client) == b""
    assert running.errors == {"incomplete_frame": 1}


async def test_in_a_drain_the_frame_clock_goes_on(autojump_clock: MockClock) -> None:
    async with serving(grace_s=100, frame_timeout_s=30) as running:
        client = running.listener.connect()
        await client.send_all(frame(b"one")[:-1])
        await trio.sleep(20)
        assert (await running.drain()).connections_aborted == 0
        assert running.ended_at == 30
    assert running.errors == {"frame_timeout": 1}


async def test_an_echo_that_is_blocked_when_the_drain_begins_is_finished(autojump_clock: MockClock) -> None:
    async with serving(grace_s=100) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await client.send_all(frames(b"one", b"two"))
        running.server.drain()
        await trio.sleep(50)
        assert await receive_all(client) == frames(b"one", b"two")
        await running.ended.wait()
    assert running.result == ServeResult(connections_aborted=0)
    assert running.messages == 2


async def test_no_connection_is_accepted_after_the_drain_has_begun(autojump_clock: MockClock) -> None:
    async with serving(echo) as running:
        client = running.listener.connect()
        assert await is_echoed(client, b"one")
        running.server.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert running.server.connections == 1
        with pytest.raises(trio.BrokenResourceError):
            running.listener.connect()


async def test_draining_twice_is_as_once(autojump_clock: MockClock) -> None:
    async with serving() as running:
        client = running.listener.connect()
        assert await is_echoed(client, b"one")
        running.server.drain()
        await trio.sleep(0.1)
        running.server.drain()
        await running.ended.wait()
        assert running.ended_at == QUIET_S
        running.server.drain()


# ---- the grace ----


async def never_done(channel: FrameChannel) -> None:
    await channel.receive()
    await trio.sleep_forever()


async def test_what_is_not_done_after_the_grace_is_aborted_and_counted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(never_done, grace_s=10) as running:
        stuck = [running.listener.connect() for _ in range(3)]
        idle = running.listener.connect()
        for client in stuck:
            await client.send_all(frame(b"one"))
        await trio.sleep(100)
        result = await running.drain()
        assert running.ended_at == 110
        assert await receive_all(idle) == b""
    assert result == ServeResult(connections_aborted=3)
    assert running.errors == {"aborted": 3}
    assert log_lines(caplog) == ["a StapledStream: aborted before it was done"] * 3
    assert running.reports[-1].connections == 0


@pytest.mark.parametrize(("grace_s", "linger_s"), [(2, 100), (100, 2)])
async def test_a_peer_that_never_stops_sending_is_aborted_and_counted(
    grace_s: float, linger_s: float, autojump_clock: MockClock
) -> None:
    async with serving(grace_s=grace_s, linger_s=linger_s) as running, trio.open_nursery() as nursery:
        client = running.listener.connect()
        nursery.start_soon(send_for_ever, client, b"\0\0\0\0", 0.2)
        await trio.sleep(10.1)
        assert (await running.drain()).connections_aborted == 1
        assert 12 <= trio.current_time() <= 12.5
    assert running.errors == {"aborted": 1}


async def test_a_blocked_echo_is_aborted_after_the_grace(autojump_clock: MockClock) -> None:
    async with serving(grace_s=10, write_timeout_s=0) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await client.send_all(frame(b"never read"))
        assert (await running.drain()).connections_aborted == 1
        assert running.ended_at == 10
    assert running.errors == {"aborted": 1}
    assert running.messages == 0


async def test_no_grace_is_no_bound(autojump_clock: MockClock) -> None:
    async def reply(message: bytes) -> bytes:
        await trio.sleep(80_000)
        return message

    async with serving(reply_with(reply), grace_s=0) as running:
        client = running.listener.connect()
        await client.send_all(frame(b"one"))
        await trio.testing.wait_all_tasks_blocked()
        assert (await running.drain()).connections_aborted == 0
        assert await receive_all(client) == frame(b"one")
        assert trio.current_time() == pytest.approx(80_000 + STREAM_ARRIVED_S)


# ---- cancellation ----


async def test_cancellation_aborts_closes_and_reports(autojump_clock: MockClock) -> None:
    async with serving(never_done) as running:
        client = running.listener.connect()
        running.listener.connect()
        assert not await is_answered(client)
        running.cancel_scope.cancel()
        await running.ended.wait()
        assert await receive_all(client) == b""
    assert running.result is None
    assert running.listener.is_closed
    assert [report.final for report in running.reports] == [True]
    assert running.errors == {"aborted": 2}
    assert running.reports[-1].connections == 0


async def is_answered(client: Stream) -> bool:
    await client.send_all(frame(b"one"))
    with trio.move_on_after(1):
        await receive_exactly(client, 7)
        return True
    return False


async def test_a_drain_can_be_cancelled(autojump_clock: MockClock) -> None:
    async with serving(never_done, grace_s=0) as running:
        assert not await is_answered(running.listener.connect())
        running.server.drain()
        await trio.sleep(1000)
        running.cancel_scope.cancel()
        await running.ended.wait()
    assert running.errors == {"aborted": 1}
    assert [report.final for report in running.reports] == [True]


# ---- counts ----


@pytest.mark.parametrize("seed", range(10))
async def test_what_is_reported_is_what_was_echoed_whenever_the_drain_begins(
    seed: int, autojump_clock: MockClock
) -> None:
    chance = random.Random(seed)
    received: dict[int, list[bytes]] = {}
    sent: dict[int, list[bytes]] = {}

    async def peer(number: int, listener: MemoryListener) -> None:
        client = listener.connect()
        pace = random.Random(f"{seed} {number}")
        sent[number] = []

        async def send() -> None:
            while True:
                payloads = [pace.randbytes(pace.randrange(50)) for _ in range(pace.randrange(1, 20))]
                wire = frames(*payloads)
                sent[number] += payloads
                cut = pace.randrange(len(wire))
                try:
                    await client.send_all(wire[:cut])
                    await trio.sleep(pace.choice([0, 0.001, 0.03, 0.2]))
                    await client.send_all(wire[cut:])
                except trio.BrokenResourceError:
                    return
                await trio.sleep(pace.choice([0, 0.01, 0.1]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            received[number] = whole_frames(await receive_all(client))
            nursery.cancel_scope.cancel()

    async with serving(report_interval_s=0.7) as running:
        async with trio.open_nursery() as peers:
            for number in range(8):
                peers.start_soon(peer, number, running.listener)
            await trio.sleep(chance.uniform(0.1, 3))
            assert (await running.drain()).connections_aborted == 0
    for number, payloads in received.items():
        assert payloads == sent[number][: len(payloads)]
    echoed = sum(map(len, received.values()))
    assert echoed > 0
    assert running.messages == echoed
    assert sum(report.messages for report in running.reports) == echoed
    assert running.errors == {}


def test_the_documented_grace_and_linger_are_the_defaults() -> None:
    assert (Limits().grace_s, Limits().linger_s) == (10, 5)


async def test_a_crowd_that_goes_on_connecting_does_not_hold_up_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class CrowdedAcceptor(Acceptor):
        taken = 0

        async def wait(self) -> None:
            await trio.sleep_forever()

        async def take(self) -> tuple[Transport, str]:
            self.taken += 1
            assert self.taken < 5_000, "nobody else had a turn"
            return open_transport(trio.testing.memory_stream_pair()[0]), "one of a crowd"

        def count_queued(self) -> int:
            return 1_000_000

        def count_unserved(self) -> int:
            return 3

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    crowd = CrowdedAcceptor()
    monkeypatch.setattr("trioecho.server.serving.open_acceptor", lambda *_: crowd)
    async with serving(grace_s=0.01) as running:
        assert (await running.drain()).connections_aborted >= 3
    assert crowd.taken > 0


async def test_the_end_of_a_channel_in_a_nursery_of_the_handler_is_a_clean_end(
    autojump_clock: MockClock,
) -> None:
    async def handler(channel: FrameChannel) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.receive)

    async with serving(handler) as running:
        client = running.listener.connect()
        await client.send_eof()
        assert await receive_all(client) == b""
        await running.drain()
    assert running.errors == {}
