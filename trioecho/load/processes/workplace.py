"""Where the workers of a load run: on this machine, or on those of a cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar

import trio

from ...base.units import NS_PER_S
from ..results.machine import this_machine
from ..results.result import LoadResult
from .messages import LoadWorkerConfig
from .supervised_worker import SupervisedWorker
from .worker_process import WorkerProcess, start_worker

# From when all are ready to when they start: longer than it takes to send the command.
_START_IN_NS = NS_PER_S // 5

Worker = TypeVar("Worker", bound=SupervisedWorker)


class StartTimes(NamedTuple):
    """The moment at which all workers start, in ns of `time.perf_counter_ns`.

    Attributes:
      here: by the clock of this process.
      there: by that of each worker.
    """

    here: int
    there: Sequence[int]


class Workplace(Protocol[Worker]):
    """Where the workers of a load run."""

    async def start_worker(
        self,
        number: int,
        config: LoadWorkerConfig,
        nursery: trio.Nursery,
        channels: contextlib.AsyncExitStack,
    ) -> Worker:
        """Start a worker, which has no configuration yet.

        Args:
          number: of the worker, from 0.
          config: what it will have to do.
          nursery: when it is cancelled, the worker is killed.
          channels: closes the channel to the worker.
        """

    async def start_times(self, workers: Sequence[Worker]) -> StartTimes:
        """Return when the workers are to start; all are ready."""

    def complete(self, worker: Worker, result: LoadResult) -> None:
        """Add to the result of a worker what only this side knows."""


class ThisMachine(Workplace[WorkerProcess]):
    """Worker processes of this one, which have its clock."""

    async def start_worker(
        self,
        number: int,
        config: LoadWorkerConfig,
        nursery: trio.Nursery,
        channels: contextlib.AsyncExitStack,
    ) -> WorkerProcess:
        return await start_worker(f"load-{number + 1}", config, nursery, channels)

    async def start_times(self, workers: Sequence[WorkerProcess]) -> StartTimes:
        moment = time.perf_counter_ns() + _START_IN_NS
        return StartTimes(moment, [moment] * len(workers))

    def complete(self, worker: WorkerProcess, result: LoadResult) -> None:
        result.machines = result.machines or [this_machine()]  # one that was lost has not said it
