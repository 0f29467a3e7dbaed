"""A process that serves, with signals, a log and reports: for `trioecho serve` and for `run_service`."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import trio

from ..base.addresses import listening_line
from ..base.clock import PerfCounterClock
from ..base.exception_groups import BaseExceptionGroup, leaves
from ..base.functions_by_name import FunctionReference
from ..base.open_files import OTHER_DESCRIPTORS, allow_open_files
from ..base.quantities import plural
from ..base.tls_files import TlsFiles, TlsFilesError
from ..connection.splicing import PIPE_DESCRIPTORS
from ..framing import FrameFormat
from ..limits import Limits, or_infinite
from ..server.report import Report
from ..server.report_choice import WantedReports
from ..server.report_lines import report_as_json, report_as_text
from ..server.service import Service, ServiceEndError, ServiceStartError
from ..server.serving import FrameServer, ServeResult, serve_frames
from ..server.workers.supervisor import WorkerPool, WorkersCannotStartError, serve_in_workers
from .shared.exit_codes import ExitCode
from .shared.listening import of_one_family, open_listeners
from .shared.log import LogSettings, NonBlockingLogHandler, open_log, open_log_writer
from .shared.non_blocking_writer import NonBlockingWriter, note_as_text
from .shared.output import CommandError
from .shared.signals import EndingSignals, open_signals
from .shared.terminal import terminal_width
from .worker import worker_program

# How long the last lines may take to reach a slow reader.
_FINISH_S = 2.0


@dataclass(frozen=True)
class ServiceSettings:
    """How a process serves.

    Attributes:
      hosts, port: where to listen; ``hosts`` is one host, or several.
      format: how headers are written.
      limits: of the whole service.
      tls: the files of TLS, which are read again at SIGHUP; or a context, which several processes
        cannot have; None if connections are plain.
      workers: the number of processes.
      reference: where several find the function to serve; None for echoes.
      reload: whether a process ends, and another is started, when a source file of the function has changed.
      on_report: gets every report; None to print them.
      is_json: whether to print them as JSON.
      report_interval_s: seconds between them.
      is_quiet_when_idle: whether reports in which nothing has happened are left out.
      log: what the log has in it, and how it is written.
      is_whole_process: whether the process has nothing else to do, before and after, and
        so its log is this one.
    """

    hosts: str | Sequence[str]
    port: int
    format: FrameFormat
    limits: Limits
    tls: TlsFiles | ssl.SSLContext | None = None
    workers: int = 1
    reference: FunctionReference | None = None
    reload: bool = False
    on_report: Callable[[Report], object] | None = None
    is_json: bool = False
    report_interval_s: float = 2.0
    is_quiet_when_idle: bool = False
    log: LogSettings = field(default_factory=LogSettings)
    is_whole_process: bool = True


def serve_until_signal(service: Service, settings: ServiceSettings) -> ExitCode:
    """Serve in this process until a signal ends the service; return its exit code.

    Raises:
      TlsFilesError: the files of TLS cannot be used.
      CommandError: an address cannot be listened on, or workers cannot be started.
      ServiceStartError, ServiceEndError: the context manager of the service has failed.
    """
    context = settings.tls.load() if isinstance(settings.tls, TlsFiles) else settings.tls
    return trio.run(_serve, service, settings, context, clock=PerfCounterClock())


async def _serve(service: Service, settings: ServiceSettings, ssl_context: ssl.SSLContext | None) -> ExitCode:
    allow_open_files(or_infinite(settings.limits.max_connections) + PIPE_DESCRIPTORS + OTHER_DESCRIPTORS)
    log = open_log_writer(sys.stderr, settings.log)
    reports = NonBlockingWriter(
        None if settings.on_report else sys.stdout,
        note=_note_as_json if settings.is_json else note_as_text,
        on_change=lambda why: logger.warning(
            f"reports cannot be written: {why}; trying again" if why else "reports are written again"
        ),
    )
    as_line = report_as_json if settings.is_json else _report_for_stdout
    wanted = WantedReports(is_quiet_when_idle=settings.is_quiet_when_idle)
    if settings.on_report is None:
        settings = replace(
            settings,
            on_report=lambda report: reports.write_line(as_line(report)) if wanted.has(report) else None,
        )
    running = _Running(service, settings, ssl_context)

    def report_now() -> None:
        wanted.ask()
        running.report_now()

    on_hangup = running.reload_tls if isinstance(settings.tls, TlsFiles) else None
    with (
        open_signals(report_now, on_hangup=on_hangup, is_last=settings.is_whole_process) as signals,
        _logging(log, settings) as logger,
    ):
        try:
            async with trio.open_nursery() as writing:
                writing.start_soon(reports.run)
                writing.start_soon(log.run)
                result = await running.run(signals, logger)
                writing.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            failure = _failure_to_explain(group)
            if failure is None:
                raise
            raise failure from failure.__cause__
        finally:
            why_unwritten = reports.finish(_FINISH_S)
            if why_unwritten:
                logger.error("the final report could not be written: %s", why_unwritten)
            log.flush(_FINISH_S)
    if result is None:
        return ExitCode.INTERRUPTED
    if result.connections_aborted:
        return ExitCode.ABORTED
    return ExitCode.CANNOT_WRITE if why_unwritten else ExitCode.OK


def _report_for_stdout(report: Report) -> str:
    return report_as_text(report, terminal_width(sys.stdout))


def _note_as_json(lines: int, why: str) -> str:
    """Return the note that replaces reports that were left out: a JSON object, as a report is."""
    return json.dumps({"reports_left_out": lines, "reason": why})


@contextlib.contextmanager
def _logging(writer: NonBlockingWriter, settings: ServiceSettings) -> Iterator[logging.Logger]:
    """Write the log of the service with ``writer``, unless the program around it has its own."""
    logger = logging.getLogger("trioecho")
    if logger.hasHandlers() and not settings.is_whole_process:
        yield logger
        return
    level, propagate = logger.level, logger.propagate
    handler = NonBlockingLogHandler(writer, settings.log)
    try:
        yield open_log(handler)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def _failure_to_explain(group: BaseExceptionGroup[BaseException]) -> Exception | None:
    """Return what is no error of this program, and why the service could not be."""
    for error in leaves(group):
        if isinstance(error, CommandError | ServiceStartError | ServiceEndError):
            return error
        if isinstance(error, WorkersCannotStartError):
            return CommandError(ExitCode.FAILED, str(error))
    return None


class _Running:
    """A service, from its start to its end."""

    def __init__(
        self, service: Service, settings: ServiceSettings, ssl_context: ssl.SSLContext | None
    ) -> None:
        self._service = service
        self._settings = settings
        self._ssl_context = ssl_context
        self._listeners: list[trio.SocketListener] = []
        self._server: FrameServer | WorkerPool | None = None
        self._result: ServeResult | None = None
        self._has_opened = False
        self._is_told = trio.Event()
        self._first_signal = ""

    def report_now(self) -> None:
        if self._server is not None:
            self._server.report_now()

    def reload_tls(self) -> None:
        """Read the files of TLS again, for new connections; those that cannot be used leave all as it is."""
        tls, logger = self._settings.tls, logging.getLogger("trioecho")
        if not isinstance(tls, TlsFiles):
            return
        try:
            self._ssl_context = tls.load()
        except TlsFilesError as error:
            logger.error("SIGHUP: %s; the certificate stays as it was", error)
            return
        if isinstance(self._server, WorkerPool):
            self._server.reload_tls()
        elif self._server is not None:
            self._server.ssl_context = self._ssl_context
        logger.info("SIGHUP: %s was read again, for new connections", tls.certfile)

    async def run(self, signals: EndingSignals, logger: logging.Logger) -> ServeResult | None:
        """Serve, and drain at the first signal; return None if a second one stopped that.

        A signal that comes while the service's context manager is entered ends that.
        """
        grace_s = self._settings.limits.grace_s
        async with trio.open_nursery() as nursery:
            # Signals count from here on: workers take a while to start, and may fail.
            nursery.start_soon(self._await_signals, signals, logger, nursery.cancel_scope)
            self._server = server = await nursery.start(self._serve, nursery.cancel_scope)
            logger.info(listening_line(listener.socket.getsockname() for listener in self._listeners))
            if hint := of_one_family(self._listeners):
                logger.info(hint)
            await self._is_told.wait()
            bound = f"for at most {grace_s:g} s" if grace_s else "without a limit"
            logger.info(
                "%s: draining %s, %s; a second signal stops at once",
                self._first_signal,
                plural(server.connections, "connection"),
                bound,
            )
            server.drain()
        return self._result

    async def _await_signals(
        self, signals: AsyncIterator[int], logger: logging.Logger, scope: trio.CancelScope
    ) -> None:
        self._first_signal = signal.Signals(await anext(signals)).name
        self._is_told.set()
        if not self._has_opened:
            logger.info("%s: the service had not started", self._first_signal)
            self._result = ServeResult(connections_aborted=0)
            scope.cancel()
        second = signal.Signals(await anext(signals)).name
        logger.info("%s: stopping at once", second)
        scope.cancel()

    async def _serve(
        self, scope: trio.CancelScope, task_status: trio.TaskStatus[FrameServer | WorkerPool]
    ) -> None:
        """Serve until drained, and cancel the scope."""
        settings = self._settings
        if settings.workers == 1 and not settings.reload:
            async with self._service.open() as handler:
                await self._listen()
                result = await serve_frames(
                    handler,
                    self._listeners,
                    format=settings.format,
                    limits=settings.limits,
                    ssl_context=self._ssl_context,
                    on_report=settings.on_report,
                    report_interval_s=settings.report_interval_s,
                    task_status=task_status,
                )
        else:
            await self._listen()
            result = await serve_in_workers(
                self._listeners,
                workers=settings.workers,
                program=worker_program(),
                handler=settings.reference,
                reload=settings.reload,
                format=settings.format,
                limits=settings.limits,
                tls=settings.tls if isinstance(settings.tls, TlsFiles) else None,
                on_report=settings.on_report,
                report_interval_s=settings.report_interval_s,
                task_status=task_status,
            )
        self._result = result
        scope.cancel()

    async def _listen(self) -> None:
        self._has_opened = True
        self._listeners = await open_listeners(self._settings.hosts, self._settings.port)
