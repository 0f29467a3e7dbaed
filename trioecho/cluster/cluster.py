"""The workers of a cluster, and channels to the engines on them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import trio

from ..connection.json_frames import JsonChannel
from ..errors import RemoteProtocolError
from .choice import ClusterMachine
from .clock import ClockReading
from .identity import Purpose
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

# What may wait to be written to the bridge, which is not to be filled with the messages of a load.
_MOST_WAITING = 16


class Cluster:
    """The workers of a cluster that were chosen.

    Attributes:
      machines: of the workers.
      available: how many workers the cluster had.

    Args:
      channel: to the bridge; another one closes it.
      machines: of the workers.
      available: how many workers the cluster has.
      purpose: of the engines.
    """

    def __init__(
        self, channel: JsonChannel, machines: Sequence[ClusterMachine], available: int, purpose: Purpose
    ) -> None:
        self.machines: tuple[ClusterMachine, ...] = tuple(machines)
        self.available: int = available
        self._channel = channel
        self._purpose = purpose
        self._to_writer, self._to_write = trio.open_memory_channel[BridgeMessage](_MOST_WAITING)
        self._to_end: trio.MemorySendChannel[EndEngine]
        self._to_end, self._ending = trio.open_memory_channel[EndEngine](math.inf)
        self._runs = 0
        self._engines: dict[tuple[int, int], EngineChannel] = {}
        self._clocks: trio.MemorySendChannel[ClocksMeasured] | None = None
        self._lost = ""

    def next_run(self) -> int:
        """Return the number of one more run; its engines are known by it."""
        self._runs += 1
        return self._runs

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
        self._to_write.close()  # nobody is to wait until something can be sent

    async def send(self, message: BridgeMessage) -> None:
        """Send a message to the bridge, if it is there. A cancelled call has sent it whole, or not."""
        with contextlib.suppress(trio.BrokenResourceError):  # then all engines have ended
            await self._to_writer.send(message)

    def open_engine(self, run: int, worker: int) -> EngineChannel:
        """Return the channel to an engine that is about to be started."""
        engine = self._engines[run, worker] = EngineChannel(self, run, worker)
        if self._lost:
            engine.note_end(self._lost, None)
        return engine

    async def start_engine(self, engine: EngineChannel, name: str) -> None:
        """Start the engine of a channel.

        Args:
          engine: its channel.
          name: for people who look at processes.
        """
        program = list(self._purpose.program)
        await self.send(StartEngine(engine.run, engine.worker, name, program))

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
    """Sends documents of JSON to an engine of a cluster, and receives its own.

    Attributes:
      run: whose engine it is.
      worker: the number of the worker on which it is.
      has_ended: set when nothing comes any more.
      reason: why, in words that follow the name of the worker.
      exit_code: of its process, a signal's number with a minus; None if that is not known.
    """

    def __init__(self, cluster: Cluster, run: int, worker: int) -> None:
        self.run: int = run
        self.worker: int = worker
        self._cluster = cluster
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
        await self._cluster.send(ToEngine(self.run, self.worker, value))

    async def receive(self) -> Any:
        return await self._arrived.receive()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """End the engine."""
        self._cluster.close_engine(self.run, self.worker)
        self._to_reader.close()
