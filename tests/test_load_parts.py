"""The parts of a load: plan, payloads, schedule, result and its JSON, the verdict, the histogram's oracle."""

from __future__ import annotations

import gc
import itertools
import json
import math
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.load_world import MS, S, Server, World, WorldSocket, run_in_world
from trioecho.framing import FrameFormat
from trioecho.histogram import Histogram
from trioecho.load import (
    Discrepancy,
    Interval,
    LoadPlan,
    LoadResult,
    Ramp,
    SelfWatch,
    SizeRange,
    Sizes,
    UnreadableResultError,
    merge,
)
from trioecho.load.engine import Engine
from trioecho.load.merging import merge_intervals
from trioecho.load.payloads import Library, message_payload
from trioecho.load.result import MOST_INTERVALS
from trioecho.load.schedule import Schedule
from trioecho.load.tally import Series
from trioecho.load.watch import judged

THOROUGH = settings(deadline=None, derandomize=True, max_examples=100)


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("localhost", 50666, **changes)


# ---- the plan ----


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 0}, "a rate of 0 messages/s is impossible"),
        ({"rate": -5}, "a rate of -5"),
        ({"rate": math.nan}, "a rate of nan"),
        ({"connections": 0}, "connections must be from 1"),
        ({"messages": 0}, "messages must be from 1"),
        ({"pipeline": 0}, "pipeline must be from 1"),
        ({"messages": 5, "duration_s": 1.0}, "not both"),
        ({"duration_s": 0}, "a duration of 0 s measures nothing"),
        ({"duration_s": math.inf}, "duration_s must be 0 or more"),
        ({"timeout_s": 0}, "makes every reply late"),
        ({"warmup_s": -1}, "warmup_s must be 0 or more"),
        ({"rate": 5, "pipeline": 2}, "a pipeline belongs to a closed loop"),
        ({"rate": 5, "think_s": 0.1}, "a think time belongs to a closed loop"),
        ({"ramp": Ramp(0, 5, 1), "think_s": 0.1}, "a think time belongs to a closed loop"),
        ({"think_s": -1}, "think_s must be 0 or more"),
        ({"think_s": math.inf}, "think_s must be 0 or more"),
        ({"rate": 5, "ramp": Ramp(0, 5, 1)}, "not both"),
        ({"ramp": Ramp(0, 0, 1)}, "a ramp from 0 to 0"),
        ({"ramp": Ramp(0, 5, 0)}, "a ramp must take more than 0 s"),
        ({"ramp": Ramp(5, 0, 1), "messages": 5}, "may never send all messages"),
        ({"processes": 6}, "6 processes cannot share 5 connections"),
        ({"seed": -1}, "seed must be"),
        ({"arrival": "never"}, "arrival must be"),
        ({"sizes": Sizes.of(256), "format": FrameFormat(header_bytes=1)}, "can express, 255"),
        ({"sizes": Sizes.of(255), "format": FrameFormat(1, "big", True)}, "can express, 254"),
    ],
)
def test_an_impossible_plan_says_why(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan_of(**changes)


def test_the_default_is_the_homework_load() -> None:
    plan = plan_of()
    assert (plan.connections, plan.messages, plan.duration_s, plan.is_open) == (5, 200, None, False)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"think_s": 0.25, "pipeline": 3},
        {"rate": 100.5, "arrival": "poisson", "duration_s": 3.5},
        {"ramp": Ramp(1, 2, 3), "format": FrameFormat(2, "little", True), "sizes": Sizes.of(1, 9)},
    ],
)
def test_a_plan_survives_json(changes: dict[str, Any]) -> None:
    plan = plan_of(**changes)
    assert LoadPlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_plan_from_before_think_times_has_none() -> None:
    plan = plan_of().to_dict()
    del plan["think_s"]
    assert LoadPlan.from_dict(plan) == plan_of()


def test_sizes_are_as_weighted() -> None:
    sizes = Sizes((SizeRange(64, 64, 9), SizeRange(1000, 1999, 1)))
    drawn = Counter(sizes.at((i + 0.5) / 10_000) for i in range(10_000))
    assert drawn[64] == 9000
    assert {drawn[size] for size in range(1000, 2000)} == {1}
    assert sizes.mean == pytest.approx(0.9 * 64 + 0.1 * 1499.5)


# ---- payloads ----


@THOROUGH
@given(
    sizes=st.lists(st.integers(0, 100), min_size=1, max_size=4),
    connections=st.integers(1, 20),
    seed=st.integers(0, (1 << 64) - 1),
    format=st.sampled_from([FrameFormat(), FrameFormat(1), FrameFormat(2, "little", True)]),
)
def test_a_round_is_its_frames(sizes: list[int], connections: int, seed: int, format: FrameFormat) -> None:
    ranges = tuple(SizeRange(size, size) for size in sizes)
    plan = plan_of(connections=connections, sizes=Sizes(ranges), seed=seed, format=format)
    reel = Library(plan).reel(connections - 1)
    for number in (0, 1, 77):
        first = number * reel.frames
        payloads = [reel.payload(first + i) for i in range(reel.frames)]
        wire = b"".join(format.encode_header(len(payload)) + payload for payload in payloads)
        assert reel.round(number) == wire
        assert message_payload(plan, connections - 1, first + 1) == payloads[0]


def test_no_two_payloads_are_alike() -> None:
    plan = plan_of(connections=7, sizes=Sizes.of(8, 40))
    reels = [Library(plan).reel(connection) for connection in range(7)]
    payloads = {reel.payload(number) for reel in reels for number in range(2000)}
    assert len(payloads) == 7 * 2000


def test_payloads_follow_from_the_seed() -> None:
    assert message_payload(plan_of(seed=1), 3, 50) == message_payload(plan_of(seed=1), 3, 50)
    assert message_payload(plan_of(seed=1), 3, 50) != message_payload(plan_of(seed=2), 3, 50)
    assert message_payload(plan_of(), 3, 50) != message_payload(plan_of(), 4, 50)


@pytest.mark.parametrize(("connection", "number"), [(5, 1), (-1, 1), (0, 0)])
def test_a_message_that_is_not_of_the_plan(connection: int, number: int) -> None:
    with pytest.raises(ValueError, match="no message"):
        message_payload(plan_of(), connection, number)


# ---- the schedule ----


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


def result_of(**changes: Any) -> LoadResult:
    result = LoadResult(plan_of(), elapsed_s=2.0, sent=3, messages=2, bytes=136, errors={"wrong": 1})
    for value in (1 * MS, 2 * MS):
        result.latency_ns.record(value)
        result.from_send_ns.record(value)
    step = Interval(0.0, 0.1, 3, 2, 136, 1)
    step.latency_ns.merge(result.latency_ns)
    result.intervals.append(step)
    result.discrepancies.append(Discrepancy(1, 2, "wrong", b"ab", b"ac", 2, 2, 0, ""))
    result.watch = SelfWatch((0.5,), (0.1,))
    return replace(result, **changes)


def test_a_result_survives_json() -> None:
    text = result_of().to_json()
    again = LoadResult.from_json(text)
    assert again.to_json() == text
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
        LoadResult.from_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


COMPUTED = {"schema", "seed", "messages_per_s", "bytes_per_s", "latency_ms", "from_send_ms"}
READ_BACK = sorted(json.loads(result_of().to_json()).keys() - COMPUTED)


@pytest.mark.parametrize("name", READ_BACK)
def test_a_damaged_result_is_refused(name: str) -> None:
    good = json.loads(result_of().to_json())
    without = {key: value for key, value in good.items() if key != name}
    with pytest.raises(UnreadableResultError, match="damaged"):
        LoadResult.from_json(json.dumps(without))
    if name != "stopped":
        with pytest.raises(UnreadableResultError, match="damaged"):
            LoadResult.from_json(json.dumps({**good, name: [-1] if name != "command" else 3}))


def test_a_histogram_that_no_load_can_have_had_is_refused() -> None:
    data = json.loads(result_of().to_json())
    data["histograms"]["latency_ns"]["total"] += 10**9
    with pytest.raises(UnreadableResultError, match="damaged"):
        LoadResult.from_json(json.dumps(data))


def test_results_merge_exactly() -> None:
    merged = merge([result_of(), result_of(elapsed_s=4.0), result_of(errors={"missing": 2})])
    assert (merged.sent, merged.messages, merged.bytes) == (9, 6, 408)
    assert merged.errors == {"wrong": 2, "missing": 2}
    assert merged.latency_ns.count == 6
    assert merged.elapsed_s == 4.0
    assert merged.plan.connections == 15
    assert merged.intervals[0].messages == 6
    assert merged.watch.cpu_shares == (0.5, 0.5, 0.5)


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
    def series(steps: int) -> list[Interval]:
        made = Series()
        for number in range(steps):
            made.add(Interval(number / 10, 0.1, messages=1))
        return made.steps

    short, long = series(100), series(1000)
    assert len(short) == 100
    assert len(long) <= MOST_INTERVALS
    merged = merge_intervals([short, long])
    assert sum(step.messages for step in merged) == 1100
    assert [step.messages for step in merged[:3]] == [8, 8, 8]


# ---- the verdict ----


def late(ms: float, count: int = 1000) -> Histogram:
    histogram = Histogram()
    histogram.record(round(ms * MS), count)
    return histogram


@pytest.mark.parametrize(
    ("watch", "elapsed_s", "p99_ms", "reasons"),
    [
        (SelfWatch((0.94,), (0.0,)), 1.0, 1, 0),
        (SelfWatch((0.95,), (0.0,)), 1.0, 1, 1),
        (SelfWatch((0.5,), (0.45,)), 1.0, 1, 1),  # it would have used the CPU
        (SelfWatch((0.5, 0.96), (0.0, 0.0)), 1.0, 1, 1),
        (SelfWatch((1.0,), (0.0,)), 0.99, 1, 0),  # too short to tell
        (SelfWatch((0.5,), (0.0,), late(0.9)), 1.0, 1, 0),
        (SelfWatch((0.5,), (0.0,), late(1.1)), 1.0, 1, 1),
        (SelfWatch((0.5,), (0.0,), late(1.1)), 0.1, 1, 1),
        (SelfWatch((0.5,), (0.0,), late(1.1, 999)), 1.0, 1, 0),  # too few to tell
        (SelfWatch((0.5,), (0.0,), late(5)), 1.0, 100, 0),  # it does not matter beside 100 ms
        (SelfWatch((1.0,), (0.0,), late(50)), 1.0, 100, 2),
    ],
)
def test_when_the_numbers_describe_the_generator(
    watch: SelfWatch, elapsed_s: float, p99_ms: float, reasons: int
) -> None:
    verdict = judged(LoadResult(plan_of(), elapsed_s=elapsed_s, latency_ns=late(p99_ms), watch=watch))
    assert len(verdict.reasons) == reasons
    assert verdict.saturated == bool(reasons)


@pytest.mark.parametrize(("late_ms", "reasons"), [(1.9, 0), (2.1, 1)])
def test_late_sends_are_part_of_think_times_and_not_of_latency(late_ms: float, reasons: int) -> None:
    watch = SelfWatch((0.5,), (0.0,), late(late_ms))
    plan = plan_of(think_s=0.02)
    verdict = judged(LoadResult(plan, elapsed_s=1.0, latency_ns=late(0.1), watch=watch))
    assert len(verdict.reasons) == reasons
    assert all("think times were longer" in reason for reason in verdict.reasons)


# ---- memory ----


def test_a_long_load_holds_no_more_than_a_short_one() -> None:
    """Counted in objects and bytes of what a connection holds, not in the process's memory."""
    held: list[tuple[int, int]] = []

    def look(engine: Engine, world: World) -> None:
        for connection in engine._connections.values():
            held.append((len(connection.under_way.runs), sum(map(len, connection._wires))))

    plan = plan_of(connections=1, messages=60_000, pipeline=50)
    result = run_in_world(plan, Server(), on_turn=look)
    assert result.messages == 60_000
    assert max(runs for runs, _ in held) <= 50
    reel_bytes = Library(plan).reel(0).size
    assert max(wires for _, wires in held) <= 2 * reel_bytes


def test_a_server_that_drops_every_reply_does_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.load.matching.MOST_OVERDUE", 100)
    most = 0

    class Dropping(Server):
        def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
            if number % 2:
                super().answer(connection, frame, number)

    def look(engine: Engine, world: World) -> None:
        nonlocal most
        most = max([most, *(len(c._inspection._matcher.overdue) for c in engine._connections.values())])

    result = run_in_world(plan_of(connections=1, messages=2000, pipeline=10), Dropping(), on_turn=look)
    assert most <= 100
    assert result.errors == {"missing": 2000 - result.messages}


def test_a_run_leaves_no_garbage_that_grows() -> None:
    random.seed(0)
    gc.collect()
    run_in_world(plan_of(messages=50), Server())
    gc.collect()
    before = len(gc.get_objects())
    run_in_world(plan_of(messages=2000), Server())
    gc.collect()
    assert len(gc.get_objects()) - before < 200
