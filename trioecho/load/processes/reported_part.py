"""The part of a load that a worker had when it was lost: what its reports say, and what nobody knows.

The progress of a worker holds each number and each time since the one before it, so all of them together are
exact up to the last one. What was sent by then and had no outcome is ``unknown``. What was due after that is
``unreported``: the plan says how many these are, where it says so at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import trio

from ...base.histogram import Histogram
from ...base.units import NS_PER_S
from ..engine.replay_times import ReplayTimes
from ..engine.schedule import DueTimes, Schedule
from ..plan import LoadPlan
from ..results.generator_health import GeneratorHealth
from ..results.lost_worker import LostWorker
from ..results.path_counts import PathCounts
from ..results.path_result import PathResult
from ..results.progress import LoadProgress
from ..results.result import LoadResult
from ..results.saturation import judged
from ..results.stage_result import StageResult, stage_spans_ns
from ..results.time_series import TimeSeries

# How many messages are counted before others have their turn.
_AT_ONCE = 1 << 16
# What was not sent may be the rest of a schedule of billions.
_MOST_UNSENT = 1 << 22


class ReportedPart:
    """What a worker has reported so far.

    Attributes:
      times: of the messages of a recording that the worker replays, as `RecordedTraffic` has them.

    Args:
      plan: of the whole load.
      first: the first of the worker's connections.
      count: how many it has.
      interval_s: from one report to the next.
    """

    def __init__(self, plan: LoadPlan, first: int, count: int, interval_s: float) -> None:
        self.times: Sequence[tuple[int, int]] = ()
        self._plan = plan
        self._first, self._count = first, count
        self._last: LoadProgress | None = None
        self._started_at = datetime.now(timezone.utc)
        # Within a report nobody knows when something was.
        self._series = TimeSeries(interval_s)
        self._ends_s = 0.0
        self._send_lateness_ns, self._from_send_ns = Histogram(), Histogram()
        self._stages = [
            StageResult(stage.name, begins_ns / NS_PER_S)
            for stage, (begins_ns, _) in zip(plan.stages, stage_spans_ns(plan.stages), strict=True)
        ]

    @property
    def is_empty(self) -> bool:
        """True if there was no report."""
        return self._last is None

    @property
    def sent(self) -> int:
        """How many messages it had sent by its last report."""
        return 0 if self._last is None else self._last.sent

    def add(self, progress: LoadProgress) -> None:
        """Add the next report."""
        if self._last is None:
            self._started_at = datetime.now(timezone.utc) - timedelta(seconds=progress.t_s)
        self._last = progress
        if progress.t_s <= 0:
            return
        step = progress.interval
        self._series.add(replace(step, t_s=step.t_s + step.width_s / 2))
        if step.sent or step.messages or step.errors:
            self._ends_s = progress.t_s
        self._send_lateness_ns.merge(progress.send_lateness_ns)
        self._from_send_ns.merge(progress.from_send_ns)
        for stage in self._stages:
            for new in progress.stages:
                if new.name == stage.name:
                    stage.add(new)

    async def result(self, name: str, reason: str, *, lost_s: float, stopped_s: float | None) -> LoadResult:
        """Return the worker's part of the result.

        Of Poisson arrivals it asks for each that was sent when it was due, which may take some seconds for
        every ten million of them. It can be cancelled, and then it has no effect.

        Args:
          name: of the worker, in words.
          reason: how it was lost, in words that follow the name.
          lost_s: when that was seen, in seconds since the measured part began.
          stopped_s: when the load was stopped; None if it was not.
        """
        plan, last = self._plan, self._last
        result = LoadResult(plan, started_at=self._started_at, elapsed_s=self._ends_s)
        result.stopped = stopped_s is not None
        unsent = 0
        if last is not None:
            result.sent, result.messages, unsent = last.sent, last.messages, last.unsent
            result.churn.taken_back = last.taken_back
            result.errors = {kind: count for kind, count in last.errors.items() if count}
            result.warmup_unsent = result.errors.get("unsent", 0) - unsent
            not_opened = sum(last.errors.get(kind, 0) for kind in ("connect_failed", "first_message_failed"))
            result.connections_opened = max(last.connections, self._count - not_opened)
        self._add_times(result)
        due = await self._due(stopped_s)
        unknown, unreported = self._unaccounted(result, unsent, due)
        more = {"unknown": unknown, "unreported": unreported}
        result.errors |= {kind: count for kind, count in more.items() if count}
        result.lost = [
            LostWorker(
                name,
                reason,
                lost_s,
                None if last is None else max(0.0, last.t_s),
                self._count,
                plan.connections,
                result.sent,
                unknown,
                unreported,
                due is not None,
            )
        ]
        result.health = judged(result)
        return result

    def _add_times(self, result: LoadResult) -> None:
        result.intervals = self._series.steps
        for step in result.intervals:
            result.latency_ns.merge(step.latency_ns)
            result.bytes += step.bytes
            if step.path is not None:
                result.path = result.path or PathResult(PathCounts(), result.connections_opened)
                result.path.counts.add(step.path)
        result.from_send_ns.merge(self._from_send_ns if self._plan.is_open else result.latency_ns)
        result.health = GeneratorHealth(send_lateness_ns=self._send_lateness_ns)
        result.stages = self._stages
        for stage, (begins_ns, ends_ns) in zip(result.stages, stage_spans_ns(self._plan.stages), strict=True):
            stage.length_s = max(0, min(ends_ns, round(self._ends_s * NS_PER_S)) - begins_ns) / NS_PER_S

    async def _due(self, stopped_s: float | None) -> tuple[int, ...] | None:
        """Return how many messages of the measured part were due, of each stage; None if nobody knows."""
        plan = self._plan
        until_ns: float
        if plan.replay is not None:
            if plan.replay.speed == 0 and stopped_s is not None:
                return None  # each was due when it could be sent
            until_ns = math.inf if stopped_s is None else max(0, round(stopped_s * NS_PER_S))
            return ReplayTimes(self.times, plan.replay.speed).take_rest(until_ns).stages
        if plan.is_open:
            schedule = Schedule(plan)
            until_ns = math.inf
            if stopped_s is not None:
                until_ns = schedule.measured_from_ns + max(0, round(stopped_s * NS_PER_S))
            return await self._scheduled(schedule.due(self._first, self._count), until_ns)
        if plan.messages is None or stopped_s is not None:
            return None
        return (plan.messages * self._count,)

    async def _scheduled(self, due: DueTimes, until_ns: float) -> tuple[int, ...]:
        """Return how many messages are due before a time, of each stage.

        Those that are known are counted one by one where chance has a part in it, so that the rest is known
        as `DueTimes.take_rest` knows it from there on.
        """
        known = 0
        if self._last is not None:
            known = self._last.sent - self._last.taken_back + min(self._last.unsent, _MOST_UNSENT)
        counts: list[tuple[int, ...]] = []
        while known > 0:
            counts.append(due.pass_over(min(known, _AT_ONCE)))
            known = known - found if (found := sum(counts[-1])) else 0  # there may be fewer
            await trio.lowlevel.checkpoint()
        rest = due.take_rest(until_ns).stages
        return tuple(sum(of_stage) for of_stage in zip(rest, *counts, strict=True))

    def _unaccounted(self, result: LoadResult, unsent: int, due: tuple[int, ...] | None) -> tuple[int, int]:
        """Return how many messages are unknown, and how many unreported; stages have theirs then."""
        if not result.stages:
            failed = 0 if self._last is None else self._last.failed
            sent = result.sent - result.churn.taken_back
            return sent - result.messages - failed, max(0, sum(due or ()) - sent - unsent)
        for stage, of_stage in zip(result.stages, due or (), strict=False):
            more = {"unknown": stage.sent - stage.messages - stage.failed, "unreported": of_stage - stage.due}
            stage.errors.update({kind: count for kind, count in more.items() if count > 0})
        sums = (sum(stage.errors[kind] for stage in result.stages) for kind in ("unknown", "unreported"))
        unknown, unreported = sums
        return unknown, unreported
