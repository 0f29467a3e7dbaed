"""What runs on a Dask worker: functions that the bridge calls there, and the engines that they start.

An engine is a process of its own, of the program that the command wants; the Dask worker only
carries its messages. They wait here until the bridge takes them: through the scheduler, so that it
need not reach the workers. An engine ends when

- its Dask worker ends, however: it sees the end of its stream;
- nobody has taken its messages for `LEASE_S`: the bridge is gone, or the scheduler;
- its Dask worker hangs: it sees no heartbeat of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import platform
import socket
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from ..base.heartbeats import BEAT_S, HEARTBEAT
from ..base.processes import own_program
from ..base.processors import count_processors
from .asyncio_frames import AsyncioFrames
from .clock import clock_identity
from .identity import own_version, schema_by

# Without a word of the bridge an engine goes on for so long.
LEASE_S = 10.0
# An engine may send so much more than is taken.
_MOST_WAITING_BYTES = 64 << 20
# What is taken at a time, unless the first message alone is longer.
_MOST_TAKEN_BYTES = 4 << 20
_KEPT_WORDS_BYTES = 1 << 14
_NAME = "trioecho"
# What a Dask worker says of itself when it ends, or has lost its scheduler.
_ENDING = frozenset({"closing", "closing_gracefully", "closed", "failed", "stopping", "stopped"})
_HEARTBEAT = json.dumps(HEARTBEAT).encode()


class RemoteEngine:
    """An engine process, and what it has sent that was not taken yet.

    Args:
      process: of the engine; its standard error is a pipe.
      frames: to it.
      dask_worker: on which it is.
    """

    def __init__(self, process: asyncio.subprocess.Process, frames: AsyncioFrames, dask_worker: Any) -> None:
        self._process = process
        self._frames = frames
        self._dask_worker = dask_worker
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._has_some, self._has_room = asyncio.Event(), asyncio.Event()
        self._end: tuple[int, str] | None = None
        self._taken_at = time.monotonic()
        self._takers = 0
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._keep_lease())]

    @classmethod
    async def start(cls, name: str, program: Sequence[str], dask_worker: Any) -> RemoteEngine:
        """Start one.

        Args:
          name: for people who look at processes.
          program: a module, and what follows it.
          dask_worker: on which it is.
        """
        ours, theirs = socket.socketpair()
        module, *words = program
        own = own_program(*words, "--name", name, module=module)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *own.command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=own.env,
                cwd=own.cwd,
                start_new_session=True,  # signals of a terminal are for the command alone
            )
        return cls(process, await AsyncioFrames.open(ours), dask_worker)

    async def give(self, document: bytes) -> None:
        """Send it a message; one that is gone gets none, which `take` says."""
        with contextlib.suppress(OSError):
            await self._frames.send(document)

    async def take(self, hold_s: float) -> tuple[list[bytes], tuple[int, str] | None]:
        """Return what it has sent, and, after its last message, its exit code and last words.

        Args:
          hold_s: how long to wait for something else than a heartbeat.
        """
        self._takers += 1
        try:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._has_some.wait(), hold_s)
        finally:
            self._takers -= 1
            self._taken_at = time.monotonic()
        taken: list[bytes] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0]) <= _MOST_TAKEN_BYTES):
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._waiting_bytes -= size
        self._has_room.set()
        if self._waiting:
            return taken, None
        if self._end is None:
            self._has_some.clear()
        return taken, self._end

    async def end(self) -> None:
        """End it at once, and forget what it has sent."""
        for task in self._tasks:
            task.cancel()
        self._kill()
        self._frames.close()
        await self._process.wait()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _read(self) -> None:
        words = asyncio.create_task(self._last_words())
        try:
            with contextlib.suppress(EOFError, OSError):
                while True:
                    document = await self._frames.receive()
                    self._waiting.append(document)
                    self._waiting_bytes += len(document)
                    if document != _HEARTBEAT:  # which goes with the next message, or when the hold ends
                        self._has_some.set()
                    while self._waiting_bytes > _MOST_WAITING_BYTES:
                        self._has_room.clear()
                        await self._has_room.wait()
            exit_code = await self._process.wait()
            self._end = (exit_code, await words)
            self._has_some.set()
        finally:
            words.cancel()

    async def _last_words(self) -> str:
        kept = b""
        if self._process.stderr is not None:
            while data := await self._process.stderr.read(_KEPT_WORDS_BYTES):
                kept = (kept + data)[-_KEPT_WORDS_BYTES:]
        lines = kept.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    async def _keep_lease(self) -> None:
        """Let the engine know that this process does not hang, until nobody wants it any more."""
        while True:
            await asyncio.sleep(BEAT_S)
            is_wanted = self._takers or time.monotonic() - self._taken_at < LEASE_S
            if not is_wanted or self._dask_worker.status.name in _ENDING:
                self._kill()
                return
            await self.give(_HEARTBEAT)


def describe_worker(identity: str, dask_worker: Any) -> dict[str, Any]:
    """Return what the command has to know of a Dask worker.

    Args:
      identity: of the `Purpose`.
      dask_worker: which.
    """
    _keep_calls_out_of_the_log()
    return {
        "name": str(dask_worker.name),
        "address": str(dask_worker.address),
        "host": platform.node(),
        "pid": os.getpid(),
        "version": own_version(),
        "schema": schema_by(identity),
        "clock": clock_identity(),
        "processors": count_processors(),
    }


def read_clocks() -> tuple[int, int]:
    """Return `time.perf_counter_ns` and `time.time_ns`."""
    return time.perf_counter_ns(), time.time_ns()


async def start_engine(key: str, name: str, program: Sequence[str], dask_worker: Any) -> None:
    """Start an engine, which the others know by its key."""
    _engines_of(dask_worker)[key] = await RemoteEngine.start(name, program, dask_worker)


async def give_to_engine(key: str, document: bytes, dask_worker: Any) -> None:
    """Send a message to an engine; nothing, if it has ended."""
    engine = _engines_of(dask_worker).get(key)
    if engine is not None:
        await engine.give(document)


async def take_from_engine(
    key: str, hold_s: float, dask_worker: Any
) -> tuple[list[bytes], tuple[int, str] | None]:
    """Return what `RemoteEngine.take` does."""
    return await _engines_of(dask_worker)[key].take(hold_s)


async def end_engine(key: str, dask_worker: Any) -> None:
    """End an engine at once, if there is one."""
    engine = _engines_of(dask_worker).pop(key, None)
    if engine is not None:
        await engine.end()


def _engines_of(dask_worker: Any) -> dict[str, RemoteEngine]:
    """Return the engines of a Dask worker; of several in one process, each has its own."""
    engines: dict[str, RemoteEngine] = dask_worker.extensions.setdefault(_NAME, {})
    return engines


_CALLED = frozenset(
    called.__name__ for called in (read_clocks, start_engine, give_to_engine, take_from_engine, end_engine)
)


def _is_no_call_of_ours(record: logging.LogRecord) -> bool:
    return not (record.args and isinstance(record.args, tuple) and str(record.args[0]) in _CALLED)


def _keep_calls_out_of_the_log() -> None:
    """Keep Dask from logging each of our calls, of which there are some every second."""
    log = logging.getLogger("distributed.worker")
    if _is_no_call_of_ours not in log.filters:
        log.addFilter(_is_no_call_of_ours)
