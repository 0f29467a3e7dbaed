"""Dask clusters for tests: real processes, and a bridge that only seems to have a cluster behind it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import trio

from trioecho.base.nursery import open_background_nursery
from trioecho.cluster.choice import ClusterMachine
from trioecho.cluster.cluster import Cluster
from trioecho.cluster.messages import (
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
from trioecho.connection.json_frames import JsonChannel
from trioecho.load.cluster.opening import load_purpose
from trioecho.load.processes.worker import carry_out

from .processes import children_of


def here(_: str) -> Sequence[str]:
    """What stands before a command that runs on this machine: nothing."""
    return ()


class ClusterProcesses:
    """A scheduler and workers, each in a process.

    Args:
      scheduler: which runs.
      address: of the scheduler.
      on: what stands before the command of a worker, by its name.
    """

    def __init__(
        self, scheduler: subprocess.Popen[str], address: str, on: Callable[[str], Sequence[str]] = here
    ) -> None:
        self.scheduler = scheduler
        self.address = address
        self.workers: dict[str, subprocess.Popen[str]] = {}
        self._on = on

    def add_worker(self, name: str) -> None:
        words = ("--no-nanny", "--nthreads", "1", "--name", name)
        self.workers[name] = _start("dask_worker", self.address, *words, prefix=self._on(name))
        _read_until(self.workers[name], "Registered to")

    def engines_of(self, name: str) -> list[int]:
        return children_of(self.workers[name].pid)

    def end_worker(self, name: str) -> None:
        _end(self.workers.pop(name))

    def end(self) -> None:
        for process in (*self.workers.values(), self.scheduler):
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def _start(program: str, *arguments: str, prefix: Sequence[str] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", f"distributed.cli.{program}", *arguments, "--no-dashboard"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "false"},
    )


def _read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    lines: list[str] = []
    while words not in (line := process.stderr.readline()):
        assert line, lines
        lines.append(line)
    return line


@contextlib.contextmanager
def cluster_processes(
    *names: str, host: str = "127.0.0.1", on: Callable[[str], Sequence[str]] = here
) -> Iterator[ClusterProcesses]:
    """A scheduler, and a worker of each name; elsewhere, if ``on`` says what comes before a command there."""
    words = ("--host", host, "--port", "0", "--no-show")
    scheduler = _start("dask_scheduler", *words, prefix=on("control"))
    found = re.search(r"tcp://[\d.]+:\d+", _read_until(scheduler, "Scheduler at"))
    assert found
    cluster = ClusterProcesses(scheduler, found[0], on)
    try:
        for name in names:
            cluster.add_worker(name)
        yield cluster
    finally:
        cluster.end()


Engine = Callable[[JsonChannel], Awaitable[None]]


class FakeBridge:
    """In the place of the bridge: each engine runs in this process, behind a pair of sockets.

    Args:
      channel: to the `Cluster`.
      clocks: what the workers' clocks say beyond ours, by their numbers.
      engine: what an engine does, with a channel to the command.
    """

    def __init__(self, channel: JsonChannel, clocks: Mapping[int, int], engine: Engine) -> None:
        self.channel = channel
        self.clocks = clocks
        self.engine = engine
        self.round_trips = [(400, 150), (90, 30), (300, 200)]  # and when the other clock is read
        self.started: list[StartEngine] = []
        self.ended: list[EndEngine] = []
        self.engines: dict[tuple[int, int], tuple[JsonChannel, trio.CancelScope]] = {}
        self.carries: Callable[[FromEngine], bool] = lambda message: True
        self._sending = trio.Lock()
        self._has_ended = trio.Event()

    async def serve(self) -> None:
        async with trio.open_nursery() as nursery:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async for document in self.channel:
                    await self._take(decode_bridge_message(document), nursery)
            nursery.cancel_scope.cancel()

    async def until_ended(self, count: int) -> None:
        """Wait until so many engines have been ended."""
        while len(self.ended) < count:
            await self._has_ended.wait()

    async def say(self, message: BridgeMessage) -> None:
        async with self._sending:
            await self.channel.send(encode_bridge_message(message))

    async def _take(self, message: BridgeMessage, nursery: trio.Nursery) -> None:
        if isinstance(message, StartEngine):
            self.started.append(message)
            ours, theirs = socket.socketpair()
            scope = trio.CancelScope()
            self.engines[message.run, message.worker] = (JsonChannel(ours), scope)
            nursery.start_soon(self._run_engine, theirs, scope)
            nursery.start_soon(self._carry, message.run, message.worker)
        elif isinstance(message, ToEngine):
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self.engines[message.run, message.worker][0].send(self.to_engine(message))
        elif isinstance(message, EndEngine):
            self.ended.append(message)
            self._has_ended.set()
            self._has_ended = trio.Event()
            self.engines[message.run, message.worker][1].cancel()
        elif isinstance(message, MeasureClocks):
            readings = [
                [self._reading(worker, *trip) for trip in self.round_trips] for worker in message.workers
            ]
            await self.say(ClocksMeasured(readings))

    def to_engine(self, message: ToEngine) -> Any:
        """Return what reaches the engine, whose clock is really ours."""
        document = dict(message.message)
        if "StartCommand" in document:
            at = document["StartCommand"]["at"]
            document["StartCommand"] = {"at": at - self.clocks.get(message.worker, 0)}
        return document

    def _reading(self, worker: int, round_trip: int, until_read: int) -> list[int]:
        ahead = self.clocks.get(worker, 0)
        return [1000, 1000 + round_trip, 1000 + until_read + ahead, 5000, 5000 + until_read + ahead]

    async def _run_engine(self, connected: socket.socket, scope: trio.CancelScope) -> None:
        async with JsonChannel(connected) as channel:
            with scope:
                await self.engine(channel)

    async def _carry(self, run: int, worker: int) -> None:
        channel, _ = self.engines[run, worker]
        async with channel:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async for document in channel:
                    message = FromEngine(run, worker, document)
                    if self.carries(message):
                        await self.say(message)
                await self.say(EngineEnded(run, worker, "failed: its engine ended", -9))


@contextlib.asynccontextmanager
async def fake_cluster(
    count: int, *, clocks: Mapping[int, int] | None = None, engine: Engine = carry_out, processors: int = 1
) -> AsyncIterator[tuple[Cluster, FakeBridge]]:
    """A cluster of workers that are all in this process, and what is in the place of its bridge."""
    ours, theirs = socket.socketpair()
    machines = [
        ClusterMachine(number, f"w{number}", f"host{number // 2}", "", processors) for number in range(count)
    ]
    async with JsonChannel(ours) as channel, JsonChannel(theirs) as of_bridge:
        cluster = Cluster(channel, machines, count, load_purpose())
        bridge = FakeBridge(of_bridge, clocks or {}, engine)
        async with open_background_nursery() as nursery:
            nursery.start_soon(cluster.serve)
            nursery.start_soon(bridge.serve)
            yield cluster, bridge
