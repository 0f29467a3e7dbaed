"""Whether a run met its objectives."""

from __future__ import annotations

from collections.abc import Iterable

from .objectives import Objective, Verdict
from .result import LoadResult


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
