"""One run of a service, from listening to the end of its drain."""

from __future__ import annotations

import logging
import os
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import trio

from ..base.addresses import listening_line
from ..base.functions_by_name import FunctionReference
from ..base.handover import Handover, take_handover
from ..base.quantities import plural
from ..base.service_manager import PassedSocketsError, ServiceManager
from ..base.tls_files import TlsFiles, TlsFilesError
from ..framing import FrameFormat
from ..limits import Limits
from ..server.proxy_protocol import ProxyProtocol
from ..server.report import Report
from ..server.service import Service
from ..server.serving import FrameServer, ServeResult, serve_frames
from ..server.workers.supervisor import WorkerPool, serve_in_workers
from .service_admin import ServiceAdmin
from .service_listeners import ServiceListeners, WhereToListen, open_service_listeners
from .service_upgrade import OwnCommand, Upgrades, handover_of
from .shared.admin import AdminAddress
from .shared.exit_codes import ExitCode
from .shared.listening import of_one_family
from .shared.log import LogSettings
from .shared.output import CommandError
from .shared.signals import EndingSignals
from .worker import worker_program

# How often a drain asks the service manager for more time: twice that long.
_ASK_FOR_TIME_S = 5.0
# What a service manager is told then.
_IN_PLACE = "another process has taken over"


@dataclass(frozen=True)
class ServiceSettings:
    """How a process serves.

    Attributes:
      where: where to listen.
      format: how headers are written.
      limits: of the whole service.
      tls: the files of TLS, which are read again at SIGHUP; or a context, which several processes
        cannot have; None if connections are plain.
      proxy_protocol: whose PROXY headers are believed; None if none come.
      workers: the number of processes.
      reference: where several find the function to serve; None for echoes.
      reload: whether a process ends, and another is started, when a source file of the function has changed.
      on_report: gets every report; None to print them.
      is_json: whether to print them as JSON.
      report_interval_s: seconds between them.
      admin: where metrics and probes are served; None for nowhere.
      drain_delay_s: seconds from the first signal, at which clients are told to stay away, to when no
        connection is accepted any more.
      is_quiet_when_idle: whether reports in which nothing has happened are left out.
      log: what the log has in it, and how it is written.
      command: how the process was started, so that another can take its place; None where that cannot be.
      is_whole_process: whether the process has nothing else to do, before and after, and
        so its log is this one.
    """

    where: WhereToListen
    format: FrameFormat
    limits: Limits
    tls: TlsFiles | ssl.SSLContext | None = None
    proxy_protocol: ProxyProtocol | None = None
    workers: int = 1
    reference: FunctionReference | None = None
    reload: bool = False
    on_report: Callable[[Report], object] | None = None
    is_json: bool = False
    report_interval_s: float = 2.0
    admin: AdminAddress | None = None
    drain_delay_s: float = 0.0
    is_quiet_when_idle: bool = False
    log: LogSettings = field(default_factory=LogSettings)
    command: OwnCommand | None = None
    is_whole_process: bool = True


class ServiceRun:
    """A service, from its start to its end.

    Attributes:
      successor: the process that serves in place of this one; None while this one does.
    """

    def __init__(
        self,
        service: Service,
        settings: ServiceSettings,
        ssl_context: ssl.SSLContext | None,
        manager: ServiceManager,
        admin: ServiceAdmin | None,
    ) -> None:
        self._service = service
        self._settings = settings
        self._ssl_context = ssl_context
        self._listening = ServiceListeners()
        self._server: FrameServer | WorkerPool | None = None
        self._result: ServeResult | None = None
        self._has_opened = False
        self._is_draining = False
        self._is_told = trio.Event()
        self._first_signal = ""
        self._manager = manager
        self._admin = admin
        self._handover: Handover | None = None
        self._upgrades = Upgrades(settings.command)
        self.successor: trio.Process | None = None

    def note_report(self, report: Report) -> None:
        """Keep a report for those who watch."""
        if self._admin is not None:
            self._admin.note_report(report)

    def report_now(self) -> None:
        if self._server is not None:
            self._server.report_now()

    def upgrade(self) -> None:
        """Have another process take the place of this one; returns at once."""
        self._upgrades.ask()

    def reload_tls(self) -> None:
        """Read the files of TLS again, for new connections; those that cannot be used leave all as it is."""
        tls, logger = self._settings.tls, logging.getLogger("trioecho")
        if not isinstance(tls, TlsFiles):
            return
        if self._is_draining:
            logger.warning("SIGHUP: ignored: in a drain no connection begins that needs %s", tls.certfile)
            return
        self._manager.tell_reloading()
        try:
            self._ssl_context = tls.load()
        except TlsFilesError as error:
            logger.error("SIGHUP: %s; the certificate stays as it was", error)
            self._manager.tell_ready(f"{error}; the certificate stays as it was")
            return
        if isinstance(self._server, WorkerPool):
            self._server.reload_tls()
        elif self._server is not None:
            self._server.ssl_context = self._ssl_context
        logger.info("SIGHUP: %s was read again, for new connections", tls.certfile)
        self._manager.tell_ready(f"{tls.certfile} was read again")

    async def run(self, signals: EndingSignals, logger: logging.Logger) -> ServeResult | None:
        """Serve, and drain at the first signal; return None if a second one stopped that.

        A signal that comes while the service's context manager is entered ends that.
        """
        try:
            self._handover = take_handover(os.environ)
        except PassedSocketsError as error:
            raise CommandError(ExitCode.UNAVAILABLE, str(error)) from None
        try:
            await self._run(signals, logger)
        finally:
            self._listening.remove_files()
        return self._result

    async def _run(self, signals: EndingSignals, logger: logging.Logger) -> None:
        grace_s = self._settings.limits.grace_s
        async with trio.open_nursery() as nursery:
            if self._admin is not None:
                await self._admin.listen(self._settings.where, self._handover)
                if self._handover is None:  # else the other process says how the service is
                    nursery.start_soon(self._admin.server.run)
            # Signals count from here on: workers take a while to start, and may fail.
            nursery.start_soon(self._await_signals, signals, logger, nursery.cancel_scope)
            self._server = server = await nursery.start(self._serve, nursery.cancel_scope)
            listening = listening_line(self._listening.addresses())
            logger.info(listening)
            if self._handover is not None:
                self._take_place(self._handover, logger, nursery)
            else:
                self._manager.tell_ready(listening)
            if self._listening.names:
                logger.info("passed by the service manager: %s", ", ".join(self._listening.names))
            if self._admin is not None:
                self._admin.note_ready(server, listening, nursery)
            nursery.start_soon(self._report_alive)
            if hint := of_one_family(self._listening.listeners):
                logger.info(hint)
            upgrading = trio.CancelScope()
            nursery.start_soon(self._await_successor, server, upgrading)
            await self._is_told.wait()
            upgrading.cancel()
            bound = f"for at most {grace_s:g} s" if grace_s else "without a limit"
            draining = f"draining {plural(server.connections, 'connection')}, {bound}"
            if self.successor is not None:
                self._is_draining = True
                server.drain(leave_queued=True)
                self._listening.files.clear()  # they are the other one's
                if self._admin is not None:
                    self._admin.server.stop()
                logger.info("SIGUSR2: process %d has taken over; %s", self.successor.pid, draining)
                self._manager.tell(f"MAINPID={self.successor.pid}", "READY=1", f"STATUS={_IN_PLACE}")
                return
            draining = f"{self._first_signal}: {draining}"
            if delay_s := self._settings.drain_delay_s:
                draining = f"{draining}, after {delay_s:g} s in which connections are still accepted"
            logger.info("%s; a second signal stops at once", draining)
            self._manager.tell_stopping(draining)
            nursery.start_soon(self._ask_for_time)
            if delay_s:
                await trio.sleep(delay_s)
            # While the sockets are open: who finds no file does not come into a queue that is closed.
            self._listening.remove_files()
            self._is_draining = True
            server.drain()

    def _take_place(self, handover: Handover, logger: logging.Logger, nursery: trio.Nursery) -> None:
        """Tell the process that has handed over that this one serves; from now on the files are its own."""
        self._listening.files += handover.files
        if self._admin is not None:
            self._admin.server.own_file(handover.admin_file)
            nursery.start_soon(self._admin.server.run)
        else:
            handover.refuse_admin()
        logger.info("process %d takes over from process %d", os.getpid(), handover.process)
        handover.report_ready()
        if handover.wanted != str(self._settings.where):
            logger.warning(
                "an upgrade keeps the addresses, which were %s; to listen elsewhere, start the service again",
                handover.wanted,
            )

    async def _await_successor(self, server: FrameServer | WorkerPool, scope: trio.CancelScope) -> None:
        """Drain when another process has taken over, as SIGUSR2 asks."""

        def handed_over() -> Handover:
            beside = [listener.socket for listener in self._listening.beside]
            if isinstance(server, WorkerPool):
                beside = [*server.beside]  # which has these, too
            admin = None if self._admin is None else self._admin.server.listening
            return handover_of(self._listening, beside, str(self._settings.where), admin)

        with scope:
            self.successor = await self._upgrades.wait_for_successor(handed_over)
            self._is_told.set()

    async def _report_alive(self) -> None:
        """Tell the service manager that this loop runs, if it wants to know."""
        if self._manager.watchdog_s is not None:
            while self.successor is None:
                self._manager.tell("WATCHDOG=1")
                await trio.sleep(self._manager.watchdog_s / 2)

    async def _ask_for_time(self) -> None:
        """Ask the service manager for time, as long as the drain goes on; its grace bounds that."""
        while True:
            self._manager.ask_for_time(2 * _ASK_FOR_TIME_S)
            await trio.sleep(_ASK_FOR_TIME_S)

    async def _await_signals(
        self, signals: AsyncIterator[int], logger: logging.Logger, scope: trio.CancelScope
    ) -> None:
        self._first_signal = signal.Signals(await anext(signals)).name
        if self._admin is not None:
            self._admin.note_drain()
        if self.successor is not None:
            logger.info("%s: draining already; another signal stops at once", self._first_signal)
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
                    [*self._listening.listeners, *self._listening.beside],
                    format=settings.format,
                    limits=settings.limits,
                    ssl_context=self._ssl_context,
                    proxy_protocol=settings.proxy_protocol,
                    on_report=settings.on_report,
                    report_interval_s=settings.report_interval_s,
                    task_status=task_status,
                )
        else:
            await self._listen()
            result = await serve_in_workers(
                self._listening.listeners,
                shared=self._listening.shared,
                beside=self._listening.beside,
                workers=settings.workers,
                program=worker_program(),
                handler=settings.reference,
                reload=settings.reload,
                format=settings.format,
                limits=settings.limits,
                tls=settings.tls if isinstance(settings.tls, TlsFiles) else None,
                proxy_protocol=settings.proxy_protocol,
                on_report=settings.on_report,
                report_interval_s=settings.report_interval_s,
                counts_received=settings.admin is not None,
                task_status=task_status,
            )
        self._result = result
        if self._admin is not None:
            await self._admin.tell_the_end()
        scope.cancel()

    async def _listen(self) -> None:
        self._has_opened = True
        self._listening = await open_service_listeners(self._settings.where, self._handover)
