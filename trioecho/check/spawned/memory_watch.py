"""Keep a server from taking the memory that this machine needs for everything else."""

from __future__ import annotations

import contextlib
from typing import Protocol

import trio

from .process_tree import status_bytes

# A process may fill some GB in a second. All that it has started are looked at less often: that
# means to look at every process of the machine.
_LOOK_S, _LOOKS_AT_ALL = 0.1, 10


class Watched(Protocol):
    """A server that runs."""

    @property
    def process(self) -> trio.Process:
        """Its first process."""
        raise NotImplementedError

    @property
    def has_ended(self) -> bool:
        """Whether that is gone."""
        raise NotImplementedError

    def resident_bytes(self) -> int | None:
        """Return the memory of its processes; None where that cannot be known."""
        raise NotImplementedError

    def end_for(self, resident_bytes: int) -> None:
        """Kill it, as it has so much memory."""
        raise NotImplementedError


async def watch_memory(server: Watched, most_bytes: int) -> None:
    """Wait until a server has more memory than this, and kill it then; return when it has ended."""
    looks = 0
    # Nothing reports memory by itself.
    while not server.has_ended:
        looks += 1
        taken = 0
        if looks % _LOOKS_AT_ALL:
            with contextlib.suppress(OSError, ValueError):  # it has just ended, or there is no /proc
                taken = status_bytes(server.process.pid, "VmRSS")
        else:
            taken = server.resident_bytes() or 0
        if taken > most_bytes:
            server.end_for(taken)
            return
        await trio.sleep(_LOOK_S)
