"""What a load shows while it runs; the whole of it is seen in test_load_command."""

from __future__ import annotations

import collections
import io
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from trioecho.cli.load_display import Lines, Live, NoDisplay, done_share, how_far, open_display, sparkline
from trioecho.cli.shared.rich_display import DRAWN_COLUMNS, Bar, Bars, open_console
from trioecho.load import LoadInterval, LoadPlan, LoadProgress

BY_TIME, BY_NUMBER = LoadPlan("h", 1, duration_s=10.0), LoadPlan("h", 1)


def narrow(drawn: Callable[[Any], object]) -> str:
    """What is drawn on a wide terminal; no resizing may break a line of it."""
    console_module = pytest.importorskip("rich.console")
    console = console_module.Console(
        file=io.StringIO(), width=DRAWN_COLUMNS, force_terminal=True, color_system=None
    )
    drawn(console)
    text = str(console.file.getvalue())
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").split("\n")
    assert max(len(line.rstrip()) for line in lines) < 50
    return text


def progress(phase: str, t_s: float, messages: int = 0, planned: int | None = None) -> LoadProgress:
    return LoadProgress(phase, t_s, LoadInterval(t_s, 1.0), 0, messages, {}, 3, planned)  # type: ignore[arg-type]


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
def test_how_far_it_is(now: LoadProgress, plan: LoadPlan, share: float | None, words: str) -> None:
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


@pytest.mark.parametrize("phase", ["connecting", "warming up", "measuring", "draining"])
@pytest.mark.parametrize("what", ["", "1,000,000,000/s, "])
def test_a_live_display_survives_a_resize(phase: str, what: str) -> None:
    def draw(console: Any) -> None:
        live = Live(console)
        live.begin(BY_NUMBER, what)
        for second in range(70):
            interval = LoadInterval(second, 1.0, messages=12_345_678)
            interval.latency_ns.record(999_999_999)
            now = LoadProgress(phase, second, interval, 0, 10**9, {"late": 10**6}, 10**6, 10**10)  # type: ignore[arg-type]
            live.show(now)
        live.end()

    assert phase in narrow(draw)


def test_a_line_that_stays_is_not_broken() -> None:
    console_module = pytest.importorskip("rich.console")
    console = console_module.Console(file=io.StringIO(), width=DRAWN_COLUMNS)
    Live(console).line("x" * 30 + " " + "y" * 30)
    assert console.file.getvalue() == "x" * 30 + " " + "y" * 30 + "\n"


def test_a_bar_survives_a_resize() -> None:
    def draw(console: Any) -> None:
        bar = Bar(console)
        bar.show("a case with a title that is as long as titles are", 0, 0)
        bar.show("7.4 another", 12_345, 67_890)
        bar.clear()

    text = narrow(draw)
    assert "a case with" in text
    Bar(None).show("nobody watches", 1, 2)


def test_there_is_a_bar_for_each_that_is_under_way() -> None:
    def draw(console: Any) -> None:
        bars = Bars(console)
        bars.show("ada", "ada   looking", 0, 0)
        bars.show("alan", "alan  looking", 0, 0)
        bars.show("ada", "ada   2.5 Two frames", 12, 53)
        bars.clear()
        console.print("a line")
        bars.show("alan", "alan  1.1 A frame", 1, 53)
        bars.clear()
        console.print("another line")
        bars.remove("ada")
        bars.show("alan", "alan  1.2 A frame", 2, 53)
        bars.clear()

    before, between, after = re.split("a line|another line", narrow(draw))
    assert "12/53" in before
    assert "ada   2.5 Two frames" in between  # it is drawn again
    assert "alan  1.1 A frame" in between
    assert "ada" not in after
    assert "alan  1.2 A frame" in after
    Bars(None).show("ada", "nobody watches", 1, 2)
    Bars(None).remove("ada")


@pytest.mark.parametrize("has_rich", [True, False])
def test_who_watches_at_a_terminal(monkeypatch: pytest.MonkeyPatch, has_rich: bool) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert open_console() is None
    monkeypatch.setenv("TERM", "xterm")
    if has_rich:
        pytest.importorskip("rich")
        assert open_console().width == DRAWN_COLUMNS
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
        assert open_console() is None


def test_lines_of_a_log_are_no_wider_than_others(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    lines = Lines()
    monkeypatch.setattr(lines._writer, "write_line", written.append)
    lines.line(" ".join(["word"] * 40))
    assert max(map(len, written)) <= 80
    assert " ".join(line.strip() for line in written) == " ".join(["word"] * 40)
