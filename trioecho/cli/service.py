"""A process that serves, with signals, a log and reports: for `trioecho serve` and for `run_service`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import ssl
import sys
from collections.abc import Iterator
from dataclasses import replace

import trio

from ..base.clock import PerfCounterClock
from ..base.exception_groups import BaseExceptionGroup, leaves
from ..base.open_files import OTHER_DESCRIPTORS, allow_open_files
from ..base.quantities import plural
from ..base.service_manager import ServiceManager
from ..base.tls_files import TlsFiles
from ..connection.splicing import PIPE_DESCRIPTORS
from ..limits import or_infinite
from ..server.report import Report
from ..server.report_choice import WantedReports
from ..server.report_lines import report_as_json, report_as_text
from ..server.service import Service, ServiceEndError, ServiceStartError
from ..server.workers.supervisor import WorkersCannotStartError
from .service_admin import ServiceAdmin
from .service_run import ServiceRun, ServiceSettings
from .shared.admin import ADMIN_DESCRIPTORS
from .shared.exit_codes import ExitCode
from .shared.log import NonBlockingLogHandler, open_log, open_log_writer
from .shared.non_blocking_writer import NonBlockingWriter, note_as_text
from .shared.output import CommandError
from .shared.signals import open_signals
from .shared.terminal import terminal_width

# How long the last lines may take to reach a slow reader.
_FINISH_S = 2.0


def serve_until_signal(service: Service, settings: ServiceSettings) -> ExitCode:
    """Serve in this process until a signal ends the service; return its exit code.

    Raises:
      TlsFilesError: the files of TLS cannot be used.
      CommandError: an address cannot be listened on, or workers cannot be started.
      ServiceStartError, ServiceEndError: the context manager of the service has failed.
    """
    context = settings.tls.load() if isinstance(settings.tls, TlsFiles) else settings.tls
    admin = None if settings.admin is None else ServiceAdmin(settings.admin, settings.report_interval_s)
    return trio.run(_serve, service, settings, context, admin, clock=PerfCounterClock())


async def _serve(
    service: Service,
    settings: ServiceSettings,
    ssl_context: ssl.SSLContext | None,
    admin: ServiceAdmin | None,
) -> ExitCode:
    of_admin = 0 if settings.admin is None else ADMIN_DESCRIPTORS
    connections = or_infinite(settings.limits.max_connections)
    allow_open_files(connections + PIPE_DESCRIPTORS + of_admin + OTHER_DESCRIPTORS)
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
    manager = ServiceManager.of(os.environ)

    def on_report(report: Report) -> None:
        if settings.on_report is not None:
            settings.on_report(report)
        elif wanted.has(report):
            reports.write_line(as_line(report))
        running.note_report(report)
        if running.successor is None:
            manager.tell_status(_status(report))

    running = ServiceRun(service, replace(settings, on_report=on_report), ssl_context, manager, admin)

    def report_now() -> None:
        wanted.ask()
        running.report_now()

    on_hangup = running.reload_tls if isinstance(settings.tls, TlsFiles) else None
    with (
        open_signals(
            report_now, on_hangup=on_hangup, on_upgrade=running.upgrade, is_last=settings.is_whole_process
        ) as signals,
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


def _status(report: Report) -> str:
    return f"{report.messages_per_s:,.0f} messages/s, {plural(report.connections, 'connection')}"


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
