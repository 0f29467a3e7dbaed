"""``trioecho serve``: the echo service."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import trio

from ..accepting import format_address
from ..clock import CounterClock
from ..exception_groups import BaseExceptionGroup, leaves
from ..framing import DEFAULT_MAX_FRAME_LENGTH
from ..limits import Limits, or_infinite
from ..open_files import OTHER_DESCRIPTORS, allow_open_files
from ..report import report_as_json, report_as_text
from ..server import FrameServer, ServeResult, echo, serve_frames
from ..workers.sockets import can_share_ports
from ..workers.supervisor import WorkerPool, WorkersCannotStartError, serve_in_workers
from . import values
from .listening import open_listeners
from .outlet import Outlet, OutletLogHandler, open_missing_standard_files
from .parser import Commands, Parser, add_command_parser, add_format_option
from .result import CommandError
from .worker import worker_program

_DRAINED, _NO_WORKERS, _WRONG_USAGE, _ABORTED, _INTERRUPTED_TWICE = 0, 1, 2, 4, 130

# How long the last lines may take to get to a reader that is slow.
_FLUSH_S = 0.5

_EPILOG = """\
sizes are written 65536, 64KiB, 1MiB; durations 10, 10s, 500ms, 2m.
A clock or limit set to 0 is off.

With several workers the kernel divides connections among as many processes. A
worker that dies is replaced, and who connects meanwhile waits for the new one.
Reports, the log, a drain and the exit code are those of the whole service.
--max-connections is divided evenly: a worker at its share accepts no more, even
if another has room.

The first SIGTERM or Ctrl-C drains: no new connections, every frame that has
arrived is echoed, then all is closed. A second one stops at once.

exit codes:
  0    drained
  1    the workers died as soon as they were started
  2    wrong usage
  3    cannot listen on that address
  4    drained, but something had to be aborted after the grace
  130  stopped at once by a second signal

examples:
  trioecho serve
  trioecho serve --port 0 --metrics-format json >metrics.jsonl
  trioecho serve --host :: --max-frame-length 64KiB --idle-timeout 30s
  trioecho serve --workers 0
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``serve`` and its options."""
    limits = Limits()
    parser = add_command_parser(
        commands,
        "serve",
        run,
        summary=summary,
        description="Echo length-prefixed frames to any number of clients.\n"
        "Reports go to stdout, the log to stderr.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add(
        "--host",
        type=values.host,
        default="127.0.0.1",
        help="name or address to listen on (default: %(default)s)",
    )
    add(
        "--port",
        type=values.port,
        default=50666,
        help="TCP port; 0 for any that is free (default: %(default)s)",
    )
    add_format_option(parser)
    add(
        "--max-frame-length",
        type=values.size,
        metavar="SIZE",
        default=DEFAULT_MAX_FRAME_LENGTH,
        help="largest payload of a frame (default: 1MiB, as nginx's client_max_body_size)",
    )
    add(
        "--max-connections",
        type=values.count,
        metavar="N",
        default=limits.max_connections,
        help="connections at a time; more wait in the kernel (default: %(default)s, as Redis's maxclients)",
    )
    add(
        "--workers",
        type=values.worker_count,
        metavar="N",
        default=1,
        help="processes that serve; 0 for as many as there are processors (default: %(default)s)",
    )
    for option, default, text in (
        (
            "--idle-timeout",
            limits.idle_timeout_s,
            "silence between frames (5m, as Envoy's stream_idle_timeout)",
        ),
        ("--frame-timeout", limits.frame_timeout_s, "a frame's first byte to its last (1m, as nginx)"),
        (
            "--write-timeout",
            limits.write_timeout_s,
            "since the kernel last took a byte to send (1m, as nginx)",
        ),
        ("--grace", limits.grace_s, "the longest that a drain may take (10s, as docker stop)"),
    ):
        add(option, type=values.duration, metavar="TIME", default=default, help=text)
    add(
        "--metrics-interval",
        type=values.duration,
        metavar="TIME",
        default=2.0,
        help="from report to report; 0 for only the last one (default: 2s)",
    )
    add(
        "--metrics-format",
        choices=("text", "json"),
        default="text",
        help="a line for people, or a JSON object a line (default: text)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    workers = arguments.workers or _processors()
    if workers > 1:
        _check_workers(workers, arguments.max_connections)
        open_missing_standard_files()
    return trio.run(_serve, arguments, workers, clock=CounterClock())


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check_workers(workers: int, max_connections: int) -> None:
    if not can_share_ports():
        raise CommandError(
            _WRONG_USAGE,
            f"--workers {workers}: this system does not let processes share a port (it has no SO_REUSEPORT); "
            "leave it at --workers 1",
        )
    if 0 < max_connections < workers:
        raise CommandError(
            _WRONG_USAGE,
            f"--max-connections {max_connections} is less than one for each of {workers} workers",
        )


async def _serve(arguments: argparse.Namespace, workers: int) -> int:
    limits = Limits(
        max_frame_length=arguments.max_frame_length,
        max_connections=arguments.max_connections,
        idle_timeout_s=arguments.idle_timeout,
        frame_timeout_s=arguments.frame_timeout,
        write_timeout_s=arguments.write_timeout,
        grace_s=arguments.grace,
    )
    allow_open_files(or_infinite(limits.max_connections) + OTHER_DESCRIPTORS)
    listeners = await open_listeners(arguments.host, arguments.port)
    # What the receiver puts back at the end: a signal that comes after the drain,
    # while the interpreter shuts down, must not change the exit code.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        reports, log = Outlet(sys.stdout), Outlet(sys.stderr)
        logger = logging.getLogger("trioecho")
        logger.addHandler(OutletLogHandler(log))
        logger.setLevel(logging.INFO)
        logger.propagate = False
        as_line = report_as_json if arguments.metrics_format == "json" else report_as_text
        serve = partial(
            partial(serve_frames, echo)
            if workers == 1
            else partial(serve_in_workers, workers=workers, program=worker_program()),
            listeners,
            format=arguments.format,
            limits=limits,
            on_report=lambda report: reports.write_line(as_line(report)),
            report_interval_s=arguments.metrics_interval,
        )
        try:
            async with trio.open_nursery() as writing:
                writing.start_soon(reports.run)
                writing.start_soon(log.run)
                result = await _serve_until_signal(serve, listeners, signals, logger, limits.grace_s)
                writing.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _why_no_workers(group) or group from None
        finally:
            reports.flush(_FLUSH_S)
            log.flush(_FLUSH_S)
    if result is None:
        return _INTERRUPTED_TWICE
    return _ABORTED if result.connections_aborted else _DRAINED


def _why_no_workers(group: BaseExceptionGroup[BaseException]) -> CommandError | None:
    for error in leaves(group):
        if isinstance(error, WorkersCannotStartError):
            return CommandError(_NO_WORKERS, str(error))
    return None


async def _serve_until_signal(
    serve: Callable[..., Awaitable[ServeResult]],
    listeners: list[trio.SocketListener],
    signals: AsyncIterator[int],
    logger: logging.Logger,
    grace_s: float,
) -> ServeResult | None:
    """Serve, drain at the first signal; None if a second one put an end to that."""
    result: ServeResult | None = None
    async with trio.open_nursery() as nursery:

        async def serve_and_end(task_status: trio.TaskStatus[FrameServer | WorkerPool]) -> None:
            nonlocal result
            result = await serve(task_status=task_status)
            nursery.cancel_scope.cancel()

        is_told = trio.Event()
        first = ""

        async def await_signals() -> None:
            nonlocal first
            first = signal.Signals(await anext(signals)).name
            is_told.set()
            second = signal.Signals(await anext(signals)).name
            logger.info("%s: stopping at once", second)
            nursery.cancel_scope.cancel()

        # From here on: workers take a while to start, and may not.
        nursery.start_soon(await_signals)
        server: FrameServer | WorkerPool = await nursery.start(serve_and_end)
        addresses = [format_address(listener.socket.getsockname()) for listener in listeners]
        logger.info("listening on %s", " and ".join(addresses))
        await is_told.wait()
        bound = f"for {grace_s:g} s at most" if grace_s else "however long it takes"
        logger.info(
            "%s: draining %d connections, %s; a second signal stops at once", first, server.connections, bound
        )
        server.drain()
    return result
