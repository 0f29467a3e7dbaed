"""What a load shows while it runs; the whole of it is seen in test_load_command."""

from __future__ import annotations

import collections
import sys

import pytest

from trioecho.cli.load_display import Lines, NoDisplay, done_share, how_far, open_display, sparkline
from trioecho.load import Interval, LoadPlan, Progress

BY_TIME, BY_NUMBER = LoadPlan("h", 1, duration_s=10.0), LoadPlan("h", 1)


def progress(phase: str, t_s: float, messages: int = 0, planned: int | None = None) -> Progress:
    return Progress(phase, t_s, Interval(t_s, 1.0), 0, messages, {}, 3, planned)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([0.0, 0.0], "▁▁"),
        ([5.0], "█"),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "▁▂▃▄▅▆▇██"),
        ([1000.0, 1.0], "█▁"),
    ],
)
def test_a_sparkline(values: list[float], line: str) -> None:
    assert sparkline(collections.deque(values)) == line


@pytest.mark.parametrize(
    ("now", "plan", "share", "words"),
    [
        (progress("connecting", 0), BY_TIME, None, "3 of 5 connections"),
        (progress("warming up", -1), BY_TIME, None, "0 of 10 s"),
        (progress("measuring", 2.5), BY_TIME, 0.25, "2 of 10 s"),
        (progress("draining", 11), BY_TIME, 1.0, "10 of 10 s"),
        (progress("measuring", 1, 250, 1000), BY_NUMBER, 0.25, "250 of 1,000"),
        (progress("measuring", 1, 250), BY_NUMBER, None, ""),
    ],
)
def test_how_far_it_is(now: Progress, plan: LoadPlan, share: float | None, words: str) -> None:
    assert done_share(now, plan) == share
    assert how_far(now, plan) == words


def test_nobody_sees_anything_who_does_not_want_to() -> None:
    assert type(open_display(is_quiet=True)) is NoDisplay


def test_nobody_watches_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(open_display(is_quiet=False)) is Lines
    monkeypatch.setattr(sys, "stderr", None)  # as when its descriptor was closed
    assert type(open_display(is_quiet=False)) is NoDisplay


def test_a_terminal_without_rich_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setenv("TERM", "xterm")
    assert type(open_display(is_quiet=False)) is Lines
