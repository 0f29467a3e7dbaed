"""Compute when the messages of an open loop are due: from the plan alone, whatever replies come."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...base.units import NS_PER_S
from ..plan import LoadPlan
from .poisson import PoissonArrivals
from .rate_curve import Piece, RateCurve

# How many Poisson arrivals are counted one by one when a schedule is given up, which must not take long.
_COUNTED_ONE_BY_ONE = 1 << 16


class Rest(NamedTuple):
    """How many messages of a schedule are left, of the warm-up and of each stage of the measured part.

    A schedule without stages has one.
    """

    warmup: int
    stages: tuple[int, ...]

    @property
    def measured(self) -> int:
        """Those of the measured part."""
        return sum(self.stages)


def _pieces_of(plan: LoadPlan) -> Iterator[Piece]:
    """Yield how the rate goes: in the warm-up, in ramp or stages, and after that."""
    rates = [stage[1:] for stage in plan.stages]
    if plan.ramp is not None:
        rates = [plan.ramp]
    first = rates[0][0] if rates else plan.rate or 0.0
    last = rates[-1][1] if rates else plan.rate or 0.0
    for from_rate, to_rate, length_s in [(first, first, plan.warmup_s), *rates]:
        if length_s:
            yield Piece(from_rate, to_rate, round(length_s * NS_PER_S))
    yield Piece(last, last, math.inf)


class Schedule:
    """The times of all messages, and on which connection each goes: on one after the other.

    With N(t), the integral of the rate over time, message i (from 0) of uniform arrivals
    is due when N(t) = i. For Poisson arrivals see `PoissonArrivals`.

    Attributes:
      plan: of an open loop.
      curve: the rate, and N(t).
      measured_from_ns: when the warm-up ends, in ns since the first moment of the schedule.
      ends_ns: when it ends; None if a number of messages says so.

    Args:
      plan: of an open loop.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self.plan: LoadPlan = plan
        self.curve: RateCurve = RateCurve(_pieces_of(plan))
        self.measured_from_ns: int = round(plan.warmup_s * NS_PER_S)
        self.ends_ns: int | None = None
        # When each stage begins; without stages the measured part is the only one.
        self._stages_begin_ns = [self.measured_from_ns]
        if plan.stages:
            begins = [stretch.begins_ns for stretch in self.curve.stretches]
            *self._stages_begin_ns, self.ends_ns = begins[-len(plan.stages) - 1 :]
        elif plan.duration_s is not None:
            self.ends_ns = round((plan.warmup_s + plan.duration_s) * NS_PER_S)

    @property
    def planned(self) -> int | None:
        """Messages of the measured part, where chance has no part in it."""
        plan = self.plan
        if plan.messages is not None:
            return plan.messages * plan.connections
        if plan.arrival == "poisson" or self.ends_ns is None:
            return None
        return self.curve.first_from(self.ends_ns) - self.curve.first_from(self.measured_from_ns)

    @property
    def length_s(self) -> float:
        """The length of the measured part in seconds; the expected one, where chance has a part in it."""
        plan = self.plan
        if plan.duration_s is not None:
            return plan.duration_s
        before = float(self.curve.messages_until(self.measured_from_ns))
        ends_ns = self.curve.due_ns(before + (plan.messages or 0) * plan.connections)
        return (ends_ns - self.measured_from_ns) / NS_PER_S

    def due(self, first: int = 0, count: int | None = None) -> DueTimes:
        """Return the messages of some connections: when each is due, in ns, and on which connection.

        Args:
          first: the first of these connections.
          count: how many; None for all. Times do not depend on it.
        """
        return DueTimes(self, first, self.plan.connections if count is None else first + count)

    def poisson(self) -> PoissonArrivals:
        """Return the messages of all connections, for Poisson arrivals."""
        ends_ns = math.inf if self.ends_ns is None else self.ends_ns
        return PoissonArrivals(self.plan, self.curve, self._stages_begin_ns, ends_ns)

    def uniform_end(self, until_ns: float = math.inf) -> float:
        """Return how many uniform arrivals, warm-up included, are due before this time."""
        plan = self.plan
        until_ns = min(until_ns, math.inf if self.ends_ns is None else self.ends_ns)
        end = math.inf if until_ns == math.inf else self.curve.first_from(max(0, int(until_ns)))
        if plan.messages is not None:
            all_of_them = self.curve.first_from(self.measured_from_ns) + plan.messages * plan.connections
            end = min(end, all_of_them)
        return end

    def stage_at(self, time_ns: float) -> int:
        """Return the stage at a time, from 0; -1 in the warm-up."""
        return bisect_right(self._stages_begin_ns, time_ns) - 1

    def stages_until(self, time_ns: float) -> list[tuple[int, float]]:
        """Return when each stage begins, and when it ends, or would at this time; it may have no length."""
        begins = self._stages_begin_ns
        ends = [*begins[1:], time_ns]
        return [(begin, max(begin, min(end, time_ns))) for begin, end in zip(begins, ends, strict=True)]


class DueTimes(Iterable[tuple[int, int]]):
    """The times of the messages of some connections, in ns since the beginning, and their connections.

    It can be iterated over once.

    Args:
      schedule: of all connections.
      first: the first of these.
      last: the one behind the last.
    """

    # Another connection sends what one cannot, and each message has its time, whatever the server does.
    keeps_connections = False
    is_at_once = False
    patience_ns = 0

    def __init__(self, schedule: Schedule, first: int, last: int) -> None:
        self._schedule = schedule
        self._first, self._last = first, last
        self._next_number = 0  # of all connections' messages
        self._arrivals: PoissonArrivals | None = None
        self._measured = 0  # Poisson arrivals of the measured part that have come
        if schedule.plan.arrival == "poisson":
            self._arrivals = schedule.poisson()
        self._times = (
            # What takes long is computed here, before the load begins.
            self._uniform_times(schedule.uniform_end())
            if self._arrivals is None
            else self._poisson_times(self._arrivals)
        )

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return self._times

    def _uniform_times(self, end: float) -> Iterator[tuple[int, int]]:
        connections = self._schedule.plan.connections
        for stretch in self._schedule.curve.stretches:
            due_ns = stretch.due_ns
            for number in self._our_numbers(stretch.first, min(stretch.stop, end)):
                self._next_number = number + 1
                yield due_ns(number), number % connections

    def _our_numbers(self, first: int, stop: float) -> Iterator[int]:
        """Yield the numbers, from ``first`` up to, and without, ``stop``, that are of these connections."""
        connections = self._schedule.plan.connections
        for start in itertools.count(first - first % connections, connections):
            if start >= stop:
                return
            yield from range(max(first, start + self._first), int(min(start + self._last, stop)))

    def _poisson_times(self, arrivals: PoissonArrivals) -> Iterator[tuple[int, int]]:
        first, last, measured_from_ns = self._first, self._last, self._schedule.measured_from_ns
        for due_ns, connection in arrivals:
            if first <= connection < last:
                self._measured += due_ns >= measured_from_ns
                yield due_ns, connection

    def pass_over(self, most: int) -> tuple[int, ...]:
        """Pass over messages before an iteration, as those that were sent already, and over the warm-up.

        Args:
          most: messages of the measured part.

        Returns:
          How many are of each stage; fewer than ``most`` together if there are no more, and none of
          uniform arrivals, which `take_rest` computes anyway.
        """
        if self._arrivals is None:
            return (0,) * len(self._schedule.stages_until(math.inf))
        passed = self._arrivals.pass_over(most, self._first, self._last)
        self._measured += sum(passed)
        return passed

    def take_rest(self, until_ns: float = math.inf) -> Rest:
        """End, and return how many messages were left that would be due before ``until_ns``.

        It takes a bounded time, however many these are: uniform arrivals are computed; of
        Poisson arrivals the next 65,536 of the schedule are counted, and of further ones the
        expected number is given, unless a number of messages says how many there are.
        """
        is_uniform = self._arrivals is None
        rest = self._rest_of_uniform(until_ns) if is_uniform else self._rest_of_poisson(until_ns)
        self._times = iter(())
        return rest

    def _rest_of_uniform(self, until_ns: float) -> Rest:
        schedule = self._schedule
        end = schedule.uniform_end(until_ns)
        begins_ns = [begin for begin, _ in schedule.stages_until(math.inf)]
        marks = [min(end, schedule.curve.first_from(begin_ns)) for begin_ns in begins_ns]
        ours = [self._ours_before(max(self._next_number, int(mark))) for mark in (0, *marks, end)]
        warmup, *stages = (after - before for before, after in itertools.pairwise(ours))
        return Rest(warmup, tuple(stages))

    def _ours_before(self, number: int) -> int:
        """Return how many of the messages before this one are of these connections."""
        count = self._last - self._first
        rounds, place = divmod(number, self._schedule.plan.connections)
        return rounds * count + min(max(0, place - self._first), count)

    def _rest_of_poisson(self, until_ns: float) -> Rest:
        schedule, before = self._schedule, self._measured
        messages, connections = schedule.plan.messages, self._last - self._first
        share = connections / schedule.plan.connections
        counts = [0] * (1 + len(schedule.stages_until(math.inf)))
        reached_ns = 0
        for due_ns, _ in itertools.islice(self._times, math.ceil(_COUNTED_ONE_BY_ONE * share)):
            if due_ns >= until_ns:
                return Rest(counts[0], tuple(counts[1:]))
            reached_ns = due_ns
            counts[1 + schedule.stage_at(due_ns)] += 1
        if next(self._times, None) is not None:
            ends_ns = min(until_ns, schedule.measured_from_ns + round(schedule.length_s * NS_PER_S))
            stretches = [(0, min(schedule.measured_from_ns, ends_ns)), *schedule.stages_until(ends_ns)]
            for index, stretch in enumerate(stretches):
                begin, end = (schedule.curve.messages_until(max(reached_ns, int(ns))) for ns in stretch)
                counts[index] += round(share * (end - begin))
            if messages is not None and until_ns == math.inf:  # on each connection there are as many
                counts[1] = messages * connections - before
        return Rest(counts[0], tuple(counts[1:]))
