"""The heart of a load: it sends what is due and receives what is here, in turns that never wait for long.

The engine has a poller and a loop of its own, because it waits for all sockets, some in both
directions, and for moments finer than a millisecond, in one place. It takes its clock, its
sockets and its waiting from outside, so tests let it run in virtual time, on sockets in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ...base.quantities import in_full
from ..plan import LoadPlan
from ..results.progress import LoadProgress
from ..results.result import LoadResult
from .connection import LoadConnection
from .cpu_time import cpu_and_waiting_ns
from .first_reply import FirstReply
from .open_connections import OpenConnections
from .pacer import Pacer, SchedulePacer, ThinkTimePacer
from .path_watch import PathWatch
from .poller import Waiter
from .recorder import Recorder
from .renewals import Renewals, Renewing
from .replay_times import ReplayTimes
from .schedule import DueTimes
from .tally import LoadTally
from .timetable import MOST_OVERTIME_S, NEVER, Timetable
from .traffic import Traffic

_LATE_NOTE = (
    f"{MOST_OVERTIME_S} s after the end of the schedule not all was sent that had been due: the generator "
    "was too late for it; the rest was not sent (unsent)"
)


class Engine:
    """One load on connections that are open.

    Call `start`, then `turn` until `is_over`; then `result` gives what it measured.

    Attributes:
      is_over: whether all is done.
      tally: what was counted.
      next_due: when the next message is due, in ns of the clock; infinity if that is up to replies.
      first_reply: what is known of the server, until it has replied; then None.

    Args:
      plan: what to do. The connections need not be all of the plan's.
      connections: with the numbers by which ``waiter`` calls them.
      tally: that of the connections.
      waiter: waits for their sockets.
      due: the schedule of these connections; None in a closed loop.
      planned: how many messages the measured part has, if that is known.
      is_cautious: whether to see first that the server replies to frames (see `first_reply`).
      clock: ns, of any beginning.
      cpu_clock: ns of CPU time of this process, and ns in which it waited for a CPU.
      renewing: what is needed to open connections in the place of others, where the plan has that.
      path: watches what the kernel knows of the connections; None if nothing does.
    """

    def __init__(
        self,
        plan: LoadPlan,
        connections: dict[int, LoadConnection],
        tally: LoadTally,
        waiter: Waiter,
        *,
        due: DueTimes | ReplayTimes | None = None,
        planned: int | None = None,
        is_cautious: bool = False,
        clock: Callable[[], int] = time.perf_counter_ns,
        cpu_clock: Callable[[], tuple[int, int]] = cpu_and_waiting_ns,
        renewing: Renewing | None = None,
        path: PathWatch | None = None,
    ) -> None:
        self.is_over: bool = False
        self.tally: LoadTally = tally
        self._plan = plan
        self._connections = OpenConnections(connections, waiter)
        self._traffic = Traffic(plan, self._connections, clock)
        self._waiter = waiter
        self._clock = clock
        if planned is None and not plan.is_open and plan.messages is not None:
            planned = plan.messages * len(connections)
        self._planned = planned
        self._renewals: Renewals | None = None
        if renewing is not None:
            self._renewals = self._traffic.renewals = Renewals(
                plan, self._connections, renewing, tally, begin=self._begin_later, clock=clock
            )
        self._recorder = Recorder(plan, tally, planned=planned, clock=clock, cpu_clock=cpu_clock, path=path)
        self._path = self._connections.path = path
        if path is not None:
            path.begin(connections.values())
        self._times = Timetable(plan)
        self._is_stopped = False
        self._is_lingering = False
        # What says when a message is due; None in a closed loop without a think time.
        self._schedule = due
        self._pacer: Pacer | None = None
        self.next_due: float = NEVER
        self.first_reply: FirstReply | None = None
        self._is_cautious = is_cautious

    # ---- the run ----

    def start(self, at: int | None = None) -> None:
        """Begin the load; the schedule begins at ``at``, in ns of the clock (now)."""
        now = self._clock() if at is None else at
        plan = self._plan
        connections = list(self._connections.values())
        if self._renewals is not None:
            self._renewals.start(now)
            connections = list(self._renewals.connections())
        for connection in self._connections.values():
            self._traffic.first_replies.add(connection)
        self._times.begin(now)
        self._recorder.expect_measured_part(self._times.measures_from)
        if self._schedule is not None:
            self.tally.begin_schedule(self._times.measures_from)
            self._pacer = SchedulePacer(self._schedule, now, connections, self.tally, self._clock)
        elif plan.think_s:
            thinking = ThinkTimePacer(plan, now, connections, self.tally, self._clock)
            self._pacer = self._traffic.thinking = thinking
        if not plan.warmup_s:
            self._begin_to_measure(now)
        if self._is_cautious:
            self.first_reply = FirstReply(plan, connections, now)
        if self._pacer is not None:
            self.next_due = self._pacer.next_due
        elif self._is_cautious:
            self._traffic.send_one_frame()
        else:
            self._traffic.refill_all()
        self._check_unfinished()

    def _begin_later(self, connection: LoadConnection, number: int, again: int) -> None:
        """Let a connection send that was opened in the place of another one."""
        if self._pacer is not None:
            self._pacer.go_on(connection)
            self.next_due = self._pacer.next_due
        self._traffic.begin(connection, number, again)

    def refuse(self, reason: str) -> None:
        """End the load, since the server, which has not replied yet, is no server of frames."""
        if self.first_reply is not None and not self.is_over:
            self.first_reply.refusal = reason
            self._end()

    def _look_at_first_reply(self, first_reply: FirstReply) -> None:
        """Send the rest when the server has replied with a frame, and end when it has not."""
        first_reply.look(self._clock())
        if first_reply.has_come:
            self.first_reply = None
            if self._pacer is None and self._times.phase != "draining":
                self._traffic.refill_all()
                self._check_unfinished()
        elif first_reply.refusal is not None and not self.is_over:
            self._end()

    def stop(self) -> None:
        """Send what was due until now and nothing more, then wait for the replies."""
        if self._times.phase == "draining":
            return
        self._is_stopped = True
        now = self._clock()
        if self._pacer is not None:
            self._pacer.end_at(now)
            self.next_due = self._pacer.next_due
        if self._times.phase == "measuring" and self._plan.is_open:
            self._times.end_at(min(self._times.sends_until, now))
            self._keep_time(now)
        else:
            self._begin_to_drain(now)

    @property
    def next_moment(self) -> float:
        """When something is to be sent or opened, in ns of the clock; infinity if that is up to others."""
        if self._renewals is None or self.first_reply is not None:
            return self.next_due
        return min(self.next_due, self._renewals.next_moment)

    def turn(self) -> bool:
        """Do what is due, and what sockets are ready for; wait for a millisecond at most.

        Returns:
          Whether there was anything to do.
        """
        now = self._clock()
        sent = now >= self.next_due
        if sent:
            self._send_due(now)
        if now >= self._recorder.next_step or now >= self._times.next_moment:
            self._keep_time(now)
        if self._path is not None and now >= self._path.next_moment:
            self._path.look(now)
        renewals = self._renewals
        if renewals is not None and self.first_reply is None and not self.is_over:
            renewals.look_at_finished()
            if now >= renewals.next_moment:
                renewals.act(now)
                self._check_unfinished()
        # Only what is due is worth meeting to the microsecond.
        ready = self._waiter.wait(self.next_moment if not self.is_over else 0)
        if ready:
            began = self._clock()
            if renewals is not None:
                renewals.look_at(ready)
            self._traffic.exchange(ready)
            if self._pacer is not None:
                self.next_due = self._pacer.next_due
            self._check_unfinished()
            if self._times.phase == "measuring":
                self._recorder.loop_delay_ns.record(self._clock() - began)
            if self.first_reply is not None:
                self._look_at_first_reply(self.first_reply)
        return sent or bool(ready)

    def _send_due(self, now: int) -> None:
        pacer = self._pacer
        if pacer is None:
            return
        self._traffic.send_due(pacer, now)
        self._check_unfinished()
        self.next_due = pacer.next_due
        if self.next_due == NEVER and self._plan.is_open and self._plan.duration_s is None:
            self._times.end_at(now)

    def _check_unfinished(self) -> None:
        """Drain when all is sent and replied to, and then wait a moment for replies that nobody asked for."""
        if self._connections.unfinished or self.is_over:
            return
        if self._renewals is not None and self._renewals.is_between:
            return
        if self._times.phase != "draining":
            now = self._clock()
            if not self._connections:
                self._note_all_lost(now)
            self._begin_to_drain(now)
        elif not self._connections:
            self._end()
        elif not self._is_lingering:
            self._is_lingering = True
            self._times.begin_to_linger(self._clock())
            for connection in self._connections.values():
                connection.half_close()

    def _note_all_lost(self, now: int) -> None:
        """Note that every connection has ended, if that was too early."""
        plan, tally = self._plan, self.tally
        if plan.is_open:
            is_early = self.next_due != NEVER
        elif plan.messages is None:
            is_early = now < self._times.sends_until
        else:
            self._count_absent()
            is_early = tally.unsent > 0
        if is_early and not self._is_stopped:
            self._recorder.note_cut_short()

    def _count_absent(self) -> None:
        """Count the messages of connections that could not be opened, where each connection has its own."""
        if self._times.phase == "warming up" and self._plan.messages is not None and not self._plan.is_open:
            absent = (self._planned or 0) - self._plan.messages * len(self._going_on())
            self.tally.count_unsent(absent, measured=absent)

    def _going_on(self) -> list[LoadConnection]:
        """Return the connections that are open, or have ended, and others are to be opened in their place."""
        alive = self._connections.values() if self._renewals is None else self._renewals.connections()
        return list(alive)

    # ---- time ----

    def _keep_time(self, now: int) -> None:
        if self._times.is_time_to_measure(now):
            self._begin_to_measure(now)
        if now >= self._recorder.next_step:
            self._recorder.take_step(now)
        # Of a schedule all is sent that is due before its end, if it can be done soon.
        if self._times.is_time_to_drain(now, is_late=self._plan.is_open and self.next_due != NEVER):
            self._begin_to_drain(now)
        if self._times.take_timeouts(now):
            if self.first_reply is not None:
                self._look_at_first_reply(self.first_reply)
            self._traffic.check_timeouts()
            if self._pacer is not None:
                self.next_due = self._pacer.next_due
            self._check_unfinished()
        if now >= self._times.gives_up_at:
            self._end()

    def _begin_to_measure(self, now: int) -> None:
        self._count_absent()
        self._times.begin_to_measure(now)
        if not self._plan.is_open:
            self.tally.measured_from = now
            for connection in self._going_on():
                # What was sent in this very moment is of the measured part.
                first = connection.in_flight.first_sent_from(now)
                self.tally.sent += connection.in_flight.stop - first
                if self._plan.messages is not None:
                    connection.limit = first + self._plan.messages
        if self._renewals is not None:
            self._renewals.begin_to_measure(self._times.measures_from)
        if self._path is not None and self._plan.warmup_s:
            self._path.begin_measured_part()
        self._recorder.begin_measured_part(self._times.measures_from, now, self._waiter.spun_ns)

    def _begin_to_drain(self, now: int) -> None:
        if self._times.phase == "measuring":
            self._recorder.end_measured_part(now, self._waiter.spun_ns)
        self._times.begin_to_drain(now)
        if self._pacer is not None:
            self._pacer.end()
            if self._plan.is_open and self.next_due != NEVER and self._connections:
                self._pacer.notes.append(_LATE_NOTE)
        self.next_due = NEVER
        for connection in list(self._connections.values()):
            connection.most_beyond = 0
            connection.allowed = min(connection.allowed, connection.in_flight.stop)
            connection.limit = connection.in_flight.stop + len(connection.due or ())
        if self._renewals is not None:
            self._renewals.begin_to_drain(now)
        for connection in list(self._connections.values()):
            if connection.is_done(now):
                self._connections.unfinished.discard(connection)
        self._check_unfinished()

    def _end(self) -> None:
        self.is_over = True
        if self._renewals is not None:
            self._renewals.end()
        self._traffic.finish_all()
        self._recorder.take_step(self._clock())

    def close(self) -> None:
        """Close all connections, and end all attempts to open others; they are not counted."""
        for connection in self._connections.values():
            connection.socket.close()
        if self._renewals is not None:
            self._renewals.close()

    # ---- the result ----

    def take_progress(self) -> LoadProgress:
        """Return what is known now, and what happened since the last call."""
        return self._recorder.take_progress(self._times.phase, len(self._connections))

    def result(self) -> LoadResult:
        """Return what was measured: all of it when the load is over.

        When it began, where it ran and how connecting went is for the caller to add.
        """
        result = self._recorder.result(sent_until=int(self._times.sent_until), stopped=self._is_stopped)
        if self._pacer is not None:
            result.notes += self._pacer.notes
        churn, rate = self._plan.churn, self._plan.rate
        if churn.most_messages_per_s is not None and rate is not None and rate > churn.most_messages_per_s:
            result.notes.append(
                f"{churn.limit_in_words}, and {in_full(rate)}/s were due: "
                "more than that waits for a connection"
            )
        if self._renewals is not None:
            self._renewals.churn.taken_back = result.churn.taken_back
            self._renewals.churn.conversations_cut = result.churn.conversations_cut
            result.churn = self._renewals.churn
            result.connect_ns = self._renewals.connect_ns
        result.churn.first_reply_ns = self._traffic.first_replies.latency_ns
        return result
