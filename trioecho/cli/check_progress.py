"""How runs of ``trioecho check`` go on, for a person who watches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..check.book.book import Rule
from ..check.verdict import Verdict
from .shared.rich_display import Bars, open_console

# Columns of a name, and of it with what is done, so that the bar beside them keeps its room.
_NAME, _NAME_AND_CASE = 12, 28


class Progress:
    """The bar of one server, or one client.

    Args:
      bars: those of all.
      noun: which of both it is: a server, or a client.
      name: of the server, if there are others.
    """

    def __init__(self, bars: Bars, noun: str, name: str = "") -> None:
        self._bars = bars
        self._name = name
        self._what = f"looking at the {noun}"
        self._done = self._total = 0
        self._show()

    def began(self, rule: Rule) -> None:
        """Show which case runs."""
        self._what = f"{rule.id} {rule.title}"
        self._show()

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        """Show how many have run."""
        self._done, self._total = done, total
        self._show()

    def _show(self) -> None:
        what = self._what
        if self._name:
            what = f"{self._name[:_NAME]:<{_NAME}} {what}"[:_NAME_AND_CASE]
        self._bars.show(self._name, what, self._done, self._total)


class AllProgress:
    """A bar for each server that is under way, gone before a line is printed."""

    def __init__(self, noun: str = "server") -> None:
        self._bars = Bars(open_console())
        self._noun = noun

    @contextlib.contextmanager
    def of(self, name: str = "") -> Iterator[Progress]:
        """Give what draws the run of a server until the block is left; a name if it is one of several."""
        try:
            yield Progress(self._bars, self._noun, name)
        finally:
            self._bars.remove(name)
            self._bars.clear()  # for lines to be printed
