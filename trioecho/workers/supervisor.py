"""`serve_in_workers`: one echo service of several processes; who dies is replaced.

The supervisor opens all listening sockets, a worker's on the same ports as the
others', and starts the workers, each in a `Place` of its own. It adds up what they
count, and reports it on a schedule of its own: workers tell when they like.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import trio

from ..framing import FrameFormat
from ..limits import Limits
from ..metrics import Metrics, Report
from ..server import ServeResult
from .messages import Task
from .place import Death, Place
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
# How much longer than its grace a drain may take, before a worker is taken to be stuck.
_OVERDUE_S = 2.0


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
        divide(limits.max_connections, workers)  # raises, before anything is opened
        pool = WorkerPool(
            await open_shares(listeners, workers),
            program,
            format or FrameFormat(),
            limits,
            on_report,
            report_interval_s,
        )
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


class WorkerPool:
    """A service that is running; ``await nursery.start(serve_in_workers, ...)`` gives it."""

    def __init__(
        self,
        shares: Sequence[Sequence[trio.socket.SocketType]],
        program: Sequence[str],
        frame_format: FrameFormat,
        limits: Limits,
        on_report: Callable[[Report], object] | None,
        report_interval_s: float,
    ) -> None:
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
        self._places = [
            Place(
                number,
                sockets,
                program=program,
                task=partial(self._task, max_connections),
                drain_began=self._drain_began,
                on_counts=self._tally.add,
                on_ready=self._note_ready,
            )
            for number, (sockets, max_connections) in enumerate(
                zip(shares, divide(limits.max_connections, len(shares)), strict=True), start=1
            )
        ]

    @property
    def connections(self) -> int:
        """Connections open, as the workers told a moment ago."""
        return sum(place.connections for place in self._places)

    def drain(self) -> None:
        """Begin to stop; `serve_in_workers` returns when it is done. Returns at once."""
        if self._limits.grace_s and not self._drain_began.is_set():
            self._drain_ends = trio.current_time() + self._limits.grace_s
            self._overdue.deadline = self._drain_ends + _OVERDUE_S
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
            for place in self._places:
                place.close()
            self._tally.close()
            self._metrics.report_final()
        if self._failure is not None:
            raise self._failure
        return ServeResult(connections_aborted=sum(place.connections_aborted for place in self._places))

    # ---- a place ----

    async def _keep(self, place: Place) -> None:
        """Have a worker in this place, one after the other, until one has drained."""
        pause_s = 0.0
        while place.sockets:
            began, is_last = trio.current_time(), self._drain_began.is_set()
            death = await place.run_worker()
            if death is None:
                return
            if is_last:
                place.close()
            self._note_death(place, death)
            if self._failed_starts >= MOST_FAILED_STARTS and not self._can_go_on():
                self._failure = WorkersCannotStartError(self._failed_starts, death.description)
                self._overdue.cancel()
            lived_long = trio.current_time() - began >= _SHORT_LIFE_S
            with trio.move_on_after(0 if lived_long else pause_s):
                await self._drain_began.wait()
            pause_s = 0.0 if lived_long else min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * pause_s))

    def _can_go_on(self) -> bool:
        """Whether others serve, and at least once all did."""
        return self._all_are_ready.is_set() and any(place.is_ready for place in self._places)

    def _note_ready(self) -> None:
        self._failed_starts = 0
        if all(place.is_ready for place in self._places):
            self._all_are_ready.set()

    def _task(self, max_connections: int, descriptors: tuple[int, ...]) -> Task:
        limits = replace(self._limits, max_connections=max_connections)
        if self._drain_ends < math.inf:
            limits = replace(limits, grace_s=max(0.001, self._drain_ends - trio.current_time()))
        return Task(descriptors, self._format, limits, self._increment_interval_s)

    def _note_death(self, place: Place, death: Death) -> None:
        self._tally.add_error("worker_died")
        if not death.was_ready:
            self._failed_starts += 1
        lost = (
            f"; its connections, {death.connections} of late, are lost, and so is the count of what it "
            f"echoed in its last {self._increment_interval_s * 1000:g} ms"
        )
        logger.error(
            "worker %d %s%s%s",
            place.number,
            death.description,
            lost if death.was_ready else " before it could serve",
            "; starting another" if place.sockets and not self._failure else "",
        )
