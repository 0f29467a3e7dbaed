"""The client that is checked, started by the suite: ``--client``."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass

from ...base.nursery import open_background_nursery
from ..spawned.guard import Guard
from ..spawned.memory_watch import MemoryBound, watch_memory
from ..spawned.spawned_process import SpawnedProcess, spawn_process

HOST = "127.0.0.1"


@dataclass(frozen=True)
class ClientStarter:
    """Starts the client as often as it is asked for.

    Attributes:
      command: words; ``{host}`` and ``{port}`` in them are replaced.
      guard: ends it if this process is killed.
      directory: where it is started; None for where this process is.
      memory_bound: one that has more memory is killed; None for any.
    """

    command: tuple[str, ...]
    guard: Guard
    directory: str | None = None
    memory_bound: MemoryBound | None = None

    @contextlib.asynccontextmanager
    async def running(self, port: int) -> AsyncIterator[SpawnedProcess]:
        """Start the client for a server on this port; it is gone when the block is left, however.

        Raises:
          SpawnError: it does not start.
        """
        words = [word.replace("{host}", HOST).replace("{port}", str(port)) for word in self.command]
        async with (
            spawn_process(
                words, SpawnedProcess, guard=self.guard, directory=self.directory, stderr=subprocess.PIPE
            ) as process,
            open_background_nursery() as nursery,
        ):
            if self.memory_bound is not None:
                nursery.start_soon(watch_memory, process, self.memory_bound)
            yield process
