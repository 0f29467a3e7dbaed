"""Which server of a class is checked by which worker of a cluster, and by which one again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from ..cluster.choice import ClusterMachine

# A server whose check has killed two workers is not given to a third.
_MOST_BEGUN = 2


class Loss(NamedTuple):
    """A worker that was lost while it checked a server.

    Attributes:
      machine: which.
      reason: how it was lost, in words that follow its name.
      has_begun: whether the check had begun there.
      is_of_process: whether only the process was lost that the worker had started.
    """

    machine: ClusterMachine
    reason: str
    has_begun: bool
    is_of_process: bool = False

    def __str__(self) -> str:
        return f"{self.machine.where} {self.reason}"


@dataclass(eq=False)
class Waiting:
    """A server that is to be checked.

    Attributes:
      number: which, from 0.
      losses: of the workers that have tried.
    """

    number: int
    losses: list[Loss] = field(default_factory=list)

    @property
    def may_be_begun(self) -> bool:
        """Whether it may be given to one more worker."""
        return sum(loss.has_begun for loss in self.losses) < _MOST_BEGUN

    def has_been_on(self, worker: int) -> bool:
        """Return whether this worker has tried."""
        return any(loss.machine.number == worker for loss in self.losses)


class CheckQueue:
    """The servers that are not checked yet, in their order.

    Attributes:
      lost: the workers that are gone.

    Args:
      count: how many servers there are.
      machines: of the workers, each of which checks one at a time.
      most: of each host, how many servers may be checked there at a time.
    """

    def __init__(self, count: int, machines: Sequence[ClusterMachine], most: dict[str, int]) -> None:
        self.lost: list[Loss] = []
        self._waiting = deque(Waiting(number) for number in range(count))
        self._unfinished = count
        self._there = {machine.number for machine in machines}
        self._most = most
        self._busy = Counter[str]()
        self._changed = trio.Event()

    async def take(self, machine: ClusterMachine) -> Waiting | None:
        """Wait until there is something for a worker to do; return None when all is done."""
        while self._unfinished:
            found = next((each for each in self._waiting if not each.has_been_on(machine.number)), None)
            if found is not None and self._busy[machine.host] < self._most[machine.host]:
                self._waiting.remove(found)
                self._busy[machine.host] += 1
                return found
            await self._changed.wait()
        return None

    def finish(self, machine: ClusterMachine, item: Waiting) -> None:
        """Note that a worker has checked what it had taken."""
        self._busy[machine.host] -= 1
        self._unfinished -= 1
        self._notify()

    def lose(self, item: Waiting, loss: Loss, *, is_gone: bool) -> list[Waiting]:
        """Note that a worker was lost; return the servers that nobody can check any more.

        Args:
          item: what it had taken.
          loss: which worker, and how.
          is_gone: whether the worker checks nothing any more.
        """
        self._busy[loss.machine.host] -= 1
        item.losses.append(loss)
        self._waiting.appendleft(item)
        if is_gone:
            self.lost.append(loss)
            self._there.discard(loss.machine.number)
        hopeless = [each for each in self._waiting if not self._is_possible(each)]
        for each in hopeless:
            self._waiting.remove(each)
        self._unfinished -= len(hopeless)
        self._notify()
        return hopeless

    def _is_possible(self, item: Waiting) -> bool:
        return item.may_be_begun and any(not item.has_been_on(worker) for worker in self._there)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
