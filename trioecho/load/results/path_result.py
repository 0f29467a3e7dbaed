"""What the kernel knew of the path to the server while a load ran, and what that can explain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...base.histogram import Histogram
from ..plan import LoadPlan
from .path_counts import PathCounts

_US = 1000  # in nanoseconds
# Percentiles of which it may be said that segments that were sent again can explain them.
_HIGH = ("99", "99.9", "99.99")


@dataclass
class PathResult:
    """What the kernel knew of the connections of a load, in the measured part and until they were closed.

    Attributes:
      counts: of the whole time.
      connections: how many connections they are of, those that were opened later included.
      missing: why nothing is known of others, or of all; empty if there are none.
    """

    counts: PathCounts = field(default_factory=PathCounts)
    connections: int = 0
    missing: str = ""


def merge_paths(parts: Sequence[PathResult | None]) -> PathResult | None:
    """Add up what is known of the parts of a load; None if there is no part with something to say."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    merged = PathResult()
    for part in known:
        merged.counts.add(part.counts)
        merged.connections += part.connections
        merged.missing = merged.missing or part.missing
    return merged


@dataclass(frozen=True)
class Explanation:
    """What segments that were sent again can explain of the latencies.

    Attributes:
      retransmits: how many were, without those that the server had already.
      rto_ns: the shortest retransmission timeout; a reply that waits for one takes as long, or longer.
      slow: how many replies took as long, or longer.
      most: how many of them can have waited for a segment that was sent again.
      percentile: the lowest of the high percentiles that took as long; ``"max"`` if none of them did.
      latency_ns: its value.
    """

    retransmits: int
    rto_ns: int
    slow: int
    most: int
    percentile: str
    latency_ns: int

    @property
    def is_whole(self) -> bool:
        """True if all slow replies can have waited for one."""
        return self.most >= self.slow


def explain(
    path: PathResult | None, latency_ns: Histogram, plan: LoadPlan, length_s: float
) -> Explanation | None:
    """Return what segments that were sent again can explain; None if that is nothing.

    What is lost behind other segments is mostly sent again within a round trip, and what is lost at the
    end of what was sent after the retransmission timeout: so only replies that took as long count. A
    segment that is sent again delays the messages that are in flight on its connection, and not more; one
    that the server had already delays nothing.

    Args:
      path: what is known of it.
      latency_ns: of all replies.
      plan: of the load.
      length_s: of the measured part.
    """
    if path is None or path.counts.least_rto_us is None:
        return None
    retransmits = path.counts.retransmits - path.counts.needless
    if retransmits <= 0:
        return None
    rto_ns = path.counts.least_rto_us * _US
    [below] = latency_ns.counts_up_to([rto_ns - 1])
    slow = latency_ns.count - below
    if not slow:
        return None
    at_once = float(plan.pipeline)
    if plan.is_open and length_s:
        each_per_s = latency_ns.count / plan.connections / length_s
        at_once = math.ceil(each_per_s * latency_ns.max / 1e9) + 1
    most = min(slow, retransmits * math.ceil(at_once))
    percentile, value = "max", latency_ns.max
    for percent in _HIGH:
        at = latency_ns.percentile(percent) or 0
        if at >= rto_ns:
            percentile, value = f"p{percent}", at
            break
    return Explanation(retransmits, rto_ns, slow, most, percentile, value)
