"""What is outside noise: two runs compared."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.load_results import made_result
from trioecho.base.client_tls import ClientTls
from trioecho.base.histogram import Histogram
from trioecho.load import GeneratorHealth, LoadPlan, LoadResult, PathCounts, PathResult, Ramp, ReplyRule
from trioecho.load.goals.find_max import Search
from trioecho.load.message_list import MessageSource
from trioecho.load.recorded_traffic import Replay
from trioecho.load.report.comparison import Change, compare
from trioecho.load.report.comparison_outputs import comparison_as_text
from trioecho.load.report.judgement import judge_changes


def change(before: LoadResult, after: LoadResult, name: str) -> Change:
    [found] = [change for change in compare(before, after) if change.name.startswith(name)]
    return found


def run(seed: int, factor: float = 1.0, **plan: object) -> LoadResult:
    def latency_ms(chance: random.Random) -> float:
        return factor * (0.5 + chance.expovariate(5))

    return made_result(seed=seed, latency_ms=latency_ms, seconds=20, rate=600, **plan)  # type: ignore[arg-type]


def test_two_runs_of_the_same_thing_are_within_noise_almost_always() -> None:
    # One false alarm in a hundred is what the method allows for each number.
    runs = [run(seed) for seed in range(14)]
    changes = [
        found
        for before, after in zip(runs[::2], runs[1::2], strict=True)
        for found in compare(before, after)
        if found.verdict != "cannot tell"
    ]
    assert len(changes) == 7 * 7
    assert sum(found.verdict == "outside noise" for found in changes) <= 1


@pytest.mark.parametrize("factor", [1.1, 0.9])
def test_a_difference_of_ten_percent_is_seen(factor: float) -> None:
    before, after = run(1), run(2, factor)
    for name in ("latency mean", "latency p50", "latency p90", "latency p99,"):
        found = change(before, after, name)
        assert found.verdict == "outside noise"
        assert found.relative == pytest.approx(factor - 1, abs=0.04)
    assert change(before, after, "messages/s").verdict == "within noise"


def test_a_run_compared_with_itself_differs_in_nothing() -> None:
    result = run(1)
    for found in compare(result, result):
        assert found.relative == 0
        assert found.verdict != "outside noise"


def test_a_run_that_varies_by_itself_has_more_noise() -> None:
    steady, unsteady = run(1), run(2)
    for step in unsteady.intervals[::4]:
        step.latency_ns.record(300_000_000, step.messages // 10)
        unsteady.latency_ns.record(300_000_000, step.messages // 10)
    wide, narrow = (
        change(steady, unsteady, "latency mean").noise,
        change(steady, run(3), "latency mean").noise,
    )
    assert wide is not None
    assert narrow is not None
    assert wide > 10 * narrow


def test_the_noise_is_that_of_the_method() -> None:
    """By hand, for a mean: ten sections of two intervals each, in both runs."""
    before, after = (
        made_result(seconds=20, rate=100, seed=seed, latency_ms=lambda chance: chance.expovariate(1))
        for seed in (1, 2)
    )
    variance = 0.0
    for result in (before, after):
        whole, squares = result.latency_ns.mean, 0.0
        assert whole is not None
        for first, second in zip(result.intervals[::2], result.intervals[1::2], strict=True):
            section = Histogram()
            section.merge(first.latency_ns)
            section.merge(second.latency_ns)
            assert section.mean is not None
            squares += (section.mean - whole) ** 2
        variance += squares / 9 / 10
    expected = 3.250 * math.sqrt(variance) / (before.latency_ns.mean or 0)
    assert expected > 1 / 64
    assert change(before, after, "latency mean").noise == pytest.approx(expected)


def test_less_than_a_histogram_can_tell_is_noise() -> None:
    before, after = (
        made_result(seconds=20, rate=500, latency_ms=lambda chance, ms=ms: ms)  # type: ignore[misc]
        for ms in (1.0, 1.01)
    )
    found = change(before, after, "latency p50")
    assert found.noise == 1 / 64
    assert found.verdict == "within noise"


def without_replies() -> LoadResult:
    result = run(1)
    result.latency_ns = Histogram()
    for step in result.intervals:
        step.latency_ns = Histogram()
    return result


def with_a_ramp() -> LoadResult:
    result = run(1)
    result.plan = LoadPlan("127.0.0.1", 26066, ramp=Ramp(1, 1000, 20))
    return result


@pytest.mark.parametrize(
    ("result", "name", "reason"),
    [
        (made_result(seconds=4), "latency p50", "too short a run"),
        (made_result(seconds=4, rate=600), "messages/s", "too short a run"),
        (made_result(seconds=20, rate=100), "latency p99,", "too few replies"),
        (without_replies(), "latency mean", "too few replies"),
        (with_a_ramp(), "latency p50", "cannot tell of a ramp"),
    ],
)
def test_what_cannot_be_told(result: LoadResult, name: str, reason: str) -> None:
    for before, after in ((result, run(1)), (run(1), result)):
        found = change(before, after, name)
        assert (found.verdict, found.reason) == ("cannot tell", reason)
        assert reason in comparison_as_text(before, after, compare(before, after))


def run_at(rate: int, plan: Mapping[str, Any] = MappingProxyType({})) -> LoadResult:
    result = made_result(seconds=20, rate=rate, seed=rate)
    result.plan = replace(result.plan, **plan)
    return result


@pytest.mark.parametrize("tolerances", [{}, {"rate": 0.01}])
def test_a_rate_that_was_asked_for_has_no_verdict(tolerances: dict[str, float]) -> None:
    """Both servers kept up with 500 and 800 messages/s: neither is the faster one."""
    slow, fast = (run_at(rate) for rate in (500, 800))
    for pair in ((slow, fast), (fast, slow)):
        changes = compare(*pair, tolerances)
        rate = changes[0]
        assert (rate.verdict, rate.direction, rate.noise) == ("cannot tell", "", None)
        assert rate.reason == "the plans ask for different rates"
        judgement = judge_changes(*pair, changes, tolerances)
        assert not any("messages/s" in each for each in judgement.worse + judgement.better)
        text = comparison_as_text(*pair, changes)
        assert "    the plans ask for different rates" in text.splitlines()
        assert max(map(len, text.splitlines())) < 80
    reason = "cannot tell of rate: the plans ask for different rates"
    assert judge_changes(slow, fast, compare(slow, fast, tolerances), tolerances).untold == (
        reason if tolerances else ""
    )


CLOSED = {"rate": None}
REPLAYED = {
    "rate": None,
    "duration_s": None,
    "messages": None,
    "source": MessageSource("recording.jsonl", "0" * 64, 9, 64, 64, 576),
}


def test_a_rate_of_a_closed_loop_was_measured() -> None:
    assert compare(run_at(500, CLOSED), run_at(800, CLOSED))[0].direction == "better"


@pytest.mark.parametrize(
    ("one", "other"),
    [(CLOSED, {}), ({}, CLOSED), (CLOSED, {**REPLAYED, "replay": Replay(20.0, 1)})],
)
def test_a_rate_that_was_asked_for_says_nothing_beside_one_that_was_measured(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> None:
    rate = compare(run_at(500, one), run_at(800, other))[0]
    assert (rate.verdict, rate.direction) == ("cannot tell", "")
    assert rate.reason == "only one plan asks for a rate"


@pytest.mark.parametrize(
    ("speeds", "reason"),
    [
        ((1, 2), "the plans ask for different rates"),
        ((0, 2), "only one plan asks for a rate"),
        ((1, 1), ""),
        ((0, 0), ""),
    ],
)
def test_a_recording_says_its_rate_unless_it_is_sent_as_fast_as_it_goes(
    speeds: tuple[float, float], reason: str
) -> None:
    before, after = (
        run_at(rate, {**REPLAYED, "replay": Replay(20.0, speed)})
        for rate, speed in zip((500, 800), speeds, strict=True)
    )
    rate = compare(before, after)[0]
    assert (rate.reason, rate.direction) == (reason, "" if reason else "better")


def test_a_rate_that_a_search_has_found_has_a_verdict() -> None:
    slow, fast = (run_at(rate) for rate in (500, 800))
    slow.search = fast.search = Search()
    assert compare(slow, fast)[0].direction == "better"
    slow.search = None
    assert compare(slow, fast)[0].verdict == "cannot tell"


def test_a_last_interval_that_was_cut_short_is_left_out() -> None:
    result = run(1)
    result.elapsed_s = 19.3  # the last of the twenty was over before its end
    assert change(result, run(2), "messages/s").verdict == "within noise"


def test_the_text() -> None:
    before, after = run(1), run(2, 2.0, connections=7)
    after.errors = {"wrong": 3}
    after.health = GeneratorHealth((1.0,), (0.0,), judged=True, reasons=("it had no time",))
    text = comparison_as_text(before, after, compare(before, after))
    lines = text.splitlines()
    assert all(len(line) <= 79 for line in lines)
    assert lines[0].split() == ["A", "B", "change", "noise"]
    [p50] = [line for line in lines if line.startswith("latency p50")]
    assert p50.endswith("outside noise")
    assert "+100 %" in p50 or "+101 %" in p50 or "+99 %" in p50
    assert "errors                     0          3" in lines
    assert "B: generator saturated: these numbers describe the generator" in lines
    assert "the plans differ in connections:" in lines


def test_replies_that_were_verified_differently_are_named() -> None:
    before, after = run(1), run(1, reply=ReplyRule("count"))
    lines = comparison_as_text(before, after, compare(before, after)).splitlines()
    assert "the plans differ in reply:" in lines
    assert "A: every reply was compared with its message, in content and order" in lines
    assert "B: replies were counted, not compared" in lines


@pytest.mark.parametrize("width", [50, 79, 80, 120])
def test_the_text_fits_into_a_terminal(width: int) -> None:
    before, after = run(1), run(2, 2.0, connections=7)
    after.health = GeneratorHealth((1.0,), (0.0,), judged=True, reasons=("it had no time",))
    text = comparison_as_text(before, after, compare(before, after), width=width)
    assert max(map(len, text.splitlines())) < width
    assert text.count("worse, outside noise") == 6
    assert ("    worse, outside noise of ±" in text) == (width < 80)


def with_retransmits(result: LoadResult, every: Callable[[int], int]) -> LoadResult:
    """The run, with 1,000 segments in each interval, of which some were sent again."""
    result.path = PathResult(connections=5)
    for number, step in enumerate(result.intervals):
        step.path = PathCounts(retransmits=every(number), data_segments=1000)
        result.path.counts.add(step.path)
    return result


def test_segments_sent_again_are_compared_in_points_and_a_few_of_them_are_noise() -> None:
    none, few, many = (
        with_retransmits(run(seed), every)
        for seed, every in ((1, lambda n: 0), (2, lambda n: n % 9 == 0), (3, lambda n: 9 + n % 2))
    )
    found = change(none, few, "sent again")
    assert (found.before, found.verdict, found.direction) == (0.0, "within noise", "")
    found = change(none, many, "sent again")
    assert found.after == pytest.approx(0.95)
    assert found.relative == pytest.approx(0.0095)
    assert (found.verdict, found.direction) == ("outside noise", "worse")
    assert change(many, none, "sent again").direction == "better"
    [row] = [line for line in comparison_as_text(none, many, [found]).splitlines() if "sent again" in line]
    assert row.split()[3:6] == ["0.000", "0.950", "+0.95"]
    judged = judge_changes(none, many, [found], {})
    assert judged.worse == ["sent again, %: 0.000 to 0.950, +0.95 %"]


def test_the_noise_of_segments_sent_again_is_that_of_the_method() -> None:
    """By hand: ten sections of two intervals each, one of which has all that was sent again."""
    before, after = with_retransmits(run(1), lambda n: 0), with_retransmits(run(2), lambda n: 40 * (n == 3))
    noise = change(before, after, "sent again").noise
    # The whole has 0.2 %, one section 2 %, and nine have none.
    assert noise == pytest.approx(3.250 * math.sqrt((1.8**2 + 9 * 0.2**2) / 9 / 10) / 100)


def test_without_segments_sent_again_there_is_no_such_row_unless_it_has_a_tolerance() -> None:
    pair = with_retransmits(run(1), lambda n: 0), with_retransmits(run(2), lambda n: 0)
    assert "retransmits" not in {found.metric for found in compare(*pair)}
    [found] = [found for found in compare(*pair, {"retransmits": 0.01}) if found.metric == "retransmits"]
    assert found.verdict == "within noise"
    plain = run(1), run(2)
    tolerances = {"retransmits": 0.01}
    changes = compare(*plain, tolerances)
    assert judge_changes(*plain, changes, tolerances).untold == (
        "cannot tell of retransmits: there are no such numbers"
    )
    ramps = with_retransmits(with_a_ramp(), lambda n: 5), with_retransmits(with_a_ramp(), lambda n: 7)
    assert change(*ramps, "sent again").reason == "cannot tell of a ramp"


@pytest.mark.parametrize(
    ("changed", "name", "lines"),
    [
        ({"timeout_s": 1.0}, "timeout_s", ["A: timeout 10 s", "B: timeout 1 s"]),
        ({"tls": ClientTls(insecure=True)}, "tls", ["A: without TLS", "B: under TLS: any certificate"]),
    ],
)
def test_what_the_plans_differ_in_is_said(changed: Mapping[str, Any], name: str, lines: list[str]) -> None:
    pair = run_at(500), run_at(500, changed)
    said = comparison_as_text(*pair, compare(*pair)).splitlines()
    assert f"the plans differ in {name}:" in said
    assert said[-2:] == lines
