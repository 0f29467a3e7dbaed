"""The workers of a cluster, as the places where a load runs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import trio

from ...base.units import NS_PER_S
from ...cluster.choice import ClusterMachine
from ...cluster.clock import ClockOffset, clock_identity, offset_of
from ...cluster.cluster import Cluster, EngineChannel
from ..errors import CannotConnectError, ClusterWorkerFailedError, WorkerFailedError
from ..processes.messages import LoadMessage, LoadWorkerConfig
from ..processes.supervised_worker import SupervisedWorker
from ..processes.workplace import StartTimes, Workplace
from ..results.attribution import attribute
from ..results.result import LoadResult

# From when all are ready to when they start: longer than a command takes through the scheduler.
_START_IN_NS = NS_PER_S // 2


class ClusterWorker(SupervisedWorker):
    """A worker of a cluster, and what it has sent."""

    def __init__(self, machine: ClusterMachine, config: LoadWorkerConfig, engine: EngineChannel) -> None:
        super().__init__(config, engine)
        self.machine: ClusterMachine = machine
        self.clock: ClockOffset = ClockOffset(0, 0, 0)
        self._engine = engine

    def kill(self) -> None:
        self._engine.close()

    def _take(self, message: LoadMessage) -> None:
        if isinstance(message, CannotConnectError):  # which another machine might not see
            reason = f"{message.reason} (so says {self.machine.where})"
            message = type(message)(message.host, message.port, reason)
        super()._take(message)

    async def wait_for_failure(self, silent_s: float) -> WorkerFailedError:
        reason, exit_code = f"sent nothing for {silent_s:g} s", None
        if not silent_s:
            await self._engine.has_ended.wait()
            reason, exit_code = self._engine.reason, self._engine.exit_code
        return ClusterWorkerFailedError(
            self.machine.where,
            reason,
            connections=self.config.count,
            of_connections=self.config.plan.connections,
            sent=self.reported.sent,
            exit_code=exit_code,
        )


class ClusterWorkplace(Workplace[ClusterWorker]):
    """Where one load runs.

    Args:
      cluster: with the workers.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._run = cluster.next_run()

    async def start_worker(
        self,
        number: int,
        config: LoadWorkerConfig,
        nursery: trio.Nursery,
        channels: contextlib.AsyncExitStack,
    ) -> ClusterWorker:
        machine = self._cluster.machines[number]
        engine = self._cluster.open_engine(self._run, machine.number)
        await channels.enter_async_context(engine)
        await self._cluster.start_engine(engine, f"load-{number + 1}")
        return ClusterWorker(machine, config, engine)

    async def start_times(self, workers: Sequence[ClusterWorker]) -> StartTimes:
        readings = await self._cluster.read_clocks([worker.machine.number for worker in workers])
        here = clock_identity()
        for worker, of_worker in zip(workers, readings, strict=True):
            if of_worker:  # else it is gone, and the load ends with that
                is_same = bool(here) and worker.machine.clock == here
                worker.clock = offset_of(of_worker, is_same_clock=is_same)
        slowest_ns = max((reading.round_trip_ns for some in readings for reading in some), default=0)
        moment = time.perf_counter_ns() + max(_START_IN_NS, 4 * slowest_ns)
        return StartTimes(moment, [moment + worker.clock.ahead_ns for worker in workers])

    def complete(self, worker: ClusterWorker, result: LoadResult) -> None:
        attribute(
            result,
            worker.machine.name,
            worker.machine.host,
            connections=worker.config.count,
            clock=worker.clock,
            start_late_ns=worker.started_late_ns or 0,
            is_its_time=worker.result is not None,  # else it was lost, and the clock was ours
        )
