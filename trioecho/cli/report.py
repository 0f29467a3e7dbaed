"""``trioecho report``: results of loads, joined or compared."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..load import LoadResult, UnreadableResultError, merge
from ..report.comparison import compare, comparison_as_text
from ..report.load_text import result_as_text
from .load_files import Files, add_file_options
from .parser import Commands, Parser, add_command_parser
from .result import CommandError, print_error, print_result

_GOOD, _DIFFERENT, _FAILED, _WRONG_USAGE = 0, 1, 1, 2

_MERGE_EPILOG = """\
Runs that were made at the same time, on several machines, become one: counts,
histograms and time series add up exactly. Of a single FILE it makes the other
kinds of reports.

exit codes:
  0  done
  1  a file could not be written
  2  wrong usage, or a FILE that is no result

examples:
  trioecho report merge a.json b.json --json both.json
  trioecho report merge load.json --html load.html
"""

_DIFF_EPILOG = """\
The noise of a number is estimated from how it varies within the two runs,
which are cut into ten sections each; a difference is outside noise when chance
would explain it in less than one comparison of a hundred. What changes from
run to run and then stays is not in that: compare two runs of the same thing to
see it.

exit codes:
  0  nothing is outside noise
  1  something is
  2  wrong usage, or a FILE that is no result

example:
  trioecho report diff before.json after.json
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``report``, which has commands of its own."""
    parser = commands.add_parser(
        "report",
        help=summary,
        description="Join or compare results that trioecho load has kept with --json.",
    )
    kinds = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    merge_parser = add_command_parser(
        kinds,
        "merge",
        _merge,
        summary="join results of runs made at the same time",
        description="Join results of runs that were made at the same time.",
        epilog=_MERGE_EPILOG,
    )
    merge_parser.add_argument("files", nargs="+", metavar="FILE", help="what --json has kept")
    add_file_options(merge_parser)
    diff_parser = add_command_parser(
        kinds,
        "diff",
        _diff,
        summary="compare two results, and say what is outside noise",
        description="Compare two results, and say what is outside noise.",
        epilog=_DIFF_EPILOG,
    )
    diff_parser.add_argument("before", metavar="A.json", help="what --json has kept of one run")
    diff_parser.add_argument("after", metavar="B.json", help="and of the other")


def _merge(arguments: argparse.Namespace) -> int:
    results = [_read(file) for file in arguments.files]
    try:
        merged = merge(results) if len(results) > 1 else results[0]
    except ValueError as error:
        raise CommandError(_WRONG_USAGE, str(error)) from None
    files = Files(arguments)
    (print_error if files.use_stdout else print_result)(result_as_text(merged))
    return _GOOD if files.write_result(merged) else _FAILED


def _diff(arguments: argparse.Namespace) -> int:
    before, after = _read(arguments.before), _read(arguments.after)
    changes = compare(before, after)
    print_result(comparison_as_text(before, after, changes))
    return _DIFFERENT if any(change.verdict == "outside noise" for change in changes) else _GOOD


def _read(file: str) -> LoadResult:
    try:
        return LoadResult.from_json(Path(file).read_text("utf-8"))
    except UnreadableResultError as error:
        raise CommandError(_WRONG_USAGE, f"{file}: {error}") from None
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "this is not text"
        raise CommandError(_WRONG_USAGE, f"cannot read {file}: {reason}") from None
