"""The program: it finds the command, runs it, and reports an unexpected error in one line."""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from collections.abc import Collection, Mapping, Sequence

from .. import __version__
from ..base.build import BUILD
from ..base.describe import describe_with_place
from ..base.exception_groups import leaves
from ..base.printable import printable_line
from .shared.encoding import use_plain_substitutes
from .shared.exit_codes import EndedBySignalError, ExitCode
from .shared.output import CommandError, end_output, print_error, show_traceback
from .shared.parser import Parser, from_elsewhere
from .shared.standard_files import open_missing_standard_files, remember_losses_of_stdout

# Each has a module of its name in this package, imported only when the command runs.
COMMANDS = {
    "serve": "serve echoes or a function of your own, and report every 2 s",
    "client": "send messages to a server and verify every echo",
    "send": "send messages of your own to any framed service, and show the replies",
    "demo": "see it all at work, on this machine alone",
    "load": "put load on a server, verify every reply, and measure",
    "report": "join or compare results of trioecho load",
    "check": "find what is wrong with a server of length-prefixed echoes",
    "proxy": "pass connections on, with faults",
    "faulty": "run an echo server with a bug, to learn from",
    "formats": "list the formats of protocols, or guess that of some bytes",
    "dissect": "print a dissector for Wireshark, of frames in any format",
    "guide": "show the documentation, page by page",
    "deploy": "print a sample file: systemd, containers, balancers, monitoring",
    "completion": "print the completion of commands and options for a shell",
    "man": "print a manual page",
}

_EPILOG = """\
Begin with trioecho demo. Each command explains itself: trioecho help serve.

Sizes are written 65536, 64k or 64KiB (1024s), 64kB (1000s), 1.5MiB; durations 10
or 10s, 500ms, 100us, 1m30s, 2d.

exit codes:
  0    a command did what it was asked to; or there was none, and this was shown
  2    wrong usage, or this machine has not enough memory or files for it; any command
  70   an internal error, of any command
  74   all is well, but stdout could not be written (the disk is full), of any command
  130  interrupted, any command
Others are in the help of the command that has them.
"""


def run_command(argv: Sequence[str] | None) -> int:
    """Run a command and return its exit code. ``argv`` is ``sys.argv[1:]`` by default."""
    try:
        exit_code = _run_to_the_end(sys.argv[1:] if argv is None else list(argv))
    except SystemExit as ended:  # by argparse, which has printed a help text or refused an argument
        ended.code = end_output(ended.code if isinstance(ended.code, int) else 0)
        raise
    except BaseException:
        end_output(ExitCode.INTERNAL_ERROR)
        raise
    return end_output(exit_code)


def _run_to_the_end(words: list[str]) -> int:
    arguments = argparse.Namespace()  # none of them are known yet
    try:
        open_missing_standard_files()
        remember_losses_of_stdout()
        use_plain_substitutes()
        work = _WORKERS.get(words[0]) if words else None
        if work:
            return work(words[1:])
        arguments = _read(words)
        return _run(arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - the last place where a traceback can be kept from the user
        return _unexpected(error, arguments)


def _read(words: list[str]) -> argparse.Namespace:
    asked_for = next((word for word in words if not word.startswith("-")), None)
    if asked_for == "help":
        words = [*words[words.index("help") + 1 :], "--help"]
        asked_for = words[0]
    parser, _ = make_parsers([asked_for])
    arguments = parser.parse_args(words)
    arguments.command_line = [parser.prog, *words]
    return arguments


def make_parsers(names: Collection[str | None]) -> tuple[Parser, Mapping[str, Parser]]:
    """Return the parser of the program, and those of all commands; only these ``names`` have their options.

    A command's module takes time to import.
    """
    parser = Parser(
        prog="trioecho",
        description="An echo service of length-prefixed frames: 4 bytes of length, then the payload.",
        epilog=_EPILOG,
    )
    parser.add_argument("-V", "--version", action="version", version=f"trioecho {__version__} ({BUILD})")
    commands = parser.add_commands()
    for name, summary in COMMANDS.items():
        if name in names:
            importlib.import_module(f".{name}", __package__).add_command(commands, summary)
            commands.choices[name].add_settings_options([*COMMANDS])
        else:
            commands.add_parser(name, help=summary)
    help_parser = commands.add_parser(
        "help",
        help="explain a command, as trioecho help load",
        description="Explain a command: trioecho help load is the same as trioecho load --help.\n"
        "Without a command, list all commands.",
    )
    help_parser.add_argument("command", nargs="*", metavar="COMMAND", help="such as load, or report diff")
    return parser, commands.choices


def _serve_as_worker(words: list[str]) -> int:
    """Run a worker of ``trioecho serve``."""
    exit_code: int = importlib.import_module(".worker", __package__).run_worker(words)
    return exit_code


def _check_as_worker(words: list[str]) -> int:
    """Run a worker of ``trioecho check``."""
    exit_code: int = importlib.import_module(".check_worker", __package__).run_check_worker(words)
    return exit_code


def _plan_for_locust(words: list[str]) -> int:
    """Check, carry out or join a load for a process of Locust."""
    exit_code: int = importlib.import_module(".locust_plan", __package__).run_locust_plan(words)
    return exit_code


# Programs of their own, which are no commands for people.
_WORKERS = {"worker": _serve_as_worker, "check-worker": _check_as_worker, "locust-plan": _plan_for_locust}


def _run(arguments: argparse.Namespace) -> int:
    try:
        exit_code: int = arguments.run(arguments)
    except CommandError as error:
        is_usage = error.exit_code is ExitCode.WRONG_USAGE
        elsewhere = from_elsewhere(getattr(arguments, "origins", ())) if is_usage else ""
        _print_line(f"{arguments.prog}: {error}{elsewhere}", arguments)
        return error.exit_code
    except EndedBySignalError as error:
        return error.exit_code
    return exit_code


def _print_line(line: str, arguments: argparse.Namespace) -> None:
    """Print an error as all other lines of the command's log are, text or JSON."""
    if getattr(arguments, "log_format", "text") == "json":
        line = importlib.import_module(".shared.log", __package__).error_as_json(line)
    print_error(printable_line(line))


def _unexpected(error: BaseException, arguments: argparse.Namespace) -> int:
    if isinstance(error, SystemExit | GeneratorExit):
        raise error
    causes = list(leaves(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        raise KeyboardInterrupt
    is_shown = show_traceback(error)
    lacking = _lacking(causes[0])
    if lacking is not None:
        _print_line(f"trioecho: {lacking}", arguments)
        return ExitCode.WRONG_USAGE
    hint = "" if is_shown else "; TRIOECHO_DEBUG=1 shows all of it"
    _print_line(f"trioecho: internal error: {describe_with_place(causes[0])}{hint}", arguments)
    return ExitCode.INTERNAL_ERROR


def _lacking(error: BaseException) -> str | None:
    """Return what this machine lacks, or its limits forbid; None for another error."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for that: ask for less, or for smaller messages"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return "too many open files: raise the limit (ulimit -n), or take fewer connections or workers"
    return None
