"""``trioecho faulty``: a server with a bug."""

from __future__ import annotations

import argparse
import difflib
import signal
import textwrap

from ..accepting import format_address
from ..zoo import ZOO, FaultyServer, wrong_lines
from . import values
from .listening import CANNOT_LISTEN, why_not_bound
from .parser import Commands, Parser, add_command_parser
from .result import CommandError, print_error, print_result

_STOPPED, _WRONG_USAGE, _CRASHED = 0, 2, 1
_WIDTH = 78

_EPILOG = """\
Each of these servers echoes frames, and has one bug that was met in real
life. Start one, and see how it works on your machine; then grade it:

  trioecho check --spawn 'trioecho faulty short-payload --port {port}'

exit codes:
  0  stopped by SIGTERM or Ctrl-C
  1  the bug has ended it
  2  wrong usage
  3  cannot listen on that address

examples:
  trioecho faulty --list
  trioecho faulty --explain short-payload
  trioecho faulty short-payload --port 50667
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
    add("--explain", metavar="NAME", help="say what is wrong with a server, and how to mend it")
    add("--host", type=values.host, default="127.0.0.1", help="where to listen (default: %(default)s)")
    add(
        "--port",
        type=values.port,
        default=0,
        help="TCP port; 0 for any that is free (default: %(default)s)",
    )
    add(
        "--max-frame-length",
        type=values.size,
        metavar="SIZE",
        help="largest payload of a frame (default: 1MiB, or what the bug needs)",
    )


def run(arguments: argparse.Namespace) -> int:
    """List, explain or serve."""
    if arguments.list:
        width = max(map(len, ZOO))
        for name, server in ZOO.items():
            print_result(f"{name:{width}}  {server.about.bug}")
        return _STOPPED
    if arguments.explain is not None:
        for line in _explanation(_server_named(arguments.explain)):
            print_result(line)
        return _STOPPED
    if arguments.name is None:
        raise CommandError(_WRONG_USAGE, "name a server; trioecho faulty --list names them all")
    return _serve(_server_named(arguments.name), arguments)


def _server_named(name: str) -> type[FaultyServer]:
    if name in ZOO:
        return ZOO[name]
    close = difflib.get_close_matches(name, ZOO, n=1)
    hint = f"did you mean {close[0]}?" if close else "trioecho faulty --list names them all"
    raise CommandError(_WRONG_USAGE, f"no server is called {name!r}; {hint}")


def _explanation(server: type[FaultyServer]) -> list[str]:
    about = server.about
    lines = [about.name, "=" * len(about.name)]
    for title, text in (
        ("Bug", f"It {about.bug}."),
        ("Why it seems to work", about.works),
        ("How it shows", about.shows),
        ("What to do instead", about.mend),
        ("Where it was met", about.source),
    ):
        lines += ["", f"{title}:", *textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")]
    lines += ["", "Where it differs from the honest server:", ""]
    lines += textwrap.indent(wrong_lines(server), "  ").splitlines()
    if about.fails:
        lines += ["", f"trioecho check finds it by {', '.join(about.fails)}."]
    return lines


def _serve(server_class: type[FaultyServer], arguments: argparse.Namespace) -> int:
    where = values.Address(arguments.host, arguments.port)
    try:
        server = server_class(*where, max_frame_length=arguments.max_frame_length)
    except (OSError, UnicodeError) as error:
        raise CommandError(CANNOT_LISTEN, why_not_bound(error, *where)) from None
    signal.signal(signal.SIGTERM, lambda *_: server.on_sigterm())
    signal.signal(signal.SIGINT, lambda *_: server.on_sigint())
    print_error(f"listening on {format_address(server.address)}")
    try:
        server.serve()
    except Exception as error:  # noqa: BLE001 - that it ends by any error may be the bug
        raise CommandError(
            _CRASHED, f"the server has crashed, as its bug has it: {type(error).__name__}: {error}"
        ) from None
    return _STOPPED
