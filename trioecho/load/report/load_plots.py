"""Make plots of a load's result: by percentile, and over time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from ...base.histogram import Histogram
from ...base.quantities import in_ms
from .. import LoadInterval, LoadResult
from ..results.stage_result import stage_spans_ns
from .load_columns import columns_of, heat_of, together
from .load_csv import measured_width_s
from .plot import Plot, PlotBand, PlotLine, PlotNote, nines

# Points of a curve for every nine: more would not be seen.
_POINTS_PER_NINE = 40
_NOTES_PER_NINE = 15
_PEAK = 40
# A heat map of less is seen as well on a linear scale.
_SPREAD = 4
# Latencies in milliseconds; None where there was no reply.
_Times = tuple["float | None", ...]
_SHOWN = 50, 99, 100  # the last is the maximum
# Outages that are nearer to each other than this part of the run would be drawn as one.
_OUTAGES_SEEN = 500
_MS = 1e6
# Points of a plot over the rate.
_MOST_RATES = 40
# What differs by less is one line for the eye.
_COINCIDE = 0.01
# A rate that grows less than that says nothing of how the latency depends on it.
_GROWS = 1.5


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
        [PlotLine(name if len(timings) > 1 else "", curve(timing)) for name, timing in timings.items()],
        nines=True,
        log=needs_log(result),
        marks=marks,
        limits=[(y, "") for _, y, _ in marks],
        notes=notes_by_percentile(timings),
    )


def throughput_plot(result: LoadResult) -> Plot | None:
    """Return right replies, and messages sent, per second; None for a run that was too short."""
    steps = whole_steps(result)
    if len(steps) < 2:
        return None
    right, sent = [], []
    for step in steps:
        width_s, middle_s = measured_width_s(result, step), step.t_s + step.width_s / 2
        right.append((middle_s, step.messages / width_s))
        sent.append((middle_s, step.sent / width_s))
    lines = [PlotLine("right replies", right), PlotLine("sent", sent)]
    if all(
        abs(one - other) <= _COINCIDE * max(one, other)
        for (_, one), (_, other) in zip(right, sent, strict=True)
    ):
        lines = [PlotLine("sent, and right replies", right)]
    return Plot(
        "throughput",
        "Messages per second over time",
        "time, s",
        "messages/s",
        lines,
        bands=bands_of(result),
        outages=outages_of(result),
        limits=[
            (found.objective.limit, found.objective.text)
            for found in result.objective_results
            if found.objective.metric == "rate" and not found.objective.stage
        ],
        notes=[
            PlotNote(
                step.t_s,
                step.t_s + step.width_s,
                (
                    time_in_words(step),
                    f"{step.messages / measured_width_s(result, step):,.0f}/s right",
                    f"{step.sent / measured_width_s(result, step):,.0f}/s sent",
                    f"{step.errors:,} errors",
                ),
            )
            for step in columns_of(steps)
        ],
    )


def latency_plot(result: LoadResult) -> Plot | None:
    """Return how often which latency came, 99th percentile and maximum over time.

    None for a run that was too short.
    """
    steps = whole_steps(result)
    if len(steps) < 2:
        return None
    least_ns = min((next(step.latency_ns.steps())[0] for step in steps if step.latency_ns.count), default=0)
    log = result.latency_ns.max > _SPREAD * least_ns > 0
    columns = columns_of(steps)
    return Plot(
        "latency",
        "Latency over time: how many replies took how long, 99th percentile and maximum",
        "time, s",
        "latency, ms",
        [
            PlotLine(
                name, [(step.t_s + step.width_s / 2, or_gap(step.latency_ns, percent)) for step in steps]
            )
            for name, percent in (("p99", 99), ("max", 100))
        ],
        log=log,
        bands=bands_of(result),
        outages=outages_of(result),
        limits=latency_limits(result),
        heat=heat_of(columns, log=log),
        notes=[
            PlotNote(step.t_s, step.t_s + step.width_s, (time_in_words(step), *_latency_in_words(step)))
            for step in columns
        ],
    )


def latency_limits(result: LoadResult) -> list[tuple[float, str]]:
    """Return the objectives for the latency of the whole run: milliseconds, and as they were written."""
    return [
        (found.objective.limit, found.objective.text)
        for found in result.objective_results
        if found.objective.is_latency and not found.objective.stage
    ]


def rate_plot(result: LoadResult) -> Plot | None:
    """Return the latency by the rate at which messages were sent; None where the rate was one and the same.

    The rates are those of the trials of a search, else those of the intervals of a schedule that grows.
    """
    if result.search is not None:
        points: list[tuple[float, _Times]] = sorted(
            (trial.rate, (trial.outcome.p50_ms, trial.outcome.p99_ms, trial.outcome.max_ms))
            for trial in result.search.trials
            if trial.outcome.p50_ms is not None
        )
        label = "messages/s, of each trial"
    elif result.plan.ramp is not None or result.plan.stages:
        points = _by_rate(result)
        label = "messages/s that were sent"
    else:
        return None
    rates = [rate for rate, _ in points]
    if len(points) < 2 or max(rates) < _GROWS * min(rates):
        return None
    return Plot(
        "rates",
        "Latency by the rate: median, 99th percentile and maximum",
        label,
        "latency, ms",
        [
            PlotLine(name, [(rate, times[number]) for rate, times in points])
            for number, name in enumerate(("p50", "p99", "max"))
        ],
        log=any((times[2] or 0) > _PEAK * (times[0] or 0) for _, times in points) or needs_log(result),
        limits=latency_limits(result),
        notes=_notes_by_rate(points),
    )


def _by_rate(result: LoadResult) -> list[tuple[float, _Times]]:
    """Return the latencies of a schedule by the rate at which was sent, upwards; near rates together."""
    rates = [(step.sent / measured_width_s(result, step), step) for step in whole_steps(result) if step.sent]
    most = max((rate for rate, _ in rates), default=0.0)
    groups: dict[int, list[tuple[float, LoadInterval]]] = {}
    for rate, step in rates:
        groups.setdefault(math.ceil(_MOST_RATES * rate / most), []).append((rate, step))
    return [
        (
            math.fsum(rate for rate, _ in group) / len(group),
            tuple(or_gap(together([step for _, step in group]).latency_ns, percent) for percent in _SHOWN),
        )
        for _, group in sorted(groups.items())
    ]


def bands_of(result: LoadResult) -> list[PlotBand]:
    """Return the stages of the schedule, with their numbers as the table of the page has them."""
    stages = result.plan.stages
    return [
        PlotBand(begins_ns / 1e9, ends_ns / 1e9, stage.name, str(number))
        for number, (stage, (begins_ns, ends_ns)) in enumerate(
            zip(stages, stage_spans_ns(stages), strict=True), 1
        )
    ]


def outages_of(result: LoadResult) -> list[tuple[float, float]]:
    """Return from when to when there was an outage, as far as it can be told apart from the next one."""
    least_s = result.length_s / _OUTAGES_SEEN
    seen: list[tuple[float, float]] = []
    for outage in result.churn.outages:
        begins_s = outage.start_s
        if seen and begins_s - seen[-1][1] < least_s:
            begins_s = seen.pop()[0]
        seen.append((begins_s, outage.end_s))
    return seen


def curve(histogram: Histogram) -> list[tuple[float, float]]:
    """Return percentiles on the scale of nines, up to where one reply is above: the rest is flat."""
    end = math.log10(max(histogram.count, 10))
    count = math.ceil(end * _POINTS_PER_NINE)
    places = [end * step / count for step in range(count + 1)]
    return [(x, (histogram.percentile(100 * (1 - 10**-x)) or 0) / _MS) for x in places]


def whole_steps(result: LoadResult) -> list[LoadInterval]:
    """Return the intervals without a last one of which little was measured: it would spoil the scale."""
    return [step for step in result.intervals if measured_width_s(result, step) > step.width_s / 2]


def notes_by_percentile(timings: Mapping[str, Histogram]) -> list[PlotNote]:
    """Return the values of all timings at many percentiles."""
    count = max(timing.count for timing in timings.values())
    end = math.log10(max(count, 10))
    steps = math.ceil(end * _NOTES_PER_NINE)
    notes = []
    for step in range(steps):
        begin, finish = end * step / steps, end * (step + 1) / steps
        share = 1 - 10 ** -((begin + finish) / 2)
        values = (
            f"{name} {in_ms((timing.percentile(100 * share) or 0) / _MS)} ms"
            for name, timing in timings.items()
        )
        notes.append(PlotNote(begin, finish, (f"p{100 * share:.{max(1, math.ceil(finish))}f}", *values)))
    return notes


def _notes_by_rate(points: Sequence[tuple[float, _Times]]) -> list[PlotNote]:
    """Return a note around each rate, as far as half-way to the next."""
    rates = [rate for rate, _ in points]
    borders = [0.0, *((one + other) / 2 for one, other in itertools.pairwise(rates)), rates[-1]]
    return [
        PlotNote(begin, end, (f"{rate:,.0f} messages/s", *_times_in_words(times)))
        for (begin, end), (rate, times) in zip(itertools.pairwise(borders), points, strict=True)
    ]


def time_in_words(step: LoadInterval) -> str:
    """Return from when to when a step was, in seconds."""
    return f"{step.t_s:g} to {step.t_s + step.width_s:g} s"


def _latency_in_words(step: LoadInterval) -> list[str]:
    times = tuple(or_gap(step.latency_ns, percent) for percent in _SHOWN)
    return [*_times_in_words(times), f"{step.messages:,} replies"]


def _times_in_words(times: _Times) -> list[str]:
    return [f"{name} {in_ms(time)} ms" for name, time in zip(("p50", "p99", "max"), times, strict=True)]


def or_gap(histogram: Histogram, percent: float) -> float | None:
    """Return a percentile in milliseconds; None, a gap in a line, if there is none."""
    value = histogram.percentile(percent)
    return None if value is None else value / _MS


def needs_log(result: LoadResult) -> bool:
    """Return whether a linear scale would show one peak, and all else as a line at its foot."""
    latency = result.latency_ns
    return latency.max > _PEAK * (latency.percentile(50) or 0)
