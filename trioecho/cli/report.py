"""``trioecho report``: results of loads, joined or compared.

The reports that a server writes as it runs are in `trioecho.server.report`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from ..base.printable import printable_line
from ..load import LoadResult, UnreadableResultError, merge, result_from_json
from ..load.report.comparison import compare
from ..load.report.comparison_html import comparison_as_html
from ..load.report.comparison_outputs import comparison_as_json, comparison_as_text
from ..load.report.json_in_page import find_json
from ..load.report.judgement import Judgement, judge_changes
from ..load.report.load_text import result_as_text
from ..load.report.stages_comparison import compare_stages
from .load_files import Files, add_file_options, wanted_files
from .shared.exit_codes import ExitCode
from .shared.output import CommandError, print_error
from .shared.parser import Commands, Parser, add_command_parser
from .shared.report_files import ReportFiles

# Ten times what the longest load leaves behind.
_MOST_BYTES = 64 << 20

_EPILOG = """\
Each explains itself: trioecho help report merge, trioecho help report diff.

exit codes:
  0  done; diff: nothing is outside noise
  1  a file could not be written; diff: something is outside noise
  2  wrong usage, a FILE that is no result, or results that cannot be one
  3  diff: no verdict
"""

_MERGE_EPILOG = """\
Runs that were made at the same time, on several machines, become one: counts,
histograms and time series add up exactly. The same run twice is refused, under
any name; every report says what the plans differ in. With a single FILE it
makes the other kinds of reports.

exit codes:
  0  done
  1  a file could not be written
  2  wrong usage, a FILE that is no result, or results that cannot be one

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

Worse is a lower rate, a longer latency, a larger share of errors or of segments
sent again. A tolerance is for rate, mean, errors, retransmits or a percentile
(p99), and repeated for others. What it allows is never outside noise; where
noise is not known, it decides alone. That of errors is in percent of the
messages; without one, any rise is worse. That of retransmits is in percent of
the segments.
Stages are compared one by one, those of the same name; a tolerance is for each.
There is no verdict on a rate if the plans ask for different ones, or if only
one asks for a rate, as an open loop does.

exit codes:
  0  nothing is outside noise; with --fail-on worse, nothing of that is worse
  1  something is, or the JSON could not be written
  2  wrong usage, or a FILE that is no result
  3  no verdict, or none on a number with a tolerance: the runs were too short,
     or they are the same run

examples:
  trioecho report diff before.json after.json
  trioecho report diff main.json pr.json --fail-on worse --tolerance p99:10%
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``report``, which has commands of its own."""
    parser = commands.add_parser(
        "report",
        help=summary,
        description="Join or compare results that trioecho load has kept with --json.",
        epilog=_EPILOG,
    )
    kinds = parser.add_commands()
    merge_parser = add_command_parser(
        kinds,
        "merge",
        _merge,
        summary="join results of runs made at the same time",
        description="Join results of runs that were made at the same time.",
        epilog=_MERGE_EPILOG,
    )
    merge_parser.add_argument("files", nargs="+", metavar="FILE", help="what --json or --html has kept")
    add_file_options(merge_parser)
    diff_parser = add_command_parser(
        kinds,
        "diff",
        _diff,
        summary="compare two results, and say what is outside noise",
        description="Compare two results, and say what is outside noise.",
        epilog=_DIFF_EPILOG,
    )
    diff_parser.add_argument("before", metavar="A.json", help="what --json or --html has kept of one run")
    diff_parser.add_argument("after", metavar="B.json", help="and of the other")
    diff_parser.add_argument(
        "--fail-on",
        choices=("different", "worse", "never"),
        default="different",
        help="what ends with exit code 1 (default: different)",
    )
    diff_parser.add_argument(
        "--tolerance",
        type=_tolerance,
        action="append",
        default=[],
        metavar="NUMBER:PERCENT",
        help="a difference that does not matter, as p99:10%%; may be given several times",
    )
    diff_parser.add_argument("--json", metavar="FILE", help="the comparison for programs; - for stdout")
    diff_parser.add_argument("--html", metavar="FILE", help="one page with plots of both (needs matplotlib)")


def _merge(arguments: argparse.Namespace) -> int:
    files = Files(arguments, arguments.files)
    results = [_read(file) for file in arguments.files]
    try:
        merged = results[0]
        if len(results) > 1:
            merged = merge(results, [printable_line(file) for file in arguments.files])
    except ValueError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    files.print_text(result_as_text(merged, width=files.text_width))
    return ExitCode.OK if files.write_result(merged) else ExitCode.FAILED


def _diff(arguments: argparse.Namespace) -> int:
    paths: tuple[str, str] = (arguments.before, arguments.after)
    files = ReportFiles(wanted_files(arguments, "json", "html"), arguments.prog, paths)
    before, after = results = _read(paths[0]), _read(paths[1])
    names = printable_line(paths[0]), printable_line(paths[1])
    tolerances = dict(arguments.tolerance)
    changes = compare(before, after, tolerances)
    stages = compare_stages(before, after, tolerances)
    for letter, name, result in zip("AB", names, results, strict=True):
        files.print_text(f"{letter}: {name}, {result.started_at:%Y-%m-%d %H:%M:%S} UTC")
    files.print_text(f"\n{comparison_as_text(before, after, changes, stages, width=files.text_width)}")
    went_well = files.write(
        {
            "json": lambda: comparison_as_json(before, after, changes, paths, stages).encode(),
            "html": lambda: comparison_as_html(before, after, changes, names, stages).encode(),
        }
    )
    judgement = judge_changes(before, after, changes, tolerances, stages)
    code = _judge(arguments, judgement, names)
    return code if went_well else code or ExitCode.FAILED


def _judge(arguments: argparse.Namespace, judgement: Judgement, names: tuple[str, str]) -> int:
    """Return the exit code, and print its reason to stderr."""
    fail_on = arguments.fail_on
    if fail_on == "never":
        return ExitCode.OK
    found = judgement.worse if fail_on == "worse" else judgement.worse + judgement.better
    if found and fail_on == "worse":
        print_error(f"{names[1]} is worse than {names[0]}: {'; '.join(found)}")
    if found:
        return ExitCode.FAILED
    if judgement.untold:
        print_error(f"{arguments.prog}: {names[0]} and {names[1]}: {judgement.untold}")
        return ExitCode.UNAVAILABLE
    return ExitCode.OK


def _tolerance(text: str) -> tuple[str, float]:
    """Read ``p99:10%``."""
    match = re.fullmatch(
        r"(rate|mean|errors|retransmits|p\d{1,2}(?:\.\d{1,9})?):(\d{1,9}(?:\.\d{1,9})?)%", text.strip()
    )
    if match is None or re.fullmatch(r"p0+(\.0+)?", match[1]):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a tolerance; write rate:5%, mean:10%, p99:10%, errors:0.1% or retransmits:0.1%"
        )
    return match[1], float(match[2]) / 100


def _read(file: str) -> LoadResult:
    shown = printable_line(file)
    try:
        with Path(file).open("rb") as source:
            data = source.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise CommandError(
                ExitCode.WRONG_USAGE, f"cannot read {shown}: it has more than {_MOST_BYTES >> 20} MiB"
            )
        return result_from_json(find_json(data.decode()))
    except UnreadableResultError as error:
        raise CommandError(ExitCode.WRONG_USAGE, f"{shown}: {error}") from None
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "this is not text"
        raise CommandError(ExitCode.WRONG_USAGE, f"cannot read {shown}: {reason}") from None
