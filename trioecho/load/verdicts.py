"""Whether a run met its objectives."""

from __future__ import annotations

from collections.abc import Iterable

from .find_max import Outcome
from .objectives import Objective, Verdict
from .result import LoadResult

_KEEPING_UP = 0.95


def judge(result: LoadResult, objectives: Iterable[Objective]) -> list[Verdict]:
    """Compare a result with objectives, in their order.

    Latency is that of `LoadResult.latency_ns`: in an open loop from when a message
    was due. Errors are all kinds together; their share is that of the messages sent.
    """
    return [objective.judge(_measured(result, objective)) for objective in objectives]


def _measured(result: LoadResult, objective: Objective) -> float | None:
    if objective.metric == "rate":
        return result.messages_per_s
    if objective.metric == "errors":
        if not objective.is_share:
            return float(result.error_count)
        return 100 * result.error_count / result.sent if result.sent else None
    latency = result.latency_ns
    if not latency.count:
        return None
    value: float | None
    if objective.percent is not None:
        value = latency.percentile(objective.percent)
    else:
        value = latency.mean if objective.metric == "mean" else latency.max
    return None if value is None else value / 1e6


def has_failed(result: LoadResult) -> bool:
    """Whether there were errors, and no objective that says how many there may be."""
    is_allowed = any(verdict.objective.metric == "errors" for verdict in result.verdicts)
    return bool(result.error_count) and not is_allowed


def trial_outcome(result: LoadResult) -> Outcome:
    """What one run in an open loop says about its rate.

    It holds when every objective was met, nothing failed, the generator was not saturated,
    and the server kept up: right replies came at no less than 95 % of the pace at which
    their messages were due. Without the last, a queue that grows for as long as the trial
    lasts could pass for a rate that the server can bear.
    """
    measured = ", ".join(
        f"{verdict.objective.metric} {verdict.objective.describe(verdict.measured)}"
        for verdict in result.verdicts
    )
    if result.saturated:
        return Outcome(False, saturated=True, reason=measured)
    if has_failed(result):
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.errors.items()))
        return Outcome(False, reason=f"{measured}; errors: {kinds}")
    if not all(verdict.holds for verdict in result.verdicts):
        return Outcome(False, reason=measured)
    due = result.sent + result.errors.get("unsent", 0)
    pace = due / result.plan.duration_s if result.plan.duration_s else 0.0
    if result.messages_per_s < _KEEPING_UP * pace:
        return Outcome(False, reason=f"{measured}; the server gave only {result.messages_per_s:,.0f}/s")
    return Outcome(True, reason=measured)
