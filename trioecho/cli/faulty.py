"""``trioecho faulty``: a server with a bug."""

from __future__ import annotations

import argparse
import sys
import textwrap

from ..base.addresses import listening_line
from ..faulty import FAULTY_SERVERS, FaultyServer, wrong_lines
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.listening import why_not_bound
from .shared.options import add_listening_options, add_max_frame_length_option
from .shared.output import CommandError, print_error, print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.signals import handle_signals
from .shared.suggestion import did_you_mean, quoted
from .shared.terminal import text_width

_EPILOG = """\
Each of these servers echoes frames, and has one bug that was met in real
life. Start one, and try it with a client of your own, which may never meet
the bug. The conformance suite finds it:

  trioecho check --spawn 'trioecho faulty short-payload --port {port}'

exit codes:
  0  stopped by SIGTERM or Ctrl-C
  1  the bug has ended it
  2  wrong usage
  3  cannot listen on that address

examples:
  trioecho faulty --list
  trioecho faulty --explain short-payload
  trioecho faulty short-payload --port 26067
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``faulty`` and its options."""
    parser = add_command_parser(
        commands,
        "faulty",
        run,
        summary=summary,
        description="Run an echo server that has one bug, or say what the bug is.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="the server; --list names them")
    add("--list", action="store_true", help="name all servers and their bugs")
    add(
        "--explain",
        action="append",
        default=[],
        metavar="NAME",
        help="say what is wrong with a server, and how to fix it",
    )
    add_listening_options(parser)
    add_max_frame_length_option(parser, "largest payload of a frame (default: 1MiB, or what the bug needs)")


def run(arguments: argparse.Namespace) -> int:
    """List, explain or serve."""
    if arguments.list:
        is_watched = sys.stdout is not None and sys.stdout.isatty()  # by a person; not by a program
        indent = " " * (max(map(len, FAULTY_SERVERS)) + 2)
        for name, server in FAULTY_SERVERS.items():
            line = f"{name:{len(indent)}}{server.bug.summary}"
            print_result("\n".join(_wrapped(line, indent)) if is_watched else line)
        return ExitCode.OK
    if arguments.explain:
        for number, server in enumerate([_server_named(name) for name in arguments.explain]):
            for line in ([""] if number else []) + _explanation(server):
                print_result(line)
        return ExitCode.OK
    if arguments.name is None:
        raise CommandError(ExitCode.WRONG_USAGE, "name a server; trioecho faulty --list names them all")
    return _serve(_server_named(arguments.name), arguments)


def _server_named(name: str) -> type[FaultyServer]:
    if name in FAULTY_SERVERS:
        return FAULTY_SERVERS[name]
    hint = did_you_mean(name, FAULTY_SERVERS, "trioecho faulty --list names them all")
    raise CommandError(ExitCode.WRONG_USAGE, f"no server is called {quoted(name)}; {hint}")


def _explanation(server: type[FaultyServer]) -> list[str]:
    bug = server.bug
    lines = [bug.name, "=" * len(bug.name)]
    for title, text in (
        ("Bug", f"It {bug.summary}."),
        ("Why it seems to work", bug.works),
        ("How it shows", bug.shows),
        ("What to do instead", bug.fix),
        ("Where it was met", bug.source),
    ):
        lines += ["", f"{title}:", *_wrapped(f"  {text}", "  ")]
    lines += ["", "Where it differs from the honest server:", ""]
    lines += textwrap.indent(wrong_lines(server), "  ").splitlines()
    if bug.fails:
        lines += ["", f"trioecho check finds it by {', '.join(bug.fails)}."]
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, text_width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _serve(server_class: type[FaultyServer], arguments: argparse.Namespace) -> int:
    where = values.Address(arguments.host, arguments.port)
    try:
        server = server_class(*where, max_frame_length=arguments.max_frame_length)
    except (OSError, UnicodeError) as error:
        raise CommandError(ExitCode.UNAVAILABLE, why_not_bound(error, *where)) from None
    with handle_signals(server.on_sigterm, server.on_sigint, server.wakeup):
        print_error(listening_line([server.address]))
        try:
            server.serve()
        except Exception as error:  # noqa: BLE001 - that it ends by any error may be the bug
            raise CommandError(
                ExitCode.FAILED, f"the server has crashed, as its bug has it: {type(error).__name__}: {error}"
            ) from None
    return ExitCode.OK
