"""The time series of a load: intervals of equal length, on grids that always fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...base.histogram import Histogram
from .path_counts import PathCounts

# The time series begins with intervals of this length. When there are more than this number,
# each two become one: memory is bounded, and grids always fit together.
FIRST_INTERVAL_S = 0.1
MOST_INTERVALS = 300


@dataclass
class LoadInterval:
    """One step of the time series.

    Attributes:
      t_s: when it begins, in seconds since the measured part began.
      width_s: its length; the last one may be over before that.
      sent: messages offered to the kernel within it.
      messages: replies within it that were right.
      bytes: of these replies on the wire, headers included.
      errors: discrepancies and lost connections within it, of all kinds.
      latency_ns: of the replies within it.
      path: what the kernel knew of the connections within it; None where it does not say.
    """

    t_s: float
    width_s: float
    sent: int = 0
    messages: int = 0
    bytes: int = 0
    errors: int = 0
    latency_ns: Histogram = field(default_factory=Histogram)
    path: PathCounts | None = None

    def add(self, other: LoadInterval) -> None:
        """Add what another interval counted."""
        self.sent += other.sent
        self.messages += other.messages
        self.bytes += other.bytes
        self.errors += other.errors
        self.latency_ns.merge(other.latency_ns)
        if other.path is not None:
            if self.path is None:
                self.path = PathCounts()
            self.path.add(other.path)


class TimeSeries:
    """A time series of bounded length: when there are too many steps, each two become one.

    Attributes:
      steps: of equal length, without gaps.

    Args:
      least_s: the length that a step has at least. Whatever it is, grids fit together.
    """

    def __init__(self, least_s: float = FIRST_INTERVAL_S) -> None:
        self.steps: list[LoadInterval] = []
        self._width_s = FIRST_INTERVAL_S
        while self._width_s < least_s:
            self._width_s *= 2

    def add(self, step: LoadInterval) -> None:
        """Add what was counted at ``step.t_s``; its width does not matter."""
        index = int(step.t_s / self._width_s + 1e-6)
        while index >= MOST_INTERVALS:
            self._widen()
            index = int(step.t_s / self._width_s + 1e-6)
        while len(self.steps) <= index:
            self.steps.append(LoadInterval(round(len(self.steps) * self._width_s, 6), self._width_s))
        self.steps[index].add(step)

    def _widen(self) -> None:
        self._width_s *= 2
        narrow, self.steps = self.steps, []
        for step in narrow:
            self.add(step)


def merge_intervals(series: Sequence[Sequence[LoadInterval]]) -> list[LoadInterval]:
    """Add time series up, on the grid of the one that has the longest intervals."""
    width_s = max((steps[0].width_s for steps in series if steps), default=FIRST_INTERVAL_S)
    merged: list[LoadInterval] = []
    for steps in series:
        for step in steps:
            # The middle is never near a border of the grid, whatever was rounded.
            index = int((step.t_s + step.width_s / 2) / width_s)
            while len(merged) <= index:
                merged.append(LoadInterval(round(len(merged) * width_s, 6), width_s))
            merged[index].add(step)
    return merged
