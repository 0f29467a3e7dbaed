"""Make plots of what the kernel knew of the path over time."""

from __future__ import annotations

from ...base.quantities import in_ms
from .. import LoadInterval, LoadResult
from ..results.path_counts import PathCounts
from .load_columns import columns_of
from .load_csv import measured_width_s
from .load_plots import bands_of, or_gap, outages_of, time_in_words, whole_steps
from .path_words import least
from .plot import Plot, PlotLine, PlotNote

_SPREAD = 40
_MS = 1e6


def round_trip_plot(result: LoadResult) -> Plot | None:
    """Return the round trips over time, median and maximum over connections; None where there are none."""
    steps = [step for step in whole_steps(result) if step.path is not None]
    if len(steps) < 2 or not any(step.path is not None and step.path.rtt_ns.count for step in steps):
        return None
    medians, longest = [], []
    for step in steps:
        rtt_ns = (step.path or PathCounts()).rtt_ns
        medians.append((_middle(step), or_gap(rtt_ns, 50)))
        longest.append((_middle(step), or_gap(rtt_ns, 100)))
    low = min((y for _, y in medians if y), default=0.0)
    return Plot(
        "round-trips",
        "Smoothed round trip times over time, of the kernel: median and maximum over connections",
        "time, s",
        "round trip, ms",
        [PlotLine("p50", medians), PlotLine("max", longest)],
        log=max(y or 0.0 for _, y in longest) > _SPREAD * low > 0,
        bands=bands_of(result),
        outages=outages_of(result),
        notes=[_note(step) for step in columns_of(steps)],
    )


def retransmit_plot(result: LoadResult) -> Plot | None:
    """Return the segments that were sent again per second; None if there were none."""
    steps = [step for step in whole_steps(result) if step.path is not None]
    if len(steps) < 2 or not any(step.path is not None and step.path.retransmits for step in steps):
        return None
    return Plot(
        "retransmits",
        "Segments that were sent again, per second over time",
        "time, s",
        "segments/s",
        [
            PlotLine(
                "",
                [
                    (
                        _middle(step),
                        (step.path or PathCounts()).retransmits / measured_width_s(result, step),
                    )
                    for step in steps
                ],
            )
        ],
        bands=bands_of(result),
        outages=outages_of(result),
        notes=[_note(step) for step in columns_of(steps)],
    )


def _middle(step: LoadInterval) -> float:
    return step.t_s + step.width_s / 2


def _note(step: LoadInterval) -> PlotNote:
    path = step.path or PathCounts()
    lines = [time_in_words(step), f"{path.retransmits:,} sent again"]
    if path.rtt_ns.count:
        lines += [f"p50 {in_ms(or_gap(path.rtt_ns, 50))} ms", f"max {in_ms(or_gap(path.rtt_ns, 100))} ms"]
    if path.congestion_window.count:
        window = path.congestion_window
        lines.append(f"window p50 {window.percentile(50):,}, least {least(window):,}")
    if path.unsent_bytes.max:
        lines.append(f"unsent max {path.unsent_bytes.max:,} B")
    return PlotNote(step.t_s, step.t_s + step.width_s, tuple(lines))
