"""Results of several processes or machines, joined into one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .plan import LoadPlan
from .result import FIRST_INTERVAL_S, KEPT_DISCREPANCIES, Discrepancy, Interval, LoadResult, SelfWatch
from .verdicts import judge
from .watch import judged


def merge(results: Sequence[LoadResult]) -> LoadResult:
    """Join results of loads that ran at the same time, of several processes or machines.

    Counts, histograms and intervals add up exactly; intervals are those since each
    one's own start. The length is that of the longest. The plan is the first's, with
    connections and rates added up; the generator's verdict on itself is made anew, and
    so are those on the objectives of all.

    Raises:
      ValueError: there is none, or they are of an open and a closed loop, or of different
        think times.
    """
    if not results:
        raise ValueError("there is no result to merge")
    return merge_parts(_merged_plan([result.plan for result in results]), results)


def merge_parts(plan: LoadPlan, results: Sequence[LoadResult]) -> LoadResult:
    """As `merge`, for the parts of one load."""
    merged = LoadResult(plan)
    merged.started_at = min(result.started_at for result in results)
    merged.elapsed_s = max(result.elapsed_s for result in results)
    merged.stopped = any(result.stopped for result in results)
    errors: Counter[str] = Counter()
    for result in results:
        merged.sent += result.sent
        merged.messages += result.messages
        merged.bytes += result.bytes
        merged.connections_opened += result.connections_opened
        errors.update(result.errors)
        for name in ("latency_ns", "from_send_ns", "connect_ns"):
            getattr(merged, name).merge(getattr(result, name))
        merged.notes += [note for note in result.notes if note not in merged.notes]
        merged.machines += [machine for machine in result.machines if machine not in merged.machines]
    merged.errors = dict(errors)
    merged.command = list(results[0].command)
    merged.discrepancies = _first_of_each_kind([found for r in results for found in r.discrepancies])
    merged.intervals = merge_intervals([result.intervals for result in results])
    watch = SelfWatch(
        tuple(share for result in results for share in result.watch.cpu_shares),
        tuple(share for result in results for share in result.watch.cpu_wait_shares),
    )
    for result in results:
        watch.send_lateness_ns.merge(result.watch.send_lateness_ns)
        watch.loop_delay_ns.merge(result.watch.loop_delay_ns)
    merged.watch = watch
    merged.watch = judged(merged)
    objectives = {verdict.objective: None for result in results for verdict in result.verdicts}
    merged.verdicts = judge(merged, objectives)
    return merged


def _merged_plan(plans: Sequence[LoadPlan]) -> LoadPlan:
    first = plans[0]
    if any(plan.is_open != first.is_open for plan in plans):
        raise ValueError("results of an open and of a closed loop cannot be merged: their times differ")
    if any(plan.think_s != first.think_s for plan in plans):
        raise ValueError("results of different think times cannot be merged: each has a rate of its own")
    changes: dict[str, Any] = {
        "connections": sum(plan.connections for plan in plans),
        "processes": sum(plan.processes for plan in plans),
    }
    if all(plan.rate is not None for plan in plans):
        changes["rate"] = math.fsum(plan.rate or 0.0 for plan in plans)
    if all(plan.ramp is not None and first.ramp is not None for plan in plans) and first.ramp is not None:
        ramps = [plan.ramp for plan in plans if plan.ramp is not None]
        begin, end = math.fsum(ramp.from_rate for ramp in ramps), math.fsum(ramp.to_rate for ramp in ramps)
        changes["ramp"] = first.ramp._replace(from_rate=begin, to_rate=end)
    return replace(first, **changes)


def _first_of_each_kind(discrepancies: Sequence[Discrepancy]) -> list[Discrepancy]:
    kept: Counter[str] = Counter()
    first = []
    for discrepancy in discrepancies:
        kept[discrepancy.kind] += 1
        if kept[discrepancy.kind] <= KEPT_DISCREPANCIES:
            first.append(discrepancy)
    return first


def merge_intervals(series: Sequence[Sequence[Interval]]) -> list[Interval]:
    """Time series added up, on the grid of the one that has the longest intervals."""
    width_s = max((steps[0].width_s for steps in series if steps), default=FIRST_INTERVAL_S)
    merged: list[Interval] = []
    for steps in series:
        for step in steps:
            # The middle is never near a border of the grid, whatever was rounded.
            index = int((step.t_s + step.width_s / 2) / width_s)
            while len(merged) <= index:
                merged.append(Interval(round(len(merged) * width_s, 6), width_s))
            merged[index].add(step)
    return merged
