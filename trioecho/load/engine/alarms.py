"""Alarms of slots: each has one at most, and a new one takes the place of the old."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator

from .slot import Slot


class Alarms:
    """When slots are to be looked at, in ns of the clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Slot]] = []
        self._numbers = itertools.count()

    def set(self, slot: Slot, at: float) -> None:
        """Let a slot be looked at then, and at no other time that was set before."""
        slot.alarm = next(self._numbers)
        heapq.heappush(self._heap, (at, slot.alarm, slot))

    def clear(self, slot: Slot) -> None:
        """Let it not be looked at."""
        slot.alarm = -1

    def take_due(self, now: int) -> Iterator[Slot]:
        """Yield the slots whose time has come."""
        while self.next_moment() <= now:
            slot = heapq.heappop(self._heap)[2]
            slot.alarm = -1
            yield slot

    def next_moment(self) -> float:
        """Return when the next is due; infinity if none is."""
        heap = self._heap
        while heap and heap[0][1] != heap[0][2].alarm:
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf
