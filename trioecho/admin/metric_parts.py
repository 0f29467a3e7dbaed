"""Metrics that several commands have."""

from __future__ import annotations

from prometheus_client.core import HistogramMetricFamily, InfoMetricFamily, Metric

from ..base.histogram import Histogram
from ..base.units import NS_PER_S
from ..base.version import version_and_build

# From 10 us to 10 s; three for each power of ten.
DURATION_BOUNDS_NS: list[int] = [
    *(factor * 10**power // 2 for power in range(4, 10) for factor in (2, 5, 10)),
    10 * NS_PER_S,
]


def build_info() -> Metric:
    """Return which version, and which build of it, runs."""
    version, _, build = version_and_build().partition(" ")
    return InfoMetricFamily(
        "trioecho_build",
        "Version of trioecho, and its build.",
        {"version": version, "build": build.strip("()")},
    )


def histogram_metric(name: str, documentation: str, values_ns: Histogram) -> Metric:
    """Return a histogram of durations in seconds, in classic buckets from 10 us to 10 s."""
    counts = values_ns.counts_up_to(DURATION_BOUNDS_NS)
    buckets = [
        (repr(bound / NS_PER_S), count) for bound, count in zip(DURATION_BOUNDS_NS, counts, strict=True)
    ]
    return HistogramMetricFamily(
        name, documentation, [*buckets, ("+Inf", values_ns.count)], values_ns.total / NS_PER_S, unit="seconds"
    )
