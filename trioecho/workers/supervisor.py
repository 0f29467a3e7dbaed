"""`serve_in_workers`: one echo service of several processes; who dies is replaced.

The supervisor opens all listening sockets, a worker's on the same ports as the
others', and keeps its copies of them. So when a worker dies its sockets live on:
who connects meanwhile waits in their queues until the replacement takes over.
Only in a drain does the supervisor close its copies, and before it tells the
worker: the worker empties its queues and then closes, and that must be the end
of these sockets, or they would go on queueing connections that nobody serves.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import trio

from ..channel import FrameChannel
from ..errors import RemoteProtocolError
from ..framing import FrameFormat
from ..limits import Limits
from ..metrics import Metrics, Report
from ..server import ServeResult
from .messages import Ended, Increment, LogLine, Order, Ready, Task, decode_message, encode_message
from .sockets import open_shares

logger: logging.Logger = logging.getLogger(__name__)

# Workers that die before they are ready, one after the other, until it is of no use to try on.
MOST_FAILED_STARTS = 5
# A worker that dies sooner than this after its start is not replaced at once
# the next time, but after a pause, which doubles.
_SHORT_LIFE_S = 1.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# Increments come in several per report, so that a report is nearly up to date;
# and what a worker that dies has not told yet is little.
_INCREMENTS_PER_REPORT = 10
_SHORTEST_INCREMENT_S, _LONGEST_INCREMENT_S = 0.01, 0.2
# How long a worker may take to stop at once, before it is killed; and how much
# longer than the grace its drain may take.
_STOP_S = 2.0


class WorkersCannotStartError(Exception):
    """Workers die as soon as they are started.

    Attributes:
      attempts: how many did, one after the other.
      ending: how the last of them ended, in words.
    """

    def __init__(self, attempts: int, ending: str) -> None:
        super().__init__(f"{attempts} workers, one after the other, ended before they could serve: {ending}")
        self.attempts = attempts
        self.ending = ending


async def serve_in_workers(
    listeners: Sequence[trio.SocketListener],
    *,
    workers: int,
    program: Sequence[str],
    format: FrameFormat | None = None,
    limits: Limits | None = None,
    on_report: Callable[[Report], object] | None = None,
    report_interval_s: float = 2.0,
    task_status: trio.TaskStatus[WorkerPool] = trio.TASK_STATUS_IGNORED,
) -> ServeResult:
    """Serve echoes in several processes, until drained; as `serve_frames` does in one.

    Args:
      listeners: bound in the ordinary way (`trio.open_tcp_listeners`); closed at the end.
      workers: how many processes.
      program: the command that runs a worker. It is started with one more
        argument, the descriptor of a socket for `trioecho.workers.worker.work`.
      format: how headers are written.
      limits: of the whole service; ``max_connections`` is divided among the workers.
      on_report: gets a `Report` of all workers together at every interval, and a
        final one; must return at once.
      report_interval_s: seconds between reports; 0 for only the final one.
      task_status: with ``nursery.start``, gives the `WorkerPool` when all workers serve.

    Returns:
      When a drain has ended, how it did. A worker that died in it has aborted its connections.

    Cancellation stops the workers at once, which takes two seconds at most: they
    abort their connections and tell what they have counted. Then comes the final report.

    Raises:
      ValueError: there are fewer connections allowed than workers.
      OSError: the ports cannot be shared.
      WorkersCannotStartError: five workers in a row have died before they served.
    """
    limits = limits or Limits()
    async with contextlib.AsyncExitStack() as resources:
        for listener in listeners:
            await resources.enter_async_context(listener)
        allowed = divide(limits.max_connections, workers)
        places = [
            _Place(number, sockets, most)
            for number, (sockets, most) in enumerate(
                zip(await open_shares(listeners, workers), allowed, strict=True), start=1
            )
        ]
        for place in places:
            resources.callback(place.close)
        pool = WorkerPool(places, program, format or FrameFormat(), limits, on_report, report_interval_s)
        return await pool._run(task_status)


def divide(max_connections: int, workers: int) -> list[int]:
    """A limit for each worker, which add up to that of the service; 0, off, is off for all.

    Raises:
      ValueError: there is not one connection for each.
    """
    if 0 < max_connections < workers:
        raise ValueError(f"{max_connections} connections cannot be divided among {workers} workers")
    least, more = divmod(max_connections, workers)
    return [least + (place < more) for place in range(workers)]


@dataclass
class _Place:
    """A place for a worker; who is in it may die and be replaced.

    Attributes:
      number: from 1, for people.
      sockets: the supervisor's copies of the worker's listening sockets; empty
        when no other worker shall come into this place.
      max_connections: this worker's limit.
      is_ready: whether a worker in this place serves.
      connections: open, when the worker last told.
      ended: its last words.
    """

    number: int
    sockets: list[trio.socket.SocketType]
    max_connections: int
    is_ready: bool = False
    connections: int = 0
    ended: Ended | None = None

    @property
    def has_ended(self) -> bool:
        """Whether its worker has done all that it was told to."""
        return self.ended is not None and not self.sockets

    def close(self) -> None:
        for listening in self.sockets:
            listening.close()
        self.sockets = []


class WorkerPool:
    """A service that is running; ``await nursery.start(serve_in_workers, ...)`` gives it."""

    def __init__(
        self,
        places: Sequence[_Place],
        program: Sequence[str],
        frame_format: FrameFormat,
        limits: Limits,
        on_report: Callable[[Report], object] | None,
        report_interval_s: float,
    ) -> None:
        self._places = places
        self._program = program
        self._format = frame_format
        self._limits = limits
        self._metrics = Metrics(
            interval_s=report_interval_s,
            connections=lambda: self.connections,
            on_report=on_report or (lambda report: None),
        )
        self._tally = self._metrics.open_tally()
        self._increment_interval_s = _LONGEST_INCREMENT_S
        if report_interval_s:
            often = max(_SHORTEST_INCREMENT_S, report_interval_s / _INCREMENTS_PER_REPORT)
            self._increment_interval_s = min(_LONGEST_INCREMENT_S, often)
        self._all_are_ready = trio.Event()
        self._drain_began = trio.Event()
        self._drain_ends = math.inf
        self._overdue = trio.CancelScope()
        self._failed_starts = 0
        self._failure: WorkersCannotStartError | None = None
        self._aborted = 0

    @property
    def connections(self) -> int:
        """Connections open, as the workers told a moment ago."""
        return sum(place.connections for place in self._places)

    def drain(self) -> None:
        """Begin to stop; `serve_in_workers` returns when it is done. Returns at once."""
        if self._limits.grace_s and not self._drain_began.is_set():
            self._drain_ends = trio.current_time() + self._limits.grace_s
            self._overdue.deadline = self._drain_ends + _STOP_S
        self._drain_began.set()

    async def _run(self, task_status: trio.TaskStatus[WorkerPool]) -> ServeResult:
        try:
            async with trio.open_nursery() as helpers:
                helpers.start_soon(self._metrics.run)
                with self._overdue:
                    async with trio.open_nursery() as keeping:
                        for place in self._places:
                            keeping.start_soon(self._keep, place)
                        await self._all_are_ready.wait()
                        task_status.started(self)
                helpers.cancel_scope.cancel()
        finally:
            self._tally.close()
            self._metrics.report_final()
        if self._failure is not None:
            raise self._failure
        return ServeResult(connections_aborted=self._aborted)

    def _can_go_on(self) -> bool:
        """Whether others serve, and at least once all did."""
        return self._all_are_ready.is_set() and any(place.is_ready for place in self._places)

    # ---- a place ----

    async def _keep(self, place: _Place) -> None:
        """Have a worker in this place, one after the other, until the drain has ended."""
        pause_s = 0.0
        while place.sockets:
            began, is_last = trio.current_time(), self._drain_began.is_set()
            ending = await self._live(place)
            if ending is None:
                return
            if is_last:
                place.close()
            elif self._failed_starts >= MOST_FAILED_STARTS and not self._can_go_on():
                self._failure = WorkersCannotStartError(self._failed_starts, ending)
                self._overdue.cancel()
            lived_long = trio.current_time() - began >= _SHORT_LIFE_S
            with trio.move_on_after(0 if lived_long else pause_s):
                await self._drain_began.wait()
            pause_s = 0.0 if lived_long else min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * pause_s))

    async def _live(self, place: _Place) -> str | None:
        """Run one worker; how it died, None if it ended as it was told to."""
        place.is_ready, place.ended = False, None
        ours, theirs = socket.socketpair()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        async with FrameChannel(stream, max_frame_length=0) as channel:
            with theirs:
                try:
                    process = await self._start(place, theirs)
                except OSError as error:
                    self._aborted += self._drain_began.is_set()
                    return self._note_death(place, f"cannot be started: {error}")
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._direct, place, channel)
                    await self._listen(place, channel)
                    nursery.cancel_scope.cancel()
                await process.wait()
            finally:
                await self._end(place, channel, process)
            if place.has_ended:
                return None
            return self._note_death(place, f"(process {process.pid}) {_describe_end(process.returncode)}")

    async def _start(self, place: _Place, connection: socket.socket) -> trio.Process:
        return await trio.lowlevel.open_process(
            [*self._program, str(connection.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[connection.fileno(), *(listening.fileno() for listening in place.sockets)],
            # A Ctrl-C at the terminal is for the supervisor alone.
            start_new_session=True,
        )

    async def _direct(self, place: _Place, channel: FrameChannel) -> None:
        """Tell a worker what to do, and in a drain to drain."""
        left_s = max(0.001, self._drain_ends - trio.current_time())
        limits = replace(
            self._limits,
            max_connections=place.max_connections,
            grace_s=left_s if left_s < math.inf else self._limits.grace_s,
        )
        descriptors = tuple(listening.fileno() for listening in place.sockets)
        task = Task(descriptors, self._format, limits, self._increment_interval_s)
        with contextlib.suppress(trio.BrokenResourceError):  # it is dead, which _listen sees
            await channel.send(encode_message(task))
            await self._drain_began.wait()
            place.close()
            await channel.send(encode_message(Order.DRAIN))

    async def _listen(self, place: _Place, channel: FrameChannel) -> None:
        """Take what a worker tells, until it ends."""
        # Of what it was telling when it died, nothing can be used.
        with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):
            async for payload in channel:
                message = decode_message(payload)
                if isinstance(message, Increment):
                    place.connections = message.connections
                    self._tally.add(message.counts)
                elif isinstance(message, LogLine):
                    _log(f"worker {place.number}: {message.text}", message)
                elif isinstance(message, Ready):
                    place.is_ready = True
                    self._failed_starts = 0
                    if all(each.is_ready for each in self._places):
                        self._all_are_ready.set()
                elif isinstance(message, Ended):
                    place.ended = message

    async def _end(self, place: _Place, channel: FrameChannel, process: trio.Process) -> None:
        """Stop a worker that still runs, and take its last words; kill it if it does not listen."""
        if process.returncode is None:
            with trio.CancelScope(deadline=trio.current_time() + _STOP_S, shield=True):
                with contextlib.suppress(trio.BrokenResourceError):
                    await channel.send(encode_message(Order.STOP))
                await self._listen(place, channel)
                await process.wait()
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(deadline=trio.current_time() + _STOP_S, shield=True):
                await process.wait()
        if place.ended is not None:
            self._aborted += place.ended.connections_aborted
        elif self._drain_began.is_set():
            self._aborted += max(1, place.connections)

    def _note_death(self, place: _Place, ending: str) -> str:
        lost = (
            f"; {place.connections} connections are lost, and not counted is what it echoed "
            f"within its last {self._increment_interval_s * 1000:g} ms or so"
            if place.is_ready
            else ""
        )
        then = "; starting another" if place.sockets else ""
        logger.error("worker %d %s%s%s", place.number, ending, lost, then)
        self._tally.add_error("worker_died")
        place.connections = 0
        if not place.is_ready:
            self._failed_starts += 1
        place.is_ready = False
        return f"worker {place.number} {ending}"


def _describe_end(returncode: int | None) -> str:
    if returncode is None:
        return "does not end, although it was killed"
    if returncode >= 0:
        return f"ended with exit code {returncode}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"was ended by signal {-returncode}"


def _log(text: str, line: LogLine) -> None:
    logger.handle(
        logging.makeLogRecord(
            {
                "name": logger.name,
                "levelno": line.level,
                "levelname": logging.getLevelName(line.level),
                "created": line.created,
                "msg": "%s",
                "args": (text,),
            }
        )
    )
