"""The workers of a cluster, as the places where a load runs."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import trio

from ...base.units import NS_PER_S
from ...connection.json_frames import JsonChannel
from ...errors import RemoteProtocolError
from ..errors import CannotConnectError, ClusterWorkerFailedError, WorkerFailedError
from ..plan import LoadPlan
from ..processes.messages import LoadMessage, LoadWorkerConfig
from ..processes.supervised_worker import SupervisedWorker
from ..processes.workplace import Workplace
from ..results.result import LoadResult
from ..results.worker_share import WorkerShare
from .choice import ClusterMachine
from .clock import ClockOffset, ClockReading, clock_identity, offset_of
from .messages import (
    BridgeMessage,
    ClocksMeasured,
    EndEngine,
    EngineEnded,
    FromEngine,
    MeasureClocks,
    StartEngine,
    ToEngine,
    decode_bridge_message,
    encode_bridge_message,
)

# From when all are ready to when they start: longer than a command takes through the scheduler.
_START_IN_NS = NS_PER_S // 2
# What may wait to be written to the bridge, which is not to be filled with the messages of a load.
_MOST_WAITING = 16


class Cluster:
    """The workers of a cluster that were chosen for loads.

    Attributes:
      machines: of the workers.
      available: how many workers the cluster had.

    Args:
      channel: to the bridge; another one closes it.
      machines: of the workers.
      available: how many workers the cluster has.
    """

    def __init__(self, channel: JsonChannel, machines: Sequence[ClusterMachine], available: int) -> None:
        self.machines: tuple[ClusterMachine, ...] = tuple(machines)
        self.available: int = available
        self._channel = channel
        self._to_writer, self._to_write = trio.open_memory_channel[BridgeMessage](_MOST_WAITING)
        self._to_end: trio.MemorySendChannel[EndEngine]
        self._to_end, self._ending = trio.open_memory_channel[EndEngine](math.inf)
        self._runs = 0
        self._engines: dict[tuple[int, int], EngineChannel] = {}
        self._clocks: trio.MemorySendChannel[ClocksMeasured] | None = None
        self._lost = ""

    def workplace(self, plan: LoadPlan) -> ClusterWorkplace:
        """Return where one load runs."""
        self._runs += 1
        return ClusterWorkplace(self, self._runs, plan)

    async def serve(self, *, last_words: Any = None) -> None:
        """Carry messages from and to the bridge, until it is gone or this is cancelled.

        Args:
          last_words: awaited when the bridge is gone; returns what it said last.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._write_ends)
            with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):
                async for document in self._channel:
                    self._take(decode_bridge_message(document))
            words = await last_words() if last_words is not None else ""
            self._lost = f"cannot be reached: the process that talks to the cluster ended: {words}"
            for engine in list(self._engines.values()):
                engine.note_end(self._lost, None)
            nursery.cancel_scope.cancel()

    async def send(self, message: BridgeMessage) -> None:
        """Send a message to the bridge. A cancelled call has sent it whole, or not."""
        await self._to_writer.send(message)

    def open_engine(self, run: int, worker: int) -> EngineChannel:
        """Return the channel to an engine that is about to be started."""
        engine = self._engines[run, worker] = EngineChannel(self, run, worker)
        if self._lost:
            engine.note_end(self._lost, None)
        return engine

    def close_engine(self, run: int, worker: int) -> None:
        """End an engine, and take nothing of it any more."""
        if self._engines.pop((run, worker), None) is not None:
            self._to_end.send_nowait(EndEngine(run, worker))

    async def read_clocks(self, workers: Sequence[int]) -> list[list[ClockReading]]:
        """Return several readings of the clocks of each worker."""
        self._clocks, measured = trio.open_memory_channel[ClocksMeasured](1)
        await self.send(MeasureClocks(list(workers)))
        return [
            [ClockReading(*numbers) for numbers in readings]
            for readings in (await measured.receive()).readings
        ]

    def _take(self, message: BridgeMessage) -> None:
        if isinstance(message, FromEngine | EngineEnded):
            engine = self._engines.get((message.run, message.worker))
            if engine is None:
                return  # of a run that is over
            if isinstance(message, FromEngine):
                engine.note_document(message.message)
            else:
                engine.note_end(message.reason, message.exit_code)
        elif isinstance(message, ClocksMeasured) and self._clocks is not None:
            self._clocks.send_nowait(message)
            self._clocks = None

    async def _write(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # `serve` sees that
            async for message in self._to_write:
                await self._channel.send(encode_bridge_message(message))

    async def _write_ends(self) -> None:
        """Let nobody wait who closes the channel to an engine."""
        async for message in self._ending:
            await self._to_writer.send(message)


class EngineChannel(trio.abc.Channel[Any]):
    """Sends `LoadMessage` documents to an engine of a cluster, and receives its own."""

    def __init__(self, cluster: Cluster, run: int, worker: int) -> None:
        self._cluster = cluster
        self._run, self._worker = run, worker
        self._to_reader, self._arrived = trio.open_memory_channel[Any](math.inf)
        self.has_ended: trio.Event = trio.Event()
        self.reason: str = ""
        self.exit_code: int | None = None

    def note_document(self, document: Any) -> None:
        """Take what the engine has sent."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            self._to_reader.send_nowait(document)

    def note_end(self, reason: str, exit_code: int | None) -> None:
        """Note that nothing comes any more."""
        if not self.has_ended.is_set():
            self.reason, self.exit_code = reason, exit_code
            self.has_ended.set()
            self._to_reader.close()

    async def send(self, value: Any) -> None:
        await self._cluster.send(ToEngine(self._run, self._worker, value))

    async def receive(self) -> Any:
        return await self._arrived.receive()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """End the engine."""
        self._cluster.close_engine(self._run, self._worker)
        self._to_reader.close()


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
        last = self.progress[-1] if self.progress else self.last_progress
        return ClusterWorkerFailedError(
            self.machine.where,
            reason,
            connections=self.config.count,
            of_connections=self.config.plan.connections,
            sent=0 if last is None else last.sent,
            exit_code=exit_code,
        )


class ClusterWorkplace(Workplace[ClusterWorker]):
    """Where one load runs.

    Args:
      cluster: with the workers.
      run: the number of the load.
      plan: of the load.
    """

    def __init__(self, cluster: Cluster, run: int, plan: LoadPlan) -> None:
        self._cluster = cluster
        self._run = run
        self._plan = plan

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
        await self._cluster.send(StartEngine(self._run, machine.number, f"load-{number + 1}"))
        return ClusterWorker(machine, config, engine)

    async def start_times(self, workers: Sequence[ClusterWorker]) -> Sequence[int]:
        readings = await self._cluster.read_clocks([worker.machine.number for worker in workers])
        here = clock_identity()
        for worker, of_worker in zip(workers, readings, strict=True):
            if of_worker:  # else it is gone, and the load ends with that
                is_same = bool(here) and worker.machine.clock == here
                worker.clock = offset_of(of_worker, is_same_clock=is_same)
        slowest_ns = max((reading.round_trip_ns for some in readings for reading in some), default=0)
        moment = time.perf_counter_ns() + max(_START_IN_NS, 4 * slowest_ns)
        return [moment + worker.clock.ahead_ns for worker in workers]

    def complete(self, worker: ClusterWorker, result: LoadResult) -> None:
        health = result.health
        result.started_at -= timedelta(microseconds=worker.clock.day_ahead_ns / 1000)
        result.workers = [
            WorkerShare(
                name=worker.machine.name,
                host=worker.machine.host,
                connections=worker.config.count,
                sent=result.sent,
                messages=result.messages,
                errors=result.error_count,
                cpu_share=max(health.cpu_shares, default=0.0),
                cpu_wait_share=max(health.cpu_wait_shares, default=0.0),
                clock_ahead_ns=worker.clock.day_ahead_ns,
                clock_error_ns=worker.clock.error_ns,
                start_late_ns=worker.started_late_ns or 0,
                send_lateness_ns=health.send_lateness_ns,
            )
        ]
