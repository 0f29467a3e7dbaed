"""``trioecho faulty``: a server, or a client, with a bug."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator

from ..base.addresses import listening_line
from ..base.suggestion import did_you_mean, quoted
from ..faulty import FAULTY_SERVERS, FaultyServer, wrong_lines
from ..faulty.clients import FAULTY_CLIENTS, EchoClient, FaultyClient
from ..faulty.header_format import HeaderFormat
from .faulty_format import header_format_of
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.listening import why_not_bound
from .shared.options import (
    add_format_option,
    add_listening_options,
    add_max_frame_length_option,
    check_expressible,
)
from .shared.output import CommandError, print_error, print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.signals import handle_signals
from .shared.terminal import text_width

_EPILOG = """\
Each of these servers echoes frames, and has one bug that was met in real
life. Start one, and try it with a client of your own, which may never meet
the bug. The conformance suite finds it:

  trioecho check --spawn 'trioecho faulty short-payload --port {port}'

Give --format to both for other frames; a bug that cannot show in these says so.

The clients send messages, compare the echoes, and have one bug each, which
trioecho check --client finds.

exit codes:
  0  stopped by SIGTERM or Ctrl-C; a client: all is right, as it believes
  1  the bug has ended it; a client: a reply was wrong, or did not come
  2  wrong usage
  3  cannot listen on that address

examples:
  trioecho faulty --list
  trioecho faulty --explain short-payload
  trioecho faulty short-payload --port 26067
  trioecho faulty no-timeout 127.0.0.1:26066
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``faulty`` and its options."""
    parser = add_command_parser(
        commands,
        "faulty",
        run,
        summary=summary,
        description="Run an echo server, or an echo client, that has one bug, or say what the bug is.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("name", nargs="?", metavar="NAME", help="the server, or the client; --list names them")
    add(
        "address",
        nargs="?",
        type=values.tcp_address,
        metavar="HOST:PORT",
        help="where the server listens to which a client connects",
    )
    add("--list", action="store_true", help="name all servers and clients, and their bugs")
    add(
        "--explain",
        action="append",
        default=[],
        metavar="NAME",
        help="say what is wrong with a server or client, and how to fix it",
    )
    add_listening_options(parser)
    add_format_option(parser)
    add_max_frame_length_option(parser, "largest payload of a frame (default: 1MiB, or what the bug needs)")


def run(arguments: argparse.Namespace) -> int:
    """List, explain, serve, or be a client."""
    if arguments.list:
        for line in _list():
            print_result(line)
        return ExitCode.OK
    if arguments.explain:
        for number, faulty in enumerate([_named(name) for name in arguments.explain]):
            for line in ([""] if number else []) + _explanation(faulty):
                print_result(line)
        return ExitCode.OK
    if arguments.name is None:
        raise CommandError(ExitCode.WRONG_USAGE, "name a server; trioecho faulty --list names them all")
    faulty = _named(arguments.name)
    if issubclass(faulty, FaultyClient):
        return _be_client(faulty, arguments)
    if arguments.address is not None:
        reason = f"{arguments.name} is a server, and listens where --host and --port say"
        raise CommandError(ExitCode.WRONG_USAGE, reason)
    return _serve(faulty, arguments)


# ---- what there is ----


def _list() -> Iterator[str]:
    """Write each with its bug; a client as it is to be typed. What is behind a first line is indented."""
    summaries = {name: server.bug.summary for name, server in FAULTY_SERVERS.items()}
    summaries |= {f"{name} HOST:PORT": client.bug.summary for name, client in FAULTY_CLIENTS.items()}
    indent = " " * (max(map(len, summaries)) + 2)
    for name, summary in summaries.items():
        line = f"{name:{len(indent)}}{summary}"
        yield from _wrapped(line, indent)


def _named(name: str) -> type[FaultyServer] | type[FaultyClient]:
    if name in FAULTY_SERVERS:
        return FAULTY_SERVERS[name]
    if name in FAULTY_CLIENTS:
        return FAULTY_CLIENTS[name]
    hint = did_you_mean(name, [*FAULTY_SERVERS, *FAULTY_CLIENTS], "trioecho faulty --list names them all")
    raise CommandError(ExitCode.WRONG_USAGE, f"no server or client is called {quoted(name)}; {hint}")


def _explanation(faulty: type[FaultyServer] | type[FaultyClient]) -> list[str]:
    bug = faulty.bug
    is_client = issubclass(faulty, FaultyClient)
    lines = [bug.name, "=" * len(bug.name)]
    for title, text in (
        ("Bug", f"It {bug.summary}."),
        ("Why it seems to work", bug.works),
        ("How it shows", bug.shows),
        ("What to do instead", bug.fix),
        ("Where it was met", bug.source),
    ):
        lines += ["", f"{title}:", *_wrapped(f"  {text}", "  ")]
    lines += ["", f"Where it differs from the honest {'client' if is_client else 'server'}:", ""]
    lines += textwrap.indent(wrong_lines(faulty), "  ").splitlines()
    if bug.fails:
        option = " --client" if is_client else ""
        lines += ["", f"trioecho check{option} finds it by {', '.join(bug.fails)}."]
    if bug.needs:
        needs = " and ".join(need.words for need in bug.needs)
        lines += ["", *_wrapped(f"With --format it needs {needs}.", "")]
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, text_width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


# ---- being one of them ----


def _be_client(client_class: type[FaultyClient], arguments: argparse.Namespace) -> int:
    where: values.Address | None = arguments.address
    if where is None:
        reason = f"{client_class.bug.name} is a client; say where a server listens: 127.0.0.1:26066"
        raise CommandError(ExitCode.WRONG_USAGE, reason)
    if not_for_clients := arguments.given & {"host", "port", "max-frame-length"}:
        options = " and ".join(f"--{option}" for option in sorted(not_for_clients))
        reason = f"{options} {'is' if len(not_for_clients) == 1 else 'are'} for servers"
        raise CommandError(ExitCode.WRONG_USAGE, f"{client_class.bug.name} is a client; {reason}")
    headers = _headers_for(client_class, arguments, client_class.limit)
    if headers.longest_payload < EchoClient.size:
        reason = f"--format {arguments.format}: lengths are too small for messages of {EchoClient.size} bytes"
        raise CommandError(ExitCode.WRONG_USAGE, reason)
    outcome = client_class(where.host, where.port, format=headers).run()
    if outcome.words:
        (print_error if outcome.exit_code else print_result)(outcome.words)
    return outcome.exit_code


def _headers_for(
    faulty: type[FaultyServer] | type[FaultyClient], arguments: argparse.Namespace, limit: int
) -> HeaderFormat:
    """Return the headers that were asked for, in which the bug has to show."""
    headers = header_format_of(arguments.format)
    if why := faulty.bug.why_not(headers, limit):
        raise CommandError(
            ExitCode.WRONG_USAGE, f"{faulty.bug.name} cannot show in frames of {arguments.format}: {why}"
        )
    return headers


def _serve(server_class: type[FaultyServer], arguments: argparse.Namespace) -> int:
    where = values.Address(arguments.host, arguments.port)
    limit: int | None = arguments.max_frame_length
    if limit is not None:
        check_expressible("--max-frame-length", limit, arguments.format)
    headers = _headers_for(server_class, arguments, server_class.default_limit if limit is None else limit)
    try:
        server = server_class(*where, max_frame_length=limit, format=headers)
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
