"""The clocks of a server, to the second, in virtual time."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock, lockstep_stream_pair

from tests.support.serving import log_lines, serving
from tests.support.streams import Stream, is_echoed, receive_all, receive_exactly
from tests.support.wire import frame, frames
from trioecho import WriteTimeoutError
from trioecho.connection.transport import STREAM_SEND_BYTES

A_LONG_TIME_S = 1e7


async def ends_at(client: Stream) -> float:
    """When the client sees the end of its connection; whatever comes before is discarded."""
    await receive_all(client)
    at = trio.current_time()
    await client.aclose()
    return at


async def test_the_idle_clock(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(idle_timeout_s=300) as running:
        assert await ends_at(running.listener.connect()) == 300
        await running.drain()
    assert running.errors == {"idle_timeout": 1}
    assert log_lines(caplog) == ["a StapledStream: no frame began for 300 s (idle timeout)"]


async def test_the_idle_clock_starts_anew_with_every_message(autojump_clock: MockClock) -> None:
    async with serving(idle_timeout_s=300) as running:
        client = running.listener.connect()
        for _ in range(10):
            await trio.sleep(299)
            assert await is_echoed(client, b"still here")
        assert await ends_at(client) == 2990 + 300
    assert running.errors == {"idle_timeout": 1}
    assert running.messages == 10


async def trickle(client: Stream, data: bytes, every_s: float) -> None:
    for byte in data:
        await client.send_all(bytes([byte]))
        await trio.sleep(every_s)


async def test_the_frame_clock_runs_however_the_bytes_trickle(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(frame_timeout_s=60, idle_timeout_s=30) as running, trio.open_nursery() as nursery:
        client = running.listener.connect()
        await trio.sleep(20)
        nursery.start_soon(trickle, client, frame(bytes(100)), 7)
        assert await receive_all(client) == b""
        assert trio.current_time() == 20 + 60
        nursery.cancel_scope.cancel()
    assert running.errors == {"frame_timeout": 1}
    assert log_lines(caplog) == [
        "a StapledStream: a frame was not complete 60 s after it began (frame timeout)"
    ]


async def test_the_frame_clock_starts_anew_for_the_next_frame(autojump_clock: MockClock) -> None:
    async with serving(frame_timeout_s=60) as running:
        client = running.listener.connect()
        await client.send_all(b"\0")
        for _ in range(5):  # each piece ends one frame and begins another
            await trio.sleep(50)
            await client.send_all(frame(b"one")[1:] + b"\0")
            assert await receive_exactly(client, 7) == frame(b"one")
        assert await ends_at(client) == 250 + 60
    assert running.errors == {"frame_timeout": 1}
    assert running.messages == 5


async def test_a_frame_that_takes_just_less_than_the_clock_is_echoed(autojump_clock: MockClock) -> None:
    async with serving(frame_timeout_s=60, idle_timeout_s=10) as running:
        client = running.listener.connect()
        await client.send_all(b"\0")
        await trio.sleep(59)
        await client.send_all(frame(b"one")[1:])
        assert await receive_exactly(client, 7) == frame(b"one")
        assert await ends_at(client) == 59 + 10
    assert running.errors == {"idle_timeout": 1}


async def test_the_write_clock(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(write_timeout_s=60) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await trio.sleep(5)
        await client.send_all(frame(b"never read"))
        await trio.sleep(100)
        [(at, cause)] = running.handler_ends
        assert at == 5 + 60
        assert isinstance(cause, WriteTimeoutError)
        assert running.server.connections == 0
        await running.drain()
    assert running.errors == {"write_timeout": 1}
    assert running.messages == 0
    assert log_lines(caplog) == [
        "a StapledStream: the peer read too little, or nothing, for 60 s (write timeout)"
    ]


async def test_the_write_clock_runs_from_the_last_byte_that_was_accepted(autojump_clock: MockClock) -> None:
    async with serving(write_timeout_s=60) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await client.send_all(frame(bytes(5 * STREAM_SEND_BYTES)))
        for _ in range(3):
            await trio.sleep(59)
            await receive_exactly(client, STREAM_SEND_BYTES)
        await trio.sleep(100)
        [(at, _)] = running.handler_ends
        assert at == 3 * 59 + 60
    assert running.errors == {"write_timeout": 1}


@pytest.mark.parametrize(("idle_s", "frame_s"), [(0, 1), (1, 0)])
async def test_the_clocks_of_receiving_can_be_off(
    idle_s: float, frame_s: float, autojump_clock: MockClock
) -> None:
    async with serving(write_timeout_s=1, idle_timeout_s=idle_s, frame_timeout_s=frame_s) as running:
        client = running.listener.connect()
        begun = 0 if not idle_s else 1  # bytes of a frame, so that the clock that is on does not run
        await client.send_all(frame(b"one")[:begun])
        await trio.sleep(A_LONG_TIME_S)
        await client.send_all(frame(b"one")[begun:])
        await client.send_eof()
        assert await receive_all(client) == frame(b"one")
    assert running.errors == {}


async def test_the_write_clock_can_be_off(autojump_clock: MockClock) -> None:
    async with serving(write_timeout_s=0, idle_timeout_s=1, frame_timeout_s=1) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await client.send_all(frame(b"one"))
        await trio.sleep(A_LONG_TIME_S)
        await client.send_eof()
        assert await receive_all(client) == frame(b"one")
    assert running.errors == {}


async def test_time_in_which_the_server_does_not_read_is_not_held_against_the_peer(
    autojump_clock: MockClock,
) -> None:
    # The second frame has begun when the echo of the first is blocked.
    async with serving(frame_timeout_s=10, idle_timeout_s=10, write_timeout_s=100) as running:
        client = running.listener.connect(lockstep_stream_pair)
        await client.send_all(frame(b"one") + frame(b"two")[:3])
        await trio.sleep(50)
        assert await receive_exactly(client, 7) == frame(b"one")
        await trio.sleep(9)
        await client.send_all(frame(b"two")[3:])
        assert await receive_exactly(client, 7) == frame(b"two")
        await client.send_eof()
        assert await receive_all(client) == b""
    assert running.errors == {}
    assert running.messages == 2


async def test_a_clock_ends_only_its_own_connection_and_the_echoes_before_arrive(
    autojump_clock: MockClock,
) -> None:
    async with serving(idle_timeout_s=30, frame_timeout_s=10) as running, trio.open_nursery() as nursery:
        slow, idle, busy = (running.listener.connect() for _ in range(3))

        async def echoes() -> None:
            for _ in range(100):
                assert await is_echoed(busy, b"one", b"two")
                await trio.sleep(1)

        nursery.start_soon(echoes)
        await slow.send_all(frames(b"one", b"two") + b"\0")
        assert await receive_all(slow) == frames(b"one", b"two")
        assert trio.current_time() == 10
        assert await receive_all(idle) == b""
        assert trio.current_time() == 30
    assert running.errors == {"idle_timeout": 1, "frame_timeout": 1}
    assert running.messages == 2 + 200


async def test_a_crowd_of_slow_peers_is_counted_exactly_and_logged_in_twenty_one_lines(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(idle_timeout_s=5) as running:
        clients = [running.listener.connect() for _ in range(100)]
        for client in clients:
            assert await ends_at(client) == 5
        await trio.sleep(2)
        assert len(log_lines(caplog)) == 21
        await running.drain()
    assert running.errors == {"idle_timeout": 100}
    assert log_lines(caplog)[20] == "80 more lines like these within the same second"


async def test_the_count_of_the_lines_that_were_left_out_is_not_lost_at_the_stop(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(idle_timeout_s=5) as running:
        for client in [running.listener.connect() for _ in range(30)]:
            assert await ends_at(client) == 5
        await running.drain()
        assert running.ended_at == 5
    assert log_lines(caplog)[20:] == ["10 more lines like these within the same second"]
