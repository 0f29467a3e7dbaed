"""Result files that were damaged: refused in one line that names the place, or read and of use."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_results import made_result, troubled_result
from trioecho.base.json_part import DamagedError, Part
from trioecho.load import LoadResult, UnreadableResultError, merge, result_as_json, result_from_json
from trioecho.load.report.comparison import compare
from trioecho.load.report.comparison_outputs import comparison_as_text
from trioecho.load.report.hgrm import histogram_as_hgrm
from trioecho.load.report.load_csv import result_as_csv
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.load_text import result_as_text
from trioecho.load.report.plot import Plot
from trioecho.load.results.time_series import MOST_INTERVALS

Place = tuple[str | int, ...]


def small_result() -> LoadResult:
    """One that has something in every part, and little of it."""
    result = made_result(seconds=3, rate=5, objectives=("p99<5ms", "errors==0", "rate>1"))
    troubled = troubled_result()
    for name in ("errors", "discrepancies", "notes", "search", "churn"):
        setattr(result, name, getattr(troubled, name))
    result.runs, result.plans = ["a", "b"], [result.plan, replace(result.plan, rate=7.0)]
    result.health.send_lateness_ns.record(1000, 60)
    result.health.loop_delay_ns.record(2000, 60)
    return result


GOOD = made_result(seconds=3, rate=5, seed=2)
DOCUMENT: dict[str, Any] = json.loads(result_as_json(small_result()))


def places(node: object, at: Place = ()) -> Iterator[Place]:
    """Every part of a document; of a list the first three items."""
    yield at
    if isinstance(node, dict):
        for name, part in node.items():
            yield from places(part, (*at, name))
    elif isinstance(node, list):
        for number, part in enumerate(node[:3]):
            yield from places(part, (*at, number))


PLACES = list(places(DOCUMENT))


def mutant(at: Place, change: Any) -> str:
    """The document with one part put in place of another, or, for `LEFT_OUT`, without it."""
    if not at:
        return json.dumps(change if change is not LEFT_OUT else None)
    document = copy.deepcopy(DOCUMENT)
    node: Any = document
    for step in at[:-1]:
        node = node[step]
    if change is LEFT_OUT:
        del node[at[-1]]
    elif change is TWICE and isinstance(node, list):
        node.append(node[int(at[-1])])
    else:
        node[at[-1]] = [] if change is TWICE else change
    return json.dumps(document)


LEFT_OUT, TWICE = object(), object()
NASTY = [
    LEFT_OUT, TWICE, None, "x", "", "\x1b]0;owned\x07\n", "\ud800", -1, 0, 1, 0.5, 1.5, 5e-324, 1e9, 1e18,
    1e308, 10**400, 2**53, 2**63, 2**64 - 1, math.nan, math.inf, True, False, [], {}, [1], {"a": 1}, {"1": 1},
]  # fmt: skip
anything = st.sampled_from(NASTY) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=5), parts, max_size=3),
    max_leaves=5,
)


def draw_nothing(plot: Plot) -> str:
    """In the place of `draw`, which takes a second: what it is given must be something that it can draw."""
    numbers = [
        number for line in plot.lines for point in line.points for number in point if number is not None
    ]
    numbers += [number for mark in plot.marks for number in mark[:2]]
    assert all(math.isfinite(number) and abs(number) < 1e30 for number in numbers)
    assert len(numbers) < 100_000
    return ""


def either(make: Callable[[], LoadResult]) -> tuple[LoadResult | None, str]:
    """A result, or why there is none."""
    try:
        return make(), ""
    except ValueError as error:
        return None, str(error)


def refused_or_of_use(text: str) -> None:
    result, refusal = either(lambda: result_from_json(text))
    assert refusal.isprintable()
    assert len(refusal) < 300
    if result is None:
        return
    assert len(result.intervals) <= MOST_INTERVALS
    merged, refusal = either(lambda: merge([GOOD, result]))
    assert refusal.isprintable()
    both = [result] if merged is None else [result, merged]
    assert result_as_json(result_from_json(result_as_json(result))) == result_as_json(result)
    for each in both:
        made = [
            result_as_json(each),
            result_as_text(each),
            result_as_csv(each),
            result_as_html(each),
            histogram_as_hgrm(each.latency_ns),
            comparison_as_text(GOOD, each, compare(GOOD, each)),
            comparison_as_text(each, GOOD, compare(each, GOOD)),
        ]
        assert sum(map(len, made)) < 10 * (len(text) + len(result_as_json(GOOD))) + 100_000


@pytest.fixture(scope="module", autouse=True)
def _no_drawing() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trioecho.load.report.load_html.draw", draw_nothing)
        yield


@examples(400)
@given(at=st.sampled_from(PLACES), change=anything)
@example(at=("plan", "host"), change=None)
@example(at=("intervals", 2, "t_s"), change=1e9)
@example(at=("intervals", 0, "width_s"), change=1e-9)
@example(at=("elapsed_s",), change=5e-324)
@example(at=("time",), change="0001-01-01T00:00:00+14:00")
@example(at=("histograms", "connect_ns", "buckets"), change={"9" * 400: 1})
@example(at=("objectives", 0, "objective"), change=f"p99<{'9' * 400}ms")
@example(at=("plan", "port"), change=50666.0)
@example(at=("plan", "connections"), change=True)
@example(at=("plan", "sizes"), change=[{"least": 1, "most": 1, "weight": 1e308}] * 2)
def test_a_part_that_is_something_else(at: Place, change: Any) -> None:
    refused_or_of_use(mutant(at, change))


@examples(100)
@given(seed=st.integers(0, 1 << 32))
def test_bytes_that_are_others(seed: int) -> None:
    chance = random.Random(seed)
    text = list(json.dumps(DOCUMENT))
    for _ in range(chance.randint(1, 5)):
        text[chance.randrange(len(text))] = chance.choice('0123456789"{}[],:-.eE ')
    refused_or_of_use("".join(text))


def test_an_undamaged_one_is_read() -> None:
    text = json.dumps(DOCUMENT)
    assert json.loads(result_as_json(result_from_json(text))) == DOCUMENT


@pytest.mark.parametrize(
    ("at", "change", "reason"),
    [
        (("plan", "host"), None, "plan.host: null is not a text"),
        (("plan", "port"), LEFT_OUT, "plan.port is missing"),
        (("plan", "port"), 0, "plan: port must be from 1 to 65535, not 0"),
        (("plan", "sizes", 0, "least"), 65, "plan.sizes: a range of sizes goes from the smaller"),
        (("elapsed_s",), 1e12, "elapsed_s: a time is from 1e-09 to 1e+09 s, not 1e+12"),
        (("intervals", 2, "t_s"), 1e9, "intervals[2].t_s: interval 2 begins at 2 s"),
        (("intervals", 1, "width_s"), 2.0, "intervals[1].width_s: all intervals have the same length"),
        (("intervals", 1), LEFT_OUT, "intervals[1].t_s: interval 1 begins at 1 s"),
        (("intervals", 0, "messages"), 7, "messages: 15 is not what the intervals add up to"),
        (("messages_sent",), 3, "messages_sent: 3 is less than the intervals add up to"),
        (("intervals", 0, "errors"), 7, "errors: 6 is less than the intervals add up to, 7"),
        (("histograms", "latency_ns", "max"), 0, "histograms.latency_ns: the largest value"),
        (("histograms", "from_send_ns"), {"total": 0, "max": 0, "buckets": {}}, "not as many values"),
        (("histograms", "connect_ns", "buckets"), {"01": 1}, "connect_ns.buckets: a bucket has no number"),
        (("generator", "cpu_shares"), [1, 1], "generator.cpu_wait_shares: it has not as many processes"),
        (("connections",), 6, "connections: 6 is more than the plan has"),
        (("plans",), [DOCUMENT["plan"]], "plans: there are not as many as runs"),
        (("plans", 1, "port"), 0, "plans[1]: port must be"),
        (("runs", 0), None, "runs[0]: null is not a text"),
        (("stopped",), 1, "stopped: 1 is neither true nor false"),
        (("discrepancies", 0, "expected"), "0g", "discrepancies[0].expected: '0g' is not hexadecimal"),
        (("search", "trials", 0, "phase"), "guess", "search.trials[0].phase: 'guess' is none of double, "),
        (("objectives", 0, "objective"), "p99", "objectives[0].objective: 'p99' is not an objective"),
        (("time",), "2024-05-06T17:08:09", "time: it is not a moment in UTC"),
    ],
)  # fmt: skip
def test_the_place_of_the_damage_is_named(at: Place, change: Any, reason: str) -> None:
    with pytest.raises(UnreadableResultError) as caught:
        result_from_json(mutant(at, change))
    assert str(caught.value).startswith("this load result is damaged: ")
    assert reason in str(caught.value)


def test_a_number_of_another_kind_is_none() -> None:
    for value, kind in ((True, int), (1.0, int), ("1", int), (True, float), (math.nan, float), (1, bool)):
        with pytest.raises(DamagedError, match=r"^here: "):
            Part(value, "here").read(kind)
