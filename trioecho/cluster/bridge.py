"""``python -m trioecho.cluster.bridge``: carries messages between a command and a Dask cluster.

Its standard input is a socket, over which the command speaks (see `messages`). When that
is gone, the bridge ends all engines, and the cluster if it has started it, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from . import remote
from .asyncio_frames import AsyncioFrames
from .clock import ClockReading
from .dask_cluster import (
    DaskWorkers,
    NoClusterError,
    SchedulerGoneError,
    WorkerGoneError,
    in_a_line,
    open_dask,
)
from .messages import (
    BridgeMessage,
    ClocksMeasured,
    ClusterOpened,
    ClusterRefused,
    EndEngine,
    EngineEnded,
    MeasureClocks,
    OpenCluster,
    StartEngine,
    ToEngine,
    decode_bridge_message,
    encode_bridge_message,
    encode_from_engine,
)
from .spec import parse_cluster

# How long a worker keeps the question for messages of an engine that has none.
_HOLD_S = 2.0
# ... and how long the answer may take. It must be over before the command gives up an engine that
# says nothing for 30 s: that its worker is gone says more.
_ANSWER_S = 25.0
_ROUND_TRIPS = 16
# Clocks that are read at the same time; more would make each other's round trips longer.
_READ_AT_ONCE = 2
_LOOK_FOR_WORKERS_S = 1.0
_END_S = 3.0

Send = Callable[[bytes], Awaitable[None]]


class Link:
    """The way to the engine of one worker, of one run at a time.

    Args:
      number: of the worker.
      address: of the worker.
      cluster: in which it is.
      send: to the command.
    """

    def __init__(self, number: int, address: str, cluster: DaskWorkers, send: Send) -> None:
        self.address: str = address
        self._number = number
        self._cluster = cluster
        self._send = send
        self._prefix = secrets.token_hex(8)
        self._run: int | None = None
        self._actions: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._taking: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Do what is asked for, in order, until cancelled."""
        while True:
            action = await self._actions.get()
            await action()

    def start(self, command: StartEngine) -> None:
        """Start an engine for a run."""
        self._run = command.run
        self._actions.put_nowait(partial(self._start, command))

    def give(self, command: ToEngine) -> None:
        """Send a message to the engine."""
        document = json.dumps(command.message).encode()
        self._actions.put_nowait(partial(self._give, command.run, document))

    async def lose(self, reason: str) -> None:
        """Report that nothing comes from the engine any more, if there is one."""
        if self._run is not None:
            await self._lose(self._run, reason)

    async def _lose(self, run: int, reason: str, exit_code: int | None = None) -> None:
        if run == self._run:  # else it was ended, and perhaps another one runs
            self._run = None
            await self._say(EngineEnded(run, self._number, reason, exit_code))

    async def end(self, run: int | None = None) -> None:
        """End the engine of a run, or whichever there is."""
        run = self._run if run is None else run
        if run is None:
            return
        if run == self._run:
            self._run = None
            if self._taking is not None:
                self._taking.cancel()
        with contextlib.suppress(Exception):  # it ends with its lease
            await self._cluster.call(self.address, remote.end_engine, self._key(run), most_s=_END_S)

    def _key(self, run: int) -> str:
        return f"{self._prefix}-{run}"

    async def _start(self, command: StartEngine) -> None:
        try:
            await self._cluster.call(
                self.address, remote.start_engine, self._key(command.run), command.name, command.program
            )
        except Exception as error:  # noqa: BLE001 - whatever a worker may raise
            await self._lose(command.run, _lost_in_words(error))
        else:
            if self._run == command.run:
                self._taking = asyncio.create_task(self._take(command.run))
            else:  # which was ended meanwhile
                await self.end(command.run)

    async def _give(self, run: int, document: bytes) -> None:
        if run != self._run:
            return
        try:
            await self._cluster.call(self.address, remote.give_to_engine, self._key(run), document)
        except Exception as error:  # noqa: BLE001 - as when it is started
            await self._lose(run, _lost_in_words(error))

    async def _take(self, run: int) -> None:
        end: tuple[int, str] | None = None
        with contextlib.suppress(OSError):  # the command is gone, which is seen elsewhere
            while run == self._run and end is None:
                try:
                    documents, end = await self._cluster.call(
                        self.address,
                        remote.take_from_engine,
                        self._key(run),
                        _HOLD_S,
                        most_s=_ANSWER_S,
                    )
                except Exception as error:  # noqa: BLE001 - as when it is started
                    await self._lose(run, _lost_in_words(error))
                    return
                for document in documents:
                    await self._send(encode_from_engine(run, self._number, document))
            if end is not None:
                await self._lose(run, _end_in_words(*end), end[0])

    async def _say(self, message: BridgeMessage) -> None:
        await self._send(json.dumps(encode_bridge_message(message)).encode())


class Bridge:
    """Carries messages, once the cluster is open.

    Args:
      cluster: with workers.
      identity: of the `Purpose`.
      send: to the command.
    """

    def __init__(self, cluster: DaskWorkers, identity: str, send: Send) -> None:
        self._cluster = cluster
        self._identity = identity
        self._send = send
        self._links: list[Link] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, receive: Callable[[], Awaitable[bytes]]) -> None:
        """Introduce the workers, and carry messages until it is cancelled; then end all engines."""
        await self._introduce()
        self._spawn(self._watch_workers())
        for link in self._links:
            self._spawn(link.follow())
        self._spawn(self._follow_commands(receive))
        try:
            await self._failed
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*(link.end() for link in self._links))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)
        return task

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _say(self, message: BridgeMessage) -> None:
        await self._send(json.dumps(encode_bridge_message(message)).encode())

    async def _introduce(self) -> None:
        addresses = await self._cluster.addresses()
        self._links = [
            Link(number, address, self._cluster, self._send) for number, address in enumerate(addresses)
        ]
        workers = await asyncio.gather(*map(self._describe, addresses))
        await self._say(ClusterOpened(list(workers)))

    async def _describe(self, address: str) -> dict[str, Any]:
        try:
            described: dict[str, Any] = await self._cluster.call(
                address, remote.describe_worker, self._identity
            )
        except Exception as error:  # noqa: BLE001 - whatever a worker may raise
            return {"address": address, "failure": _unusable_in_words(error)}
        return described

    async def _follow_commands(self, receive: Callable[[], Awaitable[bytes]]) -> None:
        while True:
            command = decode_bridge_message(json.loads(await receive()))
            if isinstance(command, StartEngine):
                self._links[command.worker].start(command)
            elif isinstance(command, ToEngine):
                self._links[command.worker].give(command)
            elif isinstance(command, EndEngine):
                self._spawn(self._links[command.worker].end(command.run))
            elif isinstance(command, MeasureClocks):
                self._spawn(self._measure_clocks(command.workers))

    async def _watch_workers(self) -> None:
        """Report workers that the scheduler has lost, also those to which nothing is to be said."""
        while True:
            await asyncio.sleep(_LOOK_FOR_WORKERS_S)
            try:
                there = await self._cluster.addresses()
            except SchedulerGoneError as error:
                for link in self._links:
                    await link.lose(f"cannot be reached: {error}")
                return
            for link in self._links:
                if link.address not in there:
                    await link.lose("is gone: the scheduler has lost its Dask worker")

    async def _measure_clocks(self, workers: list[int]) -> None:
        limit = asyncio.Semaphore(_READ_AT_ONCE)

        async def read(number: int) -> list[list[int]]:
            async with limit:
                return await self._read_clocks(self._links[number].address)

        readings = await asyncio.gather(*map(read, workers))
        await self._say(ClocksMeasured(list(readings)))

    async def _read_clocks(self, address: str) -> list[list[int]]:
        readings: list[list[int]] = []
        with contextlib.suppress(Exception):  # a worker that is gone is reported elsewhere
            for _ in range(_ROUND_TRIPS):
                day_ns, sent_ns = time.time_ns(), time.perf_counter_ns()
                there_ns, day_there_ns = await self._cluster.call(address, remote.read_clocks)
                reading = ClockReading(sent_ns, time.perf_counter_ns(), there_ns, day_ns, day_there_ns)
                readings.append(list(reading))
        return readings


def _unusable_in_words(error: Exception) -> str:
    """Return why a worker cannot say what it is, by the words of an error that Dask has carried."""
    words = in_a_line(error)
    missing = re.search(r"No module named '?([\w.]+)", words)
    if missing is not None:
        package, _, module = missing[1].partition(".")
        if package == "trioecho":
            return "has an older version of trioecho" if module else "does not have the package trioecho"
        return f"does not have the package {package}, which trioecho needs"
    if "trioecho" in words and ("attribute" in words or "cannot import" in words):
        return "has another version of trioecho"
    return f"cannot be used: {words}"


def _lost_in_words(error: Exception) -> str:
    if isinstance(error, SchedulerGoneError):
        return f"cannot be reached: {error}"
    if isinstance(error, WorkerGoneError):
        return f"is gone: {error}"
    return f"failed: {in_a_line(error)}"


def _end_in_words(exit_code: int, last_words: str) -> str:
    how = f"exited with {exit_code}" if exit_code >= 0 else f"was killed by signal {-exit_code}"
    return f"failed: its engine {how}: {last_words or 'it said nothing'}"


async def _main() -> None:
    frames = await AsyncioFrames.open(socket.socket(fileno=os.dup(0)))
    try:
        command = decode_bridge_message(json.loads(await frames.receive()))
    except (EOFError, OSError):
        return  # the command is gone, and wants nothing
    if not isinstance(command, OpenCluster):
        raise TypeError(f"the first message says which cluster to open, and not {command}")
    documents: asyncio.Queue[bytes] = asyncio.Queue()
    working = asyncio.create_task(_work(command, frames, documents.get))
    # Whatever is being done: when the command is gone, it ends.
    receiving = asyncio.create_task(_receive(frames, documents))
    await asyncio.wait({working, receiving}, return_when=asyncio.FIRST_COMPLETED)
    receiving.cancel()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await working


async def _receive(frames: AsyncioFrames, documents: asyncio.Queue[bytes]) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            documents.put_nowait(await frames.receive())


async def _work(command: OpenCluster, frames: AsyncioFrames, receive: Callable[[], Awaitable[bytes]]) -> None:
    try:
        async with open_dask(parse_cluster(command.text), command.workers, command.wait_s) as dask:
            await Bridge(dask, command.identity, frames.send).run(receive)
    except NoClusterError as error:
        await frames.send(json.dumps(encode_bridge_message(ClusterRefused(str(error)))).encode())


if __name__ == "__main__":
    asyncio.run(_main())
