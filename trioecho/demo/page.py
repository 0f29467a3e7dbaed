"""Where the demo's lines go, and how they look at 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Protocol

WIDTH = 78

HELD, FAILED = "✓", "✗"


class DemoError(Exception):
    """The demo cannot go on; the message is for the user, in one line."""


class Progress(Protocol):
    """Tells a person who watches what the demo is waiting for."""

    def show(self, what: str, done: int, total: int) -> None:
        """Waiting for ``what``, of which ``done`` of ``total`` is done; 0 of 0 where that is not known."""

    def clear(self) -> None:
        """No longer waiting."""


class Page:
    """Lines as they are written, and the claims that the summary repeats.

    Args:
      out: takes one line at a time.
    """

    def __init__(self, out: Callable[[str], object]) -> None:
        self._out = out
        self._claims: list[tuple[bool, str]] = []

    def line_at_margin(self, text: str) -> None:
        """A line that belongs to no heading."""
        self._out(text)

    def line(self, text: str = "") -> None:
        """A line as it is, indented below its heading."""
        self._out(f"  {text}" if text else "")

    def heading(self, text: str) -> None:
        """The title of an act."""
        self._out("")
        self._out(text)
        self._out("-" * len(text))

    def paragraph(self, text: str) -> None:
        """Sentences, wrapped."""
        for line in textwrap.wrap(text, WIDTH - 2, break_on_hyphens=False):
            self.line(line)

    def claim(self, held: bool, text: str) -> None:
        """Keep for the summary that this was shown, or that it failed."""
        self._claims.append((held, text))

    def summary(self) -> bool:
        """Write what was shown; whether all of it held."""
        for held, text in self._claims:
            wrapped = textwrap.wrap(text, WIDTH - 4, break_on_hyphens=False)
            for mark, line in zip([HELD if held else FAILED] + [" "] * len(wrapped), wrapped, strict=False):
                self.line(f"{mark} {line}")
        return all(held for held, _ in self._claims)
