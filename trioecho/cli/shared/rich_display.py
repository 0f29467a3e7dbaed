"""What is drawn on stderr for a person who watches, by `rich` if that is installed.

No line is wider than the narrowest terminal. So a line is not broken when the user makes
the terminal narrower, and what was drawn can be found again and erased.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from .terminal import NARROWEST

# One less, because a terminal may begin a new line when the last column is filled.
DRAWN_COLUMNS = NARROWEST - 1
_BAR_COLUMNS = 10


def rich_class(name: str) -> Any:
    """Return a class of `rich`, as ``progress.Progress``.

    It is not imported by a statement, because the type checkers must not need `rich`.

    Raises:
      ImportError: `rich` is not installed.
    """
    module, _, name = name.rpartition(".")
    return getattr(importlib.import_module(f"rich.{module}"), name)


def open_console() -> Any:
    """Return a console of `rich` on stderr; None without a terminal, or if `rich` is not installed."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return None
    try:
        return rich_class("console.Console")(stderr=True, width=DRAWN_COLUMNS)
    except ImportError:
        return None


class Bars:
    """A spinner, the name of what is waited for, and a bar, for each of several, until `clear`.

    Args:
      console: of `open_console`; None to draw nothing.
    """

    def __init__(self, console: Any) -> None:
        self._console = console
        self._drawn: Any = None
        self._tasks: dict[str, Any] = {}
        self._states: dict[str, tuple[str, int, int]] = {}

    def show(self, of: str, what: str, done: int, total: int) -> None:
        """Draw that ``done`` of ``total`` is done of one of them; 0 of 0 where that is not known."""
        self._states[of] = (what, done, total)
        if self._console is None:
            return
        if self._drawn is None:
            self._drawn = self._opened()
            self._tasks = {}
            self._drawn.start()
        for name, (words, completed, planned) in self._states.items():
            if name not in self._tasks:
                self._tasks[name] = self._drawn.add_task(words)
            self._drawn.update(
                self._tasks[name], description=words, completed=completed, total=planned or None
            )

    def remove(self, of: str) -> None:
        """Draw this one no more."""
        self._states.pop(of, None)
        if self._drawn is not None and of in self._tasks:
            self._drawn.remove_task(self._tasks.pop(of))

    def clear(self) -> None:
        """Erase all; the next `show` draws again those that were not removed."""
        if self._drawn is not None:
            self._drawn.stop()
            self._drawn = None

    def _opened(self) -> Any:
        one_line = rich_class("table.Column")(no_wrap=True, overflow="ellipsis")
        return rich_class("progress.Progress")(
            rich_class("progress.SpinnerColumn")("line"),
            rich_class("progress.TextColumn")("{task.description}", markup=False, table_column=one_line),
            rich_class("progress.BarColumn")(_BAR_COLUMNS),
            rich_class("progress.MofNCompleteColumn")(),
            console=self._console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=5,  # drawing takes processor time from what is measured
        )


class Bar:
    """One of `Bars`, alone.

    Args:
      console: of `open_console`; None to draw nothing.
    """

    def __init__(self, console: Any) -> None:
        self._bars = Bars(console)

    def show(self, what: str, done: int, total: int) -> None:
        """Draw that ``done`` of ``total`` is done; 0 of 0 where that is not known."""
        self._bars.show("", what, done, total)

    def clear(self) -> None:
        """Erase the bar."""
        self._bars.clear()
