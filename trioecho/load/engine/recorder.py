"""Record a load: its time series, what is known of it while it runs, and its result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ...base.histogram import Histogram
from ...base.units import NS_PER_S
from ..plan import LoadPlan
from ..results.generator_health import GeneratorHealth
from ..results.progress import LoadPhase, LoadProgress
from ..results.result import LoadResult
from ..results.saturation import judged
from ..results.time_series import FIRST_INTERVAL_S, LoadInterval, TimeSeries
from .cpu_time import cpu_and_waiting_ns
from .path_watch import PathWatch
from .schedule import Schedule
from .tally import LoadTally

# From one step of the time series to the next.
_STEP_NS = round(FIRST_INTERVAL_S * NS_PER_S)


class Recorder:
    """Makes a time series, progress and a result of what the connections of a process count in their tally.

    Attributes:
      tally: that of the connections.
      next_step: when the current step of the time series is over, in ns of the clock;
        infinity before the measured part.
      loop_delay_ns: how long a socket that was ready may have waited for its turn.

    Args:
      plan: of the load.
      tally: what is counted.
      planned: how many messages the measured part has, if that is known.
      clock: ns, of any beginning.
      cpu_clock: ns of CPU time of this process, and ns in which it waited for a CPU.
      path: watches what the kernel knows of the connections; None if nothing does.
    """

    def __init__(
        self,
        plan: LoadPlan,
        tally: LoadTally,
        *,
        planned: int | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
        cpu_clock: Callable[[], tuple[int, int]] = cpu_and_waiting_ns,
        path: PathWatch | None = None,
    ) -> None:
        self.tally: LoadTally = tally
        self.next_step: float = math.inf
        self.loop_delay_ns: Histogram = Histogram()
        self._plan = plan
        self._planned = planned
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._path = path
        self._series = TimeSeries()
        self._since_progress = LoadInterval(0.0, 0.0)
        self._from_send_ns = Histogram()  # of all replies up to the last progress
        self._progress_at: float = 0
        self._measures_from: float = math.inf
        self._is_cut_short = False
        # What was when the measured part began, and when the last message was sent.
        self._usage: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._cpu_share = self._cpu_wait_share = 0.0

    def expect_measured_part(self, at: int) -> None:
        """Note when the measured part will begin."""
        self._measures_from = at

    def begin_measured_part(self, at: int, now: int, spun_ns: int) -> None:
        """Begin the measured part.

        Args:
          at: when it begins; it may be a moment before ``now``.
          now: the time.
          spun_ns: CPU time that the poller has spent in asking again and again until now.
        """
        self._measures_from = at
        self._usage = (now, *self._cpu_clock(), spun_ns)
        self.next_step = at + _STEP_NS

    def end_measured_part(self, now: int, spun_ns: int) -> None:
        """End the measured part: nothing more will be sent."""
        began, cpu, waiting, spun = self._usage
        wall_ns = max(1, now - began)
        cpu_now, waiting_now = self._cpu_clock()
        busy_ns = cpu_now - cpu - (spun_ns - spun)
        self._cpu_share = min(1.0, max(0, busy_ns) / wall_ns)
        self._cpu_wait_share = min(1.0, max(0, waiting_now - waiting) / wall_ns)

    def note_cut_short(self) -> None:
        """Note that every connection was lost before the end."""
        self._is_cut_short = True

    def take_step(self, now: int) -> None:
        """Count what has happened in this step of the time series, and begin the next one if this is over."""
        if self.next_step == math.inf:
            return
        begins = self.next_step - _STEP_NS
        step = self.tally.take_step((begins - self._measures_from) / NS_PER_S)
        if self._path is not None:
            step.path = self._path.take_step()
        self._series.add(step)
        self._since_progress.add(step)
        while self.next_step <= now:
            self.next_step += _STEP_NS

    def take_progress(self, phase: LoadPhase, connections: int) -> LoadProgress:
        """Return what is known now, and what happened since the last call."""
        tally = self.tally
        now = self._clock()
        self.take_step(now)  # whoever has all progress has all of each number, and of each time
        since, self._since_progress = self._since_progress, LoadInterval(0.0, 0.0)
        begins = self._measures_from
        at_last, self._progress_at = self._progress_at, now
        since.t_s = max(0.0, (at_last - begins) / NS_PER_S)
        since.width_s = max(0.0, (now - max(at_last, begins)) / NS_PER_S)
        lateness, tally.recent_lateness_ns = tally.recent_lateness_ns, Histogram()
        tally.send_lateness_ns.merge(lateness)
        from_send, tally.from_send_ns = tally.from_send_ns, Histogram()
        self._from_send_ns.merge(from_send)
        return LoadProgress(
            phase=phase,
            t_s=(now - begins) / NS_PER_S,
            interval=since,
            sent=tally.sent,
            messages=tally.messages,
            errors=dict(tally.errors),
            connections=connections,
            planned=self._planned,
            send_lateness_ns=lateness,
            from_send_ns=from_send,
            taken_back=tally.taken_back,
            unsent=tally.unsent,
            failed=tally.failed,
            stages=() if tally.stages is None else tally.stages.take(),
        )

    def result(self, *, sent_until: int, stopped: bool) -> LoadResult:
        """Return what was measured, with the last message sent before ``sent_until``.

        When it began, where it ran and how connecting went is for the caller to add.
        """
        tally = self.tally
        tally.send_lateness_ns.merge(tally.recent_lateness_ns)
        tally.recent_lateness_ns = Histogram()
        plan = self._plan
        result = LoadResult(plan, stopped=stopped)
        ended = tally.last_reply_at
        if plan.is_open or plan.messages is None or stopped or not ended or self._is_cut_short:
            ended = max(ended, sent_until)
        if self.next_step != math.inf:
            result.elapsed_s = max(0, ended - int(self._measures_from)) / NS_PER_S
        if self._is_cut_short:
            if plan.replay is not None:
                length_s = plan.replay.planned_s
            else:
                length_s = Schedule(plan).length_s if plan.is_open else plan.duration_s or 0.0
            result.cut_from_s = max(result.elapsed_s, length_s)
        result.sent = tally.sent
        result.churn.taken_back = tally.taken_back
        result.churn.conversations_cut = tally.conversations_cut
        result.warmup_unsent = tally.errors["unsent"] - tally.unsent
        result.messages = tally.messages
        result.bytes = tally.bytes
        result.errors = {kind: count for kind, count in tally.errors.items() if count}
        result.discrepancies = list(tally.discrepancies)
        result.intervals = steps = self._series.steps
        while steps and steps[-1].t_s >= result.elapsed_s and not steps[-1].messages + steps[-1].errors:
            steps.pop()  # in which it only waited for the server to end the connections
        for step in steps:
            result.latency_ns.merge(step.latency_ns)
        if plan.is_open:
            result.from_send_ns.merge(self._from_send_ns)
            result.from_send_ns.merge(tally.from_send_ns)
        else:
            result.from_send_ns.merge(result.latency_ns)
        result.health = GeneratorHealth(
            (self._cpu_share,), (self._cpu_wait_share,), tally.send_lateness_ns, self.loop_delay_ns
        )
        result.health = judged(result)
        if self._path is not None:
            result.path = self._path.result()
        if tally.stages is not None:
            result.stages = tally.stages.results(result.length_s)
        return result
