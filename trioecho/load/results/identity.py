"""Know a run by what was measured, whatever the file is called that holds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from .result import LoadResult


def runs_of(result: LoadResult) -> tuple[str, ...]:
    """Return the runs that a result is of: one, or those that were merged.

    A run is known by what was measured: when it began, how long it took, what was counted,
    and every nanosecond of its replies together. No second run has all of that. How a file is
    named, or written, does not matter.
    """
    if result.runs:
        return tuple(result.runs)
    measured = (
        f"{result.started_at.timestamp():.3f}",  # as files have it
        result.elapsed_s,
        (result.sent, result.messages, result.bytes, result.error_count),
        [(part.count, part.total, part.max) for part in (result.latency_ns, result.connect_ns)],
        [machine.name for machine in result.machines],
        result.plan.seed,
    )
    return (hashlib.sha256(json.dumps(measured).encode()).hexdigest()[:16],)


def refuse_same_run(results: Sequence[LoadResult], names: Sequence[str]) -> None:
    """Refuse results of which two are of the same run, or share one.

    Raises:
      ValueError: which two, by their names.
    """
    owners: dict[str, str] = {}
    for result, name in zip(results, names, strict=True):
        for run in runs_of(result):
            if run in owners:
                raise ValueError(
                    f"{owners[run]} and {name} are of the same run, which would count twice; "
                    "name each run once"
                )
        owners |= dict.fromkeys(runs_of(result), name)
