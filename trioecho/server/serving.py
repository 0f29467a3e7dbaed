"""`serve_frames`: a task for each connection, and what keeps them apart and ends them."""

from __future__ import annotations

import contextlib
import logging
import math
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from ..base.quantities import plural
from ..base.rate_limited_log import RateLimitedLog
from ..connection.channel import FrameChannel
from ..connection.handlers import check_result, checked_handler
from ..connection.reactor import Reactor, open_reactor
from ..connection.tls_codec import SHARED_DECRYPT_BYTES
from ..connection.tls_transport import TlsTransport
from ..connection.transport import SHARED_RECEIVE_BYTES, Transport
from ..framing import BlockPool, FrameFormat
from ..limits import Limits, or_infinite, shortest_clock_s
from .accepting import Acceptor, Admission, keep_alive, open_acceptor
from .counts import Counts
from .handler_errors import HandlerErrors
from .handlers import Handler
from .handshakes import Handshakes
from .metrics import Metrics
from .proxy_headers import ProxyHeaders
from .proxy_protocol import ProxyProtocol
from .received_bytes import ReceivedBytes
from .report import Report
from .slow_calls import SlowCalls

logger: logging.Logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServeResult:
    """How a drain ended.

    Attributes:
      connections_aborted: connections that had to be aborted: at the end of the
        grace, or because their peer never stopped sending.
    """

    connections_aborted: int


async def serve_frames(
    handler: Handler,
    listeners: Sequence[trio.abc.Listener[Any]],
    *,
    format: FrameFormat | None = None,
    limits: Limits | None = None,
    ssl_context: ssl.SSLContext | None = None,
    proxy_protocol: ProxyProtocol | None = None,
    on_report: Callable[[Report], object] | None = None,
    report_interval_s: float = 2.0,
    task_status: trio.TaskStatus[FrameServer] = trio.TASK_STATUS_IGNORED,
) -> ServeResult:
    """Serve framed connections: ``await handler(channel)`` for each, in a task of its own.

    When the handler returns (or lets the `EndOfMessagesError` of its channel out), the
    connection is ended so that all that was sent arrives. When it lets another
    `ConnectionEndedError` of its channel out, that is because of the peer, and one line
    in the log. Any other exception is logged with its traceback, also a
    `ConnectionEndedError` of another connection that the handler uses. Either way, only
    this one connection ends. The log is the standard library's, ``trioecho.server.serving``.

    Args:
      handler: what to do with a connection: `echo`, ``reply_with(function)``, or
        any async function of a `FrameChannel`.
      listeners: where connections come from, for example
        ``await trio.open_tcp_listeners(port)``; closed at the end.
      format: how headers are written.
      limits: sizes, numbers and clocks.
      ssl_context: of a server; then all connections are under TLS. The handler gets a channel when the
        handshake is done.
      proxy_protocol: whose headers are believed, where a balancer is in front; then all connections begin
        with one. The handler gets a channel that has the client's address.
      on_report: gets a `Report` at every interval and a final one; must return
        at once, and should not raise.
      report_interval_s: seconds between reports; 0 for only the final one.
      task_status: with ``nursery.start``, gives the `FrameServer` when it serves.

    Returns:
      When a drain has ended, how it did. Without a drain, never.

    Cancellation aborts all connections and closes the listeners; the final
    report is still made.

    Raises:
      TypeError: ``handler`` is not an async function of a channel.
      ValueError: PROXY headers are expected, and a listener is under TLS by itself.
      OSError: accepting failed for a reason that does not pass; in an
        exception group, as from any nursery.
    """
    server = FrameServer(
        handler,
        listeners,
        format,
        limits or Limits(),
        ssl_context,
        proxy_protocol,
        on_report,
        report_interval_s,
    )
    return await server._run(task_status)


class FrameServer:
    """A server that is running; ``await nursery.start(serve_frames, ...)`` gives it.

    Attributes:
      listeners: those that it was given.
      ssl_context: of connections that begin from now on; may be replaced by another, with newer certificates.
        None where connections are plain, which cannot be changed.
    """

    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[trio.abc.Listener[Any]],
        frame_format: FrameFormat | None,
        limits: Limits,
        ssl_context: ssl.SSLContext | None,
        proxy_protocol: ProxyProtocol | None,
        on_report: Callable[[Report], object] | None,
        report_interval_s: float,
    ) -> None:
        self.ssl_context: ssl.SSLContext | None = ssl_context
        self.listeners: tuple[trio.abc.Listener[Any], ...] = tuple(listeners)
        self._handler = checked_handler(handler)
        self._format = frame_format or FrameFormat()
        self._limits = limits
        self._metrics = Metrics(
            interval_s=report_interval_s,
            connections=lambda: self.connections,
            on_report=on_report or (lambda report: None),
        )
        self._tally = self._metrics.tally
        self._on_sent = self._tally.add_sent  # one for all
        self._log = RateLimitedLog(logger)
        self._errors = HandlerErrors(self._tally.add_error, logger, self._log)
        self._slow_calls = SlowCalls(logger)
        self._handshakes = Handshakes(
            self._handler,
            timeout_s=limits.tls_handshake_timeout_s,
            count=self._tally.add_error,
            log=self._log,
            logger=logger,
        )
        self._proxy_headers: ProxyHeaders | None = None
        if proxy_protocol is not None:
            if any(isinstance(listener, trio.SSLListener) for listener in listeners):
                raise ValueError("PROXY headers come before TLS: give plain listeners, and an ssl_context")
            self._proxy_headers = ProxyHeaders(
                proxy_protocol,
                timeout_s=limits.proxy_header_timeout_s,
                count=self._tally.add_error,
                log=self._log,
            )
        self._tls_buffer = memoryview(bytearray(SHARED_DECRYPT_BYTES))
        self._shared_buffer = self._tls_buffer[:SHARED_RECEIVE_BYTES]
        self._channels: set[FrameChannel] = set()
        self._drain_began = trio.Event()
        self._reactor: Reactor | None = None
        self._admission: Admission
        self._pool = BlockPool()
        self._aborted = 0
        self._received: ReceivedBytes | None = None
        self._leaves_queued = False

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._channels)

    def drain(self, *, leave_queued: bool = False) -> None:
        """Begin to stop; `serve_frames` returns when it is done.

        Returns at once. No connection is accepted any more, except those that
        the kernel has already queued. Every connection gets the echoes of the
        frames that have arrived by now, and of one that has begun if its client sends
        the rest (its channel gives them, and then ends); then it is closed. What is not
        done after ``grace_s`` is aborted.

        Args:
          leave_queued: whether another process has the listening sockets, too, and goes on to accept
            from them. Then what the kernel has queued is left to that one.
        """
        self._leaves_queued = leave_queued
        self._drain_began.set()

    def report_now(self) -> None:
        """Report what was counted since the last report, besides the schedule, which goes on."""
        self._metrics.report_now()

    def _count_totals(self) -> Counts:
        """Return all that was counted since the start, up to now; it must not be changed."""
        return self._metrics.totals()

    async def _count_received(self) -> None:
        """Count bytes received, too, where the system does, from now on; look after them until cancelled."""
        self._received = ReceivedBytes(self._channels, self._tally.add_received)
        await self._received.run()

    async def _run(self, task_status: trio.TaskStatus[FrameServer]) -> ServeResult:
        async with contextlib.AsyncExitStack() as resources:
            clocks_of_silence = self._limits.idle_timeout_s, self._limits.frame_timeout_s
            for listener in self.listeners:
                await resources.enter_async_context(listener)
                if math.inf in map(or_infinite, clocks_of_silence):
                    keep_alive(listener)
            self._reactor = open_reactor()
            if self._reactor is not None:
                resources.enter_context(self._reactor)
            acceptors = [
                await resources.enter_async_context(
                    open_acceptor(listener, self._shared_buffer, self._reactor)
                )
                for listener in self.listeners
            ]
            try:
                await self._serve_until_drained(acceptors, task_status)
            finally:
                self._log.flush()
                self._metrics.report_final()
        return ServeResult(connections_aborted=self._aborted)

    async def _serve_until_drained(
        self, acceptors: Sequence[Acceptor], task_status: trio.TaskStatus[FrameServer]
    ) -> None:
        async with trio.open_nursery() as helpers:
            helpers.start_soon(self._metrics.run)
            helpers.start_soon(self._log.run)
            if self._reactor is not None:
                helpers.start_soon(self._reactor.run, self._limits.spin_s)
                helpers.start_soon(self._reactor.run_clocks, shortest_clock_s(self._limits))
            unserved: dict[Acceptor, int] = {}
            # From the inside out: who accepts stops first; connections end when
            # they have finished; and the grace is over all of that.
            with trio.CancelScope() as grace:
                async with trio.open_nursery() as connections:
                    self._admission = admission = Admission(
                        partial(self._start, connections),
                        connections=lambda: self.connections,
                        max_connections=self._limits.max_connections,
                        log=self._log,
                        on_failure=lambda: self._tally.add_error("accept_failed"),
                    )
                    async with trio.open_nursery() as accepting:
                        for acceptor in acceptors:
                            accepting.start_soon(admission.accept_from, acceptor)
                        task_status.started(self)
                        await self._drain_began.wait()
                        grace.deadline = trio.current_time() + or_infinite(self._limits.grace_s)
                        # Who connects from here on is not served: a crowd of clients that connect
                        # again as soon as they are closed would hold up the drain.
                        unserved |= {
                            each: 0 if self._leaves_queued else each.count_queued() for each in acceptors
                        }
                        accepting.cancel_scope.cancel()
                    for channel in self._channels:
                        channel.drain()
                    self._handshakes.drain()
                    if self._proxy_headers is not None:
                        self._proxy_headers.drain()
                    for acceptor in acceptors:
                        await admission.accept_queued(acceptor, unserved[acceptor])
                        del unserved[acceptor]
                        await acceptor.aclose()
            if grace.cancelled_caught:
                for acceptor, most in unserved.items():
                    self._note_unserved(min(most, acceptor.count_unserved()))
            helpers.cancel_scope.cancel()

    # ---- a connection ----

    def _start(self, connections: trio.Nursery, transport: Transport, peer: str) -> None:
        handler, plain = self._handler, transport
        if self.ssl_context is not None:
            transport = under_tls = TlsTransport(
                transport, self.ssl_context, server_side=True, shared_buffer=self._tls_buffer
            )
            handler = partial(self._handshakes.serve, transport=under_tls)
        if self._proxy_headers is not None:
            handler = partial(self._proxy_headers.serve, transport=plain, handler=handler)
        channel = FrameChannel._of_server(
            transport,
            self._format,
            self._limits,
            peer,
            reactor=self._reactor,
            pool=self._pool,
            on_sent=self._on_sent,
            on_slow_call=self._slow_calls.note,
        )
        # From here on the place is taken, although the task has not run yet.
        self._channels.add(channel)
        self._tally.add_accepted()
        if self._drain_began.is_set():
            channel.drain()
        connections.start_soon(self._serve, channel, handler)

    async def _serve(self, channel: FrameChannel, handler: Handler) -> None:
        is_done = False
        try:
            # No function between: an idle connection holds the memory of every one that waits.
            try:
                result = await handler(channel)
                if result is not None:
                    check_result(self._handler, result)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it must end only its own connection
                self._errors.contain(channel, error)
            if self._received is not None:
                self._received.note_end(channel)
            try:
                await self._finish(channel)
            except BaseException as error:  # noqa: BLE001 - it, too, must end only its own connection
                self._errors.contain(channel, error)
            is_done = True
        finally:
            if not is_done:
                if self._received is not None:
                    self._received.note_end(channel)
                self._note_aborted(channel)
                with contextlib.suppress(trio.Cancelled):  # the one on its way goes on
                    await channel.abort()
            self._channels.remove(channel)
            self._admission.note_free_place()

    async def _finish(self, channel: FrameChannel) -> None:
        has_ended_or_is_silent = await channel.finish(linger_s=self._limits.linger_s)
        if self._drain_began.is_set() and not has_ended_or_is_silent:
            self._note_aborted(channel)

    def _note_aborted(self, channel: FrameChannel) -> None:
        self._aborted += 1
        self._tally.add_error("aborted")
        self._log.warning(f"{channel.peer}: aborted before it was done")

    def _note_unserved(self, queued: int) -> None:
        """Count connections still queued when the grace is over: their listener ends, and they with it."""
        self._aborted += queued
        for _ in range(queued):
            self._tally.add_error("aborted")
        if queued:
            self._log.warning(f"{plural(queued, 'queued connection')} could not be accepted within the grace")
