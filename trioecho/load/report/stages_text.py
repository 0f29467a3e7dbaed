"""Put the stages of a schedule into a table for people, and name those of a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...base.histogram import Histogram
from ...base.quantities import in_ms, in_rate, wrapped
from .. import LoadResult
from ..results.stage_result import StageResult, stage_spans_ns
from ..stages import Stage
from . import words

_NAME = 19
# Title, columns, and how early it is left out where there is no room for all: the highest first.
_COLUMNS = (
    ("due/s", 11, 0),
    ("right/s", 11, 1),
    ("p50, ms", 10, 3),
    ("p99", 10, 0),
    ("max", 10, 2),
    ("errors", 8, 0),
)


def stages_as_lines(result: LoadResult, width: int) -> Iterator[str]:
    """Yield a table of less than ``width`` columns, with two rows for each stage; nothing without stages."""
    if not result.stages:
        return
    shown = _columns_that_fit(width)
    yield _row("stages", [title for title, _, _ in _COLUMNS], shown)
    for stage in result.stages:
        name = stage.name
        if len(name) >= _NAME:
            yield name
            name = ""
        yield _row(name, _over_time(stage), shown)
        yield _row("  in all; from send", _in_all(stage), shown)
    yield from wrapped(words.STAGES, width)


def _columns_that_fit(width: int) -> list[bool]:
    shown = [True] * len(_COLUMNS)
    for left_out in (3, 2, 1):
        if _NAME + sum(columns for (_, columns, _), yes in zip(_COLUMNS, shown, strict=True) if yes) < width:
            break
        shown = [yes and rank < left_out for yes, (_, _, rank) in zip(shown, _COLUMNS, strict=True)]
    return shown


def _row(name: str, cells: Sequence[str], shown: Sequence[bool]) -> str:
    columns = zip(cells, _COLUMNS, shown, strict=True)
    return (
        f"{name:<{_NAME}}" + "".join(f" {cell:>{width - 1}}" for cell, (_, width, _), yes in columns if yes)
    ).rstrip()


def _over_time(stage: StageResult) -> list[str]:
    if not stage.length_s:
        return ["not reached", "", "", "", "", ""]
    rates = [in_rate(stage.due_per_s), in_rate(stage.messages_per_s)]
    return [*rates, *_times(stage.latency_ns), f"{stage.error_count:,}"]


def _in_all(stage: StageResult) -> list[str]:
    return [f"{stage.due:,}", f"{stage.messages:,}", *_times(stage.from_send_ns), ""]


def _times(histogram: Histogram) -> list[str]:
    values = (histogram.percentile(50), histogram.percentile(99), histogram.max)
    return [in_ms(value / 1e6 if histogram.count and value is not None else None) for value in values]


def stages_between(stages: Sequence[Stage], begins_s: float, ends_s: float) -> str:
    """Return the names of the stages that a time has a part in, as ``up; steady``; empty if it has none.

    Args:
      stages: of the plan.
      begins_s: of the time, in seconds since the measured part began.
      ends_s: likewise.
    """
    names = []
    for stage, (first_ns, last_ns) in zip(stages, stage_spans_ns(stages), strict=True):
        # Less than a microsecond is the rounding of the time.
        if min(last_ns / 1e9, ends_s) - max(first_ns / 1e9, begins_s) > 1e-6:
            names.append(stage.name)
    return "; ".join(names)
