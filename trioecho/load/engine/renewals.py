"""Open connections in the place of others: of those that were lost, and of those that had done their part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ...base.histogram import Histogram
from ...base.units import NS_PER_S
from ..plan import LoadPlan
from ..results.churn_result import ChurnResult
from .alarms import Alarms
from .attempt_queue import AttemptQueue
from .connection import MOST_TIMEOUTS, LoadConnection
from .dialing import ATTEMPTS_AT_ONCE, Dialer, Taken
from .greeting import GreetingError
from .local_addresses import why_not_opened
from .making import ConnectionMaker
from .open_connections import OpenConnections
from .outage_log import OutageLog
from .poller import ReadySockets
from .slot import NO_ATTEMPT, Slot, SlotState
from .tally import LoadTally

# How long a connection that is not needed any more has to be opened, so that it ends in order.
_LEAVE_NS = NS_PER_S
_NOT_AGAIN = "the connection was not open again before the end"


@dataclass(frozen=True)
class Renewing:
    """What is needed to open connections in the place of others.

    Attributes:
      dialer: opens them.
      maker: makes connections of their sockets.
      absent: connections that could not be opened at the start and shall be, which are over; and why.
    """

    dialer: Dialer
    maker: ConnectionMaker
    absent: Mapping[LoadConnection, str] = field(default_factory=dict)


class Renewals:
    """The slots of a load whose connections come and go; the engine gives it turns.

    Attributes:
      next_moment: when `act` has something to do, in ns of the clock; infinity if it has nothing.
      churn: what became of the connections.
      connect_ns: how long attempts took that were successful.

    Args:
      plan: of the load.
      connections: those that are open.
      renewing: what is needed for others.
      tally: of all.
      begin: lets one that is open send its first messages; gets the number of its socket, and how many
        messages of those were sent before, and taken back.
      clock: ns.
    """

    def __init__(
        self,
        plan: LoadPlan,
        connections: OpenConnections,
        renewing: Renewing,
        tally: LoadTally,
        *,
        begin: Callable[[LoadConnection, int, int], object],
        clock: Callable[[], int],
    ) -> None:
        self.next_moment: float = math.inf
        self.churn: ChurnResult = ChurnResult()
        self.connect_ns: Histogram = Histogram()
        self._plan = plan
        self._connections = connections
        self._absent = renewing.absent
        self._tally = tally
        self._dialer = renewing.dialer
        self._maker = renewing.maker
        self._begin = begin
        self._clock = clock
        self._timeout_ns = round(plan.timeout_s * NS_PER_S)
        rate = plan.churn.connect_rate
        if rate is not None:  # this process has its share
            rate *= (len(connections) + len(self._absent)) / plan.connections
        at_once = max(1, ATTEMPTS_AT_ONCE // plan.processes)
        self._attempts = AttemptQueue(rate, at_once, self.churn.attempt_lateness_ns)
        self._alarms = Alarms()
        self._outages = OutageLog(self.churn)
        self._is_draining = False
        # By the connection's number, by the attempt's, and those that are not open, but will be.
        self._slots: dict[int, Slot] = {}
        self._dialed: dict[int, Slot] = {}
        self._between: set[Slot] = set()

    def start(self, now: int) -> None:
        """Begin, with the connections that are open."""
        churn, seed = self._plan.churn, self._plan.seed
        for connection in self._connections.values():
            slot = self._slots[connection.number] = Slot(connection, churn, seed)
            self._take(slot, connection, now)
        for connection, reason in self._absent.items():
            slot = self._slots[connection.number] = Slot(connection, churn, seed)
            connection.has_successor = True
            slot.reason = reason
            slot.backoff.failures = 1
            self._lose(slot, now)

    @property
    def is_between(self) -> bool:
        """Whether a connection is to be opened in the place of another one."""
        return bool(self._between)

    def connections(self) -> Iterator[LoadConnection]:
        """Yield the connection of each slot that has one, or will have one: that which was last."""
        return (slot.connection for slot in self._slots.values() if slot.state is not SlotState.OVER)

    # ---- what happens to connections ----

    def note_done(self, connection: LoadConnection) -> None:
        """End a connection in order that has done its part, if others have something to do after it."""
        slot = self._slots[connection.number]
        if slot.state is not SlotState.OPEN or connection.is_over or not slot.is_wanted:
            return
        connection.has_successor = True
        slot.state = SlotState.ENDING
        self._between.add(slot)
        self.churn.ended += 1
        connection.half_close()
        self._alarms.set(slot, self._clock() + self._timeout_ns)
        self._look_ahead()

    def note_ended(self, connection: LoadConnection, *, has_replied: bool) -> None:
        """Note that the socket of a connection was closed: open another one, if there is to be one.

        Args:
          connection: which.
          has_replied: whether a reply had come on it. If not, it was no better than none, and a wait follows.
        """
        slot = self._slots[connection.number]
        now = self._clock()
        if slot.state is SlotState.OVER:
            return
        # Sent once more they are of the measured part, and in the place of others of it.
        slot.limit -= connection.taken_back_of_warmup
        if slot.state is SlotState.OPEN and not connection.has_successor:
            slot.state = SlotState.OVER
            if connection.due is None and slot.limit != math.inf:
                connection.count_planned(int(slot.limit - connection.limit), "its connection was lost")
        elif self._is_draining and not slot.is_wanted:
            self._finish(slot)
        elif slot.state is SlotState.ENDING:
            slot.backoff.failures = 0
            self._want(slot, now)
        elif slot.state is SlotState.OPEN:
            slot.backoff.failures = 0 if has_replied else slot.backoff.failures + 1
            self._lose(slot, now)

    def _lose(self, slot: Slot, now: int) -> None:
        slot.down_since = now
        self._outages.lose(slot.number, now)
        self._want(slot, now)

    def _want(self, slot: Slot, now: int) -> None:
        slot.state = SlotState.WAITING
        self._between.add(slot)
        self._alarms.clear(slot)
        self._attempts.want(slot.number, now + round(slot.backoff.next_wait_s() * NS_PER_S))
        self._look_ahead()

    def _take(self, slot: Slot, connection: LoadConnection, now: int) -> None:
        slot.take(connection)
        self._between.discard(slot)
        self._alarms.clear(slot)
        if (lifetime_s := slot.draw_lifetime_s()) is not None:
            self._alarms.set(slot, now + round(lifetime_s * NS_PER_S))
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.next_moment = min(self._alarms.next_moment(), self._attempts.next_moment())

    # ---- turns ----

    def act(self, now: int) -> None:
        """Do what is due: end connections whose time is over, make attempts, and give others up."""
        for slot in self._alarms.take_due(now):
            if slot.state is SlotState.OPEN:
                self._end_lifetime(slot, now)
            elif slot.state is SlotState.ENDING:
                number = self._connections.number_of(slot.connection)
                slot.connection.stop_waiting_for_end()
                self._connections.close(number)
                self.note_ended(slot.connection, has_replied=True)
            elif slot.state is SlotState.DIALING and (
                self._is_leaving(slot) or not self._dialer.is_connected(slot.attempt)
            ):
                self._dialer.give_up(slot.attempt)
                self._fail(slot, f"no reply within {self._plan.timeout_s:g} s", now)
        for number in self._attempts.take_due(now):
            if self._slots[number].state is SlotState.WAITING:
                self._dial(self._slots[number])
        self._look_ahead()

    def _end_lifetime(self, slot: Slot, now: int) -> None:
        connection = slot.connection
        slot.quota = min(slot.quota, connection.in_flight.stop)
        connection.allowed = min(connection.allowed, connection.in_flight.stop)
        slot.apply_limit()
        connection.go_beyond_if_begun()
        if connection.is_done(now):
            self._connections.unfinished.discard(connection)
            self.note_done(connection)

    def _dial(self, slot: Slot) -> None:
        slot.state = SlotState.DIALING
        slot.dialed_at = self._clock()
        try:
            slot.attempt = self._dialer.dial(slot.number)
        except OSError as error:
            self._fail(slot, why_not_opened(error), slot.dialed_at)
            return
        self._dialed[slot.attempt] = slot
        self._attempts.under_way += 1
        self._alarms.set(slot, slot.dialed_at + self._timeout_ns)

    def look_at(self, ready: ReadySockets) -> None:
        """Look at the attempts among sockets that are ready."""
        if self._dialed:
            for number, _ in ready:
                if number in self._dialed:
                    self._look_at(self._dialed[number])

    def look_at_finished(self) -> None:
        """Look at the attempts that have come to their end by themselves."""
        finished = self._dialer.finished
        while finished:
            self._look_at(self._dialed[finished.pop()])

    def _look_at(self, slot: Slot) -> None:
        try:
            taken = self._dialer.take(slot.attempt)
        except OSError as error:
            self._fail(slot, why_not_opened(error), self._clock())
        except GreetingError as error:
            if not self._is_leaving(slot):
                self._tally.add_error("first_message_failed", slot.number, error.number, detail=error.reason)
            self._fail(slot, error.reason, self._clock())
        else:
            if taken is not None:
                self._open(slot, taken)

    def _open(self, slot: Slot, taken: Taken) -> None:
        number, now = slot.attempt, self._clock()
        self._end_attempt(slot)
        self.connect_ns.record(taken.connected_at - slot.dialed_at)
        self.churn.renewed += 1
        self._outages.regain(slot.number, now)
        before = slot.connection
        connection = self._maker.make(slot.number, taken.socket, first=before.in_flight.stop)
        connection.due = before.due
        self._take(slot, connection, now)
        self._connections.add(connection, number)
        if self._is_leaving(slot):
            self._connections.unfinished.discard(connection)
            connection.half_close()
        else:
            self._begin(connection, number, before.taken_back)

    def _is_leaving(self, slot: Slot) -> bool:
        """Return whether a connection has nothing to send, and is opened only to be ended in order."""
        return self._is_draining and not slot.is_wanted

    def _end_attempt(self, slot: Slot) -> None:
        if self._dialed.pop(slot.attempt, None) is not None:
            slot.attempt = NO_ATTEMPT
            self._attempts.under_way -= 1

    def _fail(self, slot: Slot, reason: str, now: int) -> None:
        """Try again later, or give the slot up."""
        self._end_attempt(slot)
        if self._is_leaving(slot):
            self._finish(slot)
            return
        self.churn.note_failure(reason)
        slot.reason = reason
        slot.backoff.failures += 1
        if slot.down_since is None:
            slot.down_since = slot.dialed_at
            if self._plan.churn.reconnect:
                self._outages.lose(slot.number, slot.dialed_at)
        # A run that a number of messages ends would otherwise wait for a server that is gone.
        is_too_long = self._plan.duration_s is None and (
            now - slot.down_since >= MOST_TIMEOUTS * self._timeout_ns
        )
        if is_too_long or self._is_draining or not self._plan.churn.reconnect:
            self._give_up(slot)
        else:
            self._want(slot, now)

    def _give_up(self, slot: Slot) -> None:
        """Let a slot be over whose connection could not be opened."""
        stop = slot.connection.in_flight.stop
        self._tally.add_error("connect_failed", slot.number, stop, detail=slot.reason)
        self._finish(slot)

    def _finish(self, slot: Slot) -> None:
        """Let a slot be over that has no connection, and count what it has not sent."""
        if slot.attempt in self._dialed:
            self._dialer.give_up(slot.attempt)
            self._end_attempt(slot)
        slot.state = SlotState.OVER
        self._between.discard(slot)
        self._alarms.clear(slot)
        slot.connection.limit = slot.limit
        slot.connection.give_up(slot.reason or _NOT_AGAIN)

    # ---- time and end ----

    def begin_to_measure(self, at: int) -> None:
        """Begin the measured part; the connections of a closed loop have got their limits for all."""
        self._outages.begin(at)
        if self._plan.is_open or self._plan.messages is None:
            return
        for slot in self._slots.values():
            slot.limit = slot.connection.limit
            slot.apply_limit()

    def begin_to_drain(self, now: int) -> None:
        """Let nothing be sent but what was due by now; give up what could not be opened again by now.

        A connection that is just being opened still gets to its end, in order.
        """
        self._is_draining = True
        failing = {
            slot.number
            for slot in self._slots.values()
            if slot.reason and slot.state in (SlotState.WAITING, SlotState.DIALING, SlotState.OVER)
        }
        self._outages.end(now, failing)
        for slot in self._slots.values():
            if slot.state is SlotState.OVER:
                continue
            slot.set_limit_of_drain()
            if slot.number in failing:
                self._give_up(slot)
            elif not slot.is_wanted and slot.state is not SlotState.OPEN:
                if slot.state is SlotState.ENDING:
                    self._between.discard(slot)
                elif slot.attempt in self._dialed and self._dialer.has_begun(slot.attempt):
                    # A server takes a handshake that is cut for a fault.
                    self._alarms.set(slot, now + min(self._timeout_ns, _LEAVE_NS))
                else:
                    self._finish(slot)
        self._look_ahead()

    def end(self) -> None:
        """End all attempts; what is still to be sent on connections that are not open will not be."""
        for slot in self._slots.values():
            if slot.state in (SlotState.WAITING, SlotState.DIALING):
                self._finish(slot)
            slot.connection.limit = slot.limit
            slot.state = SlotState.OVER

    def close(self) -> None:
        """End all attempts, without a count."""
        for attempt in self._dialed:
            self._dialer.give_up(attempt)
        self._dialed.clear()
