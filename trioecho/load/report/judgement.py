"""Judge a comparison of two loads: what is worse, what is better, or why neither is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .. import LoadResult
from ..results.identity import runs_of
from .comparison import Change, error_share
from .comparison_outputs import change_in_words


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
    before: LoadResult, after: LoadResult, changes: Sequence[Change], tolerances: Mapping[str, float]
) -> Judgement:
    """Judge what `compare` gave for two runs, and their errors, of which a larger share is worse.

    There is no verdict on a run beside itself, nor where no number, or not each with a tolerance, has one.
    """
    found: dict[str, list[str]] = {"worse": [], "better": [], "": []}
    for change in changes:
        found[change.direction].append(change_in_words(change))
    shares = error_share(before), error_share(after)
    if shares[0] != shares[1] and abs(shares[1] - shares[0]) > tolerances.get("errors", 0.0):
        found["worse" if shares[1] > shares[0] else "better"].append(
            f"errors: {100 * shares[0]:.3g} % to {100 * shares[1]:.3g} % of the messages"
        )
    untold = [change for change in changes if change.verdict == "cannot tell"]
    why = ""
    if runs_of(before) == runs_of(after):
        why = "they are the same run"
    elif len(untold) == len(changes):
        why = f"cannot tell: {untold[0].reason or 'there are no numbers'}"
    elif missing := [change.metric for change in untold if change.tolerance is not None]:
        why = f"cannot tell of {', '.join(missing)}: there are no such numbers"
    return Judgement(found["worse"], found["better"], why)
