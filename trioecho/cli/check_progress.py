"""How a run of ``trioecho check`` goes on, for a person who watches."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from typing import Any

from ..check.book import Rule
from ..check.verdict import Verdict


class Progress:
    """Nobody watches, or `rich` is not there."""

    def began(self, rule: Rule) -> None:
        pass

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        pass

    def clear(self) -> None:
        pass


class _RichProgress(Progress):
    """A bar on stderr, gone before the verdicts are told."""

    def __init__(self, module: Any, console: Any) -> None:
        self._bar = module.Progress(
            module.SpinnerColumn("line"),
            module.TextColumn("{task.description}"),
            module.BarColumn(),
            module.MofNCompleteColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            refresh_per_second=5,
        )
        self._task = self._bar.add_task("looking at the server", total=None)
        self._bar.start()

    def began(self, rule: Rule) -> None:
        self._bar.update(self._task, description=f"{rule.id} {rule.title}"[:50])

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total)

    def clear(self) -> None:
        self._bar.stop()


def open_progress() -> Progress:
    """A display for a person at a terminal who has installed ``trioecho[progress]``."""
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        # Not an import statement: the type checkers must be content without `rich`.
        with contextlib.suppress(ImportError):
            console = importlib.import_module("rich.console").Console(stderr=True)
            return _RichProgress(importlib.import_module("rich.progress"), console)
    return Progress()
