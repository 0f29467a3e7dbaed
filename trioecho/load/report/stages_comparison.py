"""Compare two loads stage by stage, as `comparison` does it for whole runs.

The sections of a stage are those of the intervals that lie within it. A message is of the stage in which it
was due, and an interval has the replies that came in it, so they say nothing of a stage with replies
that came in another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ...base.quantities import plural
from .. import LoadResult
from ..goals.objectives import parse_objective
from ..results.stage_result import StageResult
from .comparison import Change, RunSection, change_of, sections_of, without_verdict

_METRICS = ("p50", "p99")
# A share of the replies of a stage that may come in another one without making a difference.
_LITTLE = 0.05
_ELSEWHERE = "came in another stage"
# Less is the rounding of a time.
_ROUNDING_S = 1e-6


@dataclass(frozen=True)
class StageComparison:
    """How one stage differs between two runs.

    Attributes:
      name: of the stage.
      before, after: what was measured in it.
      changes: of its numbers; none of a pause, in which no message was due.
    """

    name: str
    before: StageResult
    after: StageResult
    changes: Sequence[Change]


def compare_stages(
    before: LoadResult, after: LoadResult, tolerances: Mapping[str, float] = MappingProxyType({})
) -> list[StageComparison]:
    """Compare the stages that two runs have in common, by their names.

    Args:
      before: the one.
      after: the other.
      tolerances: as of `compare`, for each stage.
    """
    named = [parse_objective(f"{metric}<1s") for metric in (*_METRICS, *tolerances) if metric[0] == "p"]
    named += [verdict.objective for result in (before, after) for verdict in result.objective_results]
    percents = {objective.percent: objective.metric for objective in named if objective.percent is not None}
    metrics = [
        "rate",
        *(["mean"] if "mean" in tolerances else []),
        *(percents[at] for at in sorted(percents)),
    ]
    later = {stage.name: stage for stage in after.stages}
    pair = before, after
    return [
        StageComparison(
            stage.name,
            stage,
            later[stage.name],
            [
                _change(metric, pair, (stage, later[stage.name]), tolerances)
                for metric in metrics
                if stage.due or later[stage.name].due
            ],
        )
        for stage in before.stages
        if stage.name in later
    ]


def stage_error_share(stage: StageResult) -> float:
    """Return the errors of a stage as a share of the messages that were due in it."""
    return stage.error_count / max(1, stage.due)


def unmatched_stages(before: LoadResult, after: LoadResult) -> str:
    """Return which stages only one of two runs has, in words; nothing if there are none."""
    names = [[stage.name for stage in result.stages] for result in (before, after)]
    alone = [
        (letter, [name for name in own if name not in others])
        for letter, own, others in (("A", *names), ("B", *reversed(names)))
    ]
    found = [f"{plural(len(own), 'stage')} of {letter} ({', '.join(own)})" for letter, own in alone if own]
    return f"not compared, as the other run has none of the name: {' and '.join(found)}" if found else ""


def _change(
    metric: str,
    results: tuple[LoadResult, LoadResult],
    stages: tuple[StageResult, StageResult],
    tolerances: Mapping[str, float],
) -> Change:
    untold = ""
    for result, stage in zip(results, stages, strict=True):
        untold = untold or _why_not(result, stage)
    if metric == "rate" and any(stage.received > stage.due * (1 + _LITTLE) for stage in stages):
        # Work that an earlier stage had left is no achievement of this one, whatever is tolerated.
        tolerances, untold = {}, _ELSEWHERE
    wholes = [RunSection(stage.length_s, stage.received, stage.latency_ns) for stage in stages]
    sections = [_sections(*each) for each in zip(results, stages, strict=True)]
    change = change_of(metric, wholes, sections, tolerances, untold)
    planned = [
        [each[1:3] for each in result.plan.stages if each.name == stage.name]
        for result, stage in zip(results, stages, strict=True)
    ]
    return without_verdict(change) if metric == "rate" and planned[0] != planned[1] else change


def _why_not(result: LoadResult, stage: StageResult) -> str:
    """Return why the sections of a stage say nothing of the whole; nothing if they do."""
    if not stage.length_s:
        return "not reached"
    if any(each.name == stage.name and each.from_rate != each.to_rate for each in result.plan.stages):
        return "cannot tell of a ramp"
    return _ELSEWHERE if abs(stage.received - stage.messages) > _LITTLE * stage.messages else ""


def _sections(result: LoadResult, stage: StageResult) -> list[RunSection]:
    begins_s, ends_s = stage.begins_s - _ROUNDING_S, stage.begins_s + stage.length_s + _ROUNDING_S
    within = [step for step in result.intervals if step.t_s >= begins_s and step.t_s + step.width_s <= ends_s]
    return sections_of(result, within)
