"""Compute when the messages of an open loop are due: from the plan alone, whatever replies come."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...base.units import NS_PER_S
from ..plan import LoadPlan

# How many Poisson arrivals are counted one by one when a schedule is given up, which must not take long.
_COUNTED_ONE_BY_ONE = 1 << 16


class Rest(NamedTuple):
    """How many messages of a schedule are left, of the warm-up and of the measured part."""

    warmup: int
    measured: int


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
      plan: of an open loop.
      measured_from_ns: when the warm-up ends, in ns since the first moment of the schedule.
      ends_ns: when it ends; None if a number of messages says so.

    Args:
      plan: of an open loop.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self.plan: LoadPlan = plan
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
        plan = self.plan
        if plan.messages is not None:
            return plan.messages * plan.connections
        if plan.arrival == "poisson" or self.ends_ns is None:
            return None
        return self.first_from(self.ends_ns) - self.first_from(self.measured_from_ns)

    @property
    def length_s(self) -> float:
        """The length of the measured part in seconds; the expected one, where chance has a part in it."""
        plan = self.plan
        if plan.duration_s is not None:
            return plan.duration_s
        before = self.messages_until(plan.warmup_s)
        ends_ns = self.due_ns(before + (plan.messages or 0) * plan.connections)
        return (ends_ns - self.measured_from_ns) / NS_PER_S

    def due(self, first: int = 0, count: int | None = None) -> DueTimes:
        """Return the messages of some connections: when each is due, in ns, and on which connection.

        Args:
          first: the first of these connections.
          count: how many; None for all. Times do not depend on it.
        """
        return DueTimes(self, first, self.plan.connections if count is None else first + count)

    def poisson(self) -> Iterator[tuple[int, int]]:
        """Return when each message is due, in ns, and on which connection, for Poisson arrivals."""
        plan = self.plan
        most = math.inf if plan.messages is None else plan.messages * plan.connections
        ends_ns = math.inf if self.ends_ns is None else self.ends_ns
        chance = random.Random(plan.seed)
        place = 0.0
        measured = 0
        for number in itertools.count():
            place += chance.expovariate(1.0)
            due_ns = self.due_ns(place)
            if due_ns >= ends_ns or measured >= most:
                return
            yield int(due_ns), number % plan.connections
            measured += due_ns >= self.measured_from_ns

    def uniform_end(self, until_ns: float = math.inf) -> int:
        """Return how many uniform arrivals, warm-up included, are due before this time."""
        plan = self.plan
        until_ns = min(until_ns, math.inf if self.ends_ns is None else self.ends_ns)
        end = math.inf if until_ns == math.inf else self.first_from(int(until_ns))
        if plan.messages is not None:
            all_of_them = self.first_from(self.measured_from_ns) + plan.messages * plan.connections
            end = min(end, all_of_them)
        return int(end)

    def first_from(self, time_ns: int) -> int:
        """Return the first message that is due then or later, of uniform arrivals."""
        number = max(0, math.floor(self.messages_until(time_ns / NS_PER_S)) - 1)
        while self.due_ns(number) < time_ns:
            number += 1
        return number

    def messages_until(self, time_s: float) -> float:
        """Return N(t): how many messages are due until then, as a number with a fraction."""
        stretch = next(one for one in reversed(self._stretches) if one.begins_s <= time_s)
        since_s = time_s - stretch.begins_s
        slope = (stretch.to_rate - stretch.from_rate) / stretch.length_s
        return stretch.messages_before + since_s * (stretch.from_rate + slope * since_s / 2)

    def due_ns(self, place: float) -> float:
        """Return when N(t) reaches ``place``, in ns; infinity if it never does."""
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


class DueTimes(Iterable[tuple[int, int]]):
    """The times of the messages of some connections, in ns since the beginning, and their connections.

    It can be iterated over once.

    Args:
      schedule: of all connections.
      first: the first of these.
      last: the one behind the last.
    """

    def __init__(self, schedule: Schedule, first: int, last: int) -> None:
        self._schedule = schedule
        self._first, self._last = first, last
        self._next_number = 0  # of all connections' messages
        is_uniform = schedule.plan.arrival == "uniform"
        self._times = self._uniform_times() if is_uniform else self._poisson_times()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return self._times

    def _uniform_times(self) -> Iterator[tuple[int, int]]:
        schedule, connections = self._schedule, self._schedule.plan.connections
        due_ns = schedule.due_ns
        end = schedule.uniform_end()
        for start in itertools.count(0, connections):
            for number in range(start + self._first, min(start + self._last, end)):
                self._next_number = number + 1
                yield int(due_ns(number)), number - start
            if start + self._last >= end:
                return

    def _poisson_times(self) -> Iterator[tuple[int, int]]:
        first, last = self._first, self._last
        for due_ns, connection in self._schedule.poisson():
            if first <= connection < last:
                yield due_ns, connection

    def take_rest(self, until_ns: float = math.inf) -> Rest:
        """End, and return how many messages were left that would be due before ``until_ns``.

        It takes a bounded time, however many these are: uniform arrivals are computed; of
        Poisson arrivals the next 65,536 of the schedule are counted, and of further ones the
        expected number is given.
        """
        is_uniform = self._schedule.plan.arrival == "uniform"
        rest = self._rest_of_uniform(until_ns) if is_uniform else self._rest_of_poisson(until_ns)
        self._times = iter(())
        return rest

    def _rest_of_uniform(self, until_ns: float) -> Rest:
        schedule = self._schedule
        end = schedule.uniform_end(until_ns)
        warmup = min(schedule.first_from(schedule.measured_from_ns), end)
        before, up_to, all_of_them = map(self._ours_before, (self._next_number, warmup, end))
        return Rest(max(0, up_to - before), max(0, all_of_them - max(before, up_to)))

    def _ours_before(self, number: int) -> int:
        """Return how many of the messages before this one are of these connections."""
        count = self._last - self._first
        rounds, place = divmod(number, self._schedule.plan.connections)
        return rounds * count + min(max(0, place - self._first), count)

    def _rest_of_poisson(self, until_ns: float) -> Rest:
        schedule = self._schedule
        measured_from_ns = schedule.measured_from_ns
        warmup = measured = reached_ns = 0
        share = (self._last - self._first) / schedule.plan.connections
        for due_ns, _ in itertools.islice(self._times, math.ceil(_COUNTED_ONE_BY_ONE * share)):
            if due_ns >= until_ns:
                return Rest(warmup, measured)
            reached_ns = due_ns
            measured += due_ns >= measured_from_ns
            warmup += due_ns < measured_from_ns
        if next(self._times, None) is None:
            return Rest(warmup, measured)
        ends_ns = round((schedule.length_s * NS_PER_S) + measured_from_ns)
        marks_ns = (reached_ns, max(reached_ns, measured_from_ns), max(reached_ns, min(until_ns, ends_ns)))
        at = [schedule.messages_until(mark_ns / NS_PER_S) for mark_ns in marks_ns]
        return Rest(warmup + round(share * (at[1] - at[0])), measured + round(share * (at[2] - at[1])))
