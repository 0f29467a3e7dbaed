"""A server in this process, what it reports and logs, and the handlers that it is given."""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from trioecho import (
    FrameChannel,
    FrameFormat,
    FrameServer,
    Handler,
    Limits,
    ProxyProtocol,
    Report,
    ServeResult,
    echo,
    reply_with,
    serve_frames,
)
from trioecho.connection.sending import OnSent
from trioecho.connection.transport import open_transport

from .guard import guarded
from .streams import MemoryListener


@dataclass
class Serving:
    """A server that runs, or has run.

    Attributes:
      listener: where a test connects, unless it gave listeners of its own.
      reports: those that the server has made.
      handler_ends: when each handler ended, and by which exception.
      result: what `serve_frames` returned, when it has.
      ended_at: when that was.
    """

    listener: MemoryListener
    reports: list[Report] = field(default_factory=list)
    handler_ends: list[tuple[float, BaseException | None]] = field(default_factory=list)
    result: ServeResult | None = None
    ended_at: float | None = None
    cancel_scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    server: FrameServer = field(init=False)

    async def drain(self) -> ServeResult:
        """Stop the server, and wait until it has."""
        self.server.drain()
        await self.ended.wait()
        assert self.result is not None
        return self.result

    @property
    def errors(self) -> dict[str, int]:
        """As in the last report."""
        return dict(self.reports[-1].errors)

    @property
    def messages(self) -> int:
        """As in the last report."""
        return self.reports[-1].messages_total


@contextlib.asynccontextmanager
async def serving(
    handler: Handler = echo,
    listeners: Sequence[trio.abc.Listener[Any]] = (),
    *,
    report_interval_s: float = 0,
    on_report: Callable[[Report], object] = lambda report: None,
    ssl_context: ssl.SSLContext | None = None,
    proxy_protocol: ProxyProtocol | None = None,
    **limits: Any,
) -> AsyncIterator[Serving]:
    """Run `serve_frames`, drained at the end; keywords that are not named here go to `Limits`."""
    running = Serving(MemoryListener())

    async def recorded(channel: FrameChannel) -> None:
        cause: BaseException | None = None
        try:
            await handler(channel)
        except BaseException as error:
            cause = error
            raise
        finally:
            running.handler_ends.append((trio.current_time(), cause))

    def report(report: Report) -> None:
        running.reports.append(report)
        on_report(report)

    async def run(task_status: trio.TaskStatus[FrameServer]) -> None:
        try:
            with running.cancel_scope:
                running.result = await serve_frames(
                    recorded,
                    listeners or [running.listener],
                    limits=Limits(**limits),
                    ssl_context=ssl_context,
                    proxy_protocol=proxy_protocol,
                    on_report=report,
                    report_interval_s=report_interval_s,
                    task_status=task_status,
                )
        finally:
            running.ended_at = trio.current_time()
            running.ended.set()

    with guarded():
        async with trio.open_nursery() as nursery:
            running.server = await nursery.start(run)
            yield running
            running.server.drain()


def log_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the project has logged; with a traceback only its last line."""
    return [
        f"{record.getMessage()}: {type(record.exc_info[1]).__name__}"
        if record.exc_info
        else record.getMessage()
        for record in caplog.records
        if record.name.startswith("trioecho") and record.levelno >= logging.WARNING
    ]


# ---- handlers ----


async def return_it(message: bytes) -> bytes:
    return message


async def receive_and_send(channel: FrameChannel) -> None:
    async for message in channel:
        await channel.send(message)


each_handler = pytest.mark.parametrize("handler", [echo, reply_with(return_it), receive_and_send])


def counted_channel(stream: trio.abc.Stream, on_sent: OnSent) -> FrameChannel:
    """A channel that reports its sends, as those of a server do."""
    limits = Limits(idle_timeout_s=0, frame_timeout_s=0, write_timeout_s=0)
    return FrameChannel._of_server(
        open_transport(stream), FrameFormat(), limits, "the peer", reactor=None, pool=None, on_sent=on_sent
    )
