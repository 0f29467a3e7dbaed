"""Results of several processes or machines, joined into one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ..plan import LoadPlan
from ..stages import Stage
from .churn_result import merge_churn
from .discrepancy import first_of_each_kind
from .generator_health import GeneratorHealth
from .identity import refuse_same_run, runs_of
from .judging import judge
from .path_result import merge_paths
from .plan_differences import differences
from .recording_result import merge_recordings
from .result import LoadResult
from .saturation import judged
from .stage_result import merge_stages
from .time_series import merge_intervals
from .tls_result import merge_tls


def merge(results: Sequence[LoadResult], names: Sequence[str] = ()) -> LoadResult:
    """Join results of loads that ran at the same time, of several processes or machines.

    Counts, histograms and intervals add up exactly; intervals are those since each
    one's own start. The length is that of the longest. The plan is the first's, with
    connections and rates added up; in what the others differ a note says. The generator's
    verdict on itself is made anew, and so are those on the objectives of all.

    Args:
      results: at least one.
      names: of the results, as messages and notes give them; they are numbered if there are none.

    Raises:
      ValueError: there is none, or two are of the same run, or they are of an open and a
        closed loop, of different think times, or of rates that change in different ways.
    """
    if not results:
        raise ValueError("there is no result to merge")
    names = names or [f"result {number}" for number in range(1, len(results) + 1)]
    plans = [result.plan for result in results]
    plan = _merged_plan(plans, names)
    refuse_same_run(results, names)
    merged = merge_parts(plan, results)
    merged.recording = None  # each has its own
    merged.runs = [run for result in results for run in runs_of(result)]
    merged.plans = [plan for result in results for plan in result.plans or (result.plan,)]
    mixed = [f"The plans differ in {difference}." for difference in differences(plans, names)]
    merged.notes = [*mixed, *_apart(results, names), *merged.notes]
    return merged


def _apart(results: Sequence[LoadResult], names: Sequence[str]) -> Iterator[str]:
    """Yield a sentence on runs that were not made at the same time."""
    last_start = max(range(len(results)), key=lambda index: results[index].started_at)
    ends = [result.started_at + timedelta(seconds=result.elapsed_s) for result in results]
    first_end = min(range(len(results)), key=ends.__getitem__)
    apart = results[last_start].started_at - ends[first_end]
    if apart > timedelta():
        yield (
            f"The runs were not made at the same time: {names[last_start]} began "
            f"{apart.total_seconds():,.0f} s after {names[first_end]} had ended. "
            "The server never had the rate that they come to together."
        )


def merge_parts(plan: LoadPlan, results: Sequence[LoadResult]) -> LoadResult:
    """Join the results of the parts of one load, as `merge` joins those of several."""
    merged = LoadResult(plan)
    merged.started_at = min(result.started_at for result in results)
    merged.elapsed_s = max(result.elapsed_s for result in results)
    merged.stopped = any(result.stopped for result in results)
    errors: Counter[str] = Counter()
    for result in results:
        merged.sent += result.sent
        merged.warmup_unsent += result.warmup_unsent
        merged.messages += result.messages
        merged.bytes += result.bytes
        merged.connections_opened += result.connections_opened
        errors.update(result.errors)
        for name in ("latency_ns", "from_send_ns", "connect_ns"):
            getattr(merged, name).merge(getattr(result, name))
        merged.workers += result.workers
        merged.lost += result.lost
        merged.sockets += [given for given in result.sockets if given not in merged.sockets]
        merged.notes += [note for note in result.notes if note not in merged.notes]
        merged.machines += [machine for machine in result.machines if machine not in merged.machines]
    merged.errors = dict(errors)
    merged.churn = merge_churn([result.churn for result in results])
    lengths_s = [result.cut_from_s for result in results if result.cut_from_s is not None]
    if len(lengths_s) == len(results):  # else some of them went on to the end
        merged.cut_from_s = max(lengths_s)
    handshakes = [result.tls for result in results if result.tls is not None]
    merged.tls = merge_tls(handshakes) if handshakes else None
    merged.command = list(results[0].command)
    merged.discrepancies = first_of_each_kind([found for r in results for found in r.discrepancies])
    merged.intervals = merge_intervals([result.intervals for result in results])
    merged.recording = merge_recordings([result.recording for result in results])
    merged.path = merge_paths([result.path for result in results])
    merged.stages = merge_stages([result.stages for result in results])
    health = GeneratorHealth(
        tuple(share for result in results for share in result.health.cpu_shares),
        tuple(share for result in results for share in result.health.cpu_wait_shares),
    )
    for result in results:
        health.send_lateness_ns.merge(result.health.send_lateness_ns)
        health.loop_delay_ns.merge(result.health.loop_delay_ns)
    merged.health = health
    merged.health = judged(merged)
    objectives = {verdict.objective: None for result in results for verdict in result.objective_results}
    merged.objective_results = judge(merged, objectives)
    return merged


def _merged_plan(plans: Sequence[LoadPlan], names: Sequence[str]) -> LoadPlan:
    first = plans[0]
    for plan, name in zip(plans[1:], names[1:], strict=True):
        both = f"{names[0]} and {name}"
        if plan.is_open != first.is_open:
            raise ValueError(
                f"{both}: results of an open and of a closed loop cannot be merged: their times differ"
            )
        if plan.think_s != first.think_s:
            raise ValueError(
                f"{both}: results of different think times cannot be merged: each has a rate of its own"
            )
        if (plan.ramp and plan.ramp.over_s) != (first.ramp and first.ramp.over_s):
            raise ValueError(
                f"{both}: a ramp can only be merged with ramps that take as long: "
                "at no moment would the rates add up to a known one"
            )
        if _shape(plan) != _shape(first):
            raise ValueError(
                f"{both}: stages can only be merged with stages of the same names and lengths: "
                "at no moment would the rates add up to a known one"
            )
    changes: dict[str, Any] = {
        "connections": sum(plan.connections for plan in plans),
        "processes": sum(plan.processes for plan in plans),
    }
    if all(plan.churn.connect_rate is not None for plan in plans):
        connect_rate = math.fsum(plan.churn.connect_rate or 0.0 for plan in plans)
        changes["churn"] = replace(first.churn, connect_rate=connect_rate)
    if all(plan.rate is not None for plan in plans):
        changes["rate"] = math.fsum(plan.rate or 0.0 for plan in plans)
    if all(plan.ramp is not None and first.ramp is not None for plan in plans) and first.ramp is not None:
        ramps = [plan.ramp for plan in plans if plan.ramp is not None]
        begin, end = math.fsum(ramp.from_rate for ramp in ramps), math.fsum(ramp.to_rate for ramp in ramps)
        changes["ramp"] = first.ramp._replace(from_rate=begin, to_rate=end)
    changes["stages"] = tuple(map(_sum_of_stages, zip(*(plan.stages for plan in plans), strict=True)))
    return replace(first, **changes)


def _shape(plan: LoadPlan) -> list[tuple[str, float]]:
    """Return of the stages what has to be the same in runs that are merged."""
    return [(stage.name, stage.length_s) for stage in plan.stages]


def _sum_of_stages(stages: tuple[Stage, ...]) -> Stage:
    begin, end = (math.fsum(rates) for rates in zip(*(stage[1:3] for stage in stages), strict=True))
    return stages[0]._replace(from_rate=begin, to_rate=end)
