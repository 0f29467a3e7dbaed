"""When the messages of an open loop are due. It follows from the plan alone, and no reply can change it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from .plan import LoadPlan
from .result import NS_PER_S


class _Stretch(NamedTuple):
    """A time in which the rate goes from one value to another in a straight line."""

    begins_s: float
    length_s: float
    from_rate: float
    to_rate: float
    messages_before: float


class Schedule:
    """The times of all messages, and on which connection each goes: on one after the other.

    With N(t), the integral of the rate over time, message i (from 0) of uniform arrivals
    is due when N(t) = i. For Poisson arrivals it is due when N(t) is the sum of i + 1
    independent, exponentially distributed numbers of mean 1: so a Poisson process of any
    rate is one of rate 1 on another clock (time-rescaling theorem).

    Attributes:
      measured_from_ns: when the warm-up ends, in ns since the first moment of the schedule.
      ends_ns: when it ends; None if a number of messages says so.

    Args:
      plan: of an open loop.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self.measured_from_ns: int = round(plan.warmup_s * NS_PER_S)
        self.ends_ns: int | None = None
        if plan.duration_s is not None:
            self.ends_ns = round((plan.warmup_s + plan.duration_s) * NS_PER_S)
        if plan.ramp is not None:
            rates = [(plan.ramp.from_rate, plan.ramp.to_rate, plan.ramp.over_s)]
            first, last = plan.ramp.from_rate, plan.ramp.to_rate
        else:
            rates = []
            first = last = plan.rate or 0.0
        self._stretches: list[_Stretch] = []
        begins_s = messages = 0.0
        for from_rate, to_rate, length_s in [(first, first, plan.warmup_s), *rates, (last, last, math.inf)]:
            if length_s:
                self._stretches.append(_Stretch(begins_s, length_s, from_rate, to_rate, messages))
                begins_s += length_s
                messages += (from_rate + to_rate) / 2 * length_s if from_rate + to_rate else 0.0

    @property
    def planned(self) -> int | None:
        """Messages of the measured part, where chance has no part in it."""
        plan = self._plan
        if plan.messages is not None:
            return plan.messages * plan.connections
        if plan.arrival == "poisson" or self.ends_ns is None:
            return None
        return self._first_from(self.ends_ns) - self._first_from(self.measured_from_ns)

    def due(self, first: int = 0, count: int | None = None) -> Iterator[tuple[int, int]]:
        """The messages of some connections: when each is due, in ns, and on which connection.

        Args:
          first: the first of these connections.
          count: how many; None for all. Times do not depend on it.
        """
        plan = self._plan
        connections = plan.connections
        last = connections if count is None else first + count
        most = math.inf if plan.messages is None else plan.messages * connections
        ends_ns = math.inf if self.ends_ns is None else self.ends_ns
        for measured, due_ns, connection in self._all(first, last):
            if due_ns >= ends_ns or measured >= most:
                return
            if first <= connection < last:
                yield int(due_ns), connection

    def _all(self, first: int, last: int) -> Iterator[tuple[int, float, int]]:
        """How many measured ones are before it, when it is due, its connection."""
        connections = self._plan.connections
        if self._plan.arrival == "uniform":
            warmup = self._first_from(self.measured_from_ns)
            start = 0
            while True:
                for connection in range(first, last):
                    number = start + connection
                    yield number - warmup, self._due_ns(number), connection
                start += connections
        chance = random.Random(self._plan.seed)
        place = 0.0
        number = measured = 0
        while True:
            place += chance.expovariate(1.0)
            due_ns = self._due_ns(place)
            yield measured, due_ns, number % connections
            measured += due_ns >= self.measured_from_ns
            number += 1

    def _first_from(self, time_ns: int) -> int:
        """The first message that is due then or later, of uniform arrivals."""
        number = max(0, math.floor(self._messages_until(time_ns / NS_PER_S)) - 1)
        while self._due_ns(number) < time_ns:
            number += 1
        return number

    def _messages_until(self, time_s: float) -> float:
        stretch = next(one for one in reversed(self._stretches) if one.begins_s <= time_s)
        since_s = time_s - stretch.begins_s
        slope = (stretch.to_rate - stretch.from_rate) / stretch.length_s
        return stretch.messages_before + since_s * (stretch.from_rate + slope * since_s / 2)

    def _due_ns(self, place: float) -> float:
        """When N(t) reaches ``place``, in ns; infinity if it never does."""
        stretches = self._stretches
        stretch = stretches[-1]
        for index in range(1, len(stretches)):
            if place <= stretches[index].messages_before:
                stretch = stretches[index - 1]
                break
        more = place - stretch.messages_before
        begin, end = stretch.from_rate, stretch.to_rate
        if begin == end:
            since_s = more / begin if begin else (0.0 if not more else math.inf)
        else:
            # The positive root of: slope / 2 t² + begin t = more
            slope = (end - begin) / stretch.length_s
            root = math.sqrt(max(0.0, begin * begin + 2 * slope * more))
            since_s = 2 * more / (begin + root) if begin + root else 0.0
        return math.inf if since_s == math.inf else round((stretch.begins_s + since_s) * NS_PER_S)
