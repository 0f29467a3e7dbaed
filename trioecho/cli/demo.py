"""``trioecho demo``: the homework at work, live."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator

import trio

from ..base.nursery import open_background_nursery
from ..demo import DemoError, run_demo
from .shared.exit_codes import ExitCode, ended_by_signal
from .shared.output import CommandError, print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.rich_display import Bar, open_console
from .shared.signals import open_signals
from .shared.terminal import text_width

_EPILOG = """\
Servers are started and stopped on free ports of 127.0.0.1; it takes about 12 s.

exit codes:
  0    everything held
  1    something did not hold, or could not be shown
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
    """Show the demo; it has no arguments."""
    return trio.run(_demo)


async def _demo() -> int:
    progress = Bar(open_console())
    exit_code: int = ExitCode.FAILED
    with open_signals() as signals:
        async with open_background_nursery() as nursery:

            async def end_at_signal(signals: AsyncIterator[int]) -> None:
                nonlocal exit_code
                exit_code = ended_by_signal(await anext(signals))
                nursery.cancel_scope.cancel()

            def write_line(line: str) -> None:
                progress.clear()
                print_result(line)

            nursery.start_soon(end_at_signal, signals)
            try:
                exit_code = await run_demo(write_line, progress, width=text_width())
            except DemoError as error:
                raise CommandError(ExitCode.FAILED, str(error)) from None
            finally:
                progress.clear()
    return exit_code
