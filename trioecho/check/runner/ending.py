"""When a run ends early: its time is spent, or it is interrupted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from ...base.nursery import open_background_nursery

INTERRUPTED = "the run was interrupted"


@dataclass(frozen=True)
class RunEnding:
    """When a run ends early.

    Attributes:
      deadline: by Trio's clock.
      at_deadline: what is said then.
      interrupt: when it is set; None for never.
    """

    deadline: float
    at_deadline: str
    interrupt: trio.Event | None

    @classmethod
    def within(cls, time_limit_s: float, interrupt: trio.Event | None) -> RunEnding:
        """Return the ending of a run that begins now."""
        words = f"the {time_limit_s:g} s for this run were spent"
        return cls(trio.current_time() + time_limit_s, words, interrupt)

    async def run(self, work: Callable[[], Awaitable[None]]) -> str:
        """Do the work; return why it ended early, or nothing if it did not."""
        why = self.at_deadline
        async with open_background_nursery() as nursery:
            nursery.cancel_scope.deadline = self.deadline

            async def watch(interrupt: trio.Event) -> None:
                nonlocal why
                await interrupt.wait()
                why = INTERRUPTED
                nursery.cancel_scope.cancel()

            if self.interrupt is not None:
                nursery.start_soon(watch, self.interrupt)
            await work()
            why = ""
        return why
