"""A run of ``trioecho check``: one server after the other, or several side by side."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

import trio

from ..base.describe import describe
from ..base.endpoint import tls_name
from ..base.nursery import open_background_nursery
from ..base.processes import working_folder
from ..base.processors import count_processors
from ..check.book.book import Rule
from ..check.client.tls_client import TlsClient
from ..check.output import Tested, Untested, outcome_of_all
from ..check.runner.suite import DEFAULT_TIME_LIMIT_S, INTERRUPTED, Observer, Settings
from ..check.verdict import SuiteResult
from .check_apart import check_apart
from .check_files import Reports
from .check_messages import Job
from .check_progress import AllProgress
from .check_results import Results
from .check_targets import Candidate
from .check_worker import check_job, memory_bound
from .shared.exit_codes import ExitCode, ended_by_signal
from .shared.signals import open_signals
from .shared.tls_options import client_tls_words

# Whose certificate a server has that is started here.
_SPAWNED_NAME = "localhost"


async def check_until_signal(
    arguments: argparse.Namespace, servers: Sequence[Candidate], rules: Sequence[Rule], reports: Reports
) -> int:
    """Check until all is done or a signal comes; what is known then is printed. A second signal ends all.

    Args:
      arguments: of the command.
      servers: to check.
      rules: to try.
      reports: to write.

    Raises:
      CommandError: the cluster that was asked for cannot be used.
    """
    exit_code: int = ExitCode.UNAVAILABLE
    signalled = 0
    interrupt = trio.Event()
    with open_signals() as signals:
        async with open_background_nursery() as nursery:

            async def end_at_signal(signals: AsyncIterator[int]) -> None:
                nonlocal signalled
                signalled = await anext(signals)
                interrupt.set()
                await anext(signals)
                nursery.cancel_scope.cancel()

            nursery.start_soon(end_at_signal, signals)
            exit_code = await _check_all(arguments, servers, rules, reports, interrupt)
            nursery.cancel_scope.cancel()
    return ended_by_signal(signalled) if signalled else exit_code


async def _check_all(
    arguments: argparse.Namespace,
    servers: Sequence[Candidate],
    rules: Sequence[Rule],
    reports: Reports,
    interrupt: trio.Event,
) -> int:
    results = Results(arguments, servers, reports)
    at_a_time = min(len(servers), arguments.side_by_side or count_processors())
    jobs = [_job(server, arguments, rules, at_a_time) for server in servers]
    if arguments.cluster_request is not None:
        from .check_cluster import check_on_cluster  # with all of clusters, which only this needs

        here = working_folder()
        await check_on_cluster(
            arguments.cluster_request,
            jobs,
            [server.files or (server.directory or here,) for server in servers],
            lambda number, outcome: results.add(number, outcome, is_interrupted=interrupt.is_set()),
            side_by_side=arguments.side_by_side,
            time_limit_s=partial(_time_limit_s, arguments),
            interrupt=interrupt,
            prog=arguments.prog,
        )
    elif len(jobs) == 1:
        results.add(0, await _check_here(jobs[0], interrupt), is_interrupted=interrupt.is_set())
    else:
        await _check_side_by_side(jobs, results, at_a_time, interrupt)
    tested = results.all
    if interrupt.is_set() and not any(isinstance(each, SuiteResult) for each in tested):
        return ExitCode.UNAVAILABLE  # there is nothing to print
    results.print_all()
    if not reports.write_results(tested):
        return ExitCode.WRONG_USAGE
    return {"conformant": ExitCode.OK, "not conformant": ExitCode.FAILED}.get(
        outcome_of_all(tested, strict=arguments.strict), ExitCode.UNAVAILABLE
    )


def _job(server: Candidate, arguments: argparse.Namespace, rules: Sequence[Rule], at_a_time: int) -> Job:
    settings = Settings(
        wire=arguments.requests.wire,
        seed=arguments.seed,
        max_frame_length=arguments.max_frame_length,
        command=server.command,
        directory=server.directory,
        memory_bound=memory_bound(at_a_time),
        spawn_timeout_s=arguments.spawn_timeout or math.inf,
        reply_timeout_s=arguments.reply_timeout or math.inf,
        dialogue=arguments.requests.dialogue(),
        tls=_tls(server, arguments),
    )
    return Job(
        server.target,
        settings,
        tuple(rule.id for rule in rules),
        arguments.jobs,
        _time_limit_s(arguments, at_a_time, count_processors()),
        dict(os.environ),
        is_client=server.book.noun == "client",
    )


def _time_limit_s(arguments: argparse.Namespace, at_a_time: int, processors: int) -> float:
    if arguments.time_limit is None:  # what has a part of a processor takes longer
        return DEFAULT_TIME_LIMIT_S * max(1.0, at_a_time / processors)
    return arguments.time_limit or math.inf


def _tls(server: Candidate, arguments: argparse.Namespace) -> TlsClient | None:
    if arguments.tls_client is None:
        return None
    host = tls_name(server.target.address[0]) if server.target.address else _SPAWNED_NAME
    return TlsClient(arguments.tls_client, host, tuple(client_tls_words(arguments)))


async def _check_here(job: Job, interrupt: trio.Event) -> Tested:
    with AllProgress(job.book.noun).of() as progress:
        return await check_job(job, progress, interrupt)


async def _check_side_by_side(
    jobs: Sequence[Job], results: Results, at_a_time: int, interrupt: trio.Event
) -> None:
    """Check each in a process of its own, a number at a time; the first one is begun first."""
    waiting = iter(enumerate(jobs))
    all_progress = AllProgress(jobs[0].book.noun)

    async def work() -> None:
        for number, job in waiting:
            with all_progress.of(job.target.name) as progress:
                outcome = await _check_apart(job, progress, interrupt)
            results.add(number, outcome, is_interrupted=interrupt.is_set())

    async with trio.open_nursery() as nursery:
        for _ in range(at_a_time):
            nursery.start_soon(work)


async def _check_apart(job: Job, observer: Observer, interrupt: trio.Event) -> Tested:
    name = job.target.name
    if interrupt.is_set():
        return Untested(name, f"{INTERRUPTED} before it was its turn", job.book)
    directory = job.settings.directory or working_folder() or None  # the process may have another
    job = replace(job, settings=replace(job.settings, directory=directory))
    try:
        return await check_apart(job, observer, interrupt)
    except OSError as error:
        return Untested(name, f"this machine cannot start a process for it: {describe(error)}", job.book)
