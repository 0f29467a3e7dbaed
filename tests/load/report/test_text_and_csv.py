"""A load's result as text, CSV and HdrHistogram text."""

from __future__ import annotations

import csv
import io
import random
import re
from dataclasses import replace
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from tests.support.load_results import made_result, troubled_result
from trioecho.base.histogram import Histogram, values_above
from trioecho.load import LoadInterval, LoadPlan, LoadProgress, LoadResult, Ramp, Sizes, merge
from trioecho.load.report.hgrm import histogram_as_hgrm
from trioecho.load.report.load_csv import COLUMNS, result_as_csv
from trioecho.load.report.load_text import progress_as_text, result_as_text
from trioecho.load.report.words import SATURATED, few_samples, plan_in_words, planned_in_words

OPEN, TROUBLED = made_result(objectives=("p99<5ms", "max<1us")), troubled_result()
CLOSED = made_result(rate=100)
CLOSED.plan = LoadPlan("::1", 26066, pipeline=16, messages=200)
EMPTY = LoadResult(LoadPlan("127.0.0.1", 26066))
RESULTS = [OPEN, CLOSED, TROUBLED, EMPTY]
each_result = pytest.mark.parametrize("result", RESULTS, ids=["open", "closed", "troubled", "empty"])


# ---- text ----


@each_result
def test_text_fits_into_80_columns(result: LoadResult) -> None:
    for line in result_as_text(result).splitlines():
        assert len(line) <= 79
        assert line == line.rstrip()


@each_result
@pytest.mark.parametrize("width", range(50, 121, 7))
def test_text_fits_into_a_terminal_and_breaks_no_word(result: LoadResult, width: int) -> None:
    lines = result_as_text(result, width=width).splitlines()
    assert max(map(len, lines)) < width
    unbroken = {word for line in result_as_text(result, width=500).split("\n") for word in line.split()}
    assert {word for line in lines for word in line.split()} <= unbroken
    assert [line for line in lines if "from due" in line or "latency, ms " in line] or not result.messages


def test_text_has_the_counts_and_both_timings() -> None:
    text = result_as_text(OPEN)
    assert text.startswith("127.0.0.1:26066: 5 connections for 20 s, messages of 64 B; open loop, 500\n")
    assert f"messages   {OPEN.sent:,} sent, {OPEN.messages:,} came back right\n" in text
    assert re.search(r"^latency, ms +from due +from send", text, re.MULTILINE)
    for name, percent in (
        ("p50", 50),
        ("p75", 75),
        ("p90", 90),
        ("p99", 99),
        ("p99.9", 99.9),
        ("p99.99", 99.99),
    ):
        due, sent = (histogram.percentile(percent) or 0 for histogram in (OPEN.latency_ns, OPEN.from_send_ns))
        above = values_above(OPEN.latency_ns.count, percent)
        assert re.search(rf"^  {name} +{due / 1e6:.3f} +{sent / 1e6:.3f} +{above:,}$", text, re.MULTILINE), (
            name
        )
    assert re.search(rf"^  max +{OPEN.latency_ns.max / 1e6:.3f} ", text, re.MULTILINE)
    assert "From due is what users wait" in text
    assert "p99<5ms: held, " in text
    assert "max<1us: BROKEN, " in text
    assert SATURATED not in text


def test_a_closed_loop_has_one_timing() -> None:
    text = result_as_text(CLOSED)
    assert text.startswith("[::1]:26066: 5 connections x 200 messages of 64 B; closed loop, 16 in flight")
    assert "from due" not in text
    assert "From due" not in text


def test_text_shows_what_went_wrong() -> None:
    text = result_as_text(TROUBLED)
    assert "stopped before its end" in text
    assert "wrong 2: a reply came that is not the one that its message should have" in text
    assert "connection 3, message 17: from byte 5 expected 01010101" in text
    assert "note: 3 connections could not be opened" in text
    assert f"\n{SATURATED}\n" in text


@pytest.mark.parametrize(
    ("count", "line"), [(5, "p99 stands on 1 of 5"), (5000, "p99.9 stands on 6 of 5,000")]
)
def test_few_samples_are_told(count: int, line: str) -> None:
    result = LoadResult(LoadPlan("127.0.0.1", 26066))
    result.latency_ns.record(1000, count)
    assert line in result_as_text(result)
    result.latency_ns.record(1000, 100_000)
    assert few_samples(result) is None


@given(st.lists(st.integers(0, 1 << 30), min_size=1, max_size=300), st.sampled_from((50, 90, 99, 99.9)))
def test_samples_above_are_those_at_or_above_the_percentile(values: list[int], percent: float) -> None:
    values.sort()
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    at = histogram.percentile(percent)
    assert at is not None
    above = values_above(len(values), percent)
    assert values[-above] <= at <= values[-above] * 65 / 64


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (LoadPlan("h", 1), "5 connections x 200 messages of 64 B; closed loop, 1 in flight on each"),
        (
            LoadPlan("h", 1, connections=1, duration_s=2.5, rate=1000.0, arrival="poisson", warmup_s=1),
            "1 connection for 2.5 s, messages of 64 B; open loop, 1,000 messages/s, poisson arrivals; "
            "after a warm-up of 1 s",
        ),
        (
            LoadPlan("h", 1, ramp=Ramp(0, 5000, 30), sizes=Sizes.of(64, 4096), processes=2),
            "5 connections for 30 s, messages of 64-4096 B; open loop, 0 to 5,000 messages/s in 30 s, "
            "uniform arrivals; 2 processes",
        ),
    ],
)
def test_plans_in_words(plan: LoadPlan, words: str) -> None:
    assert plan_in_words(plan) == words


def test_progress_lines_stay_in_their_columns() -> None:
    interval = LoadInterval(3.0, 2.0, sent=25_000, messages=24_000)
    interval.latency_ns.record(1_500_000, 24_000)
    progress = LoadProgress("measuring", 5.0, interval, 99_000, 98_000, {}, 5, None)
    line = progress_as_text(progress)
    assert re.sub(r" +", " ", line) == " 5.0 s 12,000 msg/s ms p50 1.500 p99 1.500 98,000 in all"
    assert len(line) <= 79
    quiet = progress_as_text(replace(progress, interval=LoadInterval(5.0, 2.0)))
    assert quiet.index("ms p50") == line.index("ms p50")
    troubled = progress_as_text(replace(progress, phase="draining", errors={"late": 2, "wrong": 1}))
    assert troubled.endswith("3 errors  (draining)")
    assert progress_as_text(replace(progress, phase="connecting", connections=3)) == "connecting: 3 open"


@pytest.mark.parametrize("width", range(50, 121, 7))
def test_a_progress_line_fits_and_says_what_is_wrong(width: int) -> None:
    interval = LoadInterval(3.0, 2.0, sent=2_500_000, messages=2_400_000)
    interval.latency_ns.record(123_456_789, 24_000)
    progress = LoadProgress("draining", 86_400.5, interval, 0, 98_765_432_100, {"late": 123_456}, 5, None)
    line = progress_as_text(progress, width=width)
    assert len(line) < width
    assert line.split()[:2] == ["86400.5", "s"]
    assert ("1,200,000 msg/s" in line) == (width > 55)
    assert line.endswith("123,456 errors  (draining)")


# ---- CSV ----


@each_result
def test_csv_has_a_line_for_each_interval(result: LoadResult) -> None:
    rows = list(csv.DictReader(io.StringIO(result_as_csv(result))))
    assert len(rows) == len(result.intervals)
    for row, step in zip(rows, result.intervals, strict=True):
        assert tuple(row) == COLUMNS
        assert (float(row["t_s"]), int(row["messages"])) == (step.t_s, step.messages)
        assert float(row["messages_per_s"]) == pytest.approx(step.messages / step.width_s, abs=0.001)
        assert float(row["latency_p99_ms"]) * 1e6 == pytest.approx(step.latency_ns.percentile(99))
        assert row["generator_saturated"] == ("true" if result.saturated else "false")


def test_csv_of_an_interval_that_was_cut_short_or_empty() -> None:
    result = LoadResult(LoadPlan("127.0.0.1", 26066), elapsed_s=1.5)
    result.intervals = [LoadInterval(0.0, 1.0), LoadInterval(1.0, 1.0, sent=10, messages=10)]
    empty, cut = csv.DictReader(io.StringIO(result_as_csv(result)))
    assert (empty["messages_per_s"], empty["latency_p50_ms"], empty["latency_max_ms"]) == ("0.000", "", "")
    assert (cut["width_s"], cut["messages_per_s"]) == ("0.5", "20.000")


# ---- HdrHistogram text ----

ROW = re.compile(r" *(\d+\.\d{3}) (\d\.\d{12}) +(\d+)(?: +(\d+\.\d{2}))?")


def read_by_the_plotter(text: str) -> list[tuple[float, float]]:
    """What the public plotter of hgrm files takes from one: 1/(1-percentile), and the value."""
    points = []
    for line in text.split("\n"):
        columns = re.split(" +", line.strip())
        if not line.strip().startswith("#") and len(columns) == 4 and columns[0] != "Value":
            points.append((float(columns[3]), float(columns[0])))
    return points


@pytest.mark.parametrize("count", [1, 7, 100, 2500])
def test_hgrm_agrees_with_hdrhistogram(count: int) -> None:
    chance = random.Random(count)
    values = [round(chance.lognormvariate(13, 1.5)) for _ in range(count)]
    ours, oracle = Histogram(), HdrHistogram(1, 10**10, 3)
    for value in values:
        ours.record(value)
        oracle.record_value(value)
    text = histogram_as_hgrm(ours)
    rows = [match.groups() for line in text.splitlines() if (match := ROW.fullmatch(line))]
    for value_ms, share, total, _ in rows:
        # The oracle rounds a rank to the nearest whole, so it is asked by rank, not by percentile.
        rank = max(1, -(-count * round(float(share) * 1e12) // 10**12))
        expected_ms = oracle.get_value_at_percentile(100 * rank / count) / 1e6
        assert expected_ms * 0.999 - 0.001 <= float(value_ms) <= expected_ms * 65 / 64 + 0.001
        assert sum(value / 1e6 <= float(value_ms) + 0.001 for value in values) >= int(total) >= rank
    assert rows[-1][1:] == ("1.000000000000", str(count), None)
    footer = re.search(r"#\[Mean += +(\S+), StdDeviation += +(\S+)\]", text)
    assert footer
    assert float(footer[1]) == pytest.approx(oracle.get_mean_value() / 1e6, rel=0.002, abs=0.001)
    assert float(footer[2]) == pytest.approx(oracle.get_stddev() / 1e6, rel=0.02, abs=0.01 * float(footer[1]))
    assert f"Total count    = {count:>12}]" in text


def test_hgrm_has_the_ladder_of_the_format_whatever_the_values() -> None:
    ladders = []
    for latency_ns in (OPEN.latency_ns, OPEN.from_send_ns):
        text = histogram_as_hgrm(latency_ns, notes=(SATURATED,))
        points = read_by_the_plotter(text)
        ladders.append([x for x, _ in points])
        assert points == sorted(points)
        assert text.endswith(f"# {SATURATED}\n")
    # The plotter takes the percentiles of the first file for all of them.
    shared = min(map(len, ladders))
    assert ladders[0][:shared] == ladders[1][:shared]
    assert ladders[0][:11] == [1.0, 1.11, 1.25, 1.43, 1.67, 2.0, 2.22, 2.5, 2.86, 3.33, 4.0]


def test_hgrm_of_nothing() -> None:
    text = histogram_as_hgrm(Histogram())
    assert read_by_the_plotter(text) == []
    assert "Total count    =            0]" in text


def test_what_was_planned_is_reckoned() -> None:
    def planned(**plan: Any) -> str | None:
        result = made_result(seconds=1, rate=20)
        result.plan = LoadPlan("h", 1, **plan)
        return planned_in_words(result)

    assert planned(messages=200) == "5 connections x 200 = 1,000 messages"
    assert planned(messages=7, connections=1) == "1 connection x 7 = 7 messages"
    assert planned(messages=7, rate=20) == "5 connections x 7 = 35 messages"
    assert planned(duration_s=5.0) is None
    one, other = made_result(seconds=1, seed=1), made_result(seconds=1, seed=2)
    one.plan, other.plan = LoadPlan("h", 1, messages=10), LoadPlan("h", 1, messages=20)
    assert planned_in_words(merge([one, other])) is None


def test_the_text_of_a_run_that_lost_the_server() -> None:
    result = made_result(seconds=2, rate=20, duration_s=10.0)
    result.errors, result.cut_from_s = {"unsent": 160}, 10.0
    text = result_as_text(result)
    assert f"messages   {result.sent} sent, {result.messages} came back right, 160 due and not sent\n" in text
    assert (
        "\nended      after 2.0 of 10 s: every connection was lost\nrate       4 messages/s in 10.000 s"
        in text
    )


def test_objectives_of_a_run_that_was_stopped_are_those_of_a_part() -> None:
    result = made_result(seconds=2, rate=20, duration_s=10.0, objectives=("p99<1s",))
    result.stopped = True
    assert "\nobjectives, of the time until it was stopped\n  p99<1s: held, " in result_as_text(result)
