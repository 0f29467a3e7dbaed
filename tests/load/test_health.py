"""When the numbers of a load describe its generator."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.load_world import MS
from trioecho.base.histogram import Histogram
from trioecho.load import (
    GeneratorHealth,
    LoadPlan,
    LoadResult,
)
from trioecho.load.report.words import generator_in_words
from trioecho.load.results.saturation import judged


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("localhost", 26066, **changes)


def late(ms: float, count: int = 1000) -> Histogram:
    histogram = Histogram()
    histogram.record(round(ms * MS), count)
    return histogram


@pytest.mark.parametrize(
    ("health", "elapsed_s", "p99_ms", "reasons"),
    [
        (GeneratorHealth((0.94,), (0.0,)), 1.0, 1, 0),
        (GeneratorHealth((0.95,), (0.0,)), 1.0, 1, 1),
        (GeneratorHealth((0.5,), (0.45,)), 1.0, 1, 1),  # it would have used the CPU
        (GeneratorHealth((0.5, 0.96), (0.0, 0.0)), 1.0, 1, 1),
        (GeneratorHealth((1.0,), (0.0,)), 0.99, 1, 0),  # too short to tell
        (GeneratorHealth((0.5,), (0.0,), late(0.9)), 1.0, 1, 0),
        (GeneratorHealth((0.5,), (0.0,), late(1.1)), 1.0, 1, 1),
        (GeneratorHealth((0.5,), (0.0,), late(1.1)), 0.1, 1, 1),
        (GeneratorHealth((0.5,), (0.0,), late(1.1, 999)), 1.0, 1, 0),  # too few to tell
        (GeneratorHealth((0.5,), (0.0,), late(5)), 1.0, 100, 0),  # it does not matter beside 100 ms
        (GeneratorHealth((1.0,), (0.0,), late(50)), 1.0, 100, 2),
    ],
)
def test_when_the_numbers_describe_the_generator(
    health: GeneratorHealth, elapsed_s: float, p99_ms: float, reasons: int
) -> None:
    verdict = judged(LoadResult(plan_of(), elapsed_s=elapsed_s, latency_ns=late(p99_ms), health=health))
    assert len(verdict.reasons) == reasons
    assert verdict.saturated == bool(reasons)


@pytest.mark.parametrize(("late_ms", "reasons"), [(1.9, 0), (2.1, 1)])
def test_late_sends_are_part_of_think_times_and_not_of_latency(late_ms: float, reasons: int) -> None:
    health = GeneratorHealth((0.5,), (0.0,), late(late_ms))
    plan = plan_of(think_s=0.02)
    verdict = judged(LoadResult(plan, elapsed_s=1.0, latency_ns=late(0.1), health=health))
    assert len(verdict.reasons) == reasons
    assert all("think times were longer" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("changes", "sends", "elapsed_s", "words"),
    [
        ({"rate": 10.0, "duration_s": 10.0}, 999, 10.0, "too few messages to judge the generator: "),
        ({"rate": 10.0, "duration_s": 10.0}, 1000, 10.0, "not saturated: "),
        ({"think_s": 1.0}, 999, 10.0, "too few messages to judge the generator: "),
        ({"think_s": 1.0}, 1000, 0.9, "not saturated: "),
        ({}, 0, 1.0, "not saturated: "),  # sends of a closed loop are never late
        ({}, 0, 0.9, "too short to judge: "),
    ],
)
def test_a_generator_that_was_not_judged_is_not_called_unsaturated(
    changes: dict[str, Any], sends: int, elapsed_s: float, words: str
) -> None:
    health = GeneratorHealth((0.16,), (0.73,), late(0.1, sends) if sends else Histogram())
    result = LoadResult(plan_of(**changes), elapsed_s=elapsed_s, health=health)
    result.health = judged(result)
    assert result.health.judged is words.startswith("not saturated")
    assert generator_in_words(result).startswith(f"{words}CPU 16%, waiting for a CPU 73%")


def test_a_generator_without_cpu_time_is_judged_whatever_the_number_of_messages() -> None:
    health = GeneratorHealth((1.0,), (0.0,), late(0.1, 10))
    result = LoadResult(plan_of(rate=10.0, duration_s=1.0), elapsed_s=1.0, health=health)
    result.health = judged(result)
    assert result.health.judged
    assert generator_in_words(result).startswith("saturated: ")
