"""What the kernel counted of a load's connections, and what was read of them.

All of it adds up exactly: counts are differences of what the kernel counts for each connection, and what
is read of a connection at a moment is in a histogram.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from ...base.histogram import Histogram

_US = 1000  # in nanoseconds


@dataclass
class PathCounts:
    """What the kernel counted in an interval, and what was read of connections within it.

    Attributes:
      retransmits: segments that were sent again, of all connections.
      data_segments: segments with data that were sent, those that were sent again included; 0 where the
        kernel is too old, as for the counts that follow.
      needless: those of ``retransmits`` that the server had already, as it said: none of them was lost.
      out_of_order: segments that came out of order.
      busy_us: the time in which connections had something to send or to be acknowledged, added up.
      window_limited_us: that of it in which the server's receive window had no room.
      buffer_limited_us: that in which the send buffer was too small.
      rtt_deviation_us: the deviations of the round trips, added up: one for each value of ``rtt_ns``.
      rtt_ns: smoothed round trips, as read of connections.
      congestion_window: in segments; likewise.
      unsent_bytes: accepted from the load and not sent yet; likewise.
      least_rto_us: the shortest retransmission timeout that was seen; None before one was.
      least_rtt_us: the shortest round trip that the kernel has seen; likewise.
    """

    retransmits: int = 0
    data_segments: int = 0
    needless: int = 0
    out_of_order: int = 0
    busy_us: int = 0
    window_limited_us: int = 0
    buffer_limited_us: int = 0
    rtt_deviation_us: int = 0
    rtt_ns: Histogram = field(default_factory=Histogram)
    congestion_window: Histogram = field(default_factory=Histogram)
    unsent_bytes: Histogram = field(default_factory=Histogram)
    least_rto_us: int | None = None
    least_rtt_us: int | None = None

    def add(self, other: PathCounts) -> None:
        """Add what others counted."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in HISTOGRAMS:
            getattr(self, name).merge(getattr(other, name))
        for name in LEAST:
            values = [value for each in (self, other) if (value := getattr(each, name)) is not None]
            setattr(self, name, min(values, default=None))

    @property
    def rtt_deviation_ns(self) -> float | None:
        """The mean deviation of the round trips; None where there was none."""
        return self.rtt_deviation_us * _US / self.rtt_ns.count if self.rtt_ns.count else None

    @property
    def retransmit_share(self) -> float | None:
        """The share of the segments with data that were sent again; None where that is not known."""
        return min(1.0, self.retransmits / self.data_segments) if self.data_segments else None

    def to_dict(self) -> dict[str, Any]:
        """Return them as JSON has them; `path_reader.read_path_counts` reads them back."""
        document: dict[str, Any] = {name: getattr(self, name) for name in (*COUNTS, *LEAST)}
        for name in HISTOGRAMS:
            histogram: Histogram = getattr(self, name)
            buckets = {str(bucket): count for bucket, count in sorted(histogram.buckets.items())}
            document[name] = {"total": histogram.total, "max": histogram.max, "buckets": buckets}
        return document


HISTOGRAMS = ("rtt_ns", "congestion_window", "unsent_bytes")
LEAST = ("least_rto_us", "least_rtt_us")
COUNTS = tuple(
    each.name for each in fields(PathCounts) if each.name not in HISTOGRAMS and each.name not in LEAST
)
