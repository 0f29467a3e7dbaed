"""The search for the highest rate, against servers that are a formula."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trioecho.load import GeneratorHealth
from trioecho.load.goals.find_max import (
    CONFIRMATIONS,
    Search,
    TrialOutcome,
    TrialPhase,
    find_max_rate,
    round_rate,
)
from trioecho.load.report.words import search_in_words

HELD, BROKEN = TrialOutcome(holds=True), TrialOutcome(holds=False)
SATURATED = TrialOutcome(holds=False, saturated=True)


def search(
    outcome_at: Callable[[TrialPhase, float], TrialOutcome],
    start_rate: float = 1000.0,
    most_rate: float | None = None,
) -> Search:
    async def attempt(phase: TrialPhase, rate: float) -> TrialOutcome:
        await trio.lowlevel.checkpoint()
        return outcome_at(phase, rate)

    async def main() -> Search:
        return await find_max_rate(attempt, start_rate=start_rate, most_rate=most_rate)

    return trio.run(main)


def with_capacity(
    capacity: float, above: TrialOutcome = BROKEN
) -> Callable[[TrialPhase, float], TrialOutcome]:
    return lambda phase, rate: HELD if rate <= capacity else above


def phases(found: Search) -> list[TrialPhase]:
    return [trial.phase for trial in found.trials]


@given(capacity=st.floats(min_value=1, max_value=1e7), start_rate=st.floats(min_value=1, max_value=1e6))
def test_it_finds_the_capacity_to_five_percent(capacity: float, start_rate: float) -> None:
    start_rate = round_rate(start_rate)
    found = search(with_capacity(capacity), start_rate)
    if capacity < start_rate / 4096:
        assert found.rate is None
        return
    assert found.rate is not None
    # 5 %, and half a unit of the third digit of the rates that are tried.
    assert capacity / 1.06 <= found.rate <= capacity
    assert found.confirmed
    assert found.limited_by == "objective"
    assert phases(found)[-CONFIRMATIONS:] == ["confirm"] * CONFIRMATIONS
    assert {trial.rate for trial in found.trials[-CONFIRMATIONS:]} == {found.rate}


def test_its_steps() -> None:
    found = search(with_capacity(5200), 1000)
    steps = [(trial.phase, trial.rate, trial.outcome.holds) for trial in found.trials]
    assert steps == [
        ("double", 1000, True),
        ("double", 2000, True),
        ("double", 4000, True),
        ("double", 8000, False),
        ("double", 8000, False),  # what fails is tried once more
        ("bisect", 5660, False),
        ("bisect", 5660, False),
        ("bisect", 4760, True),
        ("bisect", 5190, True),
        ("bisect", 5420, False),
        ("bisect", 5420, False),
        ("confirm", 5190, True),
        ("confirm", 5190, True),
        ("confirm", 5190, True),
    ]


def test_a_start_that_is_too_high_is_halved() -> None:
    found = search(with_capacity(300), 1000)
    assert [(trial.phase, trial.rate) for trial in found.trials[:5]] == [
        ("double", 1000),
        ("double", 1000),
        ("halve", 500),
        ("halve", 500),
        ("halve", 250),
    ]
    assert found.rate is not None
    assert 285 <= found.rate <= 300


def test_nothing_holds() -> None:
    found = search(with_capacity(0))
    assert found.rate is None
    assert not found.confirmed
    assert found.limited_by == "objective"
    assert found.trials[-1].rate == 1000 / 4096


def test_a_hiccup_is_no_limit() -> None:
    hiccups = iter([1000.0, 4000.0, 5190.0])
    hiccup = next(hiccups)

    def outcome_at(phase: TrialPhase, rate: float) -> TrialOutcome:
        nonlocal hiccup
        if rate == hiccup and phase != "confirm":
            hiccup = next(hiccups, 0.0)
            return BROKEN
        return with_capacity(5200)(phase, rate)

    found = search(outcome_at)
    assert hiccup == 0.0
    assert found.rate == 5190


@pytest.mark.parametrize("above", [BROKEN, SATURATED])
def test_it_says_whose_limit_was_found(above: TrialOutcome) -> None:
    found = search(with_capacity(5200, above))
    assert found.rate == 5190
    assert found.limited_by == ("generator" if above.saturated else "objective")


def test_what_does_not_hold_again_is_backed_off_from() -> None:
    def outcome_at(phase: TrialPhase, rate: float) -> TrialOutcome:
        return with_capacity(4500 if phase == "confirm" else 5200)(phase, rate)

    found = search(outcome_at)
    assert found.confirmed
    assert found.rate is not None
    assert 4500 / 1.06 <= found.rate <= 4500
    confirmed_at = [trial.rate for trial in found.trials if trial.phase == "confirm"]
    assert all(later <= earlier for earlier, later in pairwise(confirmed_at))


def test_what_never_holds_again_is_not_confirmed() -> None:
    found = search(lambda phase, rate: BROKEN if phase == "confirm" else with_capacity(5200)(phase, rate))
    assert not found.confirmed
    assert phases(found).count("confirm") == 6


def test_nothing_ever_fails() -> None:
    found = search(with_capacity(1e99))
    assert found.confirmed
    assert found.limited_by == "nothing"


async def test_a_cancelled_search_tells_how_far_it_came() -> None:
    found = Search()

    async def attempt(phase: TrialPhase, rate: float) -> TrialOutcome:
        if len(found.trials) == 2:
            scope.cancel()
        await trio.lowlevel.checkpoint()
        return HELD

    with trio.CancelScope() as scope:
        await find_max_rate(attempt, start_rate=1000, search=found)
    assert scope.cancelled_caught
    assert [trial.rate for trial in found.trials] == [1000, 2000]
    assert found.rate == 2000


def test_what_cannot_be_sent_is_not_tried_and_is_no_limit_of_the_server() -> None:
    found = search(with_capacity(10_000), most_rate=2500)
    assert found.confirmed
    assert found.rate is not None
    assert 2500 / 1.06 <= found.rate <= 2500
    assert max(trial.rate for trial in found.trials) <= 2500
    assert found.limited_by == "connections"
    assert search_in_words(found, GeneratorHealth(judged=True)).endswith(
        "New connections send no more: the server may be able to do more."
    )
    assert search(with_capacity(1500), most_rate=2500).limited_by == "objective"
