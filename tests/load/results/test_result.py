"""A load's result: its JSON, and the sum of several."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import MS, S
from trioecho.base.histogram import Histogram
from trioecho.load import (
    Discrepancy,
    GeneratorHealth,
    LoadInterval,
    LoadPlan,
    LoadResult,
    UnreadableResultError,
    merge,
    result_as_json,
    result_from_json,
)
from trioecho.load.results.time_series import MOST_INTERVALS, TimeSeries, merge_intervals

THOROUGH = examples(100)


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("localhost", 26066, **changes)


# ---- the histogram and its oracle ----


@THOROUGH
@given(
    values=st.lists(st.integers(1, 3600 * S), min_size=1, max_size=200),
    others=st.lists(st.integers(1, 3600 * S), max_size=50),
)
def test_percentiles_agree_with_hdrhistogram(values: list[int], others: list[int]) -> None:
    ours, other = Histogram(), Histogram()
    oracle, other_oracle = HdrHistogram(1, 3600 * S, 3), HdrHistogram(1, 3600 * S, 3)
    for into, also, numbers in ((ours, oracle, values), (other, other_oracle, others)):
        for value in numbers:
            into.record(value)
            also.record_value(value)
    ours.merge(other)
    oracle.add(other_oracle)
    assert ours.count == oracle.get_total_count()
    for percent in (0, 10, 50, 90, 99, 99.9, 100):
        # HdrHistogram rounds the rank to the nearest, we round it up: where the two ranks
        # differ, the value lies between. Its own precision is 1/1000, ours 1/64.
        rank = percent / 100 * ours.count
        if abs(rank - round(rank)) > 1e-9:
            continue
        exact = oracle.get_value_at_percentile(percent)
        measured = ours.percentile(percent)
        assert measured is not None
        assert exact * (1 - 1 / 1000) <= measured <= exact * (1 + 1 / 64 + 1 / 1000)


# ---- results ----


_starts = itertools.count()


def result_of(**changes: Any) -> LoadResult:
    """One of a run of its own: each began a millisecond after the last."""
    result = LoadResult(plan_of(), elapsed_s=2.0, sent=3, messages=2, bytes=136, errors={"wrong": 1})
    result.started_at = datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=next(_starts))
    for value in (1 * MS, 2 * MS):
        result.latency_ns.record(value)
        result.from_send_ns.record(value)
    step = LoadInterval(0.0, 0.1, 3, 2, 136, 1)
    step.latency_ns.merge(result.latency_ns)
    result.intervals.append(step)
    result.discrepancies.append(Discrepancy(1, 2, "wrong", b"ab", b"ac", 2, 2, 0, ""))
    result.health = GeneratorHealth((0.5,), (0.1,))
    return replace(result, **changes)


def test_a_result_survives_json() -> None:
    text = result_as_json(result_of())
    again = result_from_json(text)
    assert result_as_json(again) == text
    assert (again.sent, again.messages, again.errors) == (3, 2, {"wrong": 1})
    assert again.discrepancies == result_of().discrepancies
    assert again.latency_ns.buckets == result_of().latency_ns.buckets
    assert json.loads(text)["messages_per_s"] == 1.0
    assert json.loads(text)["latency_ms"]["max"] == 2.0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", "null", '{"schema": "other/1"}', '{"schema": "trioecho-load/2"}', "[" * 100_000],
)
def test_what_is_no_load_result_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UnreadableResultError) as caught:
        result_from_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


COMPUTED = {
    "replies_verified",
    "schema",
    "seed",
    "messages_per_s",
    "bytes_per_s",
    "latency_ms",
    "from_send_ms",
}


READ_BACK = sorted(json.loads(result_as_json(result_of())).keys() - COMPUTED)


@pytest.mark.parametrize("name", READ_BACK)
def test_a_damaged_result_is_refused(name: str) -> None:
    good = json.loads(result_as_json(result_of()))
    without = {key: value for key, value in good.items() if key != name}
    if name not in (
        "runs",
        "messages_due",
        "ended_early",
        "stages",
        "recording",
        "churn",
        "tls",
        "workers",
        "sockets",
        "path",
        "lost",
    ):  # which older files do not have
        with pytest.raises(UnreadableResultError, match="damaged"):
            result_from_json(json.dumps(without))
    if name != "stopped":
        with pytest.raises(UnreadableResultError, match="damaged"):
            result_from_json(json.dumps({**good, name: [-1] if name != "command" else 3}))


def test_a_histogram_that_no_load_can_have_had_is_refused() -> None:
    data = json.loads(result_as_json(result_of()))
    data["histograms"]["latency_ns"]["total"] += 10**9
    with pytest.raises(UnreadableResultError, match="damaged"):
        result_from_json(json.dumps(data))


def test_results_merge_exactly() -> None:
    merged = merge([result_of(), result_of(elapsed_s=4.0), result_of(errors={"missing": 2})])
    assert (merged.sent, merged.messages, merged.bytes) == (9, 6, 408)
    assert merged.errors == {"wrong": 2, "missing": 2}
    assert merged.latency_ns.count == 6
    assert merged.elapsed_s == 4.0
    assert merged.plan.connections == 15
    assert merged.intervals[0].messages == 6
    assert merged.health.cpu_shares == (0.5, 0.5, 0.5)


def test_different_think_times_do_not_merge() -> None:
    thoughtful = [result_of(plan=plan_of(think_s=think_s)) for think_s in (0.005, 0.005, 0.05)]
    assert merge(thoughtful[:2]).plan.think_s == 0.005
    with pytest.raises(ValueError, match="think times"):
        merge(thoughtful)


def test_open_and_closed_loops_do_not_merge() -> None:
    with pytest.raises(ValueError, match="their times differ"):
        merge([result_of(), result_of(plan=plan_of(rate=5))])
    with pytest.raises(ValueError, match="no result"):
        merge([])


def test_time_series_merge_on_the_wider_grid() -> None:
    def series(steps: int) -> list[LoadInterval]:
        made = TimeSeries()
        for number in range(steps):
            made.add(LoadInterval(number / 10, 0.1, messages=1))
        return made.steps

    short, long = series(100), series(1000)
    assert len(short) == 100
    assert len(long) <= MOST_INTERVALS
    merged = merge_intervals([short, long])
    assert sum(step.messages for step in merged) == 1100
    assert [step.messages for step in merged[:3]] == [8, 8, 8]
