"""Write a comparison of two loads as text for people and as JSON for programs (schema "trioecho-diff/1")."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal

from ...base.quantities import in_ms, wrapped
from .. import LoadPlan, LoadResult
from ..results.identity import runs_of
from . import words
from .comparison import Change, error_share
from .stages_comparison import StageComparison, stage_error_share, unmatched_stages

Pair = tuple[LoadResult, LoadResult]
_NAMES = ("A", "B")
# Below this width a verdict has a line of its own.
_WIDE_TABLE = 80


# What `words.load_in_words` does not say of a plan.
_NOT_IN_LOAD: dict[str, Callable[[LoadPlan], str]] = {
    "timeout_s": lambda plan: f"timeout {plan.timeout_s:g} s",
    "tls": lambda plan: "without TLS" if plan.tls is None else f"under TLS: {plan.tls.in_words}",
}


def comparison_as_text(
    before: LoadResult,
    after: LoadResult,
    changes: Sequence[Change],
    stages: Sequence[StageComparison] = (),
    *,
    width: int = 80,
) -> str:
    """Return the comparison as lines of less than ``width`` columns; the runs are called A and B."""
    is_wide = width >= _WIDE_TABLE
    lines = [f"{'':<18}{'A':>10}{'B':>11}{'change':>8}" + (f"{'noise':>8}" if is_wide else "")]
    lines += _rows(changes, before.error_count, after.error_count, width)
    for stage in stages:
        if stage.changes:
            lines += ["", f"stage {stage.name}"]
            lines += _rows(stage.changes, stage.before.error_count, stage.after.error_count, width)
    remarks = [line for remark in remarks_on((before, after)) for line in wrapped(remark, width)]
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def _rows(changes: Sequence[Change], errors_before: int, errors_after: int, width: int) -> list[str]:
    is_wide = width >= _WIDE_TABLE
    lines = []
    for change in changes:
        said = verdict_in_words(change)
        before, after = (value_in_words(change, value) for value in (change.before, change.after))
        values = f"{change.name:<18}{before:>10}{after:>11} {percent_in_words(change.relative, '+'):>7}"
        noise = percent_in_words(change.noise, "±")
        row = f"{values}{noise:>8}  {said}"
        fits = is_wide and len(row) < width
        lines.append(row if fits else f"{values}{noise:>8}" if is_wide else values)
        if not fits:
            lines.append(f"    {said}" + (f" of {noise}" if "noise" in said and not is_wide else ""))
    return [*lines, f"{'errors':<18}{errors_before:>10,}{errors_after:>11,}"]


def comparison_as_json(
    before: LoadResult,
    after: LoadResult,
    changes: Sequence[Change],
    files: tuple[str, str],
    stages: Sequence[StageComparison] = (),
) -> str:
    """Return the comparison as one JSON object.

    ``a`` and ``b`` are the two runs: file, time, runs (see `trioecho.load.results.result_json`),
    messages_due, lost (workers that died or hung, in words), ended_early, outages (in words), errors,
    error_share and saturated. ``numbers`` has, for each metric, name (with the unit), a, b, relative
    (their difference as a share of a; of shares, the difference itself), noise, tolerance, verdict,
    direction ("worse", "better" or "") and reason. ``stages`` has, for each stage of both runs, its name,
    messages_due, errors and
    error_share in ``a`` and ``b``, and numbers. ``remarks`` are sentences.
    """
    runs = {
        name: {
            "file": file,
            "time": result.started_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "runs": runs_of(result),
            "messages_due": result.due,
            "lost": [worker.in_words for worker in result.lost],
            "ended_early": result.ended_early,
            "outages": result.churn.in_short,
            "errors": result.error_count,
            "error_share": error_share(result),
            "saturated": result.saturated,
        }
        for name, file, result in zip(("a", "b"), files, (before, after), strict=True)
    }
    document = {
        "schema": "trioecho-diff/1",
        **runs,
        "numbers": _numbers(changes),
        "stages": [
            {
                "name": stage.name,
                **{
                    name: {
                        "messages_due": result.due,
                        "errors": result.error_count,
                        "error_share": stage_error_share(result),
                    }
                    for name, result in (("a", stage.before), ("b", stage.after))
                },
                "numbers": _numbers(stage.changes),
            }
            for stage in stages
        ],
        "remarks": list(remarks_on((before, after))),
    }
    return json.dumps(document, indent=2)


def _numbers(changes: Sequence[Change]) -> list[dict[str, object]]:
    return [
        {
            "metric": change.metric,
            "name": change.name,
            "a": change.before,
            "b": change.after,
            "relative": change.relative,
            "noise": change.noise,
            "tolerance": change.tolerance,
            "verdict": change.verdict,
            "direction": change.direction,
            "reason": change.reason,
        }
        for change in changes
    ]


def remarks_on(pair: Pair) -> list[str]:
    """Return what else a reader of the comparison must know, a sentence or a phrase each."""
    remarks = [
        f"{name}: {words.SATURATED}" for name, result in zip(_NAMES, pair, strict=True) if result.saturated
    ]
    remarks += [
        f"{name}: {words.NOT_WHOLE.lower()}: {worker.in_words}"
        for name, result in zip(_NAMES, pair, strict=True)
        for worker in result.lost
    ]
    remarks += [
        f"{name}: {result.ended_early}"
        for name, result in zip(_NAMES, pair, strict=True)
        if result.ended_early is not None
    ]
    remarks += [
        f"{name}: {result.churn.in_short}"
        for name, result in zip(_NAMES, pair, strict=True)
        if result.churn.outages
    ]
    remarks += [
        f"{name}: {result.churn.taken_back_in_words}"
        for name, result in zip(_NAMES, pair, strict=True)
        if result.churn.taken_back
    ]
    if runs_of(pair[0]) == runs_of(pair[1]):
        remarks.append("A and B are the same run: nothing was compared.")
    one, other = (result.plan.to_dict() for result in pair)
    # What a comparison is usually for, and what only says how it was carried out.
    ignored = {"host", "port", "seed"}
    differing = [name for name in one if name not in ignored and one[name] != other[name]]
    if differing:
        remarks.append(f"the plans differ in {', '.join(differing)}:")
        remarks += [
            f"{name}: {words.load_in_words(result)}" for name, result in zip(_NAMES, pair, strict=True)
        ]
    if unmatched := unmatched_stages(*pair):
        remarks.append(unmatched)
    for name, in_words in _NOT_IN_LOAD.items():
        if name in differing:
            remarks += [
                f"{letter}: {in_words(result.plan)}" for letter, result in zip(_NAMES, pair, strict=True)
            ]
    if "reply" in differing:
        remarks += [
            f"{name}: {words.replies_in_words(result)}" for name, result in zip(_NAMES, pair, strict=True)
        ]
    return remarks


def change_in_words(change: Change) -> str:
    """Return a change in a phrase, as ``latency p99, ms: 5.1 to 6.3, +24 %``."""
    values = f"{value_in_words(change, change.before)} to {value_in_words(change, change.after)}"
    return f"{change.name}: {values}, {percent_in_words(change.relative, '+')}"


def verdict_in_words(change: Change) -> str:
    """Return the verdict on a change, with its direction; or why there is none."""
    reason = change.reason if change.verdict == "cannot tell" and change.reason else change.verdict
    return f"{change.direction}, {reason}" if change.direction else reason


def value_in_words(change: Change, value: float | None) -> str:
    """Return a value of what has changed, in the unit of its name."""
    if value is None:
        return "-"
    if change.is_share:
        return f"{value:.3f}"
    return in_ms(value) if change.name.endswith("ms") else f"{value:,.0f}"


def percent_in_words(share: float | None, sign: Literal["+", "±"]) -> str:
    """Return a share in percent, with its sign or as a noise."""
    if share is None:
        return "-"
    digits = 0 if abs(share) >= 0.1 else 1 if abs(share) >= 0.01 or not share else 2
    return f"{100 * share:+.{digits}f} %" if sign == "+" else f"±{100 * share:.{digits}f} %"
