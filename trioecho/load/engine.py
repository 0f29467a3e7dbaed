"""The heart of a load: sends what is due, receives what is here, in turns that never wait for long.

The engine has a poller of its own and a loop of its own, because all else would cost
more than a message does: a Trio wait for each socket takes longer than sending and
receiving a message. It takes its clock, its sockets and its waiting from outside, so
tests let it run in virtual time, on sockets in memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from .account import Account
from .connection import LoadConnection
from .pace import Pace, Scheduled, Thinking
from .plan import LoadPlan
from .poller import ONLY_WRITABLE
from .result import NS_PER_S, LoadResult, Phase, Progress
from .tally import Tally
from .watch import cpu_and_waiting_ns

# Timeouts are noticed late by this part of them, at most.
_TIMEOUT_GRAIN = 0.1
# How long to wait at the end, after the half-close, for the server to end a connection:
# a reply too many would come until then.
_LINGER_NS = NS_PER_S // 10

_NEVER = math.inf


class Waiter(Protocol):
    """What the engine needs to wait: `trioecho.load.poller.Poller`, or something in virtual time."""

    spun_ns: int

    def wait(self, until: float) -> list[tuple[int, int]]: ...

    def also_writable(self, number: int, yes: bool) -> None: ...

    def unregister(self, number: int) -> None: ...


class Engine:
    """One load on connections that are open.

    Call `start`, then `turn` until `is_over`; then `result` tells what came of it.

    Attributes:
      is_over: whether all is done.
      tally: what was counted.
      next_due: when the next message is due, in ns of the clock; infinity if that is up to replies.

    Args:
      plan: what to do. The connections need not be all of the plan's.
      connections: with the numbers by which ``waiter`` calls them.
      tally: that of the connections.
      waiter: waits for their sockets.
      due: the schedule of these connections; None in a closed loop.
      planned: how many messages the measured part has, if that is known.
      clock: ns, of any beginning.
      cpu_clock: ns of CPU time of this process, and ns in which it waited for a CPU.
    """

    def __init__(
        self,
        plan: LoadPlan,
        connections: dict[int, LoadConnection],
        tally: Tally,
        waiter: Waiter,
        *,
        due: Iterator[tuple[int, int]] | None = None,
        planned: int | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
        cpu_clock: Callable[[], tuple[int, int]] = cpu_and_waiting_ns,
    ) -> None:
        self.is_over: bool = False
        self.tally: Tally = tally
        self._plan = plan
        self._connections = dict(connections)
        self._descriptors = {connection: number for number, connection in connections.items()}
        self._waiter = waiter
        self._clock = clock
        self._account = Account(plan, tally, planned=planned, clock=clock, cpu_clock=cpu_clock)
        self._blocked: set[int] = set()
        self._unfinished = set(connections.values())
        self._is_stopped = False
        self._is_lingering = False
        self._phase: Phase = "warming up"
        # What says when a message is due; None in a closed loop without a think time.
        self._schedule = due
        self._pace: Pace | None = None
        self._thinking: Thinking | None = None
        self.next_due: float = _NEVER
        # Moments, in ns of the clock.
        self._measures_from: int = 0
        self._sends_until: float = _NEVER
        self._sent_until: float = 0
        self._gives_up_at: float = _NEVER
        self._timeout_grain_ns = round(plan.timeout_s * _TIMEOUT_GRAIN * NS_PER_S) + 1
        self._next_timeouts: float = _NEVER

    # ---- the run ----

    def start(self, at: int | None = None) -> None:
        """Begin; what is due is so from ``at`` on, in ns of the clock (now)."""
        now = self._clock() if at is None else at
        plan = self._plan
        connections = list(self._connections.values())
        measures_from = now + round(plan.warmup_s * NS_PER_S)
        self._measures_from = measures_from
        self._account.expect_measured_part(measures_from)
        if plan.duration_s is not None:
            self._sends_until = measures_from + round(plan.duration_s * NS_PER_S)
        self._next_timeouts = now + self._timeout_grain_ns
        if self._schedule is not None:
            self.tally.measured_from = measures_from
            self._pace = Scheduled(self._schedule, now, connections, self.tally, self._clock)
        elif plan.think_s:
            self._pace = self._thinking = Thinking(plan, now, connections, self.tally, self._clock)
        if not plan.warmup_s:
            self._begin_to_measure(now)
        if self._pace is not None:
            self.next_due = self._pace.next_due
        else:
            for number, connection in list(self._connections.items()):
                self._refill(connection, number)
        self._check_unfinished()

    def stop(self) -> None:
        """Send nothing more; then wait for what is under way."""
        if self._phase != "draining":
            self._is_stopped = True
            self._begin_to_drain(self._clock())

    def turn(self) -> bool:
        """Do what is due, and what sockets are ready for; waits for a millisecond at most.

        Whether there was anything to do.
        """
        now = self._clock()
        sent = now >= self.next_due
        if sent:
            self._send_due(now)
        moment = min(self._account.next_step, self._next_timeouts, self._gives_up_at, self._sends_until)
        if self._phase == "warming up":
            moment = min(moment, self._measures_from)
        if now >= moment:
            self._keep_time(now)
        # Only what is due is worth meeting to the microsecond.
        ready = self._waiter.wait(self.next_due if not self.is_over else 0)
        if ready:
            began = self._clock()
            for number, events in ready:
                self._handle(number, events)
            if self._phase == "measuring":
                self._account.loop_delay_ns.record(self._clock() - began)
        return sent or bool(ready)

    def _send_due(self, now: int) -> None:
        pace = self._pace
        if pace is None:
            return
        for connection in pace.take_due(now):
            if not connection.send():
                self._note_blocked(connection, self._descriptors[connection])
        self.next_due = pace.next_due
        if self.next_due == _NEVER and self._plan.is_open and self._plan.duration_s is None:
            self._sends_until = now

    def _handle(self, number: int, events: int) -> None:
        connection = self._connections.get(number)
        if connection is None:
            return
        if events != ONLY_WRITABLE:
            connection.receive()
            if connection.due is None:
                self._refill(connection, number)
            elif connection.under_way.next >= connection.limit and connection.is_done(self._clock()):
                self._finish(connection)
            if connection.is_over:
                self._drop(connection, number)
        if events & ONLY_WRITABLE and not connection.is_over:
            connection.send()
            self._note_blocked(connection, number)

    def _refill(self, connection: LoadConnection, number: int) -> None:
        """Send a message for each that has come back, or let it be due after a think time."""
        allowed = connection.under_way.next + self._plan.pipeline
        if allowed > connection.limit:
            allowed = int(connection.limit)
            if connection.under_way.next >= allowed and connection.is_done(self._clock()):
                self._finish(connection)
        if allowed > connection.allowed:
            if self._thinking is not None:
                self._thinking.think(connection, allowed)
                self.next_due = self._thinking.next_due
                return
            connection.allowed = allowed
            if not connection.is_blocked and not connection.send():
                self._note_blocked(connection, number)

    def _note_blocked(self, connection: LoadConnection, number: int) -> None:
        if connection.is_over:
            self._drop(connection, number)
        elif connection.is_blocked != (number in self._blocked):
            (self._blocked.add if connection.is_blocked else self._blocked.discard)(number)
            self._waiter.also_writable(number, connection.is_blocked)

    def _finish(self, connection: LoadConnection) -> None:
        self._unfinished.discard(connection)
        self._check_unfinished()

    def _check_unfinished(self) -> None:
        """When all is sent and answered, see whether more comes than was asked for."""
        if self._unfinished or self.is_over:
            return
        if self._phase != "draining":
            self._begin_to_drain(self._clock())
        elif not self._connections:
            self._end()
        elif not self._is_lingering:
            self._is_lingering = True
            self._gives_up_at = self._clock() + _LINGER_NS
            for connection in self._connections.values():
                connection.half_close()

    def _drop(self, connection: LoadConnection, number: int) -> None:
        """A connection has ended."""
        if self._connections.pop(number, None) is not None:
            self._blocked.discard(number)
            self._waiter.unregister(number)
            connection.socket.close()
            self._finish(connection)

    # ---- time ----

    def _keep_time(self, now: int) -> None:
        if self._phase == "warming up" and now >= self._measures_from:
            self._begin_to_measure(now)
        if now >= self._account.next_step:
            self._account.take_step(now)
        # Of a schedule all is sent that is due before its end.
        all_sent = not self._plan.is_open or self.next_due == _NEVER
        if self._phase == "measuring" and now >= self._sends_until and all_sent:
            self._begin_to_drain(now)
        if now >= self._next_timeouts:
            self._next_timeouts = now + self._timeout_grain_ns
            for number, connection in list(self._connections.items()):
                connection.check_timeouts()
                if connection.is_over:
                    self._drop(connection, number)
                elif connection.due is None:
                    self._refill(connection, number)
                elif connection.is_done(now):
                    self._finish(connection)
        if now >= self._gives_up_at:
            self._end()

    def _begin_to_measure(self, now: int) -> None:
        self._phase = "measuring"
        if not self._plan.is_open:
            self._measures_from = now
            self.tally.measured_from = now
            if self._plan.duration_s is not None:
                self._sends_until = now + round(self._plan.duration_s * NS_PER_S)
            for connection in self._connections.values():
                # What was sent in this very moment is of the measured part.
                first = connection.under_way.first_sent_from(now)
                self.tally.sent += connection.under_way.stop - first
                if self._plan.messages is not None:
                    connection.limit = first + self._plan.messages
        self._account.begin_measured_part(self._measures_from, now, self._waiter.spun_ns)

    def _begin_to_drain(self, now: int) -> None:
        if self._phase == "measuring":
            self._account.end_measured_part(now, self._waiter.spun_ns)
        self._phase = "draining"
        self._sent_until = now
        if self._pace is not None:
            self._pace.end()
        self.next_due = self._sends_until = _NEVER
        self._gives_up_at = now + self.tally.timeout_ns + self._timeout_grain_ns
        for connection in list(self._connections.values()):
            if self._is_stopped and connection.due is not None:
                connection.due.clear()
            connection.allowed = min(connection.allowed, connection.under_way.stop)
            connection.limit = connection.under_way.stop + len(connection.due or ())
            if connection.is_done(now):
                self._unfinished.discard(connection)
        self._check_unfinished()

    def _end(self) -> None:
        self.is_over = True
        for number, connection in list(self._connections.items()):
            connection.finish()
            self._drop(connection, number)
        self._account.take_step(self._clock())

    # ---- what came of it ----

    def take_progress(self) -> Progress:
        """What is known now, and what happened since the last call."""
        return self._account.take_progress(self._phase, len(self._connections))

    def result(self) -> LoadResult:
        """What came of the load; complete when it is over. Without what only its maker knows."""
        result = self._account.result(sent_until=int(self._sent_until), stopped=self._is_stopped)
        if self._pace is not None:
            result.notes += self._pace.notes
        return result
