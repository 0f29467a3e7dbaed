"""Judge a comparison of two loads: what is worse, what is better, or why neither is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import LoadResult
from ..results.identity import runs_of
from .comparison import Change, error_share
from .comparison_outputs import change_in_words
from .stages_comparison import StageComparison, stage_error_share


@dataclass(frozen=True)
class Judgement:
    """The outcome of a comparison.

    Attributes:
      worse, better: the numbers that are, a phrase each.
      untold: why there is no verdict, where there is none; else empty.
    """

    worse: list[str]
    better: list[str]
    untold: str


def judge_changes(
    before: LoadResult,
    after: LoadResult,
    changes: Sequence[Change],
    tolerances: Mapping[str, float],
    stages: Sequence[StageComparison] = (),
) -> Judgement:
    """Judge what `compare` gave for two runs, and their errors, of which a larger share is worse.

    There is no verdict on a run beside itself, nor where no number, or not each with a tolerance, has one.

    Args:
      before: the one run.
      after: the other.
      changes: what `compare` gave.
      tolerances: as of `compare`.
      stages: what `compare_stages` gave.
    """
    found: dict[str, list[str]] = {"worse": [], "better": [], "": []}
    for change in changes:
        found[change.direction].append(change_in_words(change))
    tolerated = tolerances.get("errors", 0.0)
    _judge_errors(found, "", error_share(before), error_share(after), tolerated)
    for stage in stages:
        where = f"in stage {stage.name}, "
        for change in stage.changes:
            found[change.direction].append(f"{where}{change_in_words(change)}")
        shares = stage_error_share(stage.before), stage_error_share(stage.after)
        _judge_errors(found, where, *shares, tolerated)
    changes = [*changes, *(change for stage in stages for change in stage.changes)]
    untold = [change for change in changes if change.verdict == "cannot tell"]
    why = ""
    if runs_of(before) == runs_of(after):
        why = "they are the same run"
    elif len(untold) == len(changes):
        why = f"cannot tell: {untold[0].reason or 'there are no numbers'}"
    elif missing := [each for each in untold if each.tolerance is not None]:
        reason = "there are no such numbers" if missing[0].is_comparable else missing[0].reason
        why = f"cannot tell of {', '.join(dict.fromkeys(each.metric for each in missing))}: {reason}"
    return Judgement(found["worse"], found["better"], why)


def _judge_errors(
    found: dict[str, list[str]], where: str, before: float, after: float, tolerated: float
) -> None:
    if before != after and abs(after - before) > tolerated:
        found["worse" if after > before else "better"].append(
            f"{where}errors: {100 * before:.3g} % to {100 * after:.3g} % of the messages"
        )
