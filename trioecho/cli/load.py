"""``trioecho load``: load whose numbers hold up."""

from __future__ import annotations

import argparse
import signal
from collections.abc import AsyncIterator
from dataclasses import replace

import trio

from ..load import (
    CannotConnectError,
    LoadPlan,
    LoadResult,
    LoadRun,
    TooManyConnectionsError,
    WorkerFailedError,
)
from ..load.find_max import Outcome, Phase, Search, Trial, find_max_rate
from ..load.supervisor import HAS_WORKERS
from ..load.verdicts import has_failed, judge, trial_outcome
from ..report.load_text import result_as_text
from ..report.units import in_full
from ..report.words import trial_in_words
from .load_display import Display, open_display
from .load_files import Files
from .load_options import Task, add_options, task_of
from .parser import Commands, Parser, add_command_parser
from .result import CommandError, print_error, print_result

_GOOD, _ERRORS, _WRONG_USAGE, _UNREACHABLE, _SATURATED, _BROKEN = 0, 1, 2, 3, 5, 99

# What ends a run in order. Windows has no SIGHUP.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

_EPILOG = """\
Every reply is compared with its message, in content and order. A closed loop
sends a message for each reply, and measures how fast the server can be kept
busy; an open loop (--rate, --ramp) sends on schedule, as users do who do not
wait for each other, and measures what they wait.

Ctrl-C ends the run: what is under way is awaited, and every report is written.
A second one stops at once, without reports.

exit codes:
  0    all went well, and every objective was met
  1    errors that no objective allows, or a file that could not be written
  2    wrong usage
  3    the server cannot be reached
  5    generator saturated: these numbers describe the generator
  99   an objective was broken, or no rate held
  130  interrupted

examples:
  trioecho load 127.0.0.1:50666
  trioecho load 127.0.0.1:50666 --connections 100 --pipeline 64 --duration 10s
  trioecho load 127.0.0.1:50666 --rate 5000 --slo 'p99<5ms' --html load.html
  trioecho load 127.0.0.1:50666 --find-max --slo 'p99<5ms' --slo 'errors==0'
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``load`` and its options."""
    add_options(
        add_command_parser(
            commands,
            "load",
            run,
            summary=summary,
            description="Put load on an echo service, verify every reply, and measure.",
            epilog=_EPILOG,
        )
    )


def run(arguments: argparse.Namespace) -> int:
    """Load, show, keep."""
    if arguments.processes > 1 and not HAS_WORKERS:
        raise CommandError(
            _WRONG_USAGE,
            "--processes does not work on this system: run several loads at the same time, each with "
            "--json, and join them with trioecho report merge",
        )
    task = task_of(arguments)
    files = Files(arguments)
    display = open_display(is_quiet=arguments.quiet)
    load = _Load(task, display)
    try:
        trio.run(load.run)
    except BaseException:
        files.forget()
        raise
    finally:
        display.end()
    if load.result is None:
        files.forget()
        if load.interrupted_by is None:
            raise CommandError(_ERRORS, "nothing was measured")
        raise CommandError(128 + load.interrupted_by, "stopped at once; nothing was written")
    load.result.command = list(arguments.command_line)
    if not arguments.quiet:
        (print_error if files.use_stdout else print_result)(result_as_text(load.result))
    elif load.result.errors:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(load.result.errors.items()))
        print_error(f"trioecho load: not all went well: {kinds}")
    went_well = files.write_result(load.result)
    if load.interrupted_by is not None:
        return 128 + load.interrupted_by
    return exit_code_of(load.result) if went_well else _ERRORS


class _Load:
    """One run, or a search of several, which the first signal ends in order and the second at once.

    Attributes:
      result: None as long as there is none.
      interrupted_by: the number of the signal; None without one.
    """

    def __init__(self, task: Task, display: Display) -> None:
        self._task = task
        self._display = display
        self._run: LoadRun | None = None
        self.result: LoadResult | None = None
        self.interrupted_by: int | None = None

    async def run(self) -> None:
        """Carry out the task.

        Raises:
          CommandError: nothing could be sent.
        """
        failure = None
        with trio.open_signal_receiver(*_SIGNALS) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_at_signal, signals, nursery.cancel_scope)
                try:
                    if self._task.start_rate is None:
                        self.result = await self._measured(self._task.plan)
                    else:
                        await self._search(self._task.start_rate)
                except CannotConnectError as error:
                    failure = CommandError(_UNREACHABLE, str(error))
                except TooManyConnectionsError as error:
                    failure = CommandError(_WRONG_USAGE, str(error))
                except WorkerFailedError as error:
                    failure = CommandError(_ERRORS, str(error))
                nursery.cancel_scope.cancel()
        if failure is not None and self.interrupted_by is None:
            raise failure

    async def _end_at_signal(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        self.interrupted_by = await anext(signals)
        if self._run is not None:
            self._run.stop()
        await anext(signals)
        scope.cancel()

    async def _measured(self, plan: LoadPlan, what: str = "") -> LoadResult:
        self._display.begin(plan, what)
        self._run = LoadRun(
            plan, on_progress=self._display.show, progress_interval_s=self._display.interval_s
        )
        try:
            result = await self._run.run()
        finally:
            self._run = None
            self._display.end()
        result.verdicts = judge(result, self._task.objectives)
        return result

    async def _search(self, start_rate: float) -> None:
        search = Search()

        async def attempt(phase: Phase, rate: float) -> Outcome:
            try:
                result = await self._measured(replace(self._task.plan, rate=rate), f"{in_full(rate)}/s, ")
            except CannotConnectError as error:
                if self.result is None:
                    raise
                outcome = Outcome(False, reason=str(error))
            else:
                outcome = trial_outcome(result)
                is_whole = self.interrupted_by is None
                if self.result is None or (is_whole and (outcome.holds or search.rate is None)):
                    self.result = result
            if self.interrupted_by is not None:
                scope.cancel()  # half a trial says nothing
                await trio.lowlevel.checkpoint()
            self._display.line(trial_in_words(Trial(phase, rate, outcome)))
            return outcome

        with trio.CancelScope() as scope:
            await find_max_rate(attempt, start_rate=start_rate, search=search)
        if self.result is not None:
            self.result.search = search


def exit_code_of(result: LoadResult) -> int:
    """What a run that came to its end is worth."""
    if has_failed(result):
        return _ERRORS
    if result.saturated or (result.search is not None and result.search.limited_by == "generator"):
        return _SATURATED
    if result.search is not None:
        return _GOOD if result.search.confirmed else _BROKEN
    return _GOOD if all(verdict.holds for verdict in result.verdicts) else _BROKEN
