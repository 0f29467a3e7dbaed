"""Compute when the messages of a recording are due: at their recorded times, faster, or at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from ...base.units import NS_PER_S
from .schedule import Rest


class ReplayTimes(Iterable[tuple[int, int]]):
    """When each message of a recording is due, in ns since the first one, and on which connection.

    Messages keep their order, and their connections. It can be iterated over once.

    Attributes:
      keeps_connections: no other connection sends what one cannot.
      is_at_once: whether messages are due when they can be sent, whenever that is: the one that takes
        them then waits for a connection that does not go on.
      patience_ns: how long, at most.

    Args:
      times: as recorded.
      speed: 2 for half of the recorded times; 0 for at once.
      patience_s: how long a connection that does not go on is waited for, where messages are due at once.
    """

    keeps_connections = True

    def __init__(self, times: Sequence[tuple[int, int]], speed: float, patience_s: float = 0.0) -> None:
        self.is_at_once: bool = not speed
        self.patience_ns: int = round(patience_s * NS_PER_S)
        self._times = times
        self._speed = speed
        self._next = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        while self._next < len(self._times):
            time_ns, connection = self._times[self._next]
            self._next += 1
            yield self._due_ns(time_ns), connection

    def _due_ns(self, time_ns: int) -> int:
        return int(time_ns / self._speed) if self._speed else 0

    def take_rest(self, until_ns: float = math.inf) -> Rest:
        """End, and return how many messages were left that would be due before ``until_ns``."""
        left = sum(self._due_ns(time_ns) < until_ns for time_ns, _ in self._times[self._next :])
        self._next = len(self._times)
        return Rest(0, (left,))
