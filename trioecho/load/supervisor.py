"""A load with several processes: each has some of the connections, all start in step."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from . import messages
from .errors import CannotConnectError, TooManyConnectionsError, WorkerFailedError
from .local import CONNECTING
from .merging import merge_parts
from .plan import LoadPlan
from .result import NS_PER_S, LoadResult, Progress
from .schedule import Schedule

# From when all are ready to when they start: longer than it takes to tell them.
_START_IN_NS = NS_PER_S // 5
_KEPT_WORDS_BYTES = 1 << 14

# Whether there can be workers: they read and write pipes through Trio, which Windows has not.
HAS_WORKERS = hasattr(trio.lowlevel, "FdStream")


class _Worker:
    """A process, and what it has said.

    The process's streams are its own, so that each is waited for in one place.
    """

    def __init__(self, process: trio.Process, first: int, count: int) -> None:
        self.process = process
        self.first = first
        self.count = count
        self.is_ready = trio.Event()
        self.progress: deque[Progress] = deque()
        self.last_progress: Progress | None = None
        self.result: LoadResult | None = None
        self.failure: Exception | None = None
        self.last_words = b""

    async def order(self, **order: Any) -> None:
        """Tell it something; if it does not listen any more, it has failed, which shows elsewhere."""
        stdin = self.process.stdin
        if stdin is not None:
            try:
                await messages.send(stdin, order)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await trio.lowlevel.checkpoint()


class WorkersRun:
    """One load, carried out by worker processes. As `LoadRun`."""

    def __init__(
        self, plan: LoadPlan, *, on_progress: Callable[[Progress], object], progress_interval_s: float
    ) -> None:
        self._plan = plan
        self._on_progress = on_progress
        self._progress_interval_s = progress_interval_s
        self._workers: list[_Worker] = []
        self._stop = trio.Event()
        self._planned = plan.messages and plan.messages * plan.connections
        if plan.is_open:
            self._planned = Schedule(plan).planned

    def stop(self) -> None:
        """As `LoadRun.stop`."""
        self._stop.set()

    async def run(self) -> LoadResult:
        """As `LoadRun.run`."""
        plan = self._plan
        self._on_progress(CONNECTING)
        async with trio.open_nursery() as processes:
            first = 0
            for number in range(plan.processes):
                count = plan.connections // plan.processes + (number < plan.connections % plan.processes)
                process = await processes.start(_start_process)
                self._workers.append(_Worker(process, first, count))
                first += count
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give_orders)
                async with trio.open_nursery() as listening:
                    for worker in self._workers:
                        listening.start_soon(self._listen, worker, nursery.cancel_scope)
                nursery.cancel_scope.cancel()
            processes.cancel_scope.cancel()
        failures = [worker.failure for worker in self._workers if worker.failure is not None]
        if failures:
            raise failures[0]
        return merge_parts(plan, [worker.result for worker in self._workers if worker.result is not None])

    async def _give_orders(self) -> None:
        for worker in self._workers:
            await worker.order(
                plan=self._plan.to_dict(),
                first=worker.first,
                count=worker.count,
                progress_interval_s=self._progress_interval_s,
            )
        for worker in self._workers:
            await worker.is_ready.wait()
        start_at = time.perf_counter_ns() + _START_IN_NS
        for worker in self._workers:
            await worker.order(order="start", at=start_at)
        await self._stop.wait()
        for worker in self._workers:
            await worker.order(order="stop")

    async def _listen(self, worker: _Worker, all_scopes: trio.CancelScope) -> None:
        """Take what a worker says, until it has ended; without one, there is no load."""
        process = worker.process
        stdout, stderr = process.stdout, process.stderr
        if stdout is None or stderr is None:
            raise TypeError("a worker's output must be a pipe")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hear_last_words, worker, stderr)
            receiver = messages.Receiver(stdout)
            while worker.result is None and worker.failure is None:
                message = await receiver.receive()
                if message is None:
                    break
                self._take(worker, message)
            if worker.result is None and worker.failure is None:
                exit_code = await process.wait()
                nursery.cancel_scope.deadline = trio.current_time() + 1
                lines = worker.last_words.decode(errors="replace").strip().splitlines()
                worker.failure = WorkerFailedError(exit_code, lines[-1] if lines else "")
            else:
                nursery.cancel_scope.cancel()
        if worker.failure is not None:
            all_scopes.cancel()

    def _take(self, worker: _Worker, message: dict[str, Any]) -> None:
        event = message["event"]
        if event == "ready":
            worker.is_ready.set()
        elif event == "progress":
            worker.progress.append(messages.progress_from_message(message))
        elif event == "result":
            worker.result = LoadResult.from_json(message["json"])
        elif event == "cannot connect":
            worker.failure = CannotConnectError(self._plan.host, self._plan.port, message["reason"])
        else:
            worker.failure = TooManyConnectionsError(*message["numbers"])
        self._report()

    def _report(self) -> None:
        """Report a progress when it is known of every worker that still works."""
        working = [worker for worker in self._workers if worker.result is None]
        while working and all(worker.progress for worker in working):
            parts = []
            for worker in self._workers:
                if worker.progress:
                    worker.last_progress = worker.progress.popleft()
                    parts.append(worker.last_progress)
                elif worker.result is not None and worker.last_progress is not None:
                    parts.append(_at_rest(worker.last_progress, worker.result))
            self._on_progress(messages.merge_progress(parts, planned=self._planned))


def _at_rest(last: Progress, result: LoadResult) -> Progress:
    """The progress of a worker that is done, while others are not."""
    interval = type(last.interval)(last.interval.t_s, last.interval.width_s)
    return Progress(
        "draining", last.t_s, interval, result.sent, result.messages, result.errors, 0, last.planned
    )


async def _start_process(task_status: trio.TaskStatus[trio.Process]) -> None:
    # The package that this is of, wherever it came from.
    package_parent = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH", "")]))
    await trio.run_process(
        [sys.executable, "-m", "trioecho.load.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
        # Ctrl-C is for the supervisor, which then tells the workers to stop.
        start_new_session=True,
        task_status=task_status,
    )


async def _hear_last_words(worker: _Worker, stderr: trio.abc.ReceiveStream) -> None:
    while data := await stderr.receive_some():
        worker.last_words = (worker.last_words + data)[-_KEPT_WORDS_BYTES:]
