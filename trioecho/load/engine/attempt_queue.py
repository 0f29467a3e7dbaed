"""Say when attempts to connect are due: not before they are wanted, and not more in a time than allowed."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Iterator

from ...base.histogram import Histogram
from ...base.units import NS_PER_S


class AttemptQueue:
    """The connections that are wanted, in the order in which they were; times are in ns of the clock.

    Attributes:
      under_way: how many attempts are.

    Args:
      rate: attempts/s at most; None for no limit.
      at_once: attempts under way at most, where there is no rate; with one, an attempt is due at its
        time whatever became of those before.
      lateness_ns: takes how late attempts are made, where there is a rate.
    """

    def __init__(self, rate: float | None, at_once: int, lateness_ns: Histogram) -> None:
        self.under_way: int = 0
        self._interval_ns = 0.0 if rate is None else NS_PER_S / rate
        self._at_once = math.inf if rate is not None else at_once
        self._lateness_ns = lateness_ns
        self._next_free = 0.0
        self._wanted: list[tuple[int, int, int]] = []  # a heap: when, a number in order, and whose
        self._order = itertools.count()
        self._line: deque[tuple[int, int]] = deque()

    def want(self, number: int, at: int) -> None:
        """Note that a connection is wanted from that time on."""
        heapq.heappush(self._wanted, (at, next(self._order), number))

    def take_due(self, now: int) -> Iterator[int]:
        """Yield those of which an attempt is to be made now."""
        while self._wanted and self._wanted[0][0] <= now:
            at, _, number = heapq.heappop(self._wanted)
            self._line.append((at, number))
        while self._line and self.under_way < self._at_once:
            at, number = self._line[0]
            due = max(at, self._next_free)
            if due > now:
                return
            self._line.popleft()
            if self._interval_ns:
                self._next_free = due + self._interval_ns
                self._lateness_ns.record(now - round(due))
            yield number

    def next_moment(self) -> float:
        """Return when an attempt is due; infinity if that is up to those under way."""
        if not self._line:
            return self._wanted[0][0] if self._wanted else math.inf
        if self.under_way >= self._at_once:
            return math.inf
        return max(self._line[0][0], math.ceil(self._next_free))

    def clear(self) -> None:
        """Forget all that are wanted."""
        self._wanted.clear()
        self._line.clear()
