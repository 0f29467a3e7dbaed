"""``trioecho load``: put load on a server, and measure."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import trio

from ..base.nursery import open_background_nursery
from ..base.quantities import in_full
from ..load import (
    CannotConnectError,
    Cluster,
    ClusterError,
    ClusterSupportMissingError,
    LoadPlan,
    LoadProgress,
    LoadResult,
    LoadRun,
    TooManyConnectionsError,
    WorkerFailedError,
)
from ..load.goals.find_max import Search, Trial, TrialOutcome, TrialPhase, find_max_rate
from ..load.processes.supervisor import HAS_WORKERS
from ..load.report.load_text import faults_as_lines, result_as_text
from ..load.report.words import trial_in_words
from ..load.results.judging import has_failed, judge, trial_outcome
from .load_admin import LoadAdmin
from .load_cluster import opened
from .load_display import Display, open_display
from .load_files import Files
from .load_options import LoadRequest, add_load_options, request_of
from .load_record import has_recorded
from .shared.exit_codes import ExitCode, ended_by_signal
from .shared.output import CommandError, print_error
from .shared.parser import Commands, Parser, add_command_parser
from .shared.signals import open_signals

_EPILOG = """\
Every reply is compared with its message, in content and order; --reply is for
services that are no echo, and every report says what was verified. A closed loop
sends a message for each reply, and measures how fast the server can be kept
busy. An open loop (--rate, --ramp, --stages) sends on a schedule, like users
who do not wait for each other, and measures how long they wait. It ends 1 s
after its time; what was due and not sent by then is an error (unsent).

Ctrl-C ends the run: replies still to come are awaited, and every report is
written.
A second one stops at once, without reports.

exit codes:
  0    all went well, and every objective was met
  1    errors that no objective allows, every connection was lost before the end,
       a worker was lost, or a file could not be written
  2    wrong usage
  3    the server cannot be reached, or does not reply to frames; or the cluster
       cannot be used
  5    generator saturated: these numbers describe the generator; not with
       --saturation warn
  99   an objective was broken, or no rate held
  130  interrupted

examples:
  trioecho load 127.0.0.1:26066
  trioecho load 127.0.0.1:26066 --connections 100 --pipeline 64 --duration 10s
  trioecho load 127.0.0.1:26066 --rate 5000 --slo 'p99<5ms' --html load.html
  trioecho load 127.0.0.1:26066 --stages '0:5k/10s,5k/1m,peak=20k/5s,0'
  trioecho load 127.0.0.1:26066 --find-max --slo 'p99<5ms' --slo 'errors==0'
  trioecho load 127.0.0.1:7000 --messages queries.jsonl --reply count
  trioecho load 10.0.0.7:26066 --cluster tcp://10.0.0.1:8786 --rate 200k
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``load`` and its options."""
    add_load_options(
        add_command_parser(
            commands,
            "load",
            run,
            summary=summary,
            description="Put load on a service of frames, verify every reply, and measure.",
            epilog=_EPILOG,
        )
    )


def run(arguments: argparse.Namespace) -> int:
    """Carry out the load, show it and keep the result."""
    files = Files(arguments, (arguments.message_file, arguments.first_message))
    request = request_of(arguments)
    if request.plan.processes > 1 and not HAS_WORKERS:
        raise CommandError(
            ExitCode.WRONG_USAGE,
            "--workers does not work on this system: run several loads at the same time, each with "
            "--json, and join them with trioecho report merge",
        )
    display = open_display(is_quiet=arguments.quiet)
    load = _Load(request, display)
    try:
        trio.run(load.run)
    finally:
        display.end()
    if load.result is None:
        if load.interrupted_by is None:
            raise CommandError(ExitCode.FAILED, "nothing was measured")
        raise CommandError(ended_by_signal(load.interrupted_by), "stopped at once; nothing was written")
    load.result.command = list(arguments.command_line)
    if not arguments.quiet:
        files.print_text(result_as_text(load.result, width=files.text_width))
    else:
        for line in faults_as_lines(load.result):
            print_error(f"trioecho load: {line}")
    went_well = files.write_result(load.result, is_quiet=arguments.quiet)
    went_well &= has_recorded(load.result, arguments.prog)
    if load.interrupted_by is not None:
        return ended_by_signal(load.interrupted_by)
    if not went_well:
        return ExitCode.FAILED
    return exit_code_of(load.result, saturation_fails=arguments.saturation == "fail")


class _Load:
    """One run, or a search of several, which the first signal ends in order and the second at once.

    Attributes:
      result: None before there is one.
      interrupted_by: the number of the signal; None without one.
    """

    def __init__(self, request: LoadRequest, display: Display) -> None:
        self._request = request
        self._display = display
        self._admin = None if request.admin is None else LoadAdmin(request.admin, request.server_metrics)
        self._run: LoadRun | None = None
        self._cluster: Cluster | None = None
        self._is_opening = request.cluster is not None
        self._said: Sequence[str] = ()
        self.result: LoadResult | None = None
        self.interrupted_by: int | None = None

    async def run(self) -> None:
        """Carry out the request.

        Raises:
          CommandError: nothing could be sent.
        """
        try:
            with open_signals() as signals:
                async with open_background_nursery() as nursery:
                    if self._admin is not None:
                        await self._admin.start(nursery)
                    nursery.start_soon(self._end_at_signal, signals, nursery.cancel_scope)
                    async with opened(self._request.cluster, self._display.line) as self._cluster:
                        self._is_opening = False
                        if self._request.start_rate is None:
                            self.result = await self._measured(self._request.plan)
                        else:
                            await self._search(self._request.start_rate)
                    if self._admin is not None:
                        await self._admin.tell_the_end()
        except CannotConnectError as error:
            self._fail(ExitCode.UNAVAILABLE, error)
        except ClusterSupportMissingError as error:
            self._fail(ExitCode.WRONG_USAGE, error)
        except ClusterError as error:
            self._fail(ExitCode.UNAVAILABLE, error)
        except TooManyConnectionsError as error:
            self._fail(ExitCode.WRONG_USAGE, error)
        except WorkerFailedError as error:
            self._fail(ExitCode.FAILED, error)
        finally:
            if self._admin is not None:
                self._admin.end()

    def _fail(self, exit_code: ExitCode, error: Exception) -> None:
        """Raise a `CommandError`, unless a signal has ended the load: then that is the reason."""
        if self.interrupted_by is None:
            raise CommandError(exit_code, str(error)) from None

    async def _end_at_signal(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        self.interrupted_by = await anext(signals)
        if self._run is not None:
            self._run.stop()
        if self._is_opening:
            scope.cancel()  # nothing has begun that could end in order
        await anext(signals)
        scope.cancel()

    async def _measured(self, plan: LoadPlan, what: str = "") -> LoadResult:
        self._display.begin(plan, what)
        if self._admin is not None:
            self._admin.begin_run(plan)
        self._run = LoadRun(
            plan,
            on_progress=self._note_progress,
            progress_interval_s=self._display.interval_s,
            record=self._request.record,
            messages=self._request.given.messages,
            first_messages=self._request.given.first_messages,
            recorded=self._request.recorded,
            cluster=self._cluster,
        )
        try:
            result = await self._run.run()
        finally:
            self._run = None
            self._display.end()
        result.objective_results = judge(result, self._request.objectives)
        return result

    def _note_progress(self, progress: LoadProgress) -> None:
        self._display.show(progress)
        for sentence in progress.lost[len(self._said) :]:
            self._display.line(sentence)
        self._said = progress.lost
        if self._admin is not None:
            self._admin.note_progress(progress)

    async def _search(self, start_rate: float) -> None:
        search = Search()
        unreached: list[float] = []  # trials in a row for which no connection could be opened

        async def attempt(phase: TrialPhase, rate: float) -> TrialOutcome:
            try:
                result = await self._measured(replace(self._request.plan, rate=rate), f"{in_full(rate)}/s, ")
            except CannotConnectError as error:
                if self.result is None:
                    raise
                outcome = TrialOutcome(False, reason=str(error))
                unreached.append(rate)
            except WorkerFailedError as error:  # this trial has no result
                if self.result is None:
                    raise
                search.lost = str(error)
                outcome = TrialOutcome(False, reason=search.lost)
            else:
                unreached.clear()
                outcome = trial_outcome(result)
                search.lost = "; ".join(worker.in_words for worker in result.lost)
                is_whole = self.interrupted_by is None
                if self.result is None or (is_whole and (outcome.holds or search.rate is None)):
                    self.result = result
            if self.interrupted_by is not None:
                scope.cancel()  # half a trial says nothing
                await trio.lowlevel.checkpoint()
            self._display.line(trial_in_words(Trial(phase, rate, outcome)))
            if len(unreached) == 2 or search.lost:
                search.trials.append(Trial(phase, rate, outcome))
                scope.cancel()  # the server is gone, or the next trial would be one of another generator
                await trio.lowlevel.checkpoint()
            return outcome

        with trio.CancelScope() as scope:
            await find_max_rate(
                attempt,
                start_rate=start_rate,
                most_rate=self._request.plan.churn.most_messages_per_s,
                search=search,
            )
        if self.result is not None:
            self.result.search = search


def exit_code_of(result: LoadResult, *, saturation_fails: bool = True) -> int:
    """Return what a run that came to its end is worth."""
    search = result.search
    if result.lost or (search is not None and search.lost):
        return ExitCode.FAILED  # whatever else is known of the rest of it
    if has_failed(result):
        return ExitCode.FAILED
    is_saturated = result.saturated or (search is not None and search.limited_by == "generator")
    if is_saturated and saturation_fails:
        return ExitCode.SATURATED
    if search is not None:
        return ExitCode.OK if search.confirmed else ExitCode.OBJECTIVE_BROKEN
    if not all(verdict.holds for verdict in result.objective_results):
        return ExitCode.OBJECTIVE_BROKEN
    # Whatever held was held for a part of the run, or of no message.
    is_partial = result.ended_early is not None or result.churn.lasts
    return ExitCode.FAILED if is_partial or not result.due else ExitCode.OK
