"""The program of a worker of ``trioecho serve --workers``; not a command for people.

Only the process that started it commands it. Signals, which a terminal or a service
manager may send to all processes of a service, are for that process.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

import trio

from ..base.clock import PerfCounterClock
from ..base.describe import describe_with_place
from ..base.exception_groups import leaves
from ..base.processes import Program, own_program
from ..server.workers.messages import LogLine
from ..server.workers.worker import Reporter, work_for_supervisor
from .shared.exit_codes import ExitCode
from .shared.log import open_log, record_in_words
from .shared.output import print_error
from .shared.parser import Parser
from .shared.signals import ignore_signals


def worker_program() -> Program:
    """Return the program that runs `run_worker`."""
    return own_program("worker")


def run_worker(words: Sequence[str]) -> int:
    """Work for the process that started this one; return the exit code."""
    ignore_signals()
    parser = Parser(
        prog="trioecho worker", description="A worker of trioecho serve --workers, which starts it itself."
    )
    parser.add_argument("--name", required=True, help="which worker it is, for a person who lists processes")
    parser.add_argument("--socket", type=int, required=True, help="its supervisor is at the other end")
    descriptor: int = parser.parse_args(words).socket
    try:
        trio.run(_work, socket.socket(fileno=descriptor), clock=PerfCounterClock())
    except BaseException as error:  # noqa: BLE001 - the last place where a traceback can be kept from the user
        print_error(f"trioecho serve: a worker failed: {describe_with_place(next(leaves(error)))}")
        return ExitCode.INTERNAL_ERROR
    return ExitCode.OK


async def _work(connection: socket.socket) -> None:
    reporter = Reporter()
    open_log(_ReporterLogHandler(reporter))
    await work_for_supervisor(connection, reporter)


class _ReporterLogHandler(logging.Handler):
    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the record on as a line for the supervisor's log."""
        self._reporter.add_line(LogLine(record.levelno, record.created, record_in_words(record)))
