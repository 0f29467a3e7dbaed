"""The files that a command leaves behind: checked before a long run, written after it."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable

from ..load import LoadResult
from ..report.hgrm import histogram_as_hgrm
from ..report.load_csv import result_as_csv
from ..report.load_html import result_as_html
from ..report.plots import PlotsUnavailableError, check_matplotlib
from ..report.words import SATURATED
from .parser import Parser
from .report_files import ReportFiles
from .result import CommandError

_WRONG_USAGE = 2


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


class Files(ReportFiles):
    """The files that were asked for.

    Raises:
      CommandError: one cannot be written, or what it takes is not there.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        wanted = {kind: str(path) for kind in _KINDS if (path := getattr(arguments, kind)) is not None}
        if "html" in wanted:
            try:
                check_matplotlib()
            except PlotsUnavailableError as error:
                raise CommandError(_WRONG_USAGE, f"--html: {error}") from None
        super().__init__(wanted)

    def write_result(self, result: LoadResult) -> bool:
        """Write them all; whether that went well."""
        # What it says of its caches is nothing to whoever wants a report.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        return self.write({kind: _KINDS[kind][1](result).encode() for kind in self.wanted})
