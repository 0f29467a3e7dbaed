"""The files that a command leaves behind: checked before a long run, written after it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from functools import partial

from ..load import LoadResult, result_as_json
from ..load.report.drawing import PlotsUnavailableError, check_matplotlib
from ..load.report.hgrm import histogram_as_hgrm
from ..load.report.load_csv import result_as_csv
from ..load.report.load_html import result_as_html
from ..load.report.words import SATURATED
from .shared.exit_codes import ExitCode
from .shared.output import CommandError
from .shared.parser import Parser
from .shared.report_files import ReportFiles


def _as_hgrm(result: LoadResult) -> str:
    return histogram_as_hgrm(result.latency_ns, notes=(SATURATED,) if result.saturated else ())


# Those of every command that has a result to keep.
_KINDS: dict[str, tuple[str, Callable[[LoadResult], str]]] = {
    "json": ("everything, for programs and for trioecho report", result_as_json),
    "csv": ("a line for each interval of the run", result_as_csv),
    "hgrm": ("latency as HdrHistogram percentile text, for its plotter", _as_hgrm),
    "html": ("one page with plots (needs matplotlib)", result_as_html),
}


def add_file_options(parser: Parser) -> None:
    """Add an option for each kind of file."""
    group = parser.add_argument_group(
        "what is kept", "FILE may be - for stdout; the summary then goes to stderr."
    )
    for kind, (text, _) in _KINDS.items():
        group.add_argument(f"--{kind}", metavar="FILE", help=text)


def wanted_files(arguments: argparse.Namespace, *kinds: str) -> dict[str, str]:
    """Return the paths of the files that were asked for, by their kinds.

    Raises:
      CommandError: there is no matplotlib for a page.
    """
    wanted = {kind: str(path) for kind in kinds if (path := getattr(arguments, kind)) is not None}
    if "html" in wanted:
        try:
            check_matplotlib()
        except PlotsUnavailableError as error:
            raise CommandError(ExitCode.WRONG_USAGE, f"--html: {error}") from None
    return wanted


class Files(ReportFiles):
    """The files that were asked for.

    Args:
      arguments: those of the command.
      inputs: paths that it reads; None is no path.

    Raises:
      CommandError: one cannot be written, is an input, or what it takes is not there.
    """

    def __init__(self, arguments: argparse.Namespace, inputs: Iterable[str | None]) -> None:
        super().__init__(wanted_files(arguments, *_KINDS), arguments.prog, inputs)

    def write_result(self, result: LoadResult, *, is_quiet: bool = False) -> bool:
        """Write them, each by itself; return whether all went well."""
        return self.write(
            {kind: partial(_encoded, make, result) for kind, (_, make) in _KINDS.items()}, is_quiet=is_quiet
        )


def _encoded(make: Callable[[LoadResult], str], result: LoadResult) -> bytes:
    return make(result).encode()
