"""A world for the load engine: virtual time, sockets in memory, servers with a known schedule or fault.

Frames are made and read here without the project's own framing.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

from trioecho.load.engine.connection import LoadConnection
from trioecho.load.engine.dialing import Taken
from trioecho.load.engine.engine import Engine
from trioecho.load.engine.making import ConnectionMaker
from trioecho.load.engine.path_watch import PathWatch
from trioecho.load.engine.poller import ONLY_WRITABLE
from trioecho.load.engine.renewals import Renewing
from trioecho.load.engine.replay_times import ReplayTimes
from trioecho.load.engine.schedule import DueTimes, Schedule
from trioecho.load.engine.tally import LoadTally
from trioecho.load.message_list import MessageList
from trioecho.load.plan import LoadPlan
from trioecho.load.recorded_traffic import RecordedTraffic
from trioecho.load.results.result import LoadResult

from .wire import split_frames

MS = 1_000_000
S = 1_000_000_000
START = 7 * S  # the clock of the world begins somewhere


class World:
    """Time, and what is to happen in it."""

    def __init__(self) -> None:
        self.now = START
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def at(self, time_ns: int, event: Callable[[], object]) -> None:
        heapq.heappush(self._events, (max(time_ns, self.now), next(self._order), event))

    def happen_next(self, until: float) -> bool:
        """Let the next event happen, unless it is later than that; then it is that time."""
        if self._events and self._events[0][0] <= until:
            time_ns, _, event = heapq.heappop(self._events)
            self.now = max(self.now, time_ns)  # who was busy meanwhile comes late, and not back in time
            event()
            return True
        assert until < math.inf, "nothing is ever going to happen"
        self.now = max(self.now, int(until))
        return False


class WorldSocket:
    """The generator's end of a connection."""

    def __init__(self, world: World, server: Server, number: int, room: float = math.inf) -> None:
        self.world = world
        self.server = server
        self.number = number
        self.room = room  # bytes that can be sent and not yet read
        self.sent = b""  # and not read
        self.arrived = bytearray()
        self.is_ended = False
        self.is_reset = False
        self.is_closed = False

    def send(self, data: bytes | memoryview, /) -> int:
        if self.is_reset:
            raise ConnectionResetError(104, "Connection reset by peer")
        taken = bytes(data[: int(min(len(data), self.room - len(self.sent)))])
        if not taken:
            raise BlockingIOError
        self.sent += taken
        self.server.on_bytes(self)
        return len(taken)

    def recv(self, most: int, /) -> bytes:
        received = bytearray(max(1, min(most, len(self.arrived))))
        return bytes(received[: self.recv_into(memoryview(received))])

    def recv_into(self, buffer: memoryview, /) -> int:
        if not self.arrived:
            if self.is_reset:
                raise ConnectionResetError(104, "Connection reset by peer")
            if self.is_ended:
                return 0
            raise BlockingIOError
        count = min(len(buffer), len(self.arrived))
        buffer[:count] = self.arrived[:count]
        del self.arrived[:count]
        return count

    def shutdown(self, how: int, /) -> None:
        self.end(self.world.now + 10 * MS)

    def close(self) -> None:
        self.is_closed = True

    def read_frames(self, most: float = math.inf) -> list[bytes]:
        """What the server takes out of its buffer."""
        frames, _ = split_frames(self.sent)
        taken = frames[: int(min(most, len(frames)))]
        self.sent = self.sent[sum(map(len, taken)) :]
        return taken

    def deliver(self, data: bytes, at: int | None = None) -> None:
        """Let bytes arrive."""
        self.world.at(self.world.now if at is None else at, lambda: self.arrived.extend(data))

    def end(self, at: int | None = None, *, reset: bool = False) -> None:
        self.world.at(self.world.now if at is None else at, lambda: self._end(reset))

    def _end(self, reset: bool) -> None:
        self.is_ended = True
        self.is_reset = reset


class Server:
    """Answers frames; this one after a microsecond.

    Attributes:
      handshake_ns: how long before the end of an attempt its handshake begins; 0 if there is none.
    """

    handshake_ns: int = 0

    def accept(self, now: int) -> tuple[int, OSError | None]:
        """After how many ns an attempt that is made now has come to its end, and its error."""
        return 1000, None

    def on_connect(self, connection: WorldSocket) -> None:
        """Take a connection that was opened after the start."""

    def on_bytes(self, connection: WorldSocket) -> None:
        for number, frame in enumerate(connection.read_frames()):
            self.answer(connection, frame, number)

    def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
        connection.deliver(frame, connection.world.now + 1000)


class WorldWaiter:
    """Waits in the world.

    Attributes:
      dialed: when each attempt to connect is over, by its number.
    """

    def __init__(self, world: World, sockets: Sequence[WorldSocket], grain_ns: int) -> None:
        self.dialed: dict[int, int] = {}
        self.world = world
        self.grain_ns = grain_ns
        self.sockets = dict(enumerate(sockets))
        self.writable: set[int] = set()
        self.spun_ns = 0

    def also_writable(self, number: int, yes: bool) -> None:
        (self.writable.add if yes else self.writable.discard)(number)

    def unregister(self, number: int) -> None:
        del self.sockets[number]
        self.writable.discard(number)

    def ready(self) -> list[tuple[int, int]]:
        found = [(number, ONLY_WRITABLE) for number, at in self.dialed.items() if at <= self.world.now]
        for number, socket in self.sockets.items():
            has_room = number in self.writable and len(socket.sent) < socket.room
            if socket.arrived or socket.is_ended:
                found.append((number, 1 | (ONLY_WRITABLE if has_room else 0)))
            elif has_room:
                found.append((number, ONLY_WRITABLE))
        return found

    def wait(self, until: float) -> list[tuple[int, int]]:
        limit = min(until, self.world.now + self.grain_ns)
        while not (ready := self.ready()):
            if not self.world.happen_next(limit):
                return self.ready()
        return ready


class WorldDialer:
    """Opens further connections in the world, as its server lets it; see `Server.accept`."""

    def __init__(self, world: World, waiter: WorldWaiter, server: Server, room: float) -> None:
        self.world, self.waiter, self.server, self.room = world, waiter, server, room
        self.sockets: list[WorldSocket] = []
        self.finished: list[int] = []
        self.outcomes: dict[int, OSError | None] = {}
        self.numbers = itertools.count(1000)

    def dial(self, number: int) -> int:
        after_ns, error = self.server.accept(self.world.now)
        if error is not None and not after_ns:
            raise error
        attempt = next(self.numbers)
        self.outcomes[attempt] = error
        self.waiter.dialed[attempt] = self.world.now + after_ns
        self.world.at(self.world.now + after_ns, lambda: None)
        return attempt

    def is_connected(self, attempt: int) -> bool:
        return False

    def has_begun(self, attempt: int) -> bool:
        handshake_ns = self.server.handshake_ns
        return handshake_ns > 0 and self.waiter.dialed[attempt] - handshake_ns <= self.world.now

    def take(self, attempt: int) -> Taken | None:
        if self.waiter.dialed[attempt] > self.world.now:
            return None
        self.give_up(attempt)
        if (error := self.outcomes.pop(attempt)) is not None:
            raise error
        self.sockets.append(WorldSocket(self.world, self.server, attempt, self.room))
        self.waiter.sockets[attempt] = self.sockets[-1]
        self.server.on_connect(self.sockets[-1])
        return Taken(self.sockets[-1], self.world.now)

    def give_up(self, attempt: int) -> None:
        del self.waiter.dialed[attempt]


def run_in_world(plan: LoadPlan, server: Server, **options: Any) -> LoadResult:
    """Carry out a plan in virtual time; the options are those of `driven_in_world`."""
    return driven_in_world(plan, server, **options).result()


def driven_in_world(
    plan: LoadPlan,
    server: Server,
    *,
    room: float = math.inf,
    world: World | None = None,
    on_turn: Callable[[Engine, World], object] = lambda engine, world: None,
    grain_ns: int = MS,
    most_turns: int = 2_000_000,
    is_cautious: bool = False,
    connection_class: type[LoadConnection] = LoadConnection,
    messages: MessageList | None = None,
    path: PathWatch | None = None,
    first: int = 0,
    count: int | None = None,
    recorded: RecordedTraffic | None = None,
) -> Engine:
    """Carry out a plan in virtual time, or some of its connections; the engine, when it is over."""
    world = world or World()
    count = plan.connections if count is None else count
    sockets = [WorldSocket(world, server, number, room) for number in range(count)]
    tally = LoadTally(plan, lambda: world.now)
    maker = ConnectionMaker(
        plan,
        tally,
        messages=messages,
        recorded=recorded,
        clock=lambda: world.now,
        echo_class=connection_class,
    )
    connections = {number: maker.make(first + number, socket) for number, socket in enumerate(sockets)}
    waiter = WorldWaiter(world, sockets, grain_ns)
    dialer = WorldDialer(world, waiter, server, room)
    engine = Engine(
        plan,
        connections,
        tally,
        waiter,
        renewing=Renewing(dialer, maker) if plan.churn.renews else None,
        due=_due(plan, recorded, first, count),
        is_cautious=is_cautious,
        clock=lambda: world.now,
        cpu_clock=lambda: (0, 0),
        path=path,
    )
    engine.start()
    for _ in range(most_turns):
        if engine.is_over:
            assert all(socket.is_closed for socket in sockets + dialer.sockets)
            assert not waiter.dialed
            return engine
        engine.turn()
        on_turn(engine, world)
    raise AssertionError("the load does not end")


def _due(
    plan: LoadPlan, recorded: RecordedTraffic | None, first: int, count: int
) -> DueTimes | ReplayTimes | None:
    if recorded is not None and plan.replay is not None:
        return ReplayTimes(recorded.times, plan.replay.speed, plan.timeout_s)
    return Schedule(plan).due(first, count) if plan.is_open else None


def errors_of(result: LoadResult) -> list[tuple[str, int, int]]:
    """Kind, connection and number of all discrepancies."""
    return sorted((found.kind, found.connection, found.number) for found in result.discrepancies)


def percentile_of(values: Iterable[int], percent: float) -> int:
    """As HdrHistogram defines it, but exact."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(len(ordered) * Fraction(str(percent)) / 100)) - 1]
