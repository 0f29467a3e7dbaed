"""Judge a run: whether it met its objectives, and what it says about its rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...base.histogram import Histogram, values_above
from ...base.quantities import plural
from ..goals.find_max import TrialOutcome
from ..goals.objectives import Objective, ObjectiveResult
from .path_result import explain
from .result import LoadResult
from .stage_result import StageResult

# A percentile with fewer replies above it says more about chance than about the server.
FEW_REPLIES = 10
_KEEPING_UP = 0.95


def judge(result: LoadResult, objectives: Iterable[Objective]) -> list[ObjectiveResult]:
    """Compare a result with objectives, in their order.

    Latency is that of `LoadResult.latency_ns`: in an open loop from when a message
    was due. Of a run that lost every connection before its end it is not known what it
    would have been, so no objective of it holds; nor if an outage was not over at the end.
    Nor does an objective of a run that lost a worker: it is not known what all of it would have been.
    A message that was due and had no right reply counts as slower than all others: a percentile below it
    holds, and ``mean`` and ``max`` do not.
    Errors are all kinds together; their share is that of the messages that were due. Where no
    message was due, none holds. Messages that were taken back are no errors, and the verdict names them.
    One of a stage is about the messages that were due in it; its rate is that of the replies that came
    while it lasted.

    Raises:
      ValueError: there is no such stage.
    """
    return [_judge(result, objective) for objective in objectives]


def _judge(result: LoadResult, objective: Objective) -> ObjectiveResult:
    part = _stage_of(result, objective) if objective.stage else result
    verdict = objective.judge(_measured(part, objective))
    if result.lost and verdict.holds:
        reason = f"not known of the whole, since a worker was lost: {result.lost_names}"
        return replace(verdict, holds=False, reason=reason)
    if objective.is_latency:
        return _judge_latency(result, part, verdict)
    if objective.metric == "errors" and verdict.holds and result.churn.taken_back:
        # A reply that was lost with a server that died would be an error; one that drains owes none.
        return replace(verdict, reason=f"beside {plural(result.churn.taken_back, 'message')} taken back")
    return verdict


def _judge_latency(
    result: LoadResult, part: LoadResult | StageResult, verdict: ObjectiveResult
) -> ObjectiveResult:
    """Let an objective of a latency hold only if nothing that is not known of it could have broken it."""
    objective, latency = verdict.objective, part.latency_ns
    if not verdict.holds:
        return verdict if objective.stage else replace(verdict, reason=_explanation(result, objective))
    if result.ended_early is not None:
        return replace(verdict, holds=False, reason=f"the run {result.ended_early}")
    reasons = []
    holds = True
    if unknown := max(0, part.due - latency.count):
        # Who waits for a reply that never comes waits longer than all others.
        holds = _holds_beside(objective, latency, unknown)
        reasons.append(f"{unknown:,} of {plural(part.due, 'message')} had no right reply, so no latency")
    above = latency.count if objective.percent is None else values_above(latency.count, objective.percent)
    if objective.percent is not None and above < FEW_REPLIES:
        reasons.append(f"it stands on {above:,} of {latency.count:,} replies")
    if result.churn.outages:
        # While nothing can be sent, nothing takes long.
        holds = holds and not result.churn.lasts
        reasons.append(f"beside {result.churn.in_short}")
    return replace(verdict, holds=holds, reason="; ".join(reasons))


def _holds_beside(objective: Objective, latency_ns: Histogram, unknown: int) -> bool:
    """Return whether an objective still holds if there are more latencies, and each above all others."""
    if not objective.can_break_under_load:
        return True
    if objective.percent is None:
        return False
    value_ns = latency_ns.percentile(objective.percent, larger=unknown)
    return value_ns is not None and objective.judge(value_ns / 1e6).holds


def _explanation(result: LoadResult, objective: Objective) -> str:
    """Return whether segments that were sent again can be the reason for a latency; empty if they cannot."""
    found = explain(result.path, result.latency_ns, result.plan, result.length_s)
    measured_ms = _measured(result, objective)
    if found is None or not found.is_whole or measured_ms is None or measured_ms * 1e6 < found.rto_ns:
        return ""
    return f"{plural(found.retransmits, 'retransmission')} can explain it"


def _measured(part: LoadResult | StageResult, objective: Objective) -> float | None:
    if objective.metric == "rate":
        return part.messages_per_s if part.length_s and part.due else None
    if objective.metric == "errors":
        if not part.due:
            return None
        return 100 * part.error_count / part.due if objective.is_share else float(part.error_count)
    latency = part.latency_ns
    if not latency.count:
        return None
    value: float | None
    if objective.percent is not None:
        value = latency.percentile(objective.percent)
    else:
        value = latency.mean if objective.metric == "mean" else latency.max
    return None if value is None else value / 1e6


def _stage_of(result: LoadResult, objective: Objective) -> StageResult:
    for stage in result.stages:
        if stage.name == objective.stage:
            return stage
    raise ValueError(f"{objective.text}: there is no stage {objective.stage}")


def has_failed(result: LoadResult) -> bool:
    """Return whether there were errors, and no objective that says how many there may be, of all or there."""
    allowed = {
        verdict.objective.stage
        for verdict in result.objective_results
        if verdict.objective.metric == "errors"
    }
    judged = sum(stage.error_count for stage in result.stages if stage.name in allowed)
    return "" not in allowed and result.error_count > judged


def trial_outcome(result: LoadResult) -> TrialOutcome:
    """Return what one run in an open loop says about its rate.

    It holds when every objective was met, nothing failed, the generator was not saturated,
    and the server kept up: right replies came at no less than 95 % of the pace at which
    their messages were due. Without the last, a queue that grows for as long as the trial
    lasts could pass for a rate that the server can bear. If there were too few messages to
    judge the generator, the reason says so.
    """
    latency = result.latency_ns
    times = (latency.percentile(50), latency.percentile(99), latency.max if latency.count else None)
    p50_ms, p99_ms, max_ms = (None if time is None else time / 1e6 for time in times)
    return replace(_verdict_on_trial(result), p50_ms=p50_ms, p99_ms=p99_ms, max_ms=max_ms)


def _in_short(verdict: ObjectiveResult) -> str:
    because = f" ({verdict.reason})" if verdict.reason and not verdict.holds else ""
    return f"{verdict.objective.metric} {verdict.describe()}{because}"


def _verdict_on_trial(result: LoadResult) -> TrialOutcome:
    measured = ", ".join(map(_in_short, result.objective_results))
    if not result.health.judged:
        measured += "; too few messages to judge the generator"
    if result.churn.outages:
        measured += f"; {result.churn.in_short}"
    if result.lost:
        return TrialOutcome(False, reason=f"{measured}; {result.lost[0].in_words}")
    if result.ended_early is not None:
        return TrialOutcome(False, reason=f"{measured}; {result.ended_early}")
    if result.saturated:
        return TrialOutcome(False, saturated=True, reason=measured)
    if has_failed(result):
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.errors.items()))
        return TrialOutcome(False, reason=f"{measured}; errors: {kinds}")
    if not all(verdict.holds for verdict in result.objective_results):
        return TrialOutcome(False, reason=measured)
    pace = result.due / result.plan.duration_s if result.plan.duration_s else 0.0
    if result.messages_per_s < _KEEPING_UP * pace:
        return TrialOutcome(False, reason=f"{measured}; the server gave only {result.messages_per_s:,.0f}/s")
    return TrialOutcome(True, reason=measured)
