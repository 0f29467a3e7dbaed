"""Rows and tables of the index of many servers."""

from __future__ import annotations

from collections.abc import Sequence

from ...base.html import Markup, element
from ..verdict import CaseResult
from .rubric import Grade
from .tested import Conformance, Tested, Untested


class Row:
    """A server on the index.

    Attributes:
      server: what the suite found.
      grade: its points.
      page: the address of its page, from the index.
      outcome: the verdict.
    """

    def __init__(self, server: Tested, points: Grade, page: str, outcome: Conformance) -> None:
        self.server: Tested = server
        self.grade: Grade = points
        self.page: str = page
        self.outcome: Conformance = outcome

    @property
    def results(self) -> Sequence[CaseResult]:
        """What came of its cases; none if it was not tested."""
        return () if isinstance(self.server, Untested) else self.server.results

    @property
    def link(self) -> Markup:
        """Its name, linked to its page."""
        return element("a", self.server.target, href=self.page)

    def head(self) -> Markup:
        """Return its name at the beginning of a row."""
        return element("th", self.link, scope="row", data_key=self.server.target)


def sorting_head(column: int, words: str, sort: str | None, class_: str | None) -> Markup:
    """Make the head of a column.

    Args:
      column: its number, from 0.
      words: what stands there.
      sort: how a click sorts first, "ascending" or "descending"; None if not at all.
      class_: of the element.
    """
    has = {"data_sort": sort, "data_column": str(column)} if sort else {}
    return element("th", words, scope="col", class_=class_, **has)


def scrolled_table(class_: str, *parts: Markup | None) -> Markup:
    """Make a table that may be wider than the window; a keyboard can scroll it, too."""
    return element("div", element("table", *parts, class_=class_), class_="scroll", tabindex="0")
