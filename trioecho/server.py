"""`serve_frames`: a task for each connection, and what keeps them apart and ends them."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from .accepting import Acceptor, open_acceptor
from .channel import FrameChannel
from .errors import (
    FrameTimeoutError,
    FrameTooLargeError,
    FrameTooSmallError,
    IdleTimeoutError,
    IncompleteFrameError,
    WriteTimeoutError,
)
from .exception_groups import BaseExceptionGroup, leaves
from .framing import BlockPool, FrameFormat
from .hub import Hub, open_hub
from .limits import Limits, or_infinite
from .metrics import Metrics, Report
from .throttled_log import ThrottledLog
from .transport import SHARED_RECEIVE_BYTES, Transport

logger: logging.Logger = logging.getLogger(__name__)

Handler = Callable[[FrameChannel], Awaitable[object]]

# accept(2) failed because the machine is short of something. The same four, and
# the same pause, as in trio.serve_listeners.
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}
_BACK_OFF_S = 0.1
# Being short of something lasts; the log says so once in so long, the reports count every time.
_SAME_SHORTAGE_S = 10.0

# How many connections are accepted before others have their turn; asyncio accepts 100.
_ACCEPTED_AT_ONCE = 64

# What a peer can do to its own connection, and what the reports call it. Any
# other exception out of a handler is an error of the handler.
_PEER_ERRORS: dict[type[BaseException], str] = {
    FrameTooLargeError: "frame_too_large",
    FrameTooSmallError: "frame_too_small",
    IncompleteFrameError: "incomplete_frame",
    IdleTimeoutError: "idle_timeout",
    FrameTimeoutError: "frame_timeout",
    WriteTimeoutError: "write_timeout",
    trio.BrokenResourceError: "connection_lost",
}


@dataclass(frozen=True)
class ServeResult:
    """How a drain ended.

    Attributes:
      connections_aborted: connections that had to be aborted: at the end of the
        grace, or because their peer never stopped sending.
    """

    connections_aborted: int


def echo(channel: FrameChannel) -> Awaitable[None]:
    """A handler that sends back every frame it receives, as it is."""
    return channel.echo()


def reply_with(reply: Callable[[bytes], Awaitable[bytes]]) -> Handler:
    """A handler that sends back ``await reply(message)`` for every message, in order."""
    return lambda channel: channel.answer(reply)


async def serve_frames(
    handler: Handler,
    listeners: Sequence[trio.abc.Listener[Any]],
    *,
    format: FrameFormat | None = None,
    limits: Limits | None = None,
    on_report: Callable[[Report], object] | None = None,
    report_interval_s: float = 2.0,
    task_status: trio.TaskStatus[FrameServer] = trio.TASK_STATUS_IGNORED,
) -> ServeResult:
    """Serve framed connections: ``await handler(channel)`` for each, in a task of its own.

    When the handler returns (or lets `trio.EndOfChannel` out), the connection is
    ended so that all that was sent arrives. When it raises because of the peer (a `RemoteProtocolError`, a
    `ClockError`, `trio.BrokenResourceError`), that is one line in the log; any
    other exception is logged with its traceback. Either way, only this one
    connection ends. The log is the standard library's, ``trioecho.server``.

    Args:
      handler: what to do with a connection: `echo`, ``reply_with(function)``, or
        any async function of a `FrameChannel`.
      listeners: where connections come from, for example
        ``await trio.open_tcp_listeners(port)``; closed at the end.
      format: how headers are written.
      limits: sizes, numbers and clocks.
      on_report: gets a `Report` at every interval and a final one; must return
        at once, and should not raise.
      report_interval_s: seconds between reports; 0 for only the final one.
      task_status: with ``nursery.start``, gives the `FrameServer` when it serves.

    Returns:
      When a drain has ended, how it did. Without a drain, never.

    Cancellation aborts all connections and closes the listeners; the final
    report is still made.

    Raises:
      OSError: accepting failed for a reason that waiting cannot mend; in an
        exception group, as from any nursery.
    """
    server = FrameServer(handler, listeners, format, limits or Limits(), on_report, report_interval_s)
    return await server._run(task_status)


class FrameServer:
    """A server that is running; ``await nursery.start(serve_frames, ...)`` gives it.

    Attributes:
      listeners: those that it was given.
    """

    def __init__(
        self,
        handler: Handler,
        listeners: Sequence[trio.abc.Listener[Any]],
        frame_format: FrameFormat | None,
        limits: Limits,
        on_report: Callable[[Report], object] | None,
        report_interval_s: float,
    ) -> None:
        self.listeners: tuple[trio.abc.Listener[Any], ...] = tuple(listeners)
        self._handler = handler
        self._format = frame_format
        self._limits = limits
        self._metrics = Metrics(
            interval_s=report_interval_s,
            connections=lambda: self.connections,
            on_report=on_report or (lambda report: None),
        )
        self._tally = self._metrics.open_tally()
        self._on_sent = self._tally.add_sent  # one for all
        self._log = ThrottledLog(logger)
        # When the log may name a shortage again, by errno.
        self._names_again_at: dict[int, float] = {}
        self._channels: set[FrameChannel] = set()
        self._place_is_free = trio.lowlevel.ParkingLot()
        self._drain_began = trio.Event()
        self._hub: Hub | None = None
        self._pool = BlockPool()
        self._aborted = 0

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._channels)

    def drain(self) -> None:
        """Begin to stop; `serve_frames` returns when it is done.

        Returns at once. No connection is accepted any more, but for those that
        the kernel has already queued. Every connection gets the echoes of the
        frames that have arrived by now (its channel gives them, and then ends);
        then it is closed. What is not done after ``grace_s`` is aborted.
        """
        self._drain_began.set()

    async def _run(self, task_status: trio.TaskStatus[FrameServer]) -> ServeResult:
        async with contextlib.AsyncExitStack() as resources:
            for listener in self.listeners:
                await resources.enter_async_context(listener)
            self._hub = open_hub()
            if self._hub is not None:
                resources.enter_context(self._hub)
            shared_buffer = memoryview(bytearray(SHARED_RECEIVE_BYTES))
            acceptors = [
                await resources.enter_async_context(open_acceptor(listener, shared_buffer, self._hub))
                for listener in self.listeners
            ]
            try:
                await self._serve_until_drained(acceptors, task_status)
            finally:
                self._log.flush()
                self._tally.close()
                self._metrics.report_final()
        return ServeResult(connections_aborted=self._aborted)

    async def _serve_until_drained(
        self, acceptors: Sequence[Acceptor], task_status: trio.TaskStatus[FrameServer]
    ) -> None:
        async with trio.open_nursery() as helpers:
            helpers.start_soon(self._metrics.run)
            helpers.start_soon(self._log.run)
            if self._hub is not None:
                helpers.start_soon(self._hub.run)
                helpers.start_soon(self._hub.run_clocks, self._limits.shortest_clock_s)
            # From the inside out: who accepts stops first; connections end when
            # they have finished; and the grace is over all of that.
            with trio.CancelScope() as grace:
                async with trio.open_nursery() as connections:
                    async with trio.open_nursery() as accepting:
                        for acceptor in acceptors:
                            accepting.start_soon(self._accept_from, acceptor, connections)
                        task_status.started(self)
                        await self._drain_began.wait()
                        grace.deadline = trio.current_time() + or_infinite(self._limits.grace_s)
                        accepting.cancel_scope.cancel()
                    for channel in self._channels:
                        channel.drain()
                    for acceptor in acceptors:
                        await self._take_queued(acceptor, connections)
                        await acceptor.aclose()
            helpers.cancel_scope.cancel()

    # ---- accepting ----

    async def _accept_from(self, acceptor: Acceptor, connections: trio.Nursery) -> None:
        most = or_infinite(self._limits.max_connections)
        while True:
            if self.connections >= most:
                await self._place_is_free.park()
                continue
            try:
                await acceptor.wait()
                for _ in range(_ACCEPTED_AT_ONCE):
                    # Another listener may have taken the last place meanwhile.
                    if self.connections >= most or not (accepted := await acceptor.take()):
                        break
                    self._start(*accepted, connections)
            except OSError as error:
                await self._back_off(error)

    async def _take_queued(self, acceptor: Acceptor, connections: trio.Nursery) -> None:
        while True:
            try:
                accepted = await acceptor.take()
            except OSError as error:
                await self._back_off(error)
            else:
                if accepted is None:
                    return
                self._start(*accepted, connections)
                # Others must have their turn, or the grace could not end this
                # while a crowd goes on connecting.
                await trio.lowlevel.checkpoint()

    async def _back_off(self, error: OSError) -> None:
        number = error.errno
        if number not in _OUT_OF_RESOURCES:
            raise error
        self._tally.add_error("accept_failed")
        now = trio.current_time()
        if now >= self._names_again_at.get(number, 0.0):
            self._names_again_at[number] = now + _SAME_SHORTAGE_S
            self._log.warning(
                f"cannot accept: {error.strerror}; trying again every {_BACK_OFF_S * 1000:g} ms "
                f"({self.connections} open connections; "
                "raise the limit of open files, or lower max_connections)"
            )
        await trio.sleep(_BACK_OFF_S)

    # ---- a connection ----

    def _start(self, transport: Transport, peer: str, connections: trio.Nursery) -> None:
        channel = FrameChannel(
            transport,
            format=self._format,
            max_frame_length=self._limits.max_frame_length,
            idle_timeout_s=self._limits.idle_timeout_s,
            frame_timeout_s=self._limits.frame_timeout_s,
            write_timeout_s=self._limits.write_timeout_s,
            peer=peer,
            hub=self._hub,
            pool=self._pool,
            on_sent=self._on_sent,
        )
        # From here on the place is taken, although the task has not run yet.
        self._channels.add(channel)
        if self._drain_began.is_set():
            channel.drain()
        connections.start_soon(self._serve, channel)

    async def _serve(self, channel: FrameChannel) -> None:
        is_done = False
        try:
            # No function between: an idle connection holds the memory of every one that waits.
            try:
                await self._handler(channel)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it must end only its own connection
                self._note_end(channel, error)
            try:
                await self._finish(channel)
            except BaseException as error:  # noqa: BLE001 - likewise
                self._note_end(channel, error)
            is_done = True
        finally:
            if not is_done:
                self._note_aborted(channel)
                with contextlib.suppress(trio.Cancelled):  # the one on its way goes on
                    await channel.abort()
            self._channels.remove(channel)
            self._place_is_free.unpark_all()

    async def _finish(self, channel: FrameChannel) -> None:
        has_ended_or_is_silent = await channel.finish(linger_s=self._limits.linger_s)
        if self._drain_began.is_set() and not has_ended_or_is_silent:
            self._note_aborted(channel)

    def _note_end(self, channel: FrameChannel, error: BaseException) -> None:
        """Note what ended a connection; raise what must not end there: cancellation and the like."""
        if isinstance(error, BaseExceptionGroup):
            stop, failures = error.split(lambda each: not isinstance(each, Exception | BaseExceptionGroup))
            if failures is not None:
                self._note_failure(channel, failures)
            if stop is not None:
                raise stop from None
        elif isinstance(error, Exception):
            self._note_failure(channel, error)
        else:
            raise error

    def _note_aborted(self, channel: FrameChannel) -> None:
        self._aborted += 1
        self._tally.add_error("aborted")
        self._log.warning(f"{channel.peer}: aborted before it was done")

    def _note_failure(self, channel: FrameChannel, error: BaseException) -> None:
        causes = [cause for cause in leaves(error) if not isinstance(cause, trio.EndOfChannel)]
        if not causes:
            return  # a clean end, in a nursery of the handler's own
        kinds = [_PEER_ERRORS.get(type(cause)) for cause in causes]
        if kinds[0] is not None and all(kinds):
            self._tally.add_error(kinds[0])
            self._log.warning(f"{channel.peer}: {causes[0]}")
        else:
            self._tally.add_error("handler_failed")
            logger.error("%s: the handler failed; its connection is closed", channel.peer, exc_info=error)
