"""``trioecho check``: find out whether a server of length-prefixed echoes is right, and if not, why."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from ..check.book.book import RULES, SECTIONS, Rule, select
from ..check.client.laid_out_wire import LaidOutWire
from ..check.client.wire import Wire
from ..check.output import Tested, Untested, outcome_of_all
from ..check.output.text import (
    Palette,
    book_lines,
    explain_lines,
    explain_section_lines,
    suite_lines,
    table_lines,
)
from ..check.runner.suite import (
    DEFAULT_JOBS,
    DEFAULT_TIME_LIMIT_S,
    INTERRUPTED,
    CannotCheckError,
    Settings,
    Target,
    check,
)
from ..check.spawned.spawned_server import parse_command
from ..check.verdict import SuiteResult
from ..framing import FrameFormat, parse_layout
from .check_files import Reports, add_report_options
from .check_progress import Progress
from .check_requests import Requests, add_request_options
from .shared import values
from .shared.exit_codes import ExitCode, ended_by_signal
from .shared.options import add_format_option, add_seed_option, chosen_seed
from .shared.output import CommandError, print_error, print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.signals import open_signals
from .shared.terminal import text_width

_EPILOG = """\
A case is named by its rule (2.3) or its section (2). Several servers can be
checked one after the other; --spawn may be given several times.

A server that was started by --spawn can also be tested for memory, crashes,
shutdown and restart. It listens on 127.0.0.1, on the port in place of {port}.

exit codes:
  0    conformant
  1    not conformant
  2    wrong usage, or a report could not be written
  3    unreachable, no server of frames, or inconclusive
  130  interrupted; what was decided until then is printed, and reports are written

examples:
  trioecho check 127.0.0.1:26066
  trioecho check 127.0.0.1:26066 2.3 4 --seed 7
  trioecho check --spawn 'python student.py {port}'
  trioecho check --spawn 'python student.py {port}' --html report.html
  trioecho check --explain 2.5
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``check`` and its options."""
    parser = add_command_parser(
        commands,
        "check",
        run,
        summary=summary,
        description="Test any server that echoes length-prefixed frames, from outside, against a\n"
        "book of rules; of every rule that is broken, show the bytes and the likely\n"
        "cause.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add(
        "targets_and_cases",
        type=_target_or_case,
        nargs="*",
        metavar="HOST:PORT | CASE",
        help="servers that listen, and the cases to run (default: all)",
    )
    add(
        "--spawn",
        type=_command,
        action="append",
        default=[],
        metavar="COMMAND",
        help="start the server with this; {port} in it is replaced by a free port",
    )
    add(
        "--spawn-timeout",
        type=values.seconds,
        default=10.0,
        metavar="TIME",
        help="longest wait until it listens; 0 for any (default: 10s)",
    )
    add(
        "--max-frame-length",
        type=values.size,
        metavar="SIZE",
        help="the server's limit for a payload (default: not known; 1MiB is tried)",
    )
    add_format_option(parser)
    add("--strict", action="store_true", help="a broken SHOULD makes a server not conformant, too")
    add_seed_option(parser, "decides the bytes")
    add(
        "--jobs",
        type=values.positive_count,
        default=DEFAULT_JOBS,
        metavar="N",
        help="cases that may run side by side (default: %(default)s)",
    )
    add(
        "--time-limit",
        type=values.seconds,
        default=DEFAULT_TIME_LIMIT_S,
        metavar="TIME",
        help="longest run; what is not decided then is inconclusive; 0 for any (default: 2m)",
    )
    add("-v", "--verbose", action="store_true", help="say also what was seen in cases that passed")
    add("--list", action="store_true", help="list all rules")
    add(
        "--explain",
        type=_case_id,
        action="append",
        default=[],
        metavar="CASE",
        help="explain a rule, or a section: what, why, and who says so",
    )
    add_request_options(parser)
    add_report_options(parser)


# ---- arguments ----


def _case_id(text: str) -> str:
    try:
        select([text])
    except KeyError:
        raise argparse.ArgumentTypeError(
            f"the book has no case {text}; trioecho check --list shows all {len(RULES)}"
        ) from None
    return text


def _target_or_case(text: str) -> values.Address | str:
    if re.fullmatch(r"\d+(\.\d+)*\.?", text, re.ASCII):
        return _case_id(text)
    if ":" not in text:
        raise values.refusal(text, "is no server, as 127.0.0.1:26066, and no case, as 2.3 of --list")
    return values.address(text)


def _command(text: str) -> tuple[str, tuple[str, ...]]:
    try:
        return text, tuple(parse_command(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@dataclass(frozen=True)
class _Server:
    """A server to check."""

    target: Target
    command: tuple[str, ...] | None


def _servers(arguments: argparse.Namespace) -> list[_Server]:
    listening = [
        _Server(Target(str(each), (each.host, each.port)), None)
        for each in arguments.targets_and_cases
        if isinstance(each, values.Address)
    ]
    return listening + [_Server(Target(text), command) for text, command in arguments.spawn]


def wire_of(format: FrameFormat) -> Wire:
    """Describe the headers for the suite, which has its own idea of frames."""
    plain = format.header_bytes, format.byte_order, format.length_includes_header
    if format.is_plain:
        return Wire(*plain)
    layout = parse_layout(str(format))
    number = layout.number
    return LaidOutWire(
        *plain,
        words=str(format),
        kind=number.kind.value,
        most=number.most,
        least=number.least,
        flags=number.flags,
        counted=layout.counted,
        before=layout.before,
        behind=layout.behind,
        trailer=layout.trailer,
    )


# ---- the command ----


def run(arguments: argparse.Namespace) -> int:
    """Check, or print the book."""
    if arguments.list or arguments.explain:
        for line in _book(arguments):
            print_result(line)
        return ExitCode.OK
    if not _servers(arguments):
        raise CommandError(
            ExitCode.WRONG_USAGE,
            "no server to check; name it as HOST:PORT, or start it with --spawn (see trioecho check --help)",
        )
    arguments.seed = chosen_seed(arguments)
    arguments.requests = Requests(arguments)
    reports = Reports(arguments)
    return trio.run(_check_until_signal, arguments, reports)


def _book(arguments: argparse.Namespace) -> list[str]:
    if arguments.list:
        return list(book_lines(text_width()))
    lines: list[str] = []
    for number, name in enumerate(arguments.explain):
        if number:
            lines.append("")
        sections = [section for section in SECTIONS if str(section.number) == name]
        width = text_width()
        lines += explain_section_lines(sections[0], width) if sections else explain_lines(RULES[name], width)
    return lines


async def _check_until_signal(arguments: argparse.Namespace, reports: Reports) -> int:
    """Check until all is done or a signal comes; what is known then is printed. A second signal ends all."""
    exit_code: int = ExitCode.UNAVAILABLE
    signalled = 0
    interrupt = trio.Event()
    with open_signals() as signals:
        async with trio.open_nursery() as nursery:

            async def end_at_signal(signals: AsyncIterator[int]) -> None:
                nonlocal signalled
                signalled = await anext(signals)
                interrupt.set()
                await anext(signals)
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_at_signal, signals)
            exit_code = await _check_all(arguments, reports, interrupt)
            nursery.cancel_scope.cancel()
    return ended_by_signal(signalled) if signalled else exit_code


async def _check_all(arguments: argparse.Namespace, reports: Reports, interrupt: trio.Event) -> int:
    names = [each for each in arguments.targets_and_cases if isinstance(each, str)]
    tested: list[Tested] = []
    servers = _servers(arguments)
    stream = sys.stderr if reports.use_stdout else sys.stdout
    palette = Palette(_is_coloured(stream), text_width(stream))

    def print_lines(lines: Iterable[str]) -> None:
        for line in lines:
            reports.print_text(line, is_safe=True)  # coloured, and escaped where it was made

    for number, server in enumerate(servers):
        outcome = await _check_one(server, select(names), arguments, interrupt)
        tested.append(outcome)
        if interrupt.is_set() and not any(isinstance(each, SuiteResult) for each in tested):
            return ExitCode.UNAVAILABLE  # there is nothing to print
        if isinstance(outcome, Untested):
            who = f"{outcome.target}: " if len(servers) > 1 else ""
            print_error(f"{arguments.prog}: {who}{outcome.reason}")
        elif reports.prints_rubric:
            if len(servers) > 1:  # the grades come at the end, and that may be far
                print_error(f"{outcome.target}: {outcome.outcome(strict=arguments.strict)}")
        else:
            if number:
                reports.print_text("")
            print_lines(suite_lines(outcome, palette, strict=arguments.strict, is_verbose=arguments.verbose))
    if reports.prints_rubric:
        print_lines(reports.rubric(tested, palette.width).splitlines())
    elif len(servers) > 1:
        print_lines(["", *table_lines(tested, strict=arguments.strict, width=palette.width)])
    if not reports.write_results(tested):
        return ExitCode.WRONG_USAGE
    return {"conformant": ExitCode.OK, "not conformant": ExitCode.FAILED}.get(
        outcome_of_all(tested, strict=arguments.strict), ExitCode.UNAVAILABLE
    )


async def _check_one(
    server: _Server, rules: Sequence[Rule], arguments: argparse.Namespace, interrupt: trio.Event
) -> Tested:
    if interrupt.is_set():
        return Untested(server.target.name, f"{INTERRUPTED} before it was its turn")
    wire = wire_of(arguments.requests.format)
    settings = Settings(
        wire=wire,
        seed=arguments.seed,
        max_frame_length=arguments.max_frame_length,
        command=server.command,
        spawn_timeout_s=arguments.spawn_timeout or math.inf,
        dialogue=arguments.requests.dialogue(wire),
    )
    progress = Progress()
    try:
        return await check(
            server.target,
            settings,
            rules=rules,
            jobs=arguments.jobs,
            observer=progress,
            time_limit_s=arguments.time_limit or math.inf,
            interrupt=interrupt,
        )
    except CannotCheckError as error:
        return Untested(server.target.name, str(error))
    finally:
        progress.clear()


# ---- the terminal ----


def _is_coloured(stream: Any) -> bool:
    """Decide on colours as https://no-color.org asks for."""
    return (
        stream is not None
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
