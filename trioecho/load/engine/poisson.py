"""Poisson arrivals: when each message is due, and of which stage it is."""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence

from ..plan import LoadPlan
from .rate_curve import RateCurve


class PoissonArrivals:
    """The arrivals of a schedule, of all connections, from the first on.

    A message is due when N(t), the integral of the rate over time, is the sum of independent,
    exponentially distributed numbers of mean 1, its place: so a Poisson process of any rate is one of rate 1
    on another clock (time-rescaling theorem).

    Args:
      plan: of the schedule.
      curve: the rate, and N(t).
      stages_begin_ns: when each stage of the measured part begins.
      ends_ns: when the schedule ends; infinity if a number of messages says so.
    """

    def __init__(
        self, plan: LoadPlan, curve: RateCurve, stages_begin_ns: Sequence[int], ends_ns: float
    ) -> None:
        self._curve = curve
        self._connections = plan.connections
        self._most = math.inf if plan.messages is None else plan.messages * plan.connections
        self._measured_from_ns, self._ends_ns = stages_begin_ns[0], ends_ns
        self._begins = [float(curve.messages_until(ns)) for ns in stages_begin_ns]
        self._ends = math.inf if ends_ns == math.inf else float(curve.messages_until(int(ends_ns)))
        self._chance = random.Random(plan.seed)
        # Of those that were passed over: the last place, how many, and how many of the measured part.
        self._place = 0.0
        self._number = self._measured = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Iterate once over those that were not passed over: when each is due, in ns, and where."""
        place, measured = self._place, self._measured
        for number in itertools.count(self._number):
            place += self._chance.expovariate(1.0)
            due_ns = self._curve.due_ns(place)
            if due_ns >= self._ends_ns or measured >= self._most:
                return
            yield int(due_ns), number % self._connections
            measured += due_ns >= self._measured_from_ns

    def pass_over(self, most: int, first: int, last: int) -> tuple[int, ...]:
        """Pass over arrivals that nobody has iterated over yet, and count them in their stages.

        It does not ask when they are due, which takes most of the time of an iteration.

        Args:
          most: how many of the measured part are counted; none is behind the last of them.
          first: the first of the connections of which they are counted.
          last: the one behind the last.

        Returns:
          How many are of each stage; all together are fewer than ``most`` at the end of the schedule alone.
        """
        begins, ends, connections = self._begins, self._ends, self._connections
        measured_from, expovariate = begins[0], self._chance.expovariate
        counts = [0] * len(begins)
        place, number, measured = self._place, self._number, self._measured
        while most > 0 and measured < self._most and (place := place + expovariate(1.0)) < ends:
            if place >= measured_from:
                measured += 1
                if first <= number % connections < last:
                    counts[bisect_right(begins, place) - 1] += 1
                    most -= 1
            number += 1
        self._place, self._number, self._measured = place, number, measured
        return tuple(counts)
