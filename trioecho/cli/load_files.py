"""The files that a command leaves behind: checked before a long run, written after it."""

from __future__ import annotations

import argparse
import logging
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from ..load import LoadResult
from ..report.hgrm import histogram_as_hgrm
from ..report.load_csv import result_as_csv
from ..report.load_html import result_as_html
from ..report.plots import PlotsUnavailableError, check_matplotlib
from ..report.words import SATURATED
from .parser import Parser
from .result import CommandError, print_error

_WRONG_USAGE = 2
_STDOUT = "-"


def _as_hgrm(result: LoadResult) -> str:
    return histogram_as_hgrm(result.latency_ns, notes=(SATURATED,) if result.saturated else ())


# Those of every command that has a result to keep.
_KINDS: dict[str, tuple[str, Callable[[LoadResult], str]]] = {
    "json": ("everything, for programs and for trioecho report", LoadResult.to_json),
    "csv": ("a line for each interval of the run", result_as_csv),
    "hgrm": ("latency as HdrHistogram percentile text, for its plotter", _as_hgrm),
    "html": ("one page with plots (needs matplotlib: trioecho[plot])", result_as_html),
}


def add_file_options(parser: Parser) -> None:
    """Add an option for each kind of file."""
    group = parser.add_argument_group(
        "what is kept", "FILE may be - for stdout; the summary then goes to stderr."
    )
    for kind, (text, _) in _KINDS.items():
        group.add_argument(f"--{kind}", metavar="FILE", help=text)


class Files:
    """The files that were asked for.

    Attributes:
      use_stdout: whether one of them is stdout.

    Raises:
      CommandError: one cannot be written, or what it takes is not there.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._wanted: dict[str, str] = {
            kind: path for kind in _KINDS if (path := getattr(arguments, kind)) is not None
        }
        paths = list(self._wanted.values())
        self.use_stdout: bool = _STDOUT in paths
        for path in paths:
            if paths.count(path) > 1:
                raise CommandError(
                    _WRONG_USAGE, f"{path} cannot take two reports; give each a file of its own"
                )
        if "html" in self._wanted:
            try:
                check_matplotlib()
            except PlotsUnavailableError as error:
                raise CommandError(_WRONG_USAGE, f"--html: {error}") from None
        self._made: list[Path] = []
        for path in paths:
            self._check(path)

    def _check(self, path: str) -> None:
        """Open the file as it will be opened; what it holds stays until there is something better."""
        if path == _STDOUT:
            return
        file = Path(path)
        try:
            is_new = not file.exists()
            # A pipe's reader would take the close for the end.
            if is_new or not stat.S_ISFIFO(file.stat().st_mode):
                with file.open("ab"):
                    pass
        except (OSError, ValueError) as error:
            self.forget()
            reason = (isinstance(error, OSError) and error.strerror) or str(error)
            raise CommandError(_WRONG_USAGE, f"cannot write {path}: {reason}") from None
        if is_new:
            self._made.append(file)

    def forget(self) -> None:
        """Remove the files that were made, and are empty because there is no result."""
        for path in self._made:
            path.unlink(missing_ok=True)
        self._made = []

    def write(self, result: LoadResult) -> bool:
        """Write them all; whether that went well. What went wrong is told, file by file."""
        went_well = True
        # What it says of its caches is nothing to whoever wants a report.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        for kind, path in self._wanted.items():
            text = _KINDS[kind][1](result)
            try:
                if path == _STDOUT:
                    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
                    sys.stdout.flush()
                else:
                    Path(path).write_text(text, "utf-8")
            except OSError as error:
                print_error(f"cannot write {path}: {error.strerror}")
                went_well = False
        self._made = []
        return went_well
