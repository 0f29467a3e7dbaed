"""The reports that ``trioecho check`` writes: made sure of before a run, written after it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from ..check.book.book import Heading
from ..check.output import (
    EQUAL_POINTS,
    Tested,
    class_table_lines,
    grade,
    results_as_html,
    results_as_json,
    results_as_junit,
    results_as_pages,
    rubric_as_csv,
    rubric_as_text,
)
from .shared import values
from .shared.parser import Parser
from .shared.report_files import ReportFiles
from .shared.report_folder import ReportFolder

_KINDS = {
    "json": "everything, for programs",
    "junit": "JUnit XML, for continuous integration",
    "html": "one page, with the evidence and the rule book",
    "rubric_csv": "points and feedback, a line for each server, for spreadsheets",
}


def add_report_options(parser: Parser) -> None:
    """Add the options that say which reports are wanted."""
    group = parser.add_argument_group(
        "reports",
        "FILE may be - for stdout; what is printed for people then goes to stderr.\n"
        "The points under a heading are the part of its rules that held, where a MUST\n"
        "weighs twice as much as a SHOULD; at most half if a core rule is broken, a\n"
        "quarter if several are (--explain says which are), and none under any heading\n"
        "if not even rule 1.2 holds.",
    )
    for kind, text in _KINDS.items():
        group.add_argument(f"--{kind.replace('_', '-')}", metavar="FILE", help=text)
    group.add_argument(
        "--html-dir",
        metavar="FOLDER",
        help="an index of all servers, with points and a matrix of rules, and a page for each",
    )
    group.add_argument(
        "--rubric",
        action="store_true",
        help="print points and feedback under the homework's four headings, instead of the cases",
    )
    group.add_argument(
        "--rubric-points",
        type=_points,
        metavar="A,B,C,D",
        default=EQUAL_POINTS,
        help=f"what these are worth: {', '.join(each.value for each in Heading)} (default: 25,25,25,25)",
    )


class Reports(ReportFiles):
    """The reports that were asked for.

    Attributes:
      prints_rubric: whether people get the rubric instead of the cases.
      has_pages: whether there is a page for each server.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        wanted = {kind: str(path) for kind in _KINDS if (path := getattr(arguments, kind)) is not None}
        super().__init__(wanted, arguments.prog, (arguments.ask, arguments.expect, arguments.first_message))
        self._folder: ReportFolder | None = None
        if arguments.html_dir is not None:
            self._folder = ReportFolder(arguments.html_dir, wanted.values(), arguments.prog)
        self.has_pages: bool = self._folder is not None
        self._points: Mapping[Heading, float] = arguments.rubric_points
        self._strict: bool = arguments.strict
        self.prints_rubric: bool = arguments.rubric

    def rubric(self, servers: Sequence[Tested], width: int) -> str:
        """Write the grades as text of this width."""
        return rubric_as_text([grade(server, self._points) for server in servers], width=width)

    def summary(self, servers: Sequence[Tested], width: int) -> Iterator[str]:
        """Write a table of verdicts and points, in lines of this width."""
        grades = [grade(server, self._points) for server in servers]
        return class_table_lines(servers, grades, strict=self._strict, width=width)

    def write_results(self, servers: Sequence[Tested]) -> bool:
        """Write them, each by itself; return whether all went well."""
        went_well = self.write({kind: partial(self._report, kind, servers) for kind in _KINDS})
        if self._folder is None:
            return went_well
        pages = results_as_pages(servers, self._points, strict=self._strict)
        written = self._folder.write({name: page.encode() for name, page in pages.items()})
        if written:
            self.print_text(f"wrote {written}")
        return went_well and bool(written)

    def _report(self, kind: str, servers: Sequence[Tested]) -> bytes:
        if kind == "json":
            return results_as_json(servers, strict=self._strict).encode()
        if kind == "junit":
            return results_as_junit(servers, strict=self._strict).encode()
        if kind == "html":
            return results_as_html(servers, strict=self._strict).encode()
        grades = rubric_as_csv([grade(server, self._points) for server in servers])
        # A spreadsheet takes a file for UTF-8 only if it begins with a byte order mark.
        return grades.encode("utf-8" if self.is_stdout(kind) else "utf-8-sig")


def _points(text: str) -> Mapping[Heading, float]:
    """Parse four numbers: ``40,30,20,10``."""
    try:
        points = [float(part) for part in text.split(",")]
    except ValueError:
        points = []
    if len(points) != len(Heading) or not all(math.isfinite(each) and each >= 0 for each in points):
        raise values.refusal(text, "is not four numbers of points; write 40,30,20,10")
    return dict(zip(Heading, points, strict=True))
