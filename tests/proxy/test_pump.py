"""One direction of the proxy, between sockets in memory, on a clock that stands still."""

from __future__ import annotations

import random
import socket
from collections import deque
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.faults import numbers
from tests.support.wire import frame, frames
from trioecho.connection.transport import SocketTransport
from trioecho.proxy import DelayLine, Faults, FaultStream, FrameFault, FrameRule
from trioecho.proxy.delay_line import MAX_LINE_BYTES
from trioecho.proxy.faulty_pump import FaultyPump
from trioecho.proxy.pump import PlainPump, Pump, PumpEnd, Side

END, RESET = b"", "reset"
Sent = list[tuple[float, bytes | str]]


class MemorySocket(SocketTransport):
    """What a pump needs of a transport, without a socket.

    Attributes:
      sent: what was sent to it, and when; `END` for an end of the stream.
      room: how many bytes it takes.
      received_bytes: how many were taken from it.
    """

    def __init__(self) -> None:
        self.sent: Sent = []
        self.room: float = float("inf")
        self.received_bytes = 0
        self.is_lost = False
        self.socket = self  # type: ignore[assignment]  # it is asked for little
        self._arrived: deque[bytes | str] = deque()
        self._waiting = trio.lowlevel.ParkingLot()

    def arrive(self, *what: bytes | str) -> None:
        self._arrived += what
        self._waiting.unpark_all()

    def take_all(self) -> None:
        self.room = float("inf")
        self._waiting.unpark_all()

    def fileno(self) -> int:
        return 0

    def receive_nowait(self, room: memoryview | None = None) -> bytes | memoryview | None:
        if not self._arrived:
            return None
        data = self._arrived[0]
        if isinstance(data, str):
            raise trio.BrokenResourceError
        if data == END:
            return END
        most = len(room) if room is not None else 1 << 16
        self._arrived.popleft()
        if data[most:]:
            self._arrived.appendleft(data[most:])
        self.received_bytes += len(data[:most])
        return data[:most]

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self.is_lost:
            raise trio.BrokenResourceError
        count = int(min(len(data), self.room))
        self.room -= count
        if count:
            self.sent.append((trio.current_time(), bytes(data[:count])))
        return count

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        if self.is_lost:
            raise OSError("it is lost")
        self.sent.append((trio.current_time(), END))

    async def wait_readable(self) -> None:
        while not self._arrived:
            await self._waiting.park()
        await trio.lowlevel.checkpoint()

    async def wait_writable(self) -> None:
        while not self.room and not self.is_lost:
            await self._waiting.park()
        await trio.lowlevel.checkpoint()

    @property
    def sent_bytes(self) -> bytes:
        return b"".join(data for _, data in self.sent if isinstance(data, bytes))


class World:
    """A pump and the two sides around it."""

    def __init__(self, **faults: Any) -> None:
        self.source, self.sink = MemorySocket(), MemorySocket()
        self.passed_bytes = 0
        self.stalls = 0
        self.told: list[str] = []
        sides = Side(self.source), Side(self.sink)
        self.pump: Pump
        if not faults:
            self.pump = PlainPump(*sides, self._passed)
            return
        chosen = Faults(**faults)
        self.pump = FaultyPump(
            *sides,
            self._passed,
            faults=chosen,
            stream=FaultStream(chosen, numbers(0), lambda kind, words: self.told.append(words)),
            line=DelayLine(chosen, random.Random(0), trio.current_time()),
            buffer=memoryview(bytearray(1 << 18)),
            on_stall=self._stalled,
            on_left=None,
        )

    def _passed(self, count: int) -> None:
        self.passed_bytes += count

    def _stalled(self) -> None:
        self.stalls += 1


KINDS: list[dict[str, Any]] = [{}, {"slice_bytes": (1 << 20, 1 << 20)}, {"delay_s": (0.5, 0.5)}]


async def test_what_comes_is_passed_on_at_once_and_so_is_its_end(autojump_clock: MockClock) -> None:
    for faults in KINDS[:2]:
        world = World(**faults)
        now = trio.current_time()
        world.source.arrive(b"one", b"two", END)
        assert await world.pump.run() is PumpEnd.ENDED
        assert world.sink.sent == [(now, b"one"), (now, b"two"), (now, END)]
        assert world.pump.passed_bytes == world.passed_bytes == 6


async def test_messages_a_moment_apart_arrive_a_moment_apart(autojump_clock: MockClock) -> None:
    world = World(delay_s=(0.05, 0.05))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        for number in range(100):
            world.source.arrive(b"%d" % number)
            await trio.sleep(0.01)
        world.source.arrive(END)
    [*messages, end] = world.sink.sent
    assert [data for _, data in messages] == [b"%d" % number for number in range(100)]
    for number, (now, _) in enumerate(messages):
        assert number * 0.01 + 0.05 <= now + 1e-9 < number * 0.01 + 0.0501
    assert end == (pytest.approx(1.05), END)


async def test_a_delay_line_takes_in_what_is_stated_and_not_more(autojump_clock: MockClock) -> None:
    world = World(delay_s=(60.0, 60.0))
    world.source.arrive(*[bytes(65536)] * 200, END)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        await trio.sleep(59)
        assert MAX_LINE_BYTES - 65536 < world.source.received_bytes <= MAX_LINE_BYTES + 65536
        assert not world.sink.sent
    assert len(world.sink.sent_bytes) == 200 * 65536


@pytest.mark.parametrize("faults", KINDS)
async def test_nothing_more_is_received_than_the_sink_takes_and_a_line_holds(
    faults: dict[str, Any], autojump_clock: MockClock
) -> None:
    world = World(**faults)
    world.source.arrive(*[bytes(65536)] * 200, END)
    world.sink.room = 100_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        await trio.sleep(10)
        assert world.source.received_bytes <= 100_000 + 65536 + (
            MAX_LINE_BYTES if "delay_s" in faults else 65536
        )
        assert world.pump.is_blocked
        world.sink.take_all()
    assert len(world.sink.sent_bytes) == world.passed_bytes == 200 * 65536
    assert world.sink.sent[-1][1] == END


@pytest.mark.parametrize("faults", KINDS)
async def test_a_reset_comes_after_what_came_before_it(
    faults: dict[str, Any], autojump_clock: MockClock
) -> None:
    world = World(**faults)
    world.source.arrive(b"last words", RESET)
    assert await world.pump.run() is PumpEnd.RESET
    assert world.sink.sent == [(faults.get("delay_s", (0.0, 0.0))[0], b"last words")]


@pytest.mark.parametrize("faults", KINDS)
async def test_an_end_that_is_a_reset_of_which_the_other_direction_was_told_is_a_reset(
    faults: dict[str, Any], autojump_clock: MockClock
) -> None:
    world = World(**faults)
    world.pump.source.is_reset = True
    world.source.arrive(b"last words", END)
    assert await world.pump.run() is PumpEnd.RESET
    assert world.sink.sent_bytes == b"last words"


@pytest.mark.parametrize("faults", KINDS)
@pytest.mark.parametrize("what", [(b"x",), (END,)])
async def test_a_sink_that_is_lost(
    what: tuple[bytes, ...], faults: dict[str, Any], autojump_clock: MockClock
) -> None:
    world = World(**faults)
    world.sink.is_lost = True
    world.source.arrive(*what)
    assert await world.pump.run() is PumpEnd.SINK_LOST


async def test_bytes_are_held_back_no_longer_than_was_said_even_if_more_come(
    autojump_clock: MockClock,
) -> None:
    world = World(coalesce_bytes=1000, coalesce_s=0.05)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        for _ in range(10):
            world.source.arrive(b"x")
            await trio.sleep(0.02)
        world.source.arrive(END)
    assert world.sink.sent[0] == (0.05, b"xxx")
    assert world.sink.sent_bytes == b"x" * 10


async def test_in_a_stall_nothing_is_received_any_more(autojump_clock: MockClock) -> None:
    world = World(frame_rules=(FrameRule(FrameFault.STALL, on_frame=2),))
    world.source.arrive(frames(b"one", b"two"), *[frame(bytes(1000))] * 100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        await trio.sleep(10)
        assert world.pump.is_stalled
        assert world.stalls == 1
        assert world.source.received_bytes == 14
        assert frames(b"one", b"two").startswith(world.sink.sent_bytes)
        nursery.cancel_scope.cancel()


async def test_after_a_truncation_the_source_is_read_to_its_end(autojump_clock: MockClock) -> None:
    world = World(frame_rules=(FrameRule(FrameFault.TRUNCATE, on_frame=1),))
    world.source.arrive(frame(b"one"), *[frame(bytes(1000))] * 100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.pump.run)
        await trio.sleep(10)
        assert world.sink.sent[-1] == (0, END)
        assert world.source.received_bytes == 7 + 100 * 1004
        world.source.arrive(END)


async def test_a_bandwidth_holds_for_the_smallest_pieces(autojump_clock: MockClock) -> None:
    world = World(bandwidth_bytes_per_s=1000, slice_bytes=(1, 3))
    world.source.arrive(bytes(5000), END)
    await world.pump.run()
    assert trio.current_time() == pytest.approx(5, abs=0.01)
    assert max(len(data) for _, data in world.sink.sent) <= 3


async def test_other_tasks_have_their_turn_while_many_pieces_are_due(autojump_clock: MockClock) -> None:
    world = World(slice_bytes=(1, 1))
    world.source.arrive(bytes(5000), END)
    turns = 0
    async with trio.open_nursery() as nursery:

        async def count() -> None:
            nonlocal turns
            while len(world.sink.sent) < 5000:
                await trio.lowlevel.checkpoint()
                turns += 1

        nursery.start_soon(count)
        nursery.start_soon(world.pump.run)
    assert turns > 100
