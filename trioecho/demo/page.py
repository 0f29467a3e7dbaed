"""Where the demo's lines go, and how wide they are."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Protocol

HELD, FAILED = "✓", "✗"


class DemoError(Exception):
    """The demo cannot go on; the message is for the user, in one line."""


class ProgressDisplay(Protocol):
    """Shows a person who watches what the demo is waiting for."""

    def show(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of ``what`` is done; 0 of 0 where that is not known."""

    def clear(self) -> None:
        """Erase it: the wait is over."""


class Page:
    """The lines of the demo, and the claims that the summary repeats.

    Args:
      out: takes one line at a time.
      width: of sentences, in columns; tables and bytes have a width of their own.
    """

    def __init__(self, out: Callable[[str], object], width: int) -> None:
        self._out = out
        self._width = width
        self._claims: list[tuple[bool, str]] = []

    def line_at_margin(self, text: str) -> None:
        """Write a line that belongs to no heading."""
        for line in self._wrapped(text, 0):
            self._out(line)

    def line(self, text: str = "") -> None:
        """Write a line as it is, indented below its heading."""
        self._out(f"  {text}" if text else "")

    def event(self, who: str, what: str) -> None:
        """Write what the server or the client did, or what came of it."""
        self._with_margin(f"{who:9}  ", what)

    def heading(self, text: str) -> None:
        """Write the title of an act."""
        self._out("")
        self._out(text)
        self._out("-" * len(text))

    def paragraph(self, text: str) -> None:
        """Write sentences, wrapped."""
        self._with_margin("", text)

    def claim(self, held: bool, text: str) -> None:
        """Keep for the summary that this was shown, or that it failed."""
        self._claims.append((held, text))

    def summary(self) -> bool:
        """Write what was shown; return whether all of it held."""
        for held, text in self._claims:
            self._with_margin(f"{HELD if held else FAILED} ", text)
        return all(held for held, _ in self._claims)

    def _with_margin(self, margin: str, text: str) -> None:
        first, *rest = self._wrapped(text, 2 + len(margin)) or [""]
        self.line(f"{margin}{first}")
        for line in rest:
            self.line(f"{' ' * len(margin)}{line}")

    def _wrapped(self, text: str, margin: int) -> list[str]:
        return textwrap.wrap(text, self._width - margin, break_long_words=False, break_on_hyphens=False)
