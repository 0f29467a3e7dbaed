"""What a load shows while it runs: a live display for a person, lines for a log, or nothing."""

from __future__ import annotations

import collections
import importlib
import math
import os
import sys
from typing import Any, Protocol

from ..load import LoadPlan, Progress
from ..report.load_text import progress_as_text
from .outlet import Outlet

LIVE_INTERVAL_S = 1.0
LINES_INTERVAL_S = 2.0
_SPARKS = "▁▂▃▄▅▆▇█"
_SPARKLINE_S = 60


class Display(Protocol):
    """Takes what is known every ``interval_s``."""

    interval_s: float

    def begin(self, plan: LoadPlan, what: str) -> None:
        """A run begins; ``what`` says which one, if there are several."""

    def show(self, progress: Progress) -> None:
        """What happened since the last time; must return at once."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def end(self) -> None:
        """The run is over."""


class NoDisplay:
    """Nobody wants to see anything."""

    interval_s = LINES_INTERVAL_S

    def begin(self, plan: LoadPlan, what: str) -> None:
        pass

    def show(self, progress: Progress) -> None:
        pass

    def line(self, text: str) -> None:
        pass

    def end(self) -> None:
        pass


class Lines(NoDisplay):
    """Plain lines, which a log can keep; nobody has to read them."""

    def __init__(self) -> None:
        self._outlet = Outlet(sys.stderr)
        self._is_one_of_many = False

    def begin(self, plan: LoadPlan, what: str) -> None:
        self._is_one_of_many = bool(what)  # each of which leaves a line of its own

    def show(self, progress: Progress) -> None:
        # At the very start there is nothing to say.
        has_begun = progress.phase != "connecting" or progress.connections
        if has_begun and not self._is_one_of_many:
            self._outlet.write_line(progress_as_text(progress))

    def line(self, text: str) -> None:
        self._outlet.write_line(text)


class Live:
    """A bar, the numbers of the last second, and a sparkline of the last minute's rate, on stderr.

    Args:
      console: of `rich`.
    """

    interval_s = LIVE_INTERVAL_S

    def __init__(self, console: Any) -> None:
        self._console = console
        self._live: Any = None
        self._rates: collections.deque[float] = collections.deque(maxlen=_SPARKLINE_S)
        self._plan: LoadPlan | None = None
        self._what = ""

    def begin(self, plan: LoadPlan, what: str) -> None:
        self._plan, self._what = plan, what
        self._rates.clear()
        self._live = importlib.import_module("rich.live").Live(
            console=self._console,
            transient=True,
            auto_refresh=False,  # drawn when there is something new: no thread disturbs the load
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, progress: Progress) -> None:
        if self._live is not None:
            self._live.update(self._drawn(progress), refresh=True)

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _drawn(self, progress: Progress) -> Any:
        group = importlib.import_module("rich.console").Group
        text = importlib.import_module("rich.text").Text
        bar = importlib.import_module("rich.progress_bar").ProgressBar
        table = importlib.import_module("rich.table").Table.grid(padding=(0, 1))
        share = done_share(progress, self._plan)
        table.add_row(
            f"{self._what}{progress.phase}",
            bar(total=1.0, completed=share or 0.0, width=28, pulse=share is None),
            how_far(progress, self._plan),
        )
        lines = [table, text(progress_as_text(progress), style="red" if progress.errors else "")]
        if progress.phase == "measuring":
            width_s = progress.interval.width_s
            self._rates.append(progress.interval.messages / width_s if width_s else 0.0)
            if self._console.encoding.lower().startswith("utf"):
                highest = max(self._rates)
                lines.append(text(f"{sparkline(self._rates)}  up to {highest:,.0f} msg/s", overflow="crop"))
        return group(*lines)


def open_display(*, is_quiet: bool) -> Display:
    """The display that fits: live where a person watches and ``trioecho[progress]`` is installed."""
    if is_quiet or sys.stderr is None:
        return NoDisplay()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        # Not an import statement: the type checkers must be content without `rich`.
        try:
            return Live(importlib.import_module("rich.console").Console(stderr=True))
        except ImportError:
            pass
    return Lines()


def done_share(progress: Progress, plan: LoadPlan | None) -> float | None:
    """How much of the measured part is done, from 0 to 1; None where that has no sense."""
    if plan is None or progress.phase in ("connecting", "warming up"):
        return None
    if plan.duration_s is not None:
        return min(1.0, max(0.0, progress.t_s / plan.duration_s))
    return min(1.0, progress.messages / progress.planned) if progress.planned else None


def how_far(progress: Progress, plan: LoadPlan | None) -> str:
    """The same in words."""
    if progress.phase == "connecting" and plan is not None:
        return f"{progress.connections:,} of {plan.connections:,} connections"
    if plan is not None and plan.duration_s is not None:
        return f"{min(max(0.0, progress.t_s), plan.duration_s):.0f} of {plan.duration_s:g} s"
    return f"{progress.messages:,} of {progress.planned:,}" if progress.planned else ""


def sparkline(values: collections.deque[float]) -> str:
    """A character for each value, as high as its share of the largest."""
    highest = max(values, default=0.0)
    if not highest:
        return _SPARKS[0] * len(values)
    last = len(_SPARKS) - 1
    return "".join(_SPARKS[min(last, math.floor(value / highest * len(_SPARKS)))] for value in values)
