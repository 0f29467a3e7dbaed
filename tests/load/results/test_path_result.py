"""What is known of the path: it adds up exactly, is in JSON, and what it can explain."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from trioecho.base.histogram import Histogram
from trioecho.base.json_part import Part
from trioecho.load import (
    LoadInterval,
    LoadPlan,
    LoadProgress,
    LoadResult,
    UnreadableResultError,
    merge,
    result_as_json,
    result_from_json,
)
from trioecho.load.goals.objectives import parse_objective
from trioecho.load.processes.messages import decode_load_message, encode_load_message
from trioecho.load.report.path_words import retransmits_in_words
from trioecho.load.results.judging import judge
from trioecho.load.results.path_counts import PathCounts
from trioecho.load.results.path_reader import read_path_counts
from trioecho.load.results.path_result import PathResult, explain, merge_paths
from trioecho.load.results.progress import merge_progress

MS = 1_000_000


def histogram(*values: int) -> Histogram:
    made = Histogram()
    made.record_all(values)
    return made


def counts(retransmits: int = 0, *rtts_us: int, rto_us: int | None = 201_000, **changes: Any) -> PathCounts:
    return PathCounts(
        retransmits,
        data_segments=changes.get("segments", 1000),
        needless=changes.get("needless", 0),
        out_of_order=2,
        busy_us=300,
        window_limited_us=20,
        buffer_limited_us=10,
        rtt_deviation_us=5 * len(rtts_us),
        rtt_ns=histogram(*(rtt_us * 1000 for rtt_us in rtts_us)),
        congestion_window=histogram(*(10 for _ in rtts_us)),
        unsent_bytes=histogram(*(7 for _ in rtts_us)),
        least_rto_us=rto_us,
        least_rtt_us=min(rtts_us, default=None),
    )


numbers = st.integers(0, 1 << 40)
some_counts = st.builds(
    counts,
    numbers,
    st.integers(1, 1 << 30),
    rto_us=st.none() | st.integers(1, 1 << 30),
    segments=numbers,
)


@examples(50)
@given(parts=st.lists(some_counts, min_size=1, max_size=6))
def test_it_adds_up_in_any_order(parts: list[PathCounts]) -> None:
    forwards, backwards = PathCounts(), PathCounts()
    for part in parts:
        forwards.add(part)
    for part in reversed(parts):
        backwards.add(part)
    assert forwards.to_dict() == backwards.to_dict()
    assert forwards.retransmits == sum(part.retransmits for part in parts)
    assert forwards.rtt_ns.count == len(parts)
    known = [part.least_rto_us for part in parts if part.least_rto_us is not None]
    assert forwards.least_rto_us == min(known, default=None)


def result_with(path: PathResult | None, *latencies_ms: float, **plan: Any) -> LoadResult:
    result = LoadResult(LoadPlan("localhost", 26066, **plan), elapsed_s=10.0, path=path)
    step = LoadInterval(0.0, 10.0, sent=len(latencies_ms), messages=len(latencies_ms))
    step.latency_ns.record_all([round(ms * MS) for ms in latencies_ms])
    step.path = None if path is None else path.counts
    result.intervals = [step]
    result.sent = result.messages = len(latencies_ms)
    result.latency_ns.merge(step.latency_ns)
    result.from_send_ns.merge(step.latency_ns)
    return result


def test_it_is_in_json_and_read_back() -> None:
    path = PathResult(counts(12, 100, 200, 300), 5, "")
    result = result_with(path, 1.0, 250.0)
    again = result_from_json(result_as_json(result))
    assert again.path is not None
    assert again.path.counts.to_dict() == path.counts.to_dict()
    assert (again.path.connections, again.path.missing) == (5, "")
    [step] = again.intervals
    assert step.path is not None
    assert step.path.to_dict() == path.counts.to_dict()
    document = json.loads(result_as_json(result))["path"]
    assert document["rtt_ms"]["max"] == 0.3
    assert document["rtt_deviation_ms"] == 0.005
    assert document["explains"]["slow"] == 1


def test_results_without_it_are_read() -> None:
    document = json.loads(result_as_json(result_with(None, 1.0)))
    assert document["path"] is None
    del document["path"], document["intervals"][0]["path"]
    again = result_from_json(json.dumps(document))
    assert (again.path, again.intervals[0].path) == (None, None)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("retransmits", 11, "path.retransmits: 11 is less than the intervals add up to, 12"),
        ("retransmits", -1, "path.retransmits: -1 is not a count"),
        ("least_rto_us", "x", "path.least_rto_us"),
        (
            "congestion_window",
            {"total": 0, "max": 0, "buckets": {}},
            "more round trips than congestion windows",
        ),
        ("rtt_ns", {}, "path.rtt_ns.buckets is missing"),
        ("missing", 1, "path.missing: 1 is not a text"),
    ],
)
def test_what_is_damaged_is_refused(name: str, value: object, reason: str) -> None:
    document = json.loads(result_as_json(result_with(PathResult(counts(12, 100), 5), 1.0)))
    document["path"][name] = value
    with pytest.raises(UnreadableResultError) as refused:
        result_from_json(json.dumps(document))
    assert reason in str(refused.value)


def test_results_of_several_processes_add_up() -> None:
    known = PathResult(counts(2, 100, rto_us=300_000), 3), PathResult(counts(5, 50), 2)
    merged = merge([result_with(known[0], 1.0, seed=1), result_with(known[1], 2.0, seed=2)])
    assert merged.path is not None
    assert (merged.path.counts.retransmits, merged.path.connections) == (7, 5)
    assert (merged.path.counts.least_rto_us, merged.path.counts.least_rtt_us) == (201_000, 50)
    assert merged.intervals[0].path is not None
    assert merged.intervals[0].path.to_dict() == merged.path.counts.to_dict()


def test_parts_that_do_not_know_say_why() -> None:
    merged = merge_paths([PathResult(counts(2), 3), None, PathResult(missing="other system")])
    assert merged is not None
    assert (merged.connections, merged.missing) == (3, "other system")
    assert merge_paths([None, None]) is None


def test_progress_carries_it_over_processes() -> None:
    def progress(path: PathCounts | None) -> LoadProgress:
        interval = LoadInterval(0.0, 1.0, path=path)
        made = LoadProgress("measuring", 1.0, interval, 0, 0, {}, 1, None)
        again = decode_load_message(json.loads(json.dumps(encode_load_message(made))))
        assert isinstance(again, LoadProgress)
        return again

    merged = merge_progress([progress(counts(2, 100)), progress(None), progress(counts(3, 50))], planned=None)
    assert merged.interval.path is not None
    assert merged.interval.path.retransmits == 5
    assert merged.interval.path.rtt_ns.count == 2


# ---- what it can explain ----


@pytest.mark.parametrize(
    ("retransmits", "rto_us", "slow", "plan", "expected"),
    [
        (0, 201_000, 5, {}, None),  # nothing was sent again
        (3, 201_000, 0, {}, None),  # none was slow
        (3, None, 5, {}, None),  # no timeout is known
        (5, 201_000, 5, {}, (5, 5, "p99.9")),
        (2, 201_000, 5, {}, (5, 2, "p99.9")),  # one delays one, as there is one in flight
        (2, 201_000, 5, {"pipeline": 4}, (5, 5, "p99.9")),  # one delays four
        (1, 201_000, 5, {"rate": 100.0, "duration_s": 10.0}, (5, 5, "p99.9")),
        (1, 201_000, 500, {"rate": 100.0, "duration_s": 10.0}, (500, 26, "p99")),
        (1, 201_000, 1, {}, (1, 1, "p99.99")),
        (20, 201_000, 20, {}, (20, 20, "p99")),
    ],
)
def test_what_can_be_explained(
    retransmits: int,
    rto_us: int | None,
    slow: int,
    plan: dict[str, Any],
    expected: tuple[int, int, str] | None,
) -> None:
    latency = Histogram()
    latency.record(MS, 1000 - slow)
    latency.record(250 * MS, slow)
    made = LoadPlan("localhost", 1, connections=1, **plan)
    found = explain(PathResult(counts(retransmits, rto_us=rto_us), 1), latency, made, 10.0)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.slow, found.most, found.percentile) == expected
    assert found.latency_ns == 250 * MS
    assert found.is_whole == (found.most == found.slow)


def test_of_an_unknown_path_nothing_is_explained() -> None:
    assert explain(None, histogram(250 * MS), LoadPlan("localhost", 1), 1.0) is None


@pytest.mark.parametrize(
    ("retransmits", "objective", "reason"),
    [
        (3, "p99<5ms", "3 retransmissions can explain it"),
        (1, "max<5ms", "1 retransmission can explain it"),
        (3, "p50<100us", ""),  # which is no round trip to a timeout
        (0, "p99<5ms", ""),
        (3, "p99<1s", "it stands on 2 of 100 replies"),  # it holds
    ],
)
def test_a_verdict_says_that_they_can_explain_it(retransmits: int, objective: str, reason: str) -> None:
    latencies = [1.0] * 97 + [250.0] * min(3, retransmits or 3)
    result = result_with(PathResult(counts(retransmits), 1), *latencies)
    [verdict] = judge(result, [parse_objective(objective)])
    assert verdict.reason == reason


def test_what_was_sent_again_needlessly_explains_nothing() -> None:
    """A server that is stopped for a while is slow to acknowledge, and loses nothing."""
    latency = histogram(*[1 * MS] * 100, *[250 * MS] * 10)
    plan = LoadPlan("h", 1)
    for needless, explained in ((0, 4), (1, 3), (4, None)):
        path = PathResult(counts(4, 100, needless=needless), 5)
        found = explain(path, latency, plan, 10.0)
        assert (None if found is None else found.retransmits) == explained
    words = retransmits_in_words(counts(4, 100, needless=4))
    assert words == "4 of 1,000 segments sent again (0.4 %), 4 of them needlessly"


def test_a_file_without_needless_retransmissions_is_read() -> None:
    document = counts(4, 100).to_dict()
    del document["needless"]
    assert read_path_counts(Part(document, "path")).retransmits == 4
