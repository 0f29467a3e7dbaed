"""The program of a worker of ``trioecho serve --workers``; not a command for people.

It is told what to do by the process that started it, and by nobody else: SIGINT
and SIGTERM, which a terminal or a service manager may send to all processes of a
service, are for that one.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys

import trio

from ..clock import CounterClock
from ..exception_groups import leaves
from ..workers.messages import LogLine
from ..workers.worker import Reporter, work
from .outlet import describe_error
from .result import print_error

_FAILED = 70  # EX_SOFTWARE of sysexits.h


def worker_program() -> list[str]:
    """The command that runs `main`, with everything imported from where this process has it from."""
    return [
        sys.executable,
        "-c",
        f"import sys; sys.path[:] = {[str(folder) for folder in sys.path]!r}\n"
        "from trioecho.cli.worker import main; sys.exit(main(int(sys.argv[1])))",
    ]


def main(descriptor: int) -> int:
    """Work for the process at the other end of the socket with this descriptor."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        trio.run(_work, socket.socket(fileno=descriptor), clock=CounterClock())
    except BaseException as error:  # noqa: BLE001 - the last place where a traceback can be kept from the user
        print_error(f"trioecho serve: a worker failed: {describe_error(next(leaves(error)))}")
        return _FAILED
    return 0


async def _work(connection: socket.socket) -> None:
    reporter = Reporter()
    logger = logging.getLogger("trioecho")
    logger.addHandler(_ReporterLogHandler(reporter))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    await work(connection, reporter)


class _ReporterLogHandler(logging.Handler):
    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            text += f": {describe_error(record.exc_info[1])}"
        self._reporter.add_line(LogLine(record.levelno, record.created, text))
