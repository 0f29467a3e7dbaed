"""The program of a load on the workers of Locust; not a command for people.

It is what Trio, the options of ``trioecho load`` and its reports are in, beside the processes of Locust,
in which gevent has replaced too much for them. Its first word is what to do; the address and the options
of the load follow:

- ``check`` them, and print what they come to, a `CheckedPlan` as JSON;
- ``carry-out`` a part of it. Standard input is a socket, as of `load.processes.worker`; but the
  configuration has no messages behind it, since they are in files;
- ``join`` the parts, which come on standard input, a `JoinedParts` as JSON: print and write the reports.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import trio

from ..base.suggestion import quoted
from ..cluster.clock import ClockOffset
from ..connection.json_frames import JsonChannel
from ..errors import RemoteProtocolError
from ..load import LoadPlan, LoadResult, TooManyConnectionsError
from ..load.cluster.identity import own_schema
from ..load.processes.messages import LoadWorkerConfig, decode_load_message
from ..load.processes.worker import carry_out_part
from ..load.report.load_text import faults_as_lines, result_as_text
from ..load.results.attribution import attribute
from ..load.results.judging import judge
from ..load.results.merging import merge_parts
from ..load.results.result_reader import result_from_document
from .load import exit_code_of
from .load_files import Files
from .load_options import LoadRequest, request_of
from .program import make_parsers
from .shared.exit_codes import ExitCode
from .shared.output import CommandError, print_error, print_result

# Of one load in several processes of several machines they make no sense.
_REFUSED = {
    "find_max": "--find-max",
    "record": "--record",
    "cluster": "--cluster",
    "admin": "--admin",
    "admin_host": "--admin-host",
    "server_metrics": "--server-metrics",
}


def run_locust_plan(words: Sequence[str]) -> int:
    """Do what the first word says, in the folder that the second names; return the exit code."""
    task, folder, *words = words
    if folder:  # where files are that the options name; before Python 3.11 it is not where this starts
        os.chdir(folder)
    parser, _ = make_parsers(["load"])
    arguments = parser.parse_args(["load", *words])
    arguments.command_line = ["trioecho load", *words]
    try:
        return _TASKS[task](arguments)
    except CommandError as error:
        print_error(f"{arguments.prog}: {error}")
        return error.exit_code


def _request_of(arguments: argparse.Namespace) -> LoadRequest:
    for name, option in _REFUSED.items():
        if getattr(arguments, name) not in (None, False):
            raise CommandError(ExitCode.WRONG_USAGE, f"{option} does not work on the workers of Locust")
    if arguments.workers != 1:
        raise CommandError(
            ExitCode.WRONG_USAGE, "--workers does not work on those of Locust: each of its users is a process"
        )
    return request_of(arguments)


def _files_of(arguments: argparse.Namespace) -> Files:
    return Files(arguments, (arguments.message_file, arguments.first_message))


def _check(arguments: argparse.Namespace) -> int:
    plan = _request_of(arguments).plan
    _files_of(arguments)
    print_result(json.dumps({"plan": plan.to_dict(), "schema": own_schema(), "timeout_s": plan.timeout_s}))
    return ExitCode.OK


def _carry_out(arguments: argparse.Namespace) -> int:
    request = _request_of(arguments)
    return trio.run(_work, request, socket.socket(fileno=os.dup(0)))


async def _work(request: LoadRequest, connected: socket.socket) -> int:
    async with JsonChannel(connected) as channel:
        try:
            document = await channel.receive()
        except (trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
            return ExitCode.OK  # the process of Locust is gone, and wants nothing
        if document["schema"] != own_schema():
            raise CommandError(
                ExitCode.UNAVAILABLE, "this machine has another version of trioecho than Locust's master"
            )
        config = decode_load_message(document["config"])
        if not isinstance(config, LoadWorkerConfig):
            raise TypeError(f"the first message is a configuration, and not {config}")
        here = replace(request.plan, processes=config.plan.processes, seed=config.plan.seed)
        if here != config.plan:
            raise CommandError(
                ExitCode.UNAVAILABLE,
                f"the locustfile, or {_named_files(here)}, is another one here than at Locust's master",
            )
        recorded = request.recorded
        if recorded is not None:
            recorded = recorded.part(config.first, config.count)
        outcome = await carry_out_part(channel, config, request.given, recorded)
    if isinstance(outcome, Exception):
        is_wrong_usage = isinstance(outcome, TooManyConnectionsError)
        raise CommandError(ExitCode.WRONG_USAGE if is_wrong_usage else ExitCode.UNAVAILABLE, str(outcome))
    return ExitCode.OK


def _named_files(plan: LoadPlan) -> str:
    return "a file of messages" if plan.source is None else quoted(plan.source.file)


def _join(arguments: argparse.Namespace) -> int:
    request = _request_of(arguments)
    files = _files_of(arguments)
    joined: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    results = [_result_of(part) for part in joined["parts"]]
    result = merge_parts(LoadPlan.from_dict(joined["plan"]), results)
    result.command = list(arguments.command_line)
    result.notes += joined["notes"]
    result.objective_results = judge(result, request.objectives)
    if arguments.quiet:
        for line in faults_as_lines(result):
            print_error(f"{arguments.prog}: {line}")
    else:
        files.print_text(result_as_text(result, width=files.text_width))
    if not files.write_result(result, is_quiet=arguments.quiet):
        return ExitCode.FAILED
    return exit_code_of(result, saturation_fails=arguments.saturation == "fail")


def _result_of(part: dict[str, Any]) -> LoadResult:
    result = result_from_document(part["result"])
    attribute(
        result,
        part["name"],
        part["host"],
        connections=part["connections"],
        clock=ClockOffset(*part["clock"]),
        start_late_ns=part["start_late_ns"],
        system="Locust",
    )
    return result


_TASKS = {"check": _check, "carry-out": _carry_out, "join": _join}
