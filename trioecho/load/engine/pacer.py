"""Say when the next message is due, if not at once after a reply: by a schedule, or after a think time."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ...base.units import NS_PER_S
from ..plan import LoadPlan
from .connection import LoadConnection
from .replay_times import ReplayTimes
from .schedule import DueTimes
from .tally import LoadTally

# At most this number of messages is sent before replies are received again: it matters when
# the generator is late.
_MOST_AT_ONCE = 256
# At most this number of messages that were due waits for a server that does not read. Further
# ones are counted as unsent: memory stays bounded.
MOST_WAITING = 1 << 18
# How soon to look again whether a connection goes on that is waited for.
_LOOK_AGAIN_NS = NS_PER_S // 1000


class Pacer(Protocol):
    """What the engine asks.

    Attributes:
      next_due: when the next message is due, in ns of the clock; infinity if none is.
      notes: what a reader of the result must know, a sentence each.
    """

    next_due: float
    notes: list[str]

    def take_due(self, now: int) -> Iterator[LoadConnection]:
        """Give connections what is due by now; yield those that have something to send."""

    def go_on(self, connection: LoadConnection) -> None:
        """Take a connection that was opened in the place of another one."""

    def end_at(self, moment: int) -> None:
        """Let nothing be due from this moment on, in ns of the clock."""

    def end(self) -> None:
        """Let nothing more be due, and count what will never be sent."""


class SchedulePacer:
    """Open loop: messages are due on a schedule, on one connection after the other.

    Attributes:
      next_due: as of `Pacer`.
      notes: as of `Pacer`.

    Args:
      due: the schedule of these connections, in ns since ``began``.
      began: the beginning of the schedule, in ns of the clock.
      connections: all of them.
      tally: takes how late messages are taken up, of those of the measured part.
      clock: ns.
    """

    def __init__(
        self,
        due: DueTimes | ReplayTimes,
        began: int,
        connections: Sequence[LoadConnection],
        tally: LoadTally,
        clock: Callable[[], int],
    ) -> None:
        self.next_due: float = math.inf
        self.notes: list[str] = []
        self._due = due
        self._times = iter(due)
        self._ends = math.inf
        self._began = began
        self._connections = {connection.number: connection for connection in connections}
        self._tally = tally
        self._clock = clock
        self._next_connection = 0
        # A connection that does not go on, how many messages it had sent, and since when it has been so.
        self._stuck: tuple[int, int, int] | None = None
        self._given_up: set[int] = set()
        self._most_waiting = max(16, MOST_WAITING // max(1, len(connections)))
        self._take_next()

    def _take_next(self) -> None:
        due = next(self._times, None)
        if due is None:
            self.next_due = math.inf
        else:
            self.next_due = self._began + due[0]
            self._next_connection = due[1]

    def take_due(self, now: int) -> Iterator[LoadConnection]:
        """Give connections what is due by now; yield each of them once."""
        ready: dict[LoadConnection, int] = {}
        lateness = self._tally.recent_lateness_ns
        measured_from = self._tally.measured_from
        is_at_once = self._due.is_at_once
        for _ in range(_MOST_AT_ONCE):
            if self.next_due > now:
                break
            due = now if is_at_once else int(self.next_due)
            connection = self._connection()
            if connection is None:
                self._tally.count_unsent(1, measured=int(due >= measured_from))
                self._take_next()
                continue
            waiting = connection.due
            if waiting is None:
                raise TypeError("a schedule is for connections of an open loop")
            if len(waiting) >= self._most_waiting and self._waits_for(connection, now):
                self.next_due = now + _LOOK_AGAIN_NS
                break
            is_full = connection.in_flight.stop >= connection.limit  # another one will send it
            if connection.is_blocked or is_full or connection.is_over:
                if due >= measured_from:
                    lateness.record(now - due)
                if len(waiting) >= self._most_waiting:
                    self._note_overflow()
                    connection.count_unsent([due], "too many waited before it")
                    self._take_next()
                    continue
            else:
                ready[connection] = ready.get(connection, 0) + 1
            waiting.append(due)
            self._take_next()
        for connection, count in ready.items():
            now = self._clock()
            for due in itertools.islice(reversed(connection.due or ()), count):
                if due >= measured_from:
                    lateness.record(now - due)
            yield connection

    def _waits_for(self, connection: LoadConnection, now: int) -> bool:
        """Return whether to wait until a connection goes on; of one that does not for long, never again."""
        if not self._due.is_at_once or connection.number in self._given_up:
            return False
        sent = connection.in_flight.stop
        if self._stuck is None or self._stuck[:2] != (connection.number, sent):
            self._stuck = (connection.number, sent, now)
        if now - self._stuck[2] < self._due.patience_ns:
            return True
        self._given_up.add(connection.number)
        return False

    def _connection(self) -> LoadConnection | None:
        """Return the connection that is next, or another if that is over for good.

        There always is one: the engine ends when there is none. Of a schedule that keeps connections
        return None instead of another.
        """
        connection = self._connections.get(self._next_connection)
        if connection is None or _is_gone(connection):
            if self._due.keeps_connections:
                return None
            live = [connection for connection in self._connections.values() if not _is_gone(connection)]
            return live[self._next_connection % len(live)]
        return connection

    def go_on(self, connection: LoadConnection) -> None:
        """Take a connection that was opened in the place of another one."""
        self._connections[connection.number] = connection

    def _note_overflow(self) -> None:
        if not self.notes:
            self.notes.append(
                f"the server took messages so slowly that more than {self._most_waiting:,} waited for a "
                "connection; further ones were not sent (unsent)"
            )

    def end_at(self, moment: int) -> None:
        """Let nothing be due from this moment on, in ns of the clock."""
        self._ends = moment
        self._times = itertools.takewhile(lambda due: self._began + due[0] < moment, self._times)
        if self.next_due >= moment:
            self.next_due = math.inf

    def end(self) -> None:
        """Let nothing more be due, and count what was left of the schedule: it will never be sent."""
        if self.next_due == math.inf:
            return
        rest = self._due.take_rest(self._ends - self._began)
        is_measured = self.next_due >= self._tally.measured_from
        self._tally.count_unsent(rest.warmup + (not is_measured), measured=0)
        unsent = rest.measured + is_measured
        self._tally.count_unsent(unsent, measured=unsent)
        if self._tally.stages is not None:
            self._tally.stages.add_unsent([int(self.next_due)], rest.stages)
        self.next_due = math.inf


def _is_gone(connection: LoadConnection) -> bool:
    return connection.is_over and not connection.has_successor


class ThinkTimePacer:
    """Closed loop with a think time: a message is due when that time has passed since a reply.

    Think times are all alike, so the connection that begins to think first is done first: a
    queue is enough.

    Attributes:
      next_due: as of `Pacer`.
      notes: as of `Pacer`.

    Args:
      plan: of the load.
      began: its first moment, in ns of the clock.
      connections: these are thinking already, and will be done at equal distances within
        one think time, message by message: so they do not move in step.
      tally: takes how late messages are taken up, of those of the measured part.
      clock: ns.
    """

    def __init__(
        self,
        plan: LoadPlan,
        began: int,
        connections: Sequence[LoadConnection],
        tally: LoadTally,
        clock: Callable[[], int],
    ) -> None:
        self._think_ns = round(plan.think_s * NS_PER_S)
        self._tally = tally
        self._clock = clock
        in_flight = plan.pipeline if plan.messages is None else min(plan.pipeline, plan.messages)
        # A time, a connection, and how many messages this may then have sent in all. Of the first
        # ones, which follow no reply, only the next is there: a pipeline may have a million for
        # each connection.
        self._starts = self._all_starts(plan, began, connections, in_flight)
        self._queue: deque[tuple[int, LoadConnection, int]] = deque(itertools.islice(self._starts, 1))
        # What that will be when no connection thinks any more.
        self._in_flight = in_flight
        self._granted = {connection.number: in_flight for connection in connections}
        self.next_due: float = math.inf
        self.notes: list[str] = []
        self._look_at_first()

    def _all_starts(
        self, plan: LoadPlan, began: int, connections: Sequence[LoadConnection], in_flight: int
    ) -> Iterator[tuple[int, LoadConnection, int]]:
        places = plan.connections * in_flight
        for message in range(in_flight):
            for connection in connections:
                place = message * plan.connections + connection.number
                yield began + self._think_ns * place // places, connection, message + 1

    def think(self, connection: LoadConnection, allowed: int) -> None:
        """Let the connection have sent ``allowed`` messages in all, a think time from now."""
        if allowed > self._granted[connection.number]:
            self._granted[connection.number] = allowed
            self._queue.append((self._clock() + self._think_ns, connection, allowed))
            self._look_at_first()

    def go_on(self, connection: LoadConnection) -> None:
        """Take a connection that was opened in the place of another one: it thinks first."""
        self._granted[connection.number] = connection.allowed
        self.think(connection, int(min(connection.allowed + self._in_flight, connection.limit)))

    def take_due(self, now: int) -> Iterator[LoadConnection]:
        """Give connections what is due by now; yield those that have something to send."""
        queue = self._queue
        for _ in range(_MOST_AT_ONCE):
            if not queue or queue[0][0] > now:
                break
            due, connection, allowed = queue.popleft()
            queue.extendleft(itertools.islice(self._starts, 1))
            self._look_at_first()
            before = connection.allowed
            connection.allowed = int(min(allowed, connection.limit))
            if connection.is_over or connection.allowed <= before:
                continue
            taken_up = self._clock()
            if taken_up >= self._tally.measured_from:
                self._tally.recent_lateness_ns.record(taken_up - due, connection.allowed - before)
            if not connection.is_blocked:
                yield connection

    def _look_at_first(self) -> None:
        self.next_due = self._queue[0][0] if self._queue else math.inf

    def end_at(self, moment: int) -> None:
        """Let nothing more be due: what is thought about is not sent."""
        self.end()

    def end(self) -> None:
        """Let nothing more be due."""
        self._starts = iter(())
        self._queue.clear()
        self._look_at_first()
