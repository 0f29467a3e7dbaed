"""When the messages of an open loop are due."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import MS, S
from trioecho.load import LoadPlan, Stage
from trioecho.load.engine import schedule as schedules
from trioecho.load.engine.schedule import Schedule


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("localhost", 26066, **changes)


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_the_schedule_does_not_depend_on_the_number_of_processes(arrival: Any, parts: int) -> None:
    plan = plan_of(rate=1000, duration_s=1.0, warmup_s=0.5, arrival=arrival)
    firsts = [5 * part // parts for part in range(parts + 1)]
    schedules = [list(Schedule(plan).due(first, stop - first)) for first, stop in itertools.pairwise(firsts)]
    assert sorted(due for schedule in schedules for due in schedule) == sorted(Schedule(plan).due())


def test_poisson_arrivals_have_exponential_distances() -> None:
    dues = [due for due, _ in Schedule(plan_of(rate=1000, duration_s=20.0, arrival="poisson")).due()]
    gaps = sorted(after - before for before, after in itertools.pairwise(dues))
    assert len(dues) == pytest.approx(20_000, rel=0.03)
    for quantile in (0.1, 0.5, 0.9, 0.99):
        exact = -math.log(1 - quantile) * MS
        assert gaps[int(quantile * len(gaps))] == pytest.approx(exact, rel=0.08)


@examples(60)
@given(
    rates=st.lists(st.tuples(st.sampled_from([0.0, 70.0, 400.0]), st.sampled_from([0.0, 300.0])), max_size=3),
    warmup_s=st.sampled_from([0.0, 0.5]),
    ours=st.sampled_from([(0, 3), (1, 2), (2, 1)]),
    most=st.integers(0, 900),
    seed=st.integers(1, 5),
)
def test_arrivals_that_are_passed_over_are_those_that_would_have_come(
    rates: list[tuple[float, float]], warmup_s: float, ours: tuple[int, int], most: int, seed: int
) -> None:
    stages = tuple(Stage(str(n), begin or 50.0, end, 0.5) for n, (begin, end) in enumerate(rates))
    length: dict[str, Any] = {"stages": stages} if stages else {"rate": 300.0, "duration_s": 1.5}
    plan = plan_of(connections=3, warmup_s=warmup_s, arrival="poisson", seed=seed, **length)
    schedule = Schedule(plan)
    come = [(schedule.stage_at(due), due, connection) for due, connection in schedule.due(*ours)]
    numbers = [number for number, (stage, _, _) in enumerate(come) if stage >= 0][:most]
    passed = Counter(come[number][0] for number in numbers)
    dues = schedule.due(*ours)
    assert dues.pass_over(most) == tuple(passed[stage] for stage in range(len(rates) or 1))
    if len(numbers) == most:
        assert list(dues) == [(due, where) for _, due, where in come[numbers[-1] + 1 if numbers else 0 :]]
    else:
        assert list(dues) == []


@pytest.mark.parametrize("taken", [0, 1, 250, 700])
def test_of_a_number_of_messages_the_rest_is_known_however_large_it_is(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "_COUNTED_ONE_BY_ONE", 100)
    plan = plan_of(rate=500, messages=400, connections=4, warmup_s=0.2, arrival="poisson")
    dues = Schedule(plan).due(1, 2)
    measured = sum(due >= S // 5 for due, _ in itertools.islice(dues, taken))
    assert dues.take_rest().stages == (800 - measured,)


def test_uniform_arrivals_are_never_a_nanosecond_off() -> None:
    dues = list(Schedule(plan_of(rate=3, duration_s=100.0)).due())
    assert dues == [(round(i * S / 3), i % 5) for i in range(300)]
