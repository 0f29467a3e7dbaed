"""What reports say of the path: a line, a sentence on what it can explain, columns and plots."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from tests.support.load_results import made_result
from trioecho.base.histogram import Histogram
from trioecho.load import LoadPlan, LoadResult
from trioecho.load.report.load_csv import COLUMNS, result_as_csv
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.load_text import result_as_text
from trioecho.load.report.path_plots import retransmit_plot, round_trip_plot
from trioecho.load.report.path_words import explanation_in_words, path_in_words
from trioecho.load.results.path_counts import PathCounts
from trioecho.load.results.path_result import PathResult

MS = 1_000_000


def histogram(*values: int) -> Histogram:
    made = Histogram()
    made.record_all(values)
    return made


def counts(retransmits: int, **changes: Any) -> PathCounts:
    made = PathCounts(
        retransmits,
        data_segments=1000,
        rtt_ns=histogram(100_000, 200_000, 3 * MS),
        congestion_window=histogram(10, 10, 4),
        unsent_bytes=histogram(0, 0, 0),
        least_rto_us=201_000,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def result_with(path: PathResult | None, *, step: PathCounts | None = None) -> LoadResult:
    """20 s of 500 messages/s, of which two in a hundred took 250 ms."""
    result = made_result(latency_ms=lambda chance: 250 if chance.random() < 0.02 else 0.2)
    result.path = path
    for each in result.intervals:
        each.path = step
    return result


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (None, None),
        (PathResult(), None),
        (PathResult(missing="this system does not say"), "not known: this system does not say"),
        (
            PathResult(counts(0), 5),
            "0 of 1,000 segments sent again; round trip, ms: p50 0.201, max 3.000; "
            "congestion window p50 10, least 4",
        ),
        (
            PathResult(counts(12, unsent_bytes=histogram(0, 30)), 5),
            "12 of 1,000 segments sent again (1.2 %); round trip, ms: p50 0.201, max 3.000; "
            "congestion window p50 10, least 4; unsent, B: mean 15, max 30",
        ),
        (
            PathResult(
                PathCounts(
                    1, out_of_order=1, busy_us=100, window_limited_us=25, buffer_limited_us=1, least_rto_us=1
                ),
                1,
                "another system",
            ),
            "1 segment sent again; limited by the server's receive window 25% of the time; "
            "limited by the send buffer 1% of the time; 1 segment came out of order; "
            "of 1 connection alone: another system",
        ),
    ],
)
def test_the_line_on_the_path(path: PathResult | None, words: str | None) -> None:
    result = result_with(path)
    assert path_in_words(result) == words
    text = " ".join(result_as_text(result).split())
    assert (f" path {words} " in text) == (words is not None)


def test_what_segments_that_were_sent_again_can_explain_is_a_sentence() -> None:
    result = result_with(PathResult(counts(12), 5))
    slow = result.latency_ns.count - result.latency_ns.counts_up_to([201 * MS])[0]
    sentence = explanation_in_words(result)
    assert sentence == (
        f"12 segments were sent again, and {slow} replies took the retransmission timeout (201.000 ms) "
        "or longer: that can explain the p99 (250.000 ms)."
    )
    assert sentence in " ".join(result_as_text(result).split())
    assert sentence in result_as_html(result)


def test_what_they_cannot_explain_is_not_said_to_be_theirs() -> None:
    result = result_with(PathResult(counts(1), 5))
    result.plan = LoadPlan("127.0.0.1", 26066, messages=2000)  # one in flight: each delays one
    sentence = explanation_in_words(result)
    assert sentence is not None
    assert sentence.startswith("1 segment was sent again, and ")
    assert sentence.endswith(" or longer: that can explain 1 of them at most.")


@pytest.mark.parametrize(
    "path", [None, PathResult(counts(0), 5), PathResult(counts(3, least_rto_us=900_000), 5)]
)
def test_without_a_reason_nothing_is_explained(path: PathResult | None) -> None:
    assert explanation_in_words(result_with(path)) is None


def test_csv_has_columns_where_the_path_is_known() -> None:
    text = result_as_csv(result_with(PathResult(counts(20), 5), step=counts(1)))
    rows = list(csv.DictReader(text.splitlines()))
    assert {name: rows[0][name] for name in rows[0] if name not in COLUMNS} == {
        "retransmits": "1",
        "data_segments": "1000",
        "rtt_p50_ms": "0.200703",
        "rtt_max_ms": "3.000000",
        "congestion_window_p50": "10",
        "congestion_window_least": "4",
        "unsent_mean_bytes": "0",
        "unsent_max_bytes": "0",
    }
    unread = result_as_csv(result_with(PathResult(counts(20), 5), step=PathCounts()))
    row = next(csv.DictReader(unread.splitlines()))
    assert (row["retransmits"], row["rtt_p50_ms"], row["congestion_window_p50"]) == ("0", "", "")
    assert tuple(csv.DictReader(result_as_csv(result_with(None)).splitlines()).fieldnames or ()) == COLUMNS


def test_the_page_draws_the_path_over_time_with_its_values() -> None:
    result = result_with(PathResult(counts(20), 5), step=counts(1, unsent_bytes=histogram(5)))
    trips, again = round_trip_plot(result), retransmit_plot(result)
    assert trips is not None
    assert again is not None
    assert [line.name for line in trips.lines] == ["p50", "max"]
    assert trips.lines[1].points[0] == (0.5, 3.0)
    assert again.lines[0].points[0] == (0.5, 1.0)
    assert trips.notes[0].lines == (
        "0 to 1 s",
        "1 sent again",
        "p50 0.201 ms",
        "max 3.000 ms",
        "window p50 10, least 4",
        "unsent max 5 B",
    )
    page = result_as_html(result)
    assert "The path: round trips as the kernel sees them" in page
    assert "The path: segments sent again" in page


def test_there_is_no_plot_of_what_did_not_happen() -> None:
    result = result_with(PathResult(counts(0), 5), step=counts(0))
    assert retransmit_plot(result) is None
    assert "The path: segments sent again" not in result_as_html(result)
    assert round_trip_plot(result_with(None)) is None
    assert round_trip_plot(result_with(PathResult(), step=PathCounts())) is None
