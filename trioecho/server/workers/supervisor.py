"""`serve_in_workers`: one service of several processes; a worker that dies is replaced.

The supervisor opens the listening sockets of all workers on the same ports, and starts
the workers, each in a `WorkerSlot` of its own. It adds up what they count, and reports
it on a schedule of its own.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from functools import partial

import trio

from ...base.addresses import format_addresses
from ...base.functions_by_name import FunctionReference
from ...base.processes import Program
from ...base.tls_files import TlsFiles
from ...framing import FrameFormat
from ...limits import Limits
from ..counts import Counts
from ..metrics import Metrics
from ..proxy_protocol import ProxyProtocol
from ..report import Report
from ..service import ServiceEndError, ServiceStartError
from ..serving import ServeResult
from .messages import LAST_WORDS_S, WorkerConfig
from .shared_ports import Shares, open_shares
from .worker_slot import WorkerExit, WorkerSlot

logger: logging.Logger = logging.getLogger(__name__)

# After this number of workers that died one after the other before they were ready, no other is started.
MOST_FAILED_STARTS = 5
# A worker that dies sooner than this after its start is replaced, but the next one
# that does so only after a pause, which doubles.
_SHORT_LIFE_S = 1.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# Several increments come per report. So a report is nearly up to date, and a worker
# that dies takes little of its count with it.
_INCREMENTS_PER_REPORT = 10
_SHORTEST_INCREMENT_S, _LONGEST_INCREMENT_S = 0.01, 0.2
# Workers abort by themselves what is not done after the grace. A worker that still runs this much later
# is killed: it has that long for what it counted last.
OVERDUE_S = LAST_WORDS_S


class WorkersCannotStartError(Exception):
    """Workers die as soon as they are started.

    Attributes:
      attempts: how many were started, one after the other.
      ending: how the last one ended, in words.
    """

    def __init__(self, attempts: int, ending: str) -> None:
        super().__init__(f"{attempts} workers, one after the other, ended before they could serve: {ending}")
        self.attempts = attempts
        self.ending = ending


async def serve_in_workers(
    listeners: Sequence[trio.SocketListener],
    *,
    workers: int,
    program: Program,
    shared: Container[trio.SocketListener] = (),
    beside: Sequence[trio.SocketListener] = (),
    handler: FunctionReference | None = None,
    reload: bool = False,
    format: FrameFormat | None = None,
    limits: Limits | None = None,
    tls: TlsFiles | None = None,
    proxy_protocol: ProxyProtocol | None = None,
    on_report: Callable[[Report], object] | None = None,
    report_interval_s: float = 2.0,
    counts_received: bool = False,
    task_status: trio.TaskStatus[WorkerPool] = trio.TASK_STATUS_IGNORED,
) -> ServeResult:
    """Serve in several processes until drained, as `serve_frames` does in one process.

    Args:
      listeners: bound in the ordinary way (`trio.open_tcp_listeners`), or Unix sockets, or shared;
        closed at the end.
      workers: the number of processes.
      program: what runs a worker. It is started with two more options: ``--name``
        says which one it is, and ``--socket`` has the descriptor of a socket for
        `trioecho.server.workers.worker.work_for_supervisor`.
      shared: those of the listeners that other processes have, too. All workers accept from one queue
        there, as from a Unix socket.
      beside: further sockets on the addresses of the listeners, whose queues are to be served, too.
      handler: the function to serve; None for echoes. Its context manager, if it is one, is
        entered in each worker.
      reload: whether a worker drains, and another is started, when a source file of the function
        has changed.
      format: how headers are written.
      limits: of the whole service; ``max_connections`` is divided among the workers.
      tls: the files of TLS, which each worker reads when it starts; None if connections are plain.
      proxy_protocol: as in `serve_frames`.
      on_report: called with a `Report` of all workers together at every interval, and
        with a final one; must return at once.
      report_interval_s: seconds between reports; 0 for the final one only.
      counts_received: whether bytes received are counted, too, where the system does.
      task_status: with ``nursery.start``, gives the `WorkerPool` when all workers serve.

    Returns:
      How the drain ended. It ends at the latest five seconds after the grace. A worker
      that died in it, or was killed because it hung, has aborted its connections.

    Cancellation stops the workers at once, which takes at most five seconds: they abort
    their connections and send what they have counted. Then comes the final report.

    Raises:
      ValueError: the limit of connections is less than the number of workers.
      OSError: the ports cannot be shared.
      WorkersCannotStartError: five workers in a row have died before they served.
      ServiceStartError: before all workers have served, one could not start its context manager, or
        import the function.
      ServiceEndError: in a drain a context manager has failed.
    """
    limits = limits or Limits()
    async with contextlib.AsyncExitStack() as resources:
        for listener in listeners:
            await resources.enter_async_context(listener)
        divide(limits.max_connections, workers)  # raises, before anything is opened
        shares = await open_shares(listeners, workers, shared=shared, beside=beside)
        pool = WorkerPool(
            shares,
            program,
            handler,
            reload,
            format or FrameFormat(),
            limits,
            tls.with_absolute_paths() if tls is not None else None,
            proxy_protocol,
            on_report,
            report_interval_s,
            counts_received,
        )
        return await pool._run(task_status)


def divide(max_connections: int, workers: int) -> list[int]:
    """Return a limit of connections for each worker; they add up to that of the service.

    0, which means no limit, stays 0 for all.

    Raises:
      ValueError: the limit is less than one connection for each.
    """
    if 0 < max_connections < workers:
        raise ValueError(f"{max_connections} connections cannot be divided among {workers} workers")
    least, more = divmod(max_connections, workers)
    return [least + (slot < more) for slot in range(workers)]


class WorkerPool:
    """A service that is running; ``await nursery.start(serve_in_workers, ...)`` gives it.

    Attributes:
      beside: the sockets of workers on the addresses of the listeners, besides these themselves.
    """

    def __init__(
        self,
        shares: Shares,
        program: Program,
        handler: FunctionReference | None,
        reload: bool,
        frame_format: FrameFormat,
        limits: Limits,
        tls: TlsFiles | None,
        proxy_protocol: ProxyProtocol | None,
        on_report: Callable[[Report], object] | None,
        report_interval_s: float,
        counts_received: bool,
    ) -> None:
        self._counts_received = counts_received
        self._handler = handler
        self._reload = reload
        self._format = frame_format
        self._limits = limits
        self._tls = tls
        self._proxy_protocol = proxy_protocol
        self._metrics = Metrics(
            interval_s=report_interval_s,
            connections=lambda: self.connections,
            on_report=on_report or (lambda report: None),
        )
        self._tally = self._metrics.tally
        self._increment_interval_s = _LONGEST_INCREMENT_S
        if report_interval_s:
            often = max(_SHORTEST_INCREMENT_S, report_interval_s / _INCREMENTS_PER_REPORT)
            self._increment_interval_s = min(_LONGEST_INCREMENT_S, often)
        self._all_are_ready = trio.Event()
        self._drain_began = trio.Event()
        self._drain_ends = math.inf
        self._keeping = trio.CancelScope()
        self._failed_starts = 0
        self._failure: WorkersCannotStartError | ServiceStartError | ServiceEndError | None = None
        self.beside: tuple[trio.socket.SocketType, ...] = tuple(shares.beside)
        of_workers = shares.of_workers
        addresses = format_addresses(dict.fromkeys(each.getsockname() for each in of_workers[0]))
        self._slots = [
            WorkerSlot(
                number,
                f"{number} of {len(of_workers)} on {addresses}",
                sockets,
                program=program,
                config=partial(self._config, max_connections),
                drain_began=self._drain_began,
                on_counts=self._tally.add,
                on_ready=self._note_ready,
            )
            for number, (sockets, max_connections) in enumerate(
                zip(of_workers, divide(limits.max_connections, len(of_workers)), strict=True), start=1
            )
        ]

    @property
    def connections(self) -> int:
        """Connections open, as of the last increments of the workers."""
        return sum(slot.connections for slot in self._slots)

    @property
    def workers(self) -> int:
        """Workers that serve now."""
        return sum(slot.is_ready for slot in self._slots)

    def totals(self) -> Counts:
        """Return all that workers have counted and sent since the start; it must not be changed."""
        return self._metrics.totals()

    def drain(self, *, leave_queued: bool = False) -> None:
        """Begin to stop, and return at once; `serve_in_workers` returns when it is done.

        Args:
          leave_queued: as `FrameServer.drain`.
        """
        for slot in self._slots:
            slot.leaves_queued = leave_queued
        if self._limits.grace_s and not self._drain_began.is_set():
            self._drain_ends = trio.current_time() + self._limits.grace_s
        self._drain_began.set()

    def report_now(self) -> None:
        """Report now what the workers have sent since the last report; the schedule goes on."""
        self._metrics.report_now()

    def reload_tls(self) -> None:
        """Have all workers read the files of TLS again; returns at once. Their connections live on."""
        for slot in self._slots:
            slot.reload_tls()

    async def _run(self, task_status: trio.TaskStatus[WorkerPool]) -> ServeResult:
        try:
            async with trio.open_nursery() as helpers:
                helpers.start_soon(self._metrics.run)
                helpers.start_soon(self._end_overdue)
                with self._keeping:
                    async with trio.open_nursery() as keeping:
                        for slot in self._slots:
                            keeping.start_soon(self._keep, slot)
                        await self._all_are_ready.wait()
                        task_status.started(self)
                helpers.cancel_scope.cancel()
        finally:
            for slot in self._slots:
                slot.close()
            self._metrics.report_final()
        for slot in self._slots:
            if slot.failure and self._failure is None:
                self._failure = ServiceEndError(f"worker {slot.number}: {slot.failure}")
        if self._failure is not None:
            raise self._failure
        return ServeResult(connections_aborted=sum(slot.connections_aborted for slot in self._slots))

    async def _end_overdue(self) -> None:
        """In a drain, kill the workers that have not ended in time."""
        await self._drain_began.wait()
        await trio.sleep_until(self._drain_ends + OVERDUE_S)
        for slot in self._slots:
            slot.end_overdue()

    # ---- a slot ----

    async def _keep(self, slot: WorkerSlot) -> None:
        """Run workers in this slot, one after the other, until one has drained."""
        pause_s = 0.0
        while slot.sockets:
            began, is_last = trio.current_time(), self._drain_began.is_set()
            worker_exit = await slot.run_worker()
            if worker_exit is None:
                return
            if is_last:
                slot.close()
            if worker_exit.has_changed:
                continue
            if worker_exit.cannot_start and not self._all_are_ready.is_set():
                self._failure = ServiceStartError(worker_exit.cannot_start)
                self._keeping.cancel()
                return
            self._note_exit(slot, worker_exit)
            if self._failed_starts >= MOST_FAILED_STARTS and not self._can_go_on():
                self._failure = WorkersCannotStartError(
                    self._failed_starts, f"{worker_exit.description}{_because(worker_exit)}"
                )
                self._keeping.cancel()
            lived_long = trio.current_time() - began >= _SHORT_LIFE_S
            with trio.move_on_after(0 if lived_long else pause_s):
                await self._drain_began.wait()
            pause_s = 0.0 if lived_long else min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * pause_s))

    def _can_go_on(self) -> bool:
        """Return whether other workers serve, and all have served at least once."""
        return self._all_are_ready.is_set() and any(slot.is_ready for slot in self._slots)

    def _note_ready(self) -> None:
        self._failed_starts = 0
        if all(slot.is_ready for slot in self._slots):
            self._all_are_ready.set()

    def _config(self, max_connections: int, descriptors: tuple[int, ...]) -> WorkerConfig:
        limits = replace(self._limits, max_connections=max_connections)
        if self._drain_ends < math.inf:
            limits = replace(limits, grace_s=max(0.001, self._drain_ends - trio.current_time()))
        return WorkerConfig(
            descriptors,
            self._format,
            limits,
            self._increment_interval_s,
            self._handler,
            self._reload,
            is_replacement=self._all_are_ready.is_set(),
            tls=self._tls,
            proxy_protocol=self._proxy_protocol,
            counts_received=self._counts_received,
        )

    def _note_exit(self, slot: WorkerSlot, worker_exit: WorkerExit) -> None:
        self._tally.add_error("worker_died")
        if not worker_exit.was_ready:
            self._failed_starts += 1
        lost = (
            f". Its connections (the last count was {worker_exit.connections}) are lost, and so is the count "
            f"of what it echoed since its last message, {worker_exit.silent_s:.1f} s ago"
        )
        logger.error(
            "worker %d %s%s%s%s%s",
            slot.number,
            worker_exit.description,
            " before it could serve" if worker_exit.was_started and not worker_exit.was_ready else "",
            _because(worker_exit),
            "; starting another" if slot.sockets and not self._failure else "",
            lost if worker_exit.was_ready else "",
        )


def _because(worker_exit: WorkerExit) -> str:
    return f": {worker_exit.reason}" if worker_exit.reason else ""
