"""Carry out a load plan: in this process, or with worker processes."""

from __future__ import annotations

from collections.abc import Callable

from .local import LocalRun
from .plan import LoadPlan
from .result import LoadResult, Progress
from .supervisor import WorkersRun


class LoadRun:
    """One load, which can be stopped.

    Args:
      plan: what to do.
      on_progress: called with a `Progress` every ``progress_interval_s``; must return at once.
      progress_interval_s: seconds.
    """

    def __init__(
        self,
        plan: LoadPlan,
        *,
        on_progress: Callable[[Progress], object] = lambda progress: None,
        progress_interval_s: float = 1.0,
    ) -> None:
        self._run: LocalRun | WorkersRun
        if plan.processes > 1:
            self._run = WorkersRun(plan, on_progress=on_progress, progress_interval_s=progress_interval_s)
        else:
            self._run = LocalRun(
                plan, 0, plan.connections, on_progress=on_progress, progress_interval_s=progress_interval_s
            )

    def stop(self) -> None:
        """Send nothing more, wait for the replies under way (up to the plan's timeout), and end.

        Before anything was measured the result is an empty one. Harmless when it was called before.
        """
        self._run.stop()

    async def run(self) -> LoadResult:
        """Connect, carry out the plan, close.

        A server that goes away in the middle is in the result's errors. When cancelled,
        all connections are closed and all processes ended; nothing is left.

        Raises:
          CannotConnectError: not one connection could be opened.
          TooManyConnectionsError: the limit of open files is too low.
          WorkerFailedError: a worker process ended before its part of the load was done.
        """
        return await self._run.run()


async def run_load(
    plan: LoadPlan,
    *,
    on_progress: Callable[[Progress], object] = lambda progress: None,
    progress_interval_s: float = 1.0,
) -> LoadResult:
    """Carry out a plan from start to end: `LoadRun` without a way to stop it but cancelling."""
    run = LoadRun(plan, on_progress=on_progress, progress_interval_s=progress_interval_s)
    return await run.run()
