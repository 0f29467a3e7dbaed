"""Of a service that is idle one report is enough, and no other is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.server.test_report_lines import REPORT
from trioecho.server.report import Report
from trioecho.server.report_choice import WantedReports

IDLE = replace(REPORT, messages=0, blocked_s=0.0, connections=3, errors={}, final=False)


def chosen(*reports: Report) -> list[bool]:
    wanted = WantedReports(is_quiet_when_idle=True)
    return [wanted.has(report) for report in reports]


def test_the_first_report_of_an_idle_time_is_there_and_the_first_one_after_it() -> None:
    busy = replace(IDLE, messages=1)
    assert chosen(IDLE, IDLE, IDLE, busy, busy, IDLE, IDLE) == [True, False, False, True, True, True, False]


@pytest.mark.parametrize(
    "other",
    [
        replace(IDLE, messages=1),
        replace(IDLE, connections=2),
        replace(IDLE, errors={"reset": 1}),
        replace(IDLE, blocked_s=0.1),
        replace(IDLE, final=True),
    ],
)
def test_whatever_happens_is_reported(other: Report) -> None:
    assert chosen(IDLE, IDLE, other) == [True, False, True]


def test_one_that_was_asked_for_is_there_and_none_after_it() -> None:
    wanted = WantedReports(is_quiet_when_idle=True)
    assert wanted.has(IDLE)
    wanted.ask()
    assert wanted.has(IDLE)
    assert not wanted.has(IDLE)


def test_without_the_option_all_are_there() -> None:
    wanted = WantedReports(is_quiet_when_idle=False)
    assert all(wanted.has(IDLE) for _ in range(3))
