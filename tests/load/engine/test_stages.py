"""The schedule of stages: how many messages are due in each, and when, against an exact integral."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import S
from trioecho.load import LoadPlan, Stage
from trioecho.load.engine.schedule import Schedule

THOROUGH = examples(90)

RATES = st.one_of(
    st.just(0.0),
    st.integers(1, 500).map(float),
    st.integers(1, 50_000).map(lambda tenths: tenths / 100),
)
LENGTHS = st.integers(1, 500).map(lambda ms: ms / 1000)
STAGES = st.lists(
    st.one_of(
        st.tuples(RATES, RATES, LENGTHS),
        st.tuples(RATES, LENGTHS).map(lambda one: (one[0], *one)),
    ),
    min_size=1,
    max_size=6,
).filter(lambda stages: any(begin + end for begin, end, _ in stages))


def stages_of(rates: list[tuple[float, float, float]]) -> tuple[Stage, ...]:
    return tuple(Stage(f"stage-{number}", *rate) for number, rate in enumerate(rates))


def plan_of(rates: list[tuple[float, float, float]], **changes: Any) -> LoadPlan:
    return LoadPlan("h", 1, **{"connections": 3, "stages": stages_of(rates), **changes})


def exact(value: float) -> Fraction:
    return Fraction(str(value))


def integrals(rates: list[tuple[float, float, float]]) -> list[Fraction]:
    """N(t) when each stage begins, and when the last one ends: trapezoids, one after the other."""
    areas = [(exact(begin) + exact(end)) / 2 * exact(length_s) for begin, end, length_s in rates]
    return list(itertools.accumulate(areas, initial=Fraction(0)))


def integral_until(rates: list[tuple[float, float, float]], time_ns: int) -> Fraction:
    left_s = Fraction(time_ns, S)
    total = Fraction(0)
    for begin, end, length_s in rates:
        part_s = min(left_s, exact(length_s))
        total += part_s * (exact(begin) + (exact(end) - exact(begin)) / exact(length_s) * part_s / 2)
        left_s -= part_s
    return total


@THOROUGH
@given(STAGES)
def test_each_stage_has_the_messages_that_its_rates_come_to(rates: list[tuple[float, float, float]]) -> None:
    begins_ns = [0, *(round(at * S) for at in itertools.accumulate(exact(rate[2]) for rate in rates))]
    dues = [due for due, _ in Schedule(plan_of(rates)).due()]
    assert dues == sorted(dues)
    steps = zip(itertools.pairwise(begins_ns), itertools.pairwise(integrals(rates)), strict=True)
    for (begins, ends), (before, after) in steps:
        assert sum(begins <= due < ends for due in dues) == math.ceil(after) - math.ceil(before)
    assert Schedule(plan_of(rates)).planned == len(dues)


@THOROUGH
@given(STAGES)
def test_a_message_is_due_when_the_integral_of_the_rate_reaches_its_number(
    rates: list[tuple[float, float, float]],
) -> None:
    fastest = max(rate for begin, end, _ in rates for rate in (begin, end))
    for number, (due, _) in enumerate(Schedule(plan_of(rates)).due()):
        # A nanosecond is rounded away, and a ramp has a square root.
        assert abs(integral_until(rates, due) - number) <= 2e-9 * fastest + 1e-9, (number, due)


@THOROUGH
@given(STAGES, st.integers(0, 5000))
def test_until_any_moment_as_many_are_due_as_the_integral_says(
    rates: list[tuple[float, float, float]], at_ms: int
) -> None:
    schedule = Schedule(plan_of(rates))
    time_ns = min(at_ms * S // 1000, schedule.ends_ns or 0)
    due = sum(due < time_ns for due, _ in schedule.due())
    assert schedule.curve.first_from(time_ns) == due
    earliest, latest = (integral_until(rates, max(0, time_ns + shift)) for shift in (-2, 2))
    assert math.ceil(earliest) <= due <= math.ceil(latest)


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
def test_a_burst_has_its_messages_and_a_pause_has_none(arrival: Any) -> None:
    rates = [(0.0, 5000.0, 1.0), (0.0, 0.0, 0.3), (20_000.0, 20_000.0, 0.25), (0.1, 0.1, 10.0)]
    dues = [due for due, _ in Schedule(plan_of(rates, arrival=arrival)).due()]
    marks = [0, S, 1_300_000_000, 1_550_000_000, 11_550_000_000]
    counts = [sum(begin <= due < end for due in dues) for begin, end in itertools.pairwise(marks)]
    if arrival == "uniform":
        assert counts == [2500, 0, 5000, 1]
        assert dues[2500] == 1_300_000_000  # the first of the burst, when it begins
    else:
        assert counts[1] == 0
        assert counts[:3] == [pytest.approx(2500, rel=0.1), 0, pytest.approx(5000, rel=0.1)]


def test_a_message_whose_time_is_rounded_stays_in_its_stage() -> None:
    dues = [due for due, _ in Schedule(plan_of([(3.0, 3.0, 0.666666667), (1.0, 1.0, 1.0)])).due()]
    assert dues[:3] == [0, 333_333_333, 666_666_666]  # the third is due at 666,666,666.67 ns


@THOROUGH
@given(STAGES, st.integers(1, 4), st.sampled_from(["uniform", "poisson"]))
def test_the_shares_of_processes_are_the_whole(
    rates: list[tuple[float, float, float]], parts: int, arrival: Any
) -> None:
    plan = plan_of(rates, connections=5, arrival=arrival)
    firsts = [5 * part // parts for part in range(parts + 1)]
    shares = [list(Schedule(plan).due(first, stop - first)) for first, stop in itertools.pairwise(firsts)]
    assert sorted(itertools.chain(*shares)) == sorted(Schedule(plan).due())


@THOROUGH
@given(
    STAGES,
    st.sampled_from(["uniform", "poisson"]),
    st.sampled_from([0.0, 0.25]),
    st.integers(0, 300),
    st.one_of(st.just(math.inf), st.integers(0, 3 * S)),
)
def test_the_rest_is_known_for_each_stage(
    rates: list[tuple[float, float, float]], arrival: Any, warmup_s: float, taken: int, until_ns: float
) -> None:
    rates = [(rates[0][0] or 1.0, *rates[0][1:]), *rates[1:]]  # a warm-up needs a rate
    plan = plan_of(rates, arrival=arrival, warmup_s=warmup_s)
    schedule = Schedule(plan)
    dues = schedule.due(1, 2)
    come = [due for due, _ in itertools.islice(Schedule(plan).due(1, 2), taken, None) if due < until_ns]
    for _ in itertools.islice(dues, taken):
        pass
    rest = dues.take_rest(until_ns)
    assert (rest.warmup, *rest.stages) == tuple(
        sum(schedule.stage_at(due) == stage for due in come) for stage in range(-1, len(rates))
    )


def test_the_warm_up_has_the_rate_with_which_the_first_stage_begins() -> None:
    schedule = Schedule(plan_of([(100.0, 200.0, 1.0)], warmup_s=0.5))
    dues = [due for due, _ in schedule.due()]
    assert sum(due < S // 2 for due in dues) == 50
    assert (schedule.planned, schedule.length_s) == (150, 1.0)
