"""``trioecho serve``: the echo service."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import trio

from ..accepting import format_address
from ..framing import DEFAULT_MAX_FRAME_LENGTH, FrameFormat
from ..limits import Limits
from ..report import report_as_json, report_as_text
from ..server import FrameServer, ServeResult, echo, serve_frames
from . import values
from .outlet import Outlet, OutletLogHandler
from .parser import Commands, Parser, add_command_parser
from .result import CommandError

_DRAINED, _CANNOT_BIND, _ABORTED, _INTERRUPTED_TWICE = 0, 3, 4, 130

# Descriptors that the process needs beside its connections.
_OTHER_DESCRIPTORS = 64
# How long the last lines may take to get to a reader that is slow.
_FLUSH_S = 0.5
_BIND_TRIES = 10

_EPILOG = """\
sizes are written 65536, 64KiB, 1MiB; durations 10, 10s, 500ms, 2m.
A clock or limit set to 0 is off.

The first SIGTERM or Ctrl-C drains: no new connections, every frame that has
arrived is echoed, then all is closed. A second one stops at once.

exit codes:
  0    drained
  2    wrong usage
  3    cannot listen on that address
  4    drained, but something had to be aborted after the grace
  130  stopped at once by a second signal

examples:
  trioecho serve
  trioecho serve --port 0 --metrics-format json >metrics.jsonl
  trioecho serve --host :: --max-frame-length 64KiB --idle-timeout 30s
"""


def add_command(commands: Commands[Parser]) -> None:
    """Add ``serve`` and its options."""
    limits = Limits()
    add = add_command_parser(
        commands,
        "serve",
        run,
        summary="serve echoes, and report every 2 s",
        description="Echo length-prefixed frames to any number of clients.\n"
        "Reports go to stdout, the log to stderr.",
        epilog=_EPILOG,
    ).add_argument
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
    add(
        "--format",
        type=values.frame_format,
        metavar="FORMAT",
        default=FrameFormat(),
        help=values.FORMAT_HELP,
    )
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
    return trio.run(_serve, arguments)


async def _serve(arguments: argparse.Namespace) -> int:
    limits = Limits(
        max_frame_length=arguments.max_frame_length,
        max_connections=arguments.max_connections,
        idle_timeout_s=arguments.idle_timeout,
        frame_timeout_s=arguments.frame_timeout,
        write_timeout_s=arguments.write_timeout,
        grace_s=arguments.grace,
    )
    _allow_open_files(limits.max_connections)
    listeners = await _open_listeners(arguments.host, arguments.port)
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
            serve_frames,
            echo,
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
        finally:
            reports.flush(_FLUSH_S)
            log.flush(_FLUSH_S)
    if result is None:
        return _INTERRUPTED_TWICE
    return _ABORTED if result.connections_aborted else _DRAINED


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

        async def serve_and_end(task_status: trio.TaskStatus[FrameServer]) -> None:
            nonlocal result
            result = await serve(task_status=task_status)
            nursery.cancel_scope.cancel()

        server: FrameServer = await nursery.start(serve_and_end)
        addresses = [format_address(listener.socket.getsockname()) for listener in listeners]
        logger.info("listening on %s", " and ".join(addresses))
        first = signal.Signals(await anext(signals)).name
        bound = f"for {grace_s:g} s at most" if grace_s else "however long it takes"
        logger.info(
            "%s: draining %d connections, %s; a second signal stops at once", first, server.connections, bound
        )
        server.drain()
        second = signal.Signals(await anext(signals)).name
        logger.info("%s: stopping at once", second)
        nursery.cancel_scope.cancel()
    return result


async def _open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on every address of the host, on one port.

    Raises:
      CommandError: that is not possible.
    """
    try:
        for _ in range(_BIND_TRIES):
            listeners = await trio.open_tcp_listeners(port, host=host)
            ports = {listener.socket.getsockname()[1] for listener in listeners}
            if len(ports) == 1:
                return listeners
            # Port 0 and a name with several addresses gave each a port of its own.
            # Try to have the first one's on all; somebody else may hold it elsewhere.
            port = listeners[0].socket.getsockname()[1]
            for listener in listeners:
                await listener.aclose()
            try:
                return await trio.open_tcp_listeners(port, host=host)
            except OSError:
                port = 0
    except (OSError, UnicodeError) as error:
        raise CommandError(_CANNOT_BIND, _why_not_bound(error, host, port)) from error
    raise CommandError(_CANNOT_BIND, f"no port is free on all addresses of {host}; choose one with --port")


def _why_not_bound(error: OSError | UnicodeError, host: str, port: int) -> str:
    where = format_address((host, port))
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"cannot listen on {where}: the host is not known ({error}); try 127.0.0.1, or ::1"
    if number == errno.EADDRINUSE:
        return (
            f"cannot listen on {where}: another program holds the port, perhaps another trioecho serve "
            f"(ss -ltnp 'sport = :{port}' names it); stop it, or choose another port (0: any that is free)"
        )
    if number == errno.EACCES:
        return f"cannot listen on {where}: not permitted; ports below 1024 are the system's"
    if number == errno.EADDRNOTAVAIL:
        return f"cannot listen on {where}: this machine does not have that address; try 127.0.0.1, or ::1"
    return f"cannot listen on {where}: {error}"


def _allow_open_files(max_connections: int) -> None:
    """Raise the soft limit of open files as far as it takes and may go, as Redis does."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max_connections + _OTHER_DESCRIPTORS if max_connections else hard
    if hard != resource.RLIM_INFINITY:
        wanted = hard if wanted == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > soft):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
