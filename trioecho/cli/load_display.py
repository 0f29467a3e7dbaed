"""Show a load while it runs: a live display for a person, lines for a log, or nothing."""

from __future__ import annotations

import collections
import math
import sys
from collections.abc import Sequence
from typing import Any, Protocol

from ..base.printable import printable
from ..base.quantities import wrapped
from ..load import LoadPlan, LoadProgress
from ..load.report.load_text import progress_as_text, trial_indent
from ..load.report.stages_text import stages_between
from .shared.non_blocking_writer import NonBlockingWriter
from .shared.rich_display import DRAWN_COLUMNS, open_console, rich_class
from .shared.terminal import NARROWEST, text_width

LIVE_INTERVAL_S = 1.0
LINES_INTERVAL_S = 2.0
_SPARKS = "▁▂▃▄▅▆▇█"
_SPARKLINE_S = 60
# What counts as now.
_MOMENT_S = 1e-5


class Display(Protocol):
    """Shows what is known, every ``interval_s``."""

    interval_s: float

    def begin(self, plan: LoadPlan, what: str) -> None:
        """Begin a run; ``what`` says which one, if there are several."""

    def show(self, progress: LoadProgress) -> None:
        """Show what happened since the last time; must return at once."""

    def line(self, text: str) -> None:
        """Show a line that stays."""

    def end(self) -> None:
        """End the run."""


class NoDisplay:
    """Shows nothing."""

    interval_s = LINES_INTERVAL_S

    def begin(self, plan: LoadPlan, what: str) -> None:
        pass

    def show(self, progress: LoadProgress) -> None:
        pass

    def line(self, text: str) -> None:
        pass

    def end(self) -> None:
        pass


class Lines(NoDisplay):
    """Plain lines, which a log can keep; a reader that is slow or gone does not hold the load up."""

    def __init__(self) -> None:
        self._writer = NonBlockingWriter(sys.stderr)
        self._is_one_of_many = False
        self._plan: LoadPlan | None = None

    def begin(self, plan: LoadPlan, what: str) -> None:
        self._is_one_of_many = bool(what)  # each of which leaves a line of its own
        self._plan = plan

    def show(self, progress: LoadProgress) -> None:
        # At the very start there is nothing to say.
        has_begun = progress.phase != "connecting" or progress.connections
        if has_begun and not self._is_one_of_many:
            stage = stage_of(progress, self._plan)
            self._writer.write_line(progress_as_text(progress, width=text_width(sys.stderr), stage=stage))

    def line(self, text: str) -> None:
        for part in _wrapped(text):
            self._writer.write_line(part)


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
        self._live = rich_class("live.Live")(
            console=self._console,
            transient=True,
            auto_refresh=False,  # drawn when there is something new: no thread disturbs the load
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, progress: LoadProgress) -> None:
        if self._live is not None:
            self._live.update(self._drawn(progress), refresh=True)

    def line(self, text: str) -> None:
        for part in _wrapped(text):
            self._console.print(part, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _drawn(self, progress: LoadProgress) -> Any:
        group = rich_class("console.Group")
        text = rich_class("text.Text")
        bar = rich_class("progress_bar.ProgressBar")
        table = rich_class("table.Table").grid(padding=(0, 1))
        share = done_share(progress, self._plan)
        phase, done = f"{self._what}{progress.phase}", how_far(progress, self._plan)
        if stage := stage_of(progress, self._plan):
            done = f"{done}, {stage}"
        room = DRAWN_COLUMNS - len(phase) - len(done) - 2
        bars = [bar(total=1.0, completed=share or 0.0, width=min(room, 28), pulse=share is None)]
        table.add_row(phase, *(bars if room > 0 else []), done)
        line = progress_as_text(progress, width=NARROWEST)
        lines = [table, text(line, style="red" if progress.errors else "")]
        if progress.phase == "measuring":
            width_s = progress.interval.width_s
            self._rates.append(progress.interval.messages / width_s if width_s else 0.0)
            if self._console.encoding.lower().startswith("utf"):
                scale = f"  up to {max(self._rates):,.0f} msg/s"
                lines.append(text(sparkline(self._rates)[len(scale) - DRAWN_COLUMNS :] + scale))
        return group(*lines)


def open_display(*, is_quiet: bool) -> Display:
    """Return the display that fits: live where a person watches and `rich` is installed."""
    if is_quiet or sys.stderr is None:
        return NoDisplay()
    console = open_console()
    return Lines() if console is None else Live(console)


def _wrapped(text: str) -> Sequence[str]:
    width = text_width(sys.stderr)
    return wrapped(printable(text), width, subsequent_indent=trial_indent(width))


def done_share(progress: LoadProgress, plan: LoadPlan | None) -> float | None:
    """Return how much of the measured part is done, from 0 to 1; None where that makes no sense."""
    if plan is None or progress.phase in ("connecting", "warming up"):
        return None
    if plan.duration_s is not None:
        return min(1.0, max(0.0, progress.t_s / plan.duration_s))
    return min(1.0, progress.messages / progress.planned) if progress.planned else None


def how_far(progress: LoadProgress, plan: LoadPlan | None) -> str:
    """Return how much of the measured part is done, in words."""
    if progress.phase == "connecting" and plan is not None:
        return f"{progress.connections:,} of {plan.connections:,} connections"
    if plan is not None and plan.duration_s is not None:
        return f"{min(max(0.0, progress.t_s), plan.duration_s):.0f} of {plan.duration_s:g} s"
    return f"{progress.messages:,} of {progress.planned:,}" if progress.planned else ""


def stage_of(progress: LoadProgress, plan: LoadPlan | None) -> str:
    """Return the name of the stage in which a load is now; empty if it is in none."""
    if plan is None or progress.phase != "measuring":
        return ""
    return stages_between(plan.stages, progress.t_s, progress.t_s + _MOMENT_S)


def sparkline(values: collections.deque[float]) -> str:
    """Return a character for each value, as high as its share of the largest."""
    highest = max(values, default=0.0)
    if not highest:
        return _SPARKS[0] * len(values)
    last = len(_SPARKS) - 1
    return "".join(_SPARKS[min(last, math.floor(value / highest * len(_SPARKS)))] for value in values)
