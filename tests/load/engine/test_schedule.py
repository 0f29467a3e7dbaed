"""When the messages of an open loop are due."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from tests.support.load_world import MS, S
from trioecho.load import (
    LoadPlan,
)
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


def test_uniform_arrivals_are_never_a_nanosecond_off() -> None:
    dues = list(Schedule(plan_of(rate=3, duration_s=100.0)).due())
    assert dues == [(round(i * S / 3), i % 5) for i in range(300)]
