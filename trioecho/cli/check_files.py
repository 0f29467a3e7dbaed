"""The reports that ``trioecho check`` writes: made sure of before a run, written after it."""

from __future__ import annotations

import argparse
import math
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..check.book import Heading
from ..check.output import (
    EQUAL_POINTS,
    Tested,
    grade,
    results_as_html,
    results_as_json,
    results_as_junit,
    rubric_as_csv,
    rubric_as_text,
)
from .parser import Parser
from .result import CommandError, print_error

_WRONG_USAGE = 2
_STDOUT = "-"
_KINDS = {
    "json": "everything, for programs",
    "junit": "JUnit XML, for continuous integration",
    "html": "one page, with the evidence and the rule book",
    "rubric_csv": "points and feedback, a line for each server, for spreadsheets",
}


def add_report_options(parser: Parser) -> None:
    """Add the options that say which reports are wanted."""
    group = parser.add_argument_group(
        "reports", "FILE may be - for stdout; what is told to people then goes to stderr."
    )
    for kind, text in _KINDS.items():
        group.add_argument(f"--{kind.replace('_', '-')}", metavar="FILE", help=text)
    group.add_argument(
        "--rubric",
        action="store_true",
        help="tell points and feedback under the homework's four headings, instead of the cases",
    )
    group.add_argument(
        "--rubric-points",
        type=_points,
        metavar="A,B,C,D",
        default=EQUAL_POINTS,
        help=f"what these are worth: {', '.join(each.value for each in Heading)} (default: 25,25,25,25)",
    )


class Reports:
    """The reports that were asked for.

    Attributes:
      use_stdout: whether one of them goes to stdout.
      tell_rubric: whether a person is to be told the rubric instead of the cases.

    Raises:
      CommandError: a file cannot be written.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._wanted = {kind: str(path) for kind in _KINDS if (path := getattr(arguments, kind)) is not None}
        self._points: Mapping[Heading, float] = arguments.rubric_points
        self._strict: bool = arguments.strict
        self._made: list[Path] = []
        self.tell_rubric: bool = arguments.rubric
        self.use_stdout: bool = _STDOUT in self._wanted.values()
        paths = list(self._wanted.values())
        for path in paths:
            if paths.count(path) > 1:
                raise CommandError(
                    _WRONG_USAGE, f"{path} cannot take two reports; give each a file of its own"
                )
        for path in paths:
            self._make_sure_of(path)

    def _make_sure_of(self, path: str) -> None:
        """Open the file as it will be opened; what it holds stays until there is something better."""
        if path == _STDOUT:
            return
        file = Path(path)
        try:
            is_new = not file.exists()
            # The reader of a pipe would take the close for the end.
            if is_new or not stat.S_ISFIFO(file.stat().st_mode):
                with file.open("ab"):
                    pass
        except (OSError, ValueError) as error:
            self.forget()
            raise CommandError(_WRONG_USAGE, f"cannot write {path or repr(path)}: {_reason(error)}") from None
        if is_new:
            self._made.append(file)

    def forget(self) -> None:
        """Remove the files that were made, and are empty because there is no result."""
        for file in self._made:
            file.unlink(missing_ok=True)
        self._made = []

    def rubric(self, servers: Sequence[Tested]) -> str:
        """The grades, as text."""
        return rubric_as_text([grade(server, self._points) for server in servers])

    def write(self, servers: Sequence[Tested]) -> bool:
        """Write all files; whether that went well. What went wrong is told, file by file."""
        went_well = True
        for kind, path in self._wanted.items():
            # A spreadsheet takes a file for UTF-8 only if it begins with a byte order mark.
            encoding = "utf-8-sig" if kind == "rubric_csv" and path != _STDOUT else "utf-8"
            report = self._maker(kind)(servers).encode(encoding)
            try:
                if path == _STDOUT:
                    sys.stdout.flush()
                    sys.stdout.buffer.write(report if report.endswith(b"\n") else report + b"\n")
                    sys.stdout.flush()
                else:
                    Path(path).write_bytes(report)
            except OSError as error:
                print_error(f"cannot write {path}: {_reason(error)}")
                went_well = False
        self._made = []
        return went_well

    def _maker(self, kind: str) -> Callable[[Sequence[Tested]], str]:
        def as_csv(servers: Sequence[Tested]) -> str:
            return rubric_as_csv([grade(server, self._points) for server in servers])

        return {
            "json": lambda servers: results_as_json(servers, strict=self._strict),
            "junit": lambda servers: results_as_junit(servers, strict=self._strict),
            "html": lambda servers: results_as_html(servers, strict=self._strict),
            "rubric_csv": as_csv,
        }[kind]


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _points(text: str) -> Mapping[Heading, float]:
    """Four numbers: ``40,30,20,10``."""
    try:
        points = [float(part) for part in text.split(",")]
    except ValueError:
        points = []
    if len(points) != len(Heading) or not all(math.isfinite(each) and each >= 0 for each in points):
        raise argparse.ArgumentTypeError(f"{text!r} is not four numbers of points; write 40,30,20,10")
    return dict(zip(Heading, points, strict=True))
