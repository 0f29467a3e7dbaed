"""How a run of ``trioecho check`` goes on, for a person who watches."""

from __future__ import annotations

from ..check.book.book import Rule
from ..check.verdict import Verdict
from .shared.rich_display import Bar, open_console


class Progress:
    """A bar, gone before the verdicts are printed."""

    def __init__(self) -> None:
        self._bar = Bar(open_console())
        self._what = "looking at the server"
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

    def clear(self) -> None:
        """Erase the bar."""
        self._bar.clear()

    def _show(self) -> None:
        self._bar.show(self._what, self._done, self._total)
