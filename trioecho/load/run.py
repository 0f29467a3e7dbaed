"""Carry out a load plan: in this process, or with worker processes."""

from __future__ import annotations

from collections.abc import Callable

from .plan import LoadPlan
from .result import LoadResult, Progress


class CannotConnectError(Exception):
    """The server could not be reached before the load began; nothing was sent.

    Attributes:
      host (str): name or address.
      port (int): TCP port.
      reason (str): why, in words.
    """

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host = host
        self.port = port
        self.reason = reason

    def __str__(self) -> str:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"cannot connect to {where}: {self.reason}"


class TooManyConnectionsError(Exception):
    """More connections were asked for than this process may open; nothing was sent.

    Attributes:
      connections (int): asked for.
      open_files (int): the hard limit of open files.
    """

    def __init__(self, connections: int, open_files: int) -> None:
        super().__init__(connections, open_files)
        self.connections = connections
        self.open_files = open_files

    def __str__(self) -> str:
        return (
            f"{self.connections} connections need more open files than the limit of {self.open_files} allows: "
            f"raise it (ulimit -Hn, as root), use more processes, or take fewer connections"
        )


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
        self._plan = plan

    def stop(self) -> None:
        """Send nothing more, wait for the replies under way (up to the plan's timeout), and end.

        Before anything was measured the result is an empty one. Harmless when it was called before.
        """
        raise NotImplementedError

    async def run(self) -> LoadResult:
        """Connect, carry out the plan, close.

        A server that goes away in the middle is in the result's errors. When cancelled,
        all connections are closed and all processes ended; nothing is left.

        Raises:
          CannotConnectError: not one connection could be opened.
          TooManyConnectionsError: the limit of open files is too low.
        """
        raise NotImplementedError


async def run_load(
    plan: LoadPlan,
    *,
    on_progress: Callable[[Progress], object] = lambda progress: None,
    progress_interval_s: float = 1.0,
) -> LoadResult:
    """Carry out a plan from start to end: `LoadRun` without a way to stop it but cancelling."""
    run = LoadRun(plan, on_progress=on_progress, progress_interval_s=progress_interval_s)
    return await run.run()
