from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from datetime import datetime, timezone

import pytest

from trioecho.server.report import Report, ServiceTime
from trioecho.server.report_lines import report_as_json, report_as_text

REPORT = Report(
    time=datetime(2024, 5, 6, 17, 8, 9, 123_456, tzinfo=timezone.utc),
    interval_s=2.0000001,
    messages=24_690,
    messages_total=1_234_567,
    messages_per_s=12_345.0,
    bytes_per_s=1_580_160.0,
    service_ms=ServiceTime(mean=0.0213375, p50=0.018175, p99=0.154623, max=1.250001),
    blocked_s=0.0,
    connections=64,
    errors={},
    final=False,
)
NOTHING = replace(
    REPORT,
    messages=0,
    messages_total=0,
    messages_per_s=0.0,
    bytes_per_s=0.0,
    service_ms=ServiceTime(mean=None, p50=None, p99=None, max=None),
    connections=0,
)
BUSY = replace(
    REPORT,
    messages_total=123_456_789,
    messages_per_s=1_234_567.8,
    bytes_per_s=987_654_321.0,
    service_ms=ServiceTime(mean=8.5, p50=12.75, p99=999.9, max=59_999.9),
    connections=10_000,
)
TROUBLED = replace(
    REPORT, blocked_s=1.25, errors={"IdleTimeoutError": 12, "FrameTooLargeError": 3}, final=True
)
REPORTS = [REPORT, NOTHING, BUSY, TROUBLED]
each_report = pytest.mark.parametrize("report", REPORTS, ids=["ordinary", "nothing", "busy", "troubled"])


def with_service(ms: float) -> Report:
    return replace(REPORT, service_ms=ServiceTime(mean=ms, p50=ms, p99=ms, max=ms))


# --- JSON -------------------------------------------------------------------------------------------


@each_report
def test_json_has_the_names_of_a_report_and_no_others(report: Report) -> None:
    line = report_as_json(report)
    assert "\n" not in line
    parsed = json.loads(line)
    assert [*parsed, "counts"] == [each.name for each in fields(Report)]
    assert list(parsed["service_ms"]) == [each.name for each in fields(ServiceTime)]


def test_json_has_the_values_of_a_report() -> None:
    assert json.loads(report_as_json(TROUBLED)) == {
        "time": "2024-05-06T17:08:09.123Z",
        "interval_s": 2.0,
        "messages": 24_690,
        "messages_total": 1_234_567,
        "messages_per_s": 12_345.0,
        "bytes_per_s": 1_580_160.0,
        "service_ms": {"mean": 0.021337, "p50": 0.018175, "p99": 0.154623, "max": 1.250001},
        "blocked_s": 1.25,
        "connections": 64,
        "errors": {"FrameTooLargeError": 3, "IdleTimeoutError": 12},
        "final": True,
    }


def test_json_without_messages_has_nulls() -> None:
    parsed = json.loads(report_as_json(NOTHING))
    assert parsed["service_ms"] == {"mean": None, "p50": None, "p99": None, "max": None}
    assert (parsed["messages"], parsed["messages_per_s"], parsed["bytes_per_s"]) == (0, 0, 0)
    assert (parsed["errors"], parsed["final"]) == ({}, False)


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_json_gives_the_time_in_utc_with_milliseconds(microsecond: int) -> None:
    report = replace(REPORT, time=REPORT.time.replace(microsecond=microsecond))
    time = json.loads(report_as_json(report))["time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    parsed = datetime.fromisoformat(time.replace("Z", "+00:00"))
    assert parsed == report.time.replace(microsecond=microsecond // 1000 * 1000)


def test_json_keeps_a_nanosecond() -> None:
    parsed = json.loads(report_as_json(with_service(0.000001)))
    assert parsed["service_ms"] == {"mean": 1e-6, "p50": 1e-6, "p99": 1e-6, "max": 1e-6}


def test_errors_are_in_alphabetical_order() -> None:
    assert list(json.loads(report_as_json(TROUBLED))["errors"]) == ["FrameTooLargeError", "IdleTimeoutError"]
    assert "errors FrameTooLargeError 3 IdleTimeoutError 12" in report_as_text(TROUBLED)


# --- text -------------------------------------------------------------------------------------------


LABELS = re.compile(r"Z|msg/s|/s|service ms|mean|p50|p99|max|open|in all")


def positions(report: Report) -> list[tuple[str, int]]:
    """Where each label ends."""
    return [(match.group(), match.end()) for match in LABELS.finditer(report_as_text(report))]


def test_text_says_what_there_is_to_say() -> None:
    assert report_as_text(REPORT) == (
        "17:08:09Z     12,345 msg/s      1.6 MB/s  service ms mean   0.021 p50   0.018"
        " p99   0.155 max   1.250     64 open    1,234,567 in all"
    )


def test_text_without_messages_has_dashes() -> None:
    assert report_as_text(NOTHING) == (
        "17:08:09Z          0 msg/s         0 B/s  service ms mean       - p50       -"
        " p99       - max       -      0 open            0 in all"
    )


def test_text_names_what_is_not_ordinary_at_the_end() -> None:
    assert report_as_text(TROUBLED) == (
        report_as_text(REPORT) + "  blocked 1.250 s  errors FrameTooLargeError 3 IdleTimeoutError 12  (final)"
    )


def test_text_does_not_mention_a_block_that_would_be_shown_as_zero() -> None:
    assert report_as_text(replace(REPORT, blocked_s=0.000999)) == report_as_text(REPORT)
    assert report_as_text(replace(REPORT, blocked_s=0.001)).endswith("  blocked 0.001 s")


@each_report
def test_text_is_one_line(report: Report) -> None:
    assert report_as_text(report).splitlines() == [report_as_text(report)]
    assert report_as_text(report) == report_as_text(report).strip()


@each_report
def test_text_has_its_columns_where_those_of_other_reports_are(report: Report) -> None:
    labels = ["Z", "msg/s", "/s", "service ms", "mean", "p50", "p99", "max", "open", "in all"]
    assert [label for label, _ in positions(report)] == labels
    assert positions(report) == positions(REPORT)


@pytest.mark.parametrize("ms", [0, 0.0004, 9.9996, 99.9996, 999.999, 999.9996, 1000, 9_999_999])
def test_text_has_its_columns_in_place_for_any_service_time(ms: float) -> None:
    assert positions(with_service(ms)) == positions(REPORT)


@pytest.mark.parametrize(
    ("bytes_per_s", "text"),
    [
        (0, "0 B/s"),
        (999.4, "999 B/s"),
        (999.5, "1.0 kB/s"),
        (1_000, "1.0 kB/s"),
        (999_499, "999.5 kB/s"),
        (999_500, "1.0 MB/s"),
        (123_456_789, "123.5 MB/s"),
        (999_500_000, "1.00 GB/s"),
        (12_345_678_901, "12.35 GB/s"),
    ],
)
def test_text_gives_bytes_in_a_unit_that_fits(bytes_per_s: float, text: str) -> None:
    report = replace(REPORT, bytes_per_s=bytes_per_s)
    assert f" {text}  " in report_as_text(report)
    assert positions(report) == positions(REPORT)


# --- a terminal -------------------------------------------------------------------------------------

each_width = pytest.mark.parametrize("width", range(50, 121))


@each_report
@each_width
def test_on_a_terminal_no_line_is_wider(report: Report, width: int) -> None:
    lines = report_as_text(report, width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 or report is TROUBLED


@each_width
def test_on_a_terminal_columns_stay_where_they_are(width: int) -> None:
    def places(report: Report) -> list[tuple[str, int]]:
        line = report_as_text(report, width).splitlines()[0]
        return [(match.group(), match.end()) for match in LABELS.finditer(line)]

    assert all(places(report) == places(REPORT) for report in REPORTS)


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (50, "17:08:09Z    12,345 msg/s service ms p99   0.155"),
        (80, "17:08:09Z    12,345 msg/s service ms mean   0.021 p99   0.155   1,234,567 in all"),
        (
            120,
            "17:08:09Z    12,345 msg/s service ms mean   0.021 p50   0.018 p99   0.155 max   1.250"
            "    64 open   1,234,567 in all",
        ),
    ],
)
def test_on_a_terminal_the_columns_that_matter_most_are_shown(width: int, text: str) -> None:
    assert report_as_text(REPORT, width) == text


def test_on_a_terminal_what_is_not_ordinary_has_lines_of_its_own_broken_between_items() -> None:
    assert report_as_text(TROUBLED, 50).splitlines()[1:] == [
        "          blocked 1.250 s",
        "          errors FrameTooLargeError 3",
        "          IdleTimeoutError 12  (final)",
    ]
