"""``trioecho demo``: the homework at work, live."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import trio

from ..demo import DemoError, Progress, run_demo
from .parser import Commands, Parser, add_command_parser
from .result import CommandError, print_result

_FAILED = 1
# What ends the demo early, its servers with it. Windows has no SIGHUP.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

_EPILOG = """\
Servers are started and stopped on free ports of 127.0.0.1; it takes about 12 s.

exit codes:
  0    all of it held
  1    something did not, or could not be shown
  2    wrong usage
  130  interrupted

example:
  trioecho demo
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``demo``, which has no options."""
    add_command_parser(
        commands,
        "demo",
        run,
        summary=summary,
        description="The service at work: verified echoes, a graceful shutdown, framing on the wire,\n"
        "and throughput and service time under load, with an analysis.",
        epilog=_EPILOG,
    )


def run(arguments: argparse.Namespace) -> int:
    """Show it; ``arguments`` holds none that matter."""
    return trio.run(_demo)


async def _demo() -> int:
    progress = _open_progress()
    exit_code = _FAILED
    failure = None
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:

            async def end_at_signal(signals: AsyncIterator[int]) -> None:
                nonlocal exit_code
                exit_code = 128 + await anext(signals)
                nursery.cancel_scope.cancel()

            def write_line(line: str) -> None:
                progress.clear()
                print_result(_encodable(line))

            nursery.start_soon(end_at_signal, signals)
            try:
                exit_code = await run_demo(write_line, progress)
            except DemoError as error:
                failure = error
            finally:
                progress.clear()
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise CommandError(_FAILED, str(failure))
    return exit_code


def _encodable(line: str) -> str:
    """The line without what a terminal of another age cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = line.replace("✓", "ok").replace("✗", "FAILED").encode("ascii", "replace").decode()
    return line


class _NoProgress:
    """Nobody watches, or `rich` is not there."""

    def show(self, what: str, done: int, total: int) -> None:
        pass

    def clear(self) -> None:
        pass


class _RichProgress:
    """A bar on stderr below the lines on stdout, gone whenever one of them is written.

    Args:
      progress_module: ``rich.progress``.
      console: where to draw.
    """

    def __init__(self, progress_module: Any, console: Any) -> None:
        self._module = progress_module
        self._console = console
        self._bar: Any = None
        self._task: Any = None

    def show(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            module = self._module
            self._bar = module.Progress(
                module.SpinnerColumn("line"),
                module.TextColumn("{task.description}"),
                module.BarColumn(),
                console=self._console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                refresh_per_second=5,  # it shares the processor with what is being measured
            )
            self._task = self._bar.add_task(what)
            self._bar.start()
        self._bar.update(self._task, description=what, completed=done, total=total or None)

    def clear(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _open_progress() -> Progress:
    """A display for a person at a terminal who has installed ``trioecho[progress]``."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return _NoProgress()
    # Not an import statement: the type checkers must be content without `rich`.
    with contextlib.suppress(ImportError):
        console = importlib.import_module("rich.console").Console(stderr=True)
        return _RichProgress(importlib.import_module("rich.progress"), console)
    return _NoProgress()
