"""Write a latency distribution as HdrHistogram's percentile text, which its public plotter reads.

The format is that of ``outputPercentileDistribution`` of http://hdrhistogram.org: a
row for each step of a ladder of percentiles, with five steps for every halving of
what is left above, up to the largest value. All files have the same ladder, so
that the plotter can lay several over each other. Values are in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...base.histogram import Histogram

_STEPS_PER_HALVING = 5
_NS_PER_MS = 1e6
_PRECISION_BITS = 7  # of `Histogram`; what HdrHistogram calls 128 sub-buckets


def histogram_as_hgrm(latency_ns: Histogram, *, notes: tuple[str, ...] = ()) -> str:
    """Return the distribution as text, with the notes as comment lines at the end."""
    lines = [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    lines += _rows(latency_ns)
    mean, deviation = (
        (value or 0) / _NS_PER_MS for value in (latency_ns.mean, latency_ns.standard_deviation)
    )
    buckets = max(1, latency_ns.max.bit_length() - _PRECISION_BITS + 1)
    lines += [
        f"#[Mean    = {mean:>12.3f}, StdDeviation   = {deviation:>12.3f}]",
        f"#[Max     = {latency_ns.max / _NS_PER_MS:>12.3f}, Total count    = {latency_ns.count:>12}]",
        f"#[Buckets = {buckets:>12}, SubBuckets     = {1 << _PRECISION_BITS:>12}]",
        *(f"# {note}" for note in notes),
    ]
    return "\n".join(lines) + "\n"


def _rows(histogram: Histogram) -> Iterator[str]:
    ladder = _ladder(histogram.count)
    rank, above = next(ladder)
    for value, up_to in histogram.steps():
        while rank <= up_to:
            yield f"{value / _NS_PER_MS:>12.3f} {1 - above:>14.12f} {up_to:>10} {1 / above:>14.2f}"
            if up_to == histogram.count:  # a finer ladder would only repeat the largest value
                yield f"{value / _NS_PER_MS:>12.3f} {1:>14.12f} {up_to:>10}"
                return
            rank, above = next(ladder)


def _ladder(count: int) -> Iterator[tuple[int, float]]:
    """Yield how many of the values each percentile takes in, and the share that is left above it."""
    halvings = 0
    while True:
        whole = 2 * _STEPS_PER_HALVING << halvings
        for step in range(_STEPS_PER_HALVING):
            left = 2 * _STEPS_PER_HALVING - step
            yield max(1, count - count * left // whole), left / whole
        halvings += 1
