"""One worker: serves echoes on sockets it has inherited, and tells its supervisor what it counts."""

from __future__ import annotations

import collections
import contextlib
import socket
from collections.abc import Iterator

import trio

from ..channel import FrameChannel
from ..errors import RemoteProtocolError
from ..metrics import Counts, Report
from ..server import FrameServer, echo, serve_frames
from .messages import (
    Ended,
    Increment,
    LogLine,
    Message,
    Order,
    Ready,
    Task,
    decode_message,
    encode_message,
)

_WAITING_LINES = 1000
# How long the last words may take to a supervisor that does not listen.
_LAST_WORDS_S = 5.0


class Reporter:
    """Tells the supervisor what there is, without ever making the service wait.

    While the supervisor does not listen, counts add up, and of the lines of the
    log the oldest are left out, from the thousandth on.
    """

    def __init__(self) -> None:
        self._counts = Counts()
        self._connections = 0
        self._lines: collections.deque[LogLine] = collections.deque(maxlen=_WAITING_LINES)
        self._is_ready = False
        self._ended: Ended | None = None
        self._has_news = trio.Event()

    def add_line(self, line: LogLine) -> None:
        """A line of the log."""
        self._lines.append(line)
        self._has_news.set()

    def add_report(self, report: Report) -> None:
        """What was counted in an interval."""
        if report.counts or report.connections != self._connections:
            self._counts.add(report.counts)
            self._connections = report.connections
            self._has_news.set()

    def tell_ready(self) -> None:
        """The service has begun."""
        self._is_ready = True
        self._has_news.set()

    def tell_end(self, ended: Ended) -> None:
        """The service has ended, and after this nothing will be added."""
        self._ended = ended
        self._has_news.set()

    async def run(self, channel: FrameChannel) -> None:
        """Send, until the end was told or the supervisor is gone; not to be cancelled before."""
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                await self._has_news.wait()
                self._has_news = trio.Event()
                for message in self._take():
                    await channel.send(encode_message(message))
                    if isinstance(message, Ended):
                        return

    def _take(self) -> Iterator[Message]:
        if self._is_ready:
            self._is_ready = False
            yield Ready()
        while self._lines:
            yield self._lines.popleft()
        # Whatever is added from here on comes with the next news.
        ended = self._ended
        yield Increment(self._counts.take(), self._connections)
        if ended is not None:
            yield ended


async def work(connection: socket.socket, reporter: Reporter) -> None:
    """Serve as the supervisor at the other end of ``connection`` says, until it says no more.

    When the supervisor is gone, the worker drains: it must not live on unseen.
    """
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
    async with FrameChannel(stream, max_frame_length=0) as channel:
        task = decode_message(await channel.receive())
        if not isinstance(task, Task):
            raise TypeError(f"a worker's first message is its task, not {task}")
        async with trio.open_nursery() as telling:
            telling.start_soon(reporter.run, channel)
            ended = await _serve(task, channel, reporter)
            reporter.tell_end(ended)
            telling.cancel_scope.deadline = trio.current_time() + _LAST_WORDS_S


async def _serve(task: Task, orders: FrameChannel, reporter: Reporter) -> Ended:
    listeners = [
        trio.SocketListener(trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor)))
        for descriptor in task.descriptors
    ]
    aborted = 0
    async with trio.open_nursery() as nursery:

        async def serve_and_end(task_status: trio.TaskStatus[FrameServer]) -> None:
            nonlocal aborted
            result = await serve_frames(
                echo,
                listeners,
                format=task.format,
                limits=task.limits,
                on_report=reporter.add_report,
                report_interval_s=task.increment_interval_s,
                task_status=task_status,
            )
            aborted = result.connections_aborted
            nursery.cancel_scope.cancel()

        server: FrameServer = await nursery.start(serve_and_end)
        reporter.tell_ready()
        await _drain_when_told(server, orders)
        aborted = server.connections
        nursery.cancel_scope.cancel()
    return Ended(aborted)


async def _drain_when_told(server: FrameServer, orders: FrameChannel) -> None:
    """Returns when the worker is to stop at once."""
    try:
        while decode_message(await orders.receive()) is not Order.STOP:
            server.drain()
    except (trio.EndOfChannel, trio.BrokenResourceError, RemoteProtocolError):
        server.drain()
        await trio.sleep_forever()
