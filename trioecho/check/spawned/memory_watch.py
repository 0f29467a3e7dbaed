"""Keep a server from taking the memory that this machine needs for everything else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import trio

from ...base.memory import available_bytes
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


@dataclass(frozen=True)
class MemoryBound:
    """How much memory is too much.

    Who is checked beside others has a part of the machine, and gets the same verdict as alone: more
    than its part is too much only when this machine is short of memory.

    Attributes:
      part_bytes: what one may have in any case.
      least_available_bytes: this machine is short of memory when it has less than this left; None if
        it always is.
    """

    part_bytes: int
    least_available_bytes: int | None = None

    def shared_by(self, count: int) -> MemoryBound:
        """Return the bound of each, where several share it."""
        return replace(self, part_bytes=self.part_bytes // count)

    def is_exceeded(self, taken_bytes: int, available: Callable[[], int | None] = available_bytes) -> bool:
        """Return whether so much is too much now."""
        if taken_bytes <= self.part_bytes or self.least_available_bytes is None:
            return taken_bytes > self.part_bytes
        left = available()
        return left is None or left < self.least_available_bytes


async def watch_memory(server: Watched, bound: MemoryBound) -> None:
    """Wait until a server has too much memory, and kill it then; return when it has ended."""
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
        if bound.is_exceeded(taken):
            server.end_for(taken)
            return
        await trio.sleep(_LOOK_S)
