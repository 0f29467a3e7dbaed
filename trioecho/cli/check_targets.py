"""What ``trioecho check`` checks: addresses, commands that start servers or clients, and files of a class."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.suggestion import quoted
from ..check.book.book import SERVERS, Book, Rule
from ..check.client.settings import Settings
from ..check.clients.book import CLIENTS
from ..check.runner.suite import Target
from ..check.spawned.spawned_server import parse_command
from .check_names import names_of_files
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import CommandError
from .shared.parser import Parser

BOOKS = (SERVERS, CLIENTS)
# What says something about a server, and nothing about a client.
_OF_SERVERS = ("max_frame_length", "ask", "expect", "first_message", "correlate", "preset")
# NAME=COMMAND; a path with such a sign in it is no name.
_NAMED_COMMAND = re.compile(r"([^\s/='\"\\{}-][^\s/='\"\\{}]*)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Candidate:
    """A server, or a client, to check.

    Attributes:
      target: as the suite takes it.
      command: the words of what starts it; None if it listens already.
      directory: where it is started; None for here.
      files: that have to be there, as whole paths.
      book: the rules that it is held to.
    """

    target: Target
    command: tuple[str, ...] | None = None
    directory: str | None = None
    files: tuple[str, ...] = ()
    book: Book = SERVERS


def add_target_options(parser: Parser) -> None:
    """Add the operands, and the options that say what starts a server."""
    add = parser.add_argument
    parser.anywhere = "targets_and_cases"
    add(
        "targets_and_cases",
        nargs="*",
        metavar="SERVER | CASE",
        help="servers that listen (HOST:PORT, or unix:/path), or files of --class; and the cases to run "
        "(default: all)",
    )
    add(
        "--spawn",
        action="append",
        default=[],
        type=_command,
        metavar="COMMAND",
        help="start the server with this; {port} in it is replaced by a free port",
    )
    add(
        "--class",
        dest="class_commands",
        action="append",
        default=[],
        type=_class_command,
        metavar="COMMAND",
        help="start a server for each FILE, in its folder; {file}, {dir} and {port} are replaced",
    )
    add(
        "--spawn-timeout",
        type=values.seconds,
        default=10.0,
        metavar="TIME",
        help="longest wait until it listens, or a client connects; 0 for any (default: 10s)",
    )
    add(
        "--client",
        action="append",
        default=[],
        type=_command,
        metavar="COMMAND",
        help="check a client: start it with this; {host} and {port} say where a server listens",
    )
    add(
        "--reply-timeout",
        type=values.seconds,
        default=Settings().reply_timeout_s,
        metavar="TIME",
        help="longest time until a client gives up waiting for a reply; 0 for any (default: 15s)",
    )


def case_id(text: str) -> str:
    """Return the name of a rule or a section, which one of the books has."""
    if not any(book.has(text) for book in BOOKS):
        count = sum(len(book.rules) for book in BOOKS)
        raise argparse.ArgumentTypeError(
            f"the book has no case {text}; trioecho check --list shows all {count}"
        )
    return text


def servers_and_cases(arguments: argparse.Namespace) -> tuple[list[Candidate], list[str]]:
    """Return what is to be checked, all of it servers or all of it clients, and the cases to run.

    Raises:
      CommandError: an operand is neither, two have one name, or there is nothing; or servers and
        clients are mixed, or an option is of the others.
    """
    is_case = [
        bool(re.fullmatch(r"C?\d+(\.\d+)*\.?", each, re.ASCII)) for each in arguments.targets_and_cases
    ]
    operands = list(zip(arguments.targets_and_cases, is_case, strict=True))
    others = [each for each, is_one in operands if not is_one]
    try:
        cases = [case_id(each) for each, is_one in operands if is_one]
        listening = [] if arguments.class_commands else [_listening(each) for each in others]
    except argparse.ArgumentTypeError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None
    servers = [*listening, *(_started(text, "--spawn", SERVERS) for text in arguments.spawn)]
    clients = [_started(text, "--client", CLIENTS) for text in arguments.client]
    if arguments.class_commands:
        servers += _class(arguments.class_commands, others)
    if not servers and not clients:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            "no server to check; name it as HOST:PORT, or start it with --spawn (see trioecho check --help)",
        )
    _refuse_mixtures(arguments, servers, clients)
    found = servers or clients
    _refuse_same_names(found)
    return found, cases


def _refuse_mixtures(
    arguments: argparse.Namespace, servers: Sequence[Candidate], clients: Sequence[Candidate]
) -> None:
    if servers and clients:
        raise CommandError(
            ExitCode.WRONG_USAGE, "servers and clients have rules of their own; check them by two runs"
        )
    for option in _OF_SERVERS if clients else ():
        if getattr(arguments, option) is not None:
            name = option.replace("_", "-")
            raise CommandError(ExitCode.WRONG_USAGE, f"--{name} is for servers, and --client checks a client")


def rules_for(book: Book, cases: Sequence[str]) -> list[Rule]:
    """Return the rules that are named.

    Raises:
      CommandError: a case is of another book.
    """
    for name in cases:
        if not book.has(name):
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"case {name} is not for a {book.noun}; trioecho check --list shows those that are",
            )
    return book.select(cases)


def _listening(text: str) -> Candidate:
    name, _, written = text.rpartition("=")
    if ":" not in written:
        raise values.refusal(text, "is no server, as 127.0.0.1:26066, and no case, as 2.3 of --list")
    address = values.address(written)
    where = (address.host, address.port)
    return Candidate(Target(name, where, words=(str(address),)) if name else Target(str(address), where))


def _command(text: str) -> str:
    try:
        parse_command(_without_name(text)[1])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _without_name(text: str) -> tuple[str, str]:
    """Cut ``NAME=COMMAND`` in two; the name is empty if there is none."""
    named = _NAMED_COMMAND.fullmatch(text)
    return (named[1], named[2]) if named else ("", text)


def _started(text: str, option: str, book: Book) -> Candidate:
    name, written = _without_name(text)
    command = tuple(parse_command(written))
    if not name:
        return Candidate(Target(text), command, book=book)
    return Candidate(Target(name, command=written, words=(option, written)), command, book=book)


# ---- a class ----


def _class_command(text: str) -> str:
    try:
        words = parse_command(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not any(place in word for word in words for place in ("{file}", "{dir}")):
        raise argparse.ArgumentTypeError(
            f"{text!r} does not say where each FILE goes; write {{file}} there, or {{dir}} for its folder"
        )
    return text


def _class(commands: Sequence[str], operands: Sequence[str]) -> list[Candidate]:
    if len(commands) > 1:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            "a class has one --class; what starts otherwise is named with --spawn NAME=COMMAND",
        )
    if not operands:
        raise CommandError(
            ExitCode.WRONG_USAGE, "--class has no files; name them, as submissions/*/server.py"
        )
    given = [("", each) if Path(each).exists() else _named_file(each) for each in operands]
    found = iter(names_of_files([path for name, path in given if not name]))
    return [_of_class(commands[0], name or next(found), path) for name, path in given]


def _named_file(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not (name and path and Path(path).exists()):
        raise CommandError(
            ExitCode.WRONG_USAGE, f"--class: there is no file {quoted(path or text)}; write FILE or NAME=FILE"
        )
    return name, path


def _of_class(template: str, name: str, path: str) -> Candidate:
    whole = os.path.abspath(path)  # noqa: PTH100 - links stay: a submission is where its link is
    directory = whole if Path(whole).is_dir() else str(Path(whole).parent)
    if "{port}" in whole:
        raise CommandError(ExitCode.WRONG_USAGE, f"--class: {path}: {{port}} in a name would be replaced")

    def filled(text: str, file: str, folder: str) -> str:
        return re.sub(r"\{(file|dir)\}", lambda found: file if found[1] == "file" else folder, text)

    words = [filled(word, whole, directory) for word in parse_command(template)]
    if "/" in words[0]:  # it was written here, and is started there
        words[0] = os.path.abspath(words[0])  # noqa: PTH100 - as above, of a program
    target = Target(
        name,
        command=filled(template, shlex.quote(whole), shlex.quote(directory)),
        words=("--class", template, path),
    )
    return Candidate(target, tuple(words), directory, (whole,))


def _refuse_same_names(servers: Sequence[Candidate]) -> None:
    """Refuse a name that was given, or found, twice; who writes an address twice means it."""
    counts = Counter(server.target.name for server in servers)
    for server in servers:
        if counts[server.target.name] > 1 and server.target.words:
            raise CommandError(
                ExitCode.WRONG_USAGE,
                f"two {server.book.noun}s are called {quoted(server.target.name)}; "
                "give each a name of its own, NAME=...",
            )
