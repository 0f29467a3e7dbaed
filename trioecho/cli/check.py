"""``trioecho check``: find out whether a server of length-prefixed echoes is right, and if not, why."""

from __future__ import annotations

import argparse
import math
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from ..check.book import RULES, SECTIONS, Rule, select
from ..check.output import Tested, Untested, outcome_of_all
from ..check.server import parse_command
from ..check.suite import (
    DEFAULT_JOBS,
    DEFAULT_TIME_LIMIT_S,
    INTERRUPTED,
    CannotCheckError,
    Settings,
    Target,
    check,
)
from ..check.text import Palette, book_lines, explain_lines, explain_section_lines, suite_lines, table_lines
from ..check.verdict import SuiteResult
from ..check.wire import Wire
from ..framing import FrameFormat
from . import values
from .check_files import Reports, add_report_options
from .check_progress import open_progress
from .parser import Commands, Parser, add_command_parser, add_format_option
from .result import CommandError, print_error, print_result

_CONFORMANT, _NOT_CONFORMANT, _WRONG_USAGE, _NO_VERDICT = 0, 1, 2, 3
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

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
  130  interrupted; what was decided until then is told, and reports are written

examples:
  trioecho check 127.0.0.1:50666
  trioecho check 127.0.0.1:50666 2.3 4 --seed 7
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
        type=values.duration,
        default=10.0,
        metavar="TIME",
        help="longest wait until it listens (default: 10s)",
    )
    add(
        "--max-frame-length",
        type=values.size,
        metavar="SIZE",
        help="the server's limit for a payload (default: not known; 1MiB is tried)",
    )
    add_format_option(parser)
    add("--strict", action="store_true", help="a broken SHOULD makes a server not conformant, too")
    add("--seed", type=values.count, default=0, metavar="N", help="the bytes are made from it (default: 0)")
    add(
        "--jobs",
        type=values.positive_count,
        default=DEFAULT_JOBS,
        metavar="N",
        help="cases that may run side by side (default: %(default)s)",
    )
    add(
        "--time-limit",
        type=values.duration,
        default=DEFAULT_TIME_LIMIT_S,
        metavar="TIME",
        help="longest run against a server; what is not decided then is inconclusive (default: 2m; 0: any)",
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
    if re.fullmatch(r"\d+(\.\d+)*\.?", text):
        return _case_id(text)
    if ":" not in text:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no server, as 127.0.0.1:50666, and no case, as 2.3 (trioecho check --list)"
        )
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


def _wire(format: FrameFormat) -> Wire:
    """The suite has its own idea of frames; only the description passes this door."""
    return Wire(format.header_bytes, format.byte_order, format.length_includes_header)


# ---- the command ----


def run(arguments: argparse.Namespace) -> int:
    """Check, or tell of the book."""
    if arguments.list or arguments.explain:
        for line in _book(arguments):
            print_result(line)
        return _CONFORMANT
    if not _servers(arguments):
        raise CommandError(
            _WRONG_USAGE, "no server to check; name it as HOST:PORT, or start it with --spawn (see --help)"
        )
    reports = Reports(arguments)
    try:
        return trio.run(_check_until_signal, arguments, reports)
    finally:
        reports.forget()


def _book(arguments: argparse.Namespace) -> list[str]:
    if arguments.list:
        return list(book_lines())
    lines: list[str] = []
    for number, name in enumerate(arguments.explain):
        if number:
            lines.append("")
        sections = [section for section in SECTIONS if str(section.number) == name]
        lines += explain_section_lines(sections[0]) if sections else explain_lines(RULES[name])
    return lines


async def _check_until_signal(arguments: argparse.Namespace, reports: Reports) -> int:
    """Check until all is done or a signal comes; what is known then is told. A second signal ends all."""
    exit_code = _NO_VERDICT
    signalled = 0
    interrupt = trio.Event()
    with trio.open_signal_receiver(*_SIGNALS) as signals:
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
    return 128 + signalled if signalled else exit_code


async def _check_all(arguments: argparse.Namespace, reports: Reports, interrupt: trio.Event) -> int:
    names = [each for each in arguments.targets_and_cases if isinstance(each, str)]
    tested: list[Tested] = []
    servers = _servers(arguments)
    tell, stream = (print_error, sys.stderr) if reports.use_stdout else (print_result, sys.stdout)
    palette = Palette(_is_coloured(stream))

    def tell_lines(lines: Iterable[str]) -> None:
        for line in lines:
            tell(_encodable(line))

    for number, server in enumerate(servers):
        outcome = await _check_one(server, select(names), arguments, interrupt)
        tested.append(outcome)
        if interrupt.is_set() and not any(isinstance(each, SuiteResult) for each in tested):
            return _NO_VERDICT  # there is nothing to tell
        if isinstance(outcome, Untested):
            who = f"{outcome.target}: " if len(servers) > 1 else ""
            print_error(f"{arguments.prog}: {who}{outcome.reason}")
        elif reports.tell_rubric:
            if len(servers) > 1:  # the grades come at the end, and that may be far
                print_error(f"{outcome.target}: {outcome.outcome(strict=arguments.strict)}")
        else:
            if number:
                tell("")
            tell_lines(suite_lines(outcome, palette, strict=arguments.strict, is_verbose=arguments.verbose))
    if reports.tell_rubric:
        tell_lines(reports.rubric(tested).splitlines())
    elif len(servers) > 1:
        tell_lines(["", *table_lines(tested, strict=arguments.strict)])
    if not reports.write_results(tested):
        return _WRONG_USAGE
    return {"conformant": _CONFORMANT, "not conformant": _NOT_CONFORMANT}.get(
        outcome_of_all(tested, strict=arguments.strict), _NO_VERDICT
    )


async def _check_one(
    server: _Server, rules: Sequence[Rule], arguments: argparse.Namespace, interrupt: trio.Event
) -> Tested:
    if interrupt.is_set():
        return Untested(server.target.name, f"{INTERRUPTED} before it was its turn")
    settings = Settings(
        wire=_wire(arguments.format),
        seed=arguments.seed,
        max_frame_length=arguments.max_frame_length,
        command=server.command,
        spawn_timeout_s=arguments.spawn_timeout,
    )
    progress = open_progress()
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
    """As https://no-color.org asks for."""
    return (
        stream is not None
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def _encodable(line: str) -> str:
    """The line without what a terminal of another age cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = line.replace("✓", "+").replace("✗", "X").encode(encoding, "replace").decode(encoding)
    return line
