from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.load.goals.objectives import ObjectiveError, parse_objective, shown_percents


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "limit"),
    [
        ("p99<5ms", "p99", "<", 5.0),
        ("p99.9<=20ms", "p99.9", "<=", 20.0),
        (" p50 < 0.5 s ", "p50", "<", 500.0),
        ("mean<=800us", "mean", "<=", 0.8),
        ("mean<800µs", "mean", "<", 0.8),
        ("max<1500000ns", "max", "<", 1.5),
        ("p99>1ms", "p99", ">", 1.0),
        ("errors==0", "errors", "==", 0.0),
        ("errors<=0", "errors", "<=", 0.0),
        ("errors<10", "errors", "<", 10.0),
        ("errors<0.1%", "errors", "<", 0.1),
        ("rate>1000", "rate", ">", 1000.0),
        ("rate>=1000/s", "rate", ">=", 1000.0),
    ],
)
def test_what_can_be_asked(text: str, metric: str, comparison: str, limit: float) -> None:
    objective = parse_objective(text)
    assert (objective.metric, objective.comparison) == (metric, comparison)
    assert objective.limit == pytest.approx(limit)
    assert objective.is_share == ("%" in text)
    assert objective.text == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not an objective"),
        ("p99", "is not an objective"),
        ("p99=5ms", "is not an objective"),
        ("p99!=5ms", "is not an objective"),
        ("p99<-5ms", "is not an objective"),
        ("5ms>p99", "is not an objective"),
        ("p<5ms", "is not measured"),
        ("latency<5ms", "is not measured"),
        ("p101<5ms", "below 100"),
        ("p100<5ms", "the highest value is max"),
        ("p0<5ms", "above 0"),
        ("p99<5", "write the unit"),
        ("p99<5m", "write the unit"),
        ("p99<0ms", "no run can meet it"),
        ("p99<=0ms", "no run can meet it"),
        ("p99>=0ms", "every run meets it"),
        ("p99==5ms", "ever exactly that"),
        ("rate==1000", "ever exactly that"),
        ("rate<0", "no run can meet it"),
        ("rate>1000ms", "without a unit"),
        ("errors<0", "no run can meet it"),
        ("errors<5ms", "errors are a number"),
        ("errors==0.5", "ever exactly that"),
        ("errors<0.5", "whole numbers"),
        ("errors==0.5%", "ever exactly that"),
        ("errors>100%", "no run can meet it"),
        ("errors==101%", "no run can meet it"),
        ("errors<=100%", "every run meets it"),
        ("errors<200%", "every run meets it"),
        ("errors>=0", "every run meets it"),
    ],
)
def test_what_cannot(text: str, reason: str) -> None:
    with pytest.raises(ObjectiveError, match=reason) as caught:
        parse_objective(text)
    assert "\n" not in str(caught.value)


def test_a_share_can_be_nothing() -> None:
    assert parse_objective("errors==0%").judge(0.0).holds


@pytest.mark.parametrize(
    ("comparison", "holds"),
    [
        ("<", (True, False, False)),
        ("<=", (True, True, False)),
        (">", (False, False, True)),
        (">=", (False, True, True)),
    ],
)
def test_verdicts(comparison: str, holds: tuple[bool, bool, bool]) -> None:
    objective = parse_objective(f"rate{comparison}10")
    assert tuple(objective.judge(measured).holds for measured in (9.0, 10.0, 11.0)) == holds
    assert not objective.judge(None).holds


@pytest.mark.parametrize(
    ("text", "measured", "line"),
    [
        ("p99<5ms", 4.9994, "p99<5ms: held, 4.999 ms"),
        ("p99<5ms", 12.0, "p99<5ms: BROKEN, 12.000 ms"),
        ("p99<5ms", None, "p99<5ms: BROKEN, nothing measured"),
        ("rate>1000", 12345.6, "rate>1000: held, 12,346 messages/s"),
        ("errors==0", 3.0, "errors==0: BROKEN, 3"),
        ("errors<0.1%", 0.05, "errors<0.1%: held, 0.05 %"),
    ],
)
def test_a_verdict_in_words(text: str, measured: float | None, line: str) -> None:
    assert str(parse_objective(text).judge(measured)) == line


@pytest.mark.parametrize(
    ("text", "can_break"),
    [("p99<5ms", True), ("errors==0", True), ("mean>1ms", False), ("rate>1000", False), ("rate<1000", False)],
)
def test_what_a_search_can_use(text: str, can_break: bool) -> None:
    assert parse_objective(text).can_break_under_load is can_break


@given(st.text(alphabet="p9.<=>erorsatmenxu%1 ", max_size=14))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        objective = parse_objective(text)
    except ObjectiveError:
        return
    # What was accepted can be met, and can be broken.
    measured = (0.0, objective.limit, objective.limit + 1, objective.limit / 2, math.inf)
    assert {objective.judge(value).holds for value in measured} == {True, False}


def test_a_percentile_is_exactly_that_which_was_written() -> None:
    assert parse_objective("p99.9<5ms").percent == Fraction(999, 10)
    assert parse_objective("errors==0").percent is None
    finest = parse_objective("p99.999999999999999999<5ms")  # as a float it would be 100
    assert finest.percent is not None
    assert finest.percent < 100


@pytest.mark.parametrize(("text", "ns"), [("p99<1.1us", 1100), ("p99<0.0011ms", 1100), ("max<2.3us", 2300)])
def test_a_limit_in_any_unit_is_rounded_as_what_is_measured(text: str, ns: int) -> None:
    assert not parse_objective(text).judge(ns / 1e6).holds
    assert parse_objective(text.replace("<", "<=")).judge(ns / 1e6).holds


def test_every_percentile_that_an_objective_names_is_shown_in_its_place() -> None:
    objectives = map(parse_objective, ["p97.5<5ms", "p99.99999<1s", "p99.0<2ms", "max<1s", "p97.50<6ms"])
    assert shown_percents(objectives) == [
        "50", "75", "90", "95", "97.5", "99", "99.9", "99.99", "99.99999",
    ]  # fmt: skip
