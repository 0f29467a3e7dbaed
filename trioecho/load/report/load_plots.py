"""Make plots of a load's result: by percentile, and over time."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...base.histogram import Histogram
from .. import LoadInterval, LoadResult
from ..results.stage_result import stage_spans_ns
from .load_csv import measured_width_s
from .plots import Plot, PlotBand, PlotLine, nines

# Points of a curve for every nine: more would not be seen.
_POINTS_PER_NINE = 40
_PEAK = 40
# Outages that are nearer to each other than this part of the run would be drawn as one.
_OUTAGES_SEEN = 500
_MS = 1e6


def timings_of(result: LoadResult) -> Mapping[str, Histogram]:
    """Return the ways in which replies were timed, by name: two in an open loop."""
    if result.plan.is_open:
        return {"from due": result.latency_ns, "from send": result.from_send_ns}
    return {"latency": result.latency_ns}


def percentile_plot(result: LoadResult) -> Plot:
    """Return latency by percentile on the scale of nines, with the objectives for percentiles as marks."""
    timings = timings_of(result)
    marks = [
        (nines(percent), verdict.objective.limit, verdict.objective.text)
        for verdict in result.objective_results
        if (percent := verdict.objective.percent) is not None and not verdict.objective.stage
    ]
    return Plot(
        "percentiles",
        "Latency by percentile",
        "share of the replies that were faster, on a scale of nines",
        "latency, ms",
        [PlotLine(name if len(timings) > 1 else "", _curve(timing)) for name, timing in timings.items()],
        nines=True,
        log=_needs_log(result),
        marks=marks,
    )


def throughput_plot(result: LoadResult) -> Plot | None:
    """Return right replies, and messages sent, per second; None for a run that was too short."""
    steps = _whole_steps(result)
    if len(steps) < 2:
        return None
    right, sent = [], []
    for step in steps:
        width_s, middle_s = measured_width_s(result, step), step.t_s + step.width_s / 2
        right.append((middle_s, step.messages / width_s))
        sent.append((middle_s, step.sent / width_s))
    lines = [PlotLine("right replies", right), PlotLine("sent", sent)]
    return Plot(
        "throughput",
        "Messages per second over time",
        "time, s",
        "messages/s",
        lines,
        bands=_bands(result),
        outages=_outages(result),
    )


def latency_plot(result: LoadResult) -> Plot | None:
    """Return median, 99th percentile and maximum of each interval; None for a run that was too short."""
    steps = _whole_steps(result)
    if len(steps) < 2:
        return None
    return Plot(
        "latency",
        "Latency over time: median, 99th percentile and maximum",
        "time, s",
        "latency, ms",
        [
            PlotLine(
                name, [(step.t_s + step.width_s / 2, _or_gap(step.latency_ns, percent)) for step in steps]
            )
            for name, percent in (("p50", 50), ("p99", 99), ("max", 100))
        ],
        log=_needs_log(result),
        bands=_bands(result),
        outages=_outages(result),
    )


def _bands(result: LoadResult) -> list[PlotBand]:
    """Return the stages of the schedule, with their numbers as the table of the page has them."""
    stages = result.plan.stages
    return [
        PlotBand(begins_ns / 1e9, ends_ns / 1e9, stage.name, str(number))
        for number, (stage, (begins_ns, ends_ns)) in enumerate(
            zip(stages, stage_spans_ns(stages), strict=True), 1
        )
    ]


def _outages(result: LoadResult) -> list[tuple[float, float]]:
    """Return from when to when there was an outage, as far as it can be told apart from the next one."""
    least_s = result.length_s / _OUTAGES_SEEN
    seen: list[tuple[float, float]] = []
    for outage in result.churn.outages:
        begins_s = outage.start_s
        if seen and begins_s - seen[-1][1] < least_s:
            begins_s = seen.pop()[0]
        seen.append((begins_s, outage.end_s))
    return seen


def _curve(histogram: Histogram) -> list[tuple[float, float]]:
    """Return percentiles on the scale of nines, up to where one reply is above: the rest is flat."""
    end = math.log10(max(histogram.count, 10))
    count = math.ceil(end * _POINTS_PER_NINE)
    places = [end * step / count for step in range(count + 1)]
    return [(x, (histogram.percentile(100 * (1 - 10**-x)) or 0) / _MS) for x in places]


def _whole_steps(result: LoadResult) -> list[LoadInterval]:
    """Return the intervals without a last one of which little was measured: it would spoil the scale."""
    return [step for step in result.intervals if measured_width_s(result, step) > step.width_s / 2]


def _or_gap(histogram: Histogram, percent: float) -> float | None:
    value = histogram.percentile(percent)
    return None if value is None else value / _MS


def _needs_log(result: LoadResult) -> bool:
    """Return whether a linear scale would show one peak, and all else as a line at its foot."""
    latency = result.latency_ns
    return latency.max > _PEAK * (latency.percentile(50) or 0)
