"""The command line. Only here are arguments read, lines printed, signals handled."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..exception_groups import leaves
from .outlet import describe_error
from .parser import Parser
from .result import CommandError, print_error

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h

# Each is a module of its name here, which is imported when it is asked for.
_COMMANDS = {
    "serve": "serve echoes, and report every 2 s",
    "client": "send messages to a server and verify every echo",
    "demo": "see it all at work, on this machine alone",
    "load": "put load on a server, verify every reply, and measure",
    "report": "join or compare results of trioecho load",
    "check": "find what is wrong with a server of length-prefixed echoes",
    "proxy": "pass connections on, with faults",
    "faulty": "run an echo server with a bug, to learn from",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code. ``argv`` is ``sys.argv[1:]`` by default."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        exit_code = _run(_read(words))
    except KeyboardInterrupt:
        exit_code = _INTERRUPTED
    except BaseException as error:  # noqa: BLE001 - the last place where a traceback can be kept from the user
        exit_code = _unexpected(error)
    _drop_unread_output()
    return exit_code


def _read(words: list[str]) -> argparse.Namespace:
    parser = Parser(
        prog="trioecho",
        description="An echo service of length-prefixed frames: 4 bytes of length, then the payload.",
        epilog="start here:\n  trioecho demo\n\neach command teaches itself:\n  trioecho serve --help",
    )
    parser.add_argument("--version", action="version", version=f"trioecho {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    asked_for = next((word for word in words if not word.startswith("-")), None)
    for name, summary in _COMMANDS.items():
        if name == asked_for:
            importlib.import_module(f".{name}", __name__).add_command(commands, summary)
        else:
            commands.add_parser(name, help=summary)
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        parser.prog = arguments.prog  # argparse would name the program, not the command
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    arguments.command_line = [parser.prog, *words]
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    try:
        exit_code: int = arguments.run(arguments)
    except CommandError as error:
        print_error(f"{arguments.prog}: {error}")
        return error.exit_code
    return exit_code


def _unexpected(error: BaseException) -> int:
    if isinstance(error, SystemExit | GeneratorExit):
        raise error
    causes = list(leaves(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return _INTERRUPTED
    if "TRIOECHO_DEBUG" in os.environ:
        raise error
    print_error(f"trioecho: internal error: {describe_error(causes[0])}; TRIOECHO_DEBUG=1 shows all of it")
    return _INTERNAL_ERROR


def _drop_unread_output() -> None:
    """Keep the interpreter from complaining, at its end, that nobody reads stdout."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
