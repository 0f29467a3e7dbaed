"""Make plots of two loads, each a line: by percentile, and over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import LoadInterval, LoadResult
from .load_csv import measured_width_s
from .load_plots import curve, needs_log, notes_by_percentile, or_gap, whole_steps
from .plot import Plot, PlotLine

_NAMES = ("A", "B")

_Pair = tuple[LoadResult, LoadResult]


def percentiles_of_both(pair: _Pair) -> Plot | None:
    """Return the latency by percentile of both; None if one has no replies."""
    timings = {name: result.latency_ns for name, result in zip(_NAMES, pair, strict=True)}
    if not all(timing.count for timing in timings.values()):
        return None
    return Plot(
        "percentiles",
        "Latency by percentile of A and of B",
        "share of the replies that were faster, on a scale of nines",
        "latency, ms",
        [PlotLine(name, curve(timing)) for name, timing in timings.items()],
        nines=True,
        log=any(map(needs_log, pair)),
        notes=notes_by_percentile(timings),
    )


def throughput_of_both(pair: _Pair) -> Plot | None:
    """Return right replies per second of both; None if one run was too short."""
    return _over_time(
        pair,
        "throughput",
        "Right replies per second of A and of B",
        "messages/s",
        lambda result, step: step.messages / measured_width_s(result, step),
    )


def latency_of_both(pair: _Pair) -> Plot | None:
    """Return the 99th percentile of each interval of both; None if one run was too short."""
    return _over_time(
        pair,
        "latency",
        "99th percentile of the latency over time of A and of B",
        "latency, ms",
        lambda _, step: or_gap(step.latency_ns, 99),
        log=any(map(needs_log, pair)),
    )


def _over_time(
    pair: _Pair,
    name: str,
    description: str,
    y_label: str,
    value_of: Callable[[LoadResult, LoadInterval], float | None],
    *,
    log: bool = False,
) -> Plot | None:
    series = [whole_steps(result) for result in pair]
    if min(map(len, series)) < 2:
        return None
    return Plot(
        name,
        description,
        "time, s",
        y_label,
        [
            PlotLine(run, _points(result, steps, value_of))
            for run, result, steps in zip(_NAMES, pair, series, strict=True)
        ],
        log=log,
    )


def _points(
    result: LoadResult,
    steps: Sequence[LoadInterval],
    value_of: Callable[[LoadResult, LoadInterval], float | None],
) -> list[tuple[float, float | None]]:
    return [(step.t_s + step.width_s / 2, value_of(result, step)) for step in steps]
