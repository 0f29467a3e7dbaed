"""``trioecho check``: find out whether a server of length-prefixed echoes, or a client, is right."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import trio

from ..base.printable import printable
from ..check.output.text import book_lines, explain_lines, explain_section_lines
from ..check.runner.suite import DEFAULT_JOBS
from .check_files import Reports, add_report_options
from .check_requests import Requests, add_request_options
from .check_run import check_until_signal
from .check_targets import BOOKS, Candidate, add_target_options, case_id, rules_for, servers_and_cases
from .shared import values
from .shared.cluster_options import ClusterRequest, add_cluster_options, cluster_request
from .shared.exit_codes import ExitCode
from .shared.options import add_format_option, add_seed_option, chosen_seed
from .shared.output import CommandError, print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.terminal import text_width
from .shared.tls_options import add_client_tls_options, client_tls_of, context_of

_EPILOG = """\
A case is named by its rule (2.3) or its section (2).

Several servers are checked side by side, each by a process of its own; --spawn
may be given several times. In reports a server has a name if it is given one:
NAME=HOST:PORT, --spawn 'NAME=COMMAND', or NAME=FILE of a class. Other files of a
class are named by what differs in their paths.

A server that was started by --spawn can also be tested for memory, crashes,
shutdown and restart. It listens on 127.0.0.1, on the port in place of {port}.

A client is started by --client against servers that the suite has, right and
wrong ones. Its rules begin with C: it ends with exit code 0 if every reply was
right, and with another if one was not, or did not come. Servers and clients
are checked by runs of their own.

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
  trioecho check */server.py --class 'python {file} {port}' --html-dir report
  trioecho check */server.py --class 'python {file} {port}' --cluster tcp://10.0.0.1:8786
  trioecho check --spawn 'go=./server-go {port}' --spawn 'rust=./server-rs {port}' --html-dir report
  trioecho check --client 'python client.py {host} {port}'
  trioecho check --explain 2.5
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``check`` and its options."""
    parser = add_command_parser(
        commands,
        "check",
        run,
        summary=summary,
        description="Test any server that echoes length-prefixed frames, or any client of one,\n"
        "from outside, against a book of rules; of every rule that is broken, show the\n"
        "bytes and the likely cause.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add_target_options(parser)
    add(
        "--max-frame-length",
        type=values.size,
        metavar="SIZE",
        help="the server's limit for a payload (default: not known; 1MiB is tried)",
    )
    add_format_option(parser)
    add(
        "--strict", action="store_true", help="a broken SHOULD makes a server, or client, not conformant, too"
    )
    add_seed_option(parser, "decides the bytes")
    add(
        "--jobs",
        type=values.positive_count,
        default=DEFAULT_JOBS,
        metavar="N",
        help="cases of a server that may run side by side (default: %(default)s)",
    )
    add(
        "--side-by-side",
        type=values.positive_count,
        metavar="N",
        help="servers that are checked at a time, of a cluster on each machine (default: as many as it has "
        "processors)",
    )
    add(
        "--time-limit",
        type=values.seconds,
        metavar="TIME",
        help="longest run of a server; what is not decided then is inconclusive; 0 for any (default: 2m; "
        "longer where more run side by side than there are processors)",
    )
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="say also what was seen in cases that passed; of a class, print all cases",
    )
    add("--list", action="store_true", help="list all rules")
    add(
        "--explain",
        type=case_id,
        action="append",
        default=[],
        metavar="CASE",
        help="explain a rule, or a section: what, why, and who says so",
    )
    add_client_tls_options(parser.add_argument_group("under TLS"))
    add_cluster_options(
        parser.add_argument_group("where it is checked").add_argument,
        "on the machines of {}; each of its workers checks one server at a time",
    )
    add_request_options(parser)
    add_report_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, or print the book."""
    if arguments.list or arguments.explain:
        for line in _book(arguments):
            print_result(line)
        return ExitCode.OK
    targets, cases = servers_and_cases(arguments)
    rules = rules_for(targets[0].book, cases)
    arguments.seed = chosen_seed(arguments)
    arguments.tls_client = client_tls_of(arguments)
    if arguments.tls_client is not None:
        if targets[0].book.noun == "client":
            raise CommandError(ExitCode.WRONG_USAGE, "--tls is for servers, and --client checks a client")
        context_of(arguments.tls_client)  # what is wrong with its files is said before anything is done
    arguments.cluster_request = _cluster(arguments, targets)
    arguments.requests = Requests(arguments)
    reports = Reports(arguments)
    return trio.run(check_until_signal, arguments, targets, rules, reports)


def _cluster(arguments: argparse.Namespace, targets: Sequence[Candidate]) -> ClusterRequest | None:
    request = cluster_request(arguments)
    if request is None:
        return None
    listening = next((each.target.name for each in targets if each.command is None), None)
    if listening is not None:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            f"{printable(listening)} listens already, and a --cluster is for what its machines start: "
            "leave out --cluster, or say how to start it (--class, --spawn)",
        )
    return request


def _book(arguments: argparse.Namespace) -> list[str]:
    width = text_width()
    blocks = [list(book_lines(width, book)) for book in BOOKS] if arguments.list else []
    for name in arguments.explain:
        book = next(book for book in BOOKS if book.has(name))
        section = book.section(name)
        lines = explain_section_lines(section, width) if section else explain_lines(book.rules[name], width)
        blocks.append(list(lines))
    return [line for number, block in enumerate(blocks) for line in ([""] if number else []) + block]
