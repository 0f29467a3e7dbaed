"""The heart of a load: sends what is due, receives what is here, in turns that never wait for long.

The engine has an epoll of its own and a loop of its own, because all else would cost
more than a message does: a Trio wait for each socket takes longer than sending and
receiving a message. It takes its clock, its sockets and its waiting from outside, so
tests let it run in virtual time, on sockets in memory.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from ..histogram import Histogram
from .connection import LoadConnection
from .plan import LoadPlan
from .poller import ONLY_WRITABLE
from .result import FIRST_INTERVAL_S, NS_PER_S, Interval, LoadResult, Progress, SelfWatch
from .tally import Series, Tally
from .watch import cpu_and_waiting_ns, judged

# From one step of the time series to the next.
_STEP_NS = round(FIRST_INTERVAL_S * NS_PER_S)
# Timeouts are noticed late by this part of them, at most.
_TIMEOUT_GRAIN = 0.1
# How long to wait at the end, after the half-close, for the server to end a connection:
# a reply too many would come until then.
_LINGER_NS = NS_PER_S // 10
# Messages that are sent at most before replies are received again: it matters where the
# schedule has been missed.
_MOST_AT_ONCE = 256
# Messages that were due and wait, because the server does not read, in all. Further
# ones are counted as unsent: memory stays bounded.
MOST_WAITING = 1 << 18

_NEVER = math.inf

Phase = Literal["warming up", "measuring", "draining"]


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
      next_due: when the next message is due, in ns of the clock.

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
        self._by_number = {connection.number: connection for connection in connections.values()}
        self._descriptors = {connection: number for number, connection in connections.items()}
        self._waiter = waiter
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._series = Series()
        self._since_progress = Interval(0.0, 0.0)
        self._progress_at: float = 0
        self._planned = planned
        self._loop_delay_ns = Histogram()
        self._blocked: set[int] = set()
        self._unfinished = set(connections.values())
        self._is_stopped = False
        self._is_lingering = False
        self._phase: Phase = "warming up"
        # The schedule, in ns of the clock.
        self._due = due
        self.next_due: float = _NEVER
        self._next_connection = 0
        self._most_waiting = max(16, MOST_WAITING // max(1, len(connections)))
        self._overflowed = False
        self._last_due: float = 0
        # Moments, in ns of the clock.
        self._began = 0
        self._measures_from: float = _NEVER
        self._sends_until: float = _NEVER
        self._sent_until: float = 0
        self._gives_up_at: float = _NEVER
        self._next_step: float = _NEVER
        self._timeout_grain_ns = round(plan.timeout_s * _TIMEOUT_GRAIN * NS_PER_S) + 1
        self._next_timeouts: float = _NEVER
        # What was when the measured part began, and when the last message was sent.
        self._usage: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._cpu_share = self._cpu_wait_share = 0.0

    # ---- the run ----

    def start(self, at: int | None = None) -> None:
        """Begin; the schedule counts from ``at``, in ns of the clock (now)."""
        self._began = now = self._clock() if at is None else at
        plan = self._plan
        self._measures_from = now + round(plan.warmup_s * NS_PER_S)
        if plan.duration_s is not None:
            self._sends_until = self._measures_from + round(plan.duration_s * NS_PER_S)
        self._next_timeouts = now + self._timeout_grain_ns
        if plan.is_open:
            self.tally.measured_from = self._measures_from
            self._take_next_due()
        if not plan.warmup_s:
            self._begin_to_measure(now)
        if not plan.is_open:
            for connection in self._by_number.values():
                self._refill(connection, self._descriptors[connection])
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
        moment = min(self._next_step, self._next_timeouts, self._gives_up_at, self._sends_until)
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
                self._loop_delay_ns.record(self._clock() - began)
        return sent or bool(ready)

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
        """Send a message for each that has come back."""
        allowed = connection.under_way.next + self._plan.pipeline
        if allowed > connection.limit:
            allowed = int(connection.limit)
            if connection.under_way.next >= allowed and connection.is_done(self._clock()):
                self._finish(connection)
        if allowed > connection.allowed:
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

    # ---- the schedule ----

    def _take_next_due(self) -> None:
        due = None if self._due is None else next(self._due, None)
        if due is None:
            self.next_due = _NEVER
            if self._plan.is_open and self._phase != "draining" and self._plan.duration_s is None:
                self._sends_until = self._last_due
        else:
            self.next_due = self._last_due = self._began + due[0]
            self._next_connection = due[1]

    def _send_due(self, now: int) -> None:
        """Send what is due by now, what is of one connection together."""
        ready: dict[LoadConnection, int] = {}
        lateness = self.tally.recent_lateness_ns
        measures_from = self.tally.measured_from
        for _ in range(_MOST_AT_ONCE):
            if self.next_due > now:
                break
            due = int(self.next_due)
            connection = self._by_number.get(self._next_connection)
            if connection is None or connection.is_over:
                connection = self._another()
            waiting = connection.due
            if waiting is None:
                raise TypeError("a schedule is for connections of an open loop")
            if connection.is_blocked:
                if due >= measures_from:
                    lateness.record(now - due)
                if len(waiting) >= self._most_waiting:
                    self._overflowed = True
                    connection.count_unsent(1, "too many waited before it")
                    self._take_next_due()
                    continue
            else:
                ready[connection] = ready.get(connection, 0) + 1
            waiting.append(due)
            self._take_next_due()
        for connection, count in ready.items():
            now = self._clock()
            for due in list(connection.due or ())[-count:]:
                if due >= measures_from:
                    lateness.record(now - due)
            if not connection.send():
                self._note_blocked(connection, self._descriptors[connection])

    def _another(self) -> LoadConnection:
        """The next connection that is not over; there is one, or the engine were."""
        live = list(self._connections.values())
        return live[self._next_connection % len(live)]

    # ---- time ----

    def _keep_time(self, now: int) -> None:
        if self._phase == "warming up" and now >= self._measures_from:
            self._begin_to_measure(now)
        if now >= self._next_step:
            self._take_step(now)
        if self._phase == "measuring" and now >= self._sends_until and self.next_due == _NEVER:
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
        self._usage = (now, *self._cpu_clock(), self._waiter.spun_ns)
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
        self._next_step = self._measures_from + _STEP_NS

    def _begin_to_drain(self, now: int) -> None:
        if self._phase == "measuring":
            self._note_usage(now)
        self._phase = "draining"
        self._sent_until = now
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

    def _note_usage(self, now: int) -> None:
        began, cpu, waiting, spun = self._usage
        wall_ns = max(1, now - began)
        cpu_now, waiting_now = self._cpu_clock()
        busy_ns = cpu_now - cpu - (self._waiter.spun_ns - spun)
        self._cpu_share = min(1.0, max(0, busy_ns) / wall_ns)
        self._cpu_wait_share = min(1.0, max(0, waiting_now - waiting) / wall_ns)

    def _end(self) -> None:
        self.is_over = True
        for number, connection in list(self._connections.items()):
            connection.finish()
            self._drop(connection, number)
        self._take_step(self._clock())

    def _take_step(self, now: int) -> None:
        """Close a step of the time series, and begin the next that is not over."""
        if self._next_step == _NEVER:
            return
        begins = self._next_step - _STEP_NS
        step = self.tally.take_step((begins - self._measures_from) / NS_PER_S)
        self._series.add(step)
        self._since_progress.add(step)
        while self._next_step <= now:
            self._next_step += _STEP_NS

    # ---- what came of it ----

    def take_progress(self) -> Progress:
        """What is known now, and what happened since the last call."""
        since, self._since_progress = self._since_progress, Interval(0.0, 0.0)
        tally = self.tally
        now = self._clock()
        begins = self._measures_from
        at_last, self._progress_at = self._progress_at, now
        since.t_s = max(0.0, (at_last - begins) / NS_PER_S)
        since.width_s = max(0.0, (now - max(at_last, begins)) / NS_PER_S)
        lateness, tally.recent_lateness_ns = tally.recent_lateness_ns, Histogram()
        tally.send_lateness_ns.merge(lateness)
        return Progress(
            phase=self._phase,
            t_s=(now - begins) / NS_PER_S,
            interval=since,
            sent=tally.sent,
            messages=tally.messages,
            errors=dict(tally.errors),
            connections=len(self._connections),
            planned=self._planned,
            send_lateness_ns=lateness,
        )

    def result(self) -> LoadResult:
        """What came of the load; complete when it is over. Without what only its maker knows."""
        tally = self.tally
        tally.send_lateness_ns.merge(tally.recent_lateness_ns)
        tally.recent_lateness_ns = Histogram()
        plan = self._plan
        result = LoadResult(plan, stopped=self._is_stopped)
        ended = tally.last_reply_at
        if plan.is_open or plan.messages is None or self._is_stopped or not ended:
            ended = max(ended, int(self._sent_until))
        if self._next_step != _NEVER:
            result.elapsed_s = max(0, ended - int(self._measures_from)) / NS_PER_S
        result.sent = tally.sent
        result.messages = tally.messages
        result.bytes = tally.bytes
        result.errors = {kind: count for kind, count in tally.errors.items() if count}
        result.discrepancies = list(tally.discrepancies)
        result.intervals = steps = self._series.steps
        while steps and steps[-1].t_s >= result.elapsed_s and not steps[-1].messages + steps[-1].errors:
            steps.pop()  # in which it only waited for the server to end the connections
        for step in self._series.steps:
            result.latency_ns.merge(step.latency_ns)
        result.from_send_ns.merge(tally.from_send_ns if plan.is_open else result.latency_ns)
        if self._overflowed:
            result.notes.append(
                f"the server took messages so slowly that more than {self._most_waiting:,} waited for a "
                "connection; further ones were not sent (unsent)"
            )
        result.watch = SelfWatch(
            (self._cpu_share,), (self._cpu_wait_share,), tally.send_lateness_ns, self._loop_delay_ns
        )
        result.watch = judged(result)
        return result
