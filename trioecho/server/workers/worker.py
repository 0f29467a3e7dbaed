"""One worker: it serves on sockets that it has inherited, and reports to its supervisor."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace

import trio

from ...base.functions_by_name import FunctionNotFoundError
from ...base.heartbeats import BEAT_S
from ...base.tls_files import TlsFiles, TlsFilesError
from ...connection.json_frames import JsonChannel
from ...errors import RemoteProtocolError
from ..counts import Counts
from ..handler_loading import load_service
from ..handlers import Handler, echo
from ..report import Report
from ..service import Service, ServiceEndError, ServiceStartError
from ..serving import FrameServer, serve_frames
from .messages import (
    LAST_WORDS_S,
    CannotStart,
    Command,
    Ended,
    Increment,
    LogLine,
    Message,
    Ready,
    WorkerConfig,
    decode_message,
    encode_message,
)
from .source_files import SourceFiles

logger: logging.Logger = logging.getLogger(__name__)

_WAITING_LINES = 1000


class Reporter:
    """Sends counts and log lines to the supervisor, and never makes the service wait.

    While the supervisor does not read, counts add up, and at most a thousand lines of
    the log wait: then the oldest are left out.
    """

    def __init__(self) -> None:
        self._counts = Counts()
        self._connections = 0
        self._lines: collections.deque[LogLine] = collections.deque(maxlen=_WAITING_LINES)
        self._is_ready = False
        self._ended: Ended | CannotStart | None = None
        self._has_news = trio.Event()
        self._spoke_at = trio.current_time()

    def add_line(self, line: LogLine) -> None:
        """Send a line of the log."""
        self._lines.append(line)
        self._has_news.set()

    def add_report(self, report: Report) -> None:
        """Send what was counted in an interval."""
        is_due = trio.current_time() - self._spoke_at >= BEAT_S
        if report.counts or report.connections != self._connections or is_due:
            self._counts.add(report.counts)
            self._connections = report.connections
            self._has_news.set()

    def report_life(self) -> None:
        """Send a message, whatever is in it."""
        self._has_news.set()

    def report_ready(self) -> None:
        """Send that the service has begun."""
        self._is_ready = True
        self._has_news.set()

    def report_end(self, ended: Ended | CannotStart) -> None:
        """Send that the service has ended, or why it cannot begin; nothing may be added after this."""
        self._ended = ended
        self._has_news.set()

    async def run(self, channel: JsonChannel) -> None:
        """Send until the end of the service was sent, or the supervisor is gone.

        Must not be cancelled before.
        """
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await self._has_news.wait()
                self._has_news = trio.Event()
                self._spoke_at = trio.current_time()
                for message in self._take():
                    await channel.send(encode_message(message))
                    if isinstance(message, Ended | CannotStart):
                        return

    def _take(self) -> Iterator[Message]:
        if self._is_ready:
            self._is_ready = False
            yield Ready()
        while self._lines:
            yield self._lines.popleft()
        # What is added from here on is sent the next time.
        ended = self._ended
        yield Increment(self._counts.take(), self._connections)
        if ended is not None:
            yield ended


async def work_for_supervisor(connection: socket.socket, reporter: Reporter) -> None:
    """Serve as the supervisor at the other end of ``connection`` commands, to the end.

    When the supervisor is gone, the worker drains: it must not go on running unseen.
    """
    async with JsonChannel(connection) as channel:
        config = decode_message(await channel.receive())
        if not isinstance(config, WorkerConfig):
            raise TypeError(f"a worker's first message is its configuration, not {config}")
        async with trio.open_nursery() as reporting:
            reporting.start_soon(reporter.run, channel)
            ended = await _serve_with_context(config, channel, reporter)
            reporter.report_end(ended)
            reporting.cancel_scope.deadline = trio.current_time() + LAST_WORDS_S


async def _serve_with_context(
    config: WorkerConfig, commands: JsonChannel, reporter: Reporter
) -> Ended | CannotStart:
    sources = SourceFiles(config.handler) if config.reload and config.handler else None
    ended = Ended(0)
    try:
        ssl_context = None if config.tls is None else config.tls.load()
        async with _load(config).open() as handler:
            ended = await _serve(handler, config, ssl_context, commands, reporter, sources)
    except TlsFilesError as error:
        return CannotStart(str(error))
    except (FunctionNotFoundError, ServiceStartError) as error:
        if sources is None or not config.is_replacement:
            return CannotStart(str(error))
        logger.error("%s; waiting until a file changes", error)
        sources.add_places_of(error)
        return Ended(0, has_changed=await _wait_for_change(sources, commands, reporter))
    except ServiceEndError as error:
        return replace(ended, failure=str(error))
    return ended


def _load(config: WorkerConfig) -> Service:
    if config.handler is None:
        return Service(echo)
    os.chdir(config.handler.folder)  # it may read files of its own
    return load_service(config.handler)


async def _wait_for_change(sources: SourceFiles, commands: JsonChannel, reporter: Reporter) -> bool:
    """Return whether a file has changed, before there is a command, or the supervisor is gone."""
    has_changed = False
    async with trio.open_nursery() as nursery:

        async def await_command() -> None:
            with contextlib.suppress(trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
                await commands.receive()
            nursery.cancel_scope.cancel()

        nursery.start_soon(await_command)
        await sources.wait_for_change(reporter.report_life)
        has_changed = True
        nursery.cancel_scope.cancel()
    return has_changed


async def _serve(
    handler: Handler,
    config: WorkerConfig,
    ssl_context: ssl.SSLContext | None,
    commands: JsonChannel,
    reporter: Reporter,
    sources: SourceFiles | None,
) -> Ended:
    listeners = [
        trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor)))
        for descriptor in config.descriptors
    ]
    aborted, has_changed = 0, False
    async with trio.open_nursery() as nursery:

        async def serve_and_end(task_status: trio.TaskStatus[FrameServer]) -> None:
            nonlocal aborted
            result = await serve_frames(
                handler,
                listeners,
                format=config.format,
                limits=config.limits,
                ssl_context=ssl_context,
                proxy_protocol=config.proxy_protocol,
                on_report=reporter.add_report,
                report_interval_s=config.increment_interval_s,
                task_status=task_status,
            )
            aborted = result.connections_aborted
            nursery.cancel_scope.cancel()

        async def drain_at_change(server: FrameServer, sources: SourceFiles) -> None:
            nonlocal has_changed
            file = await sources.wait_for_change()
            logger.info("%s has changed: draining, and then starting anew", file)
            has_changed = True
            server.drain()

        server: FrameServer = await nursery.start(serve_and_end)
        if config.counts_received:
            nursery.start_soon(server._count_received)
        reporter.report_ready()
        if sources is not None:
            nursery.start_soon(drain_at_change, server, sources)
            if config.is_replacement:
                logger.info("serving anew")
        await _follow_commands(server, config.tls, commands)
        aborted = server.connections
        nursery.cancel_scope.cancel()
    return Ended(aborted, has_changed=has_changed)


def _reload(server: FrameServer, tls: TlsFiles) -> None:
    """Read the files of TLS again; those that cannot be used leave all as it is."""
    try:
        server.ssl_context = tls.load()
    except TlsFilesError as error:  # they have changed since the supervisor looked at them
        logger.error("%s; the certificate stays as it was", error)


async def _follow_commands(server: FrameServer, tls: TlsFiles | None, commands: JsonChannel) -> None:
    """Drain when the supervisor commands it or is gone; return when the worker must stop at once."""
    try:
        while (command := decode_message(await commands.receive())) is not Command.STOP:
            if command is Command.RELOAD and tls is not None:
                _reload(server, tls)
            else:
                server.drain(leave_queued=command is Command.HAND_OVER)
    except (trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
        server.drain()
        await trio.sleep_forever()
