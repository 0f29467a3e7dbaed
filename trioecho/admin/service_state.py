"""What the pages of ``--admin`` know of a service that runs."""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..server.counts import Counts
from ..server.report import Report


class ServiceState:
    """A service from its start to its end, for whoever watches it.

    Attributes:
      totals: returns all that was counted since the start, which must not be changed.
      connections: returns how many are open now.
      workers: returns how many processes serve now.
      is_ready: whether clients are to connect: the service accepts, and no signal to end has come.
      is_draining: from the first signal on.
      last_report: None before the first.
    """

    def __init__(self) -> None:
        self.totals: Callable[[], Counts] = Counts
        self.connections: Callable[[], int] = lambda: 0
        self.workers: Callable[[], int] = lambda: 0
        self.is_ready: bool = False
        self.is_draining: bool = False
        self.last_report: Report | None = None
        self._has_news = trio.Event()

    def begin(
        self,
        totals: Callable[[], Counts],
        connections: Callable[[], int],
        workers: Callable[[], int] = lambda: 1,
    ) -> None:
        """Show a service that accepts connections from now on; the arguments are the attributes."""
        self.totals, self.connections, self.workers = totals, connections, workers
        self.is_ready = not self.is_draining
        self._wake()

    def begin_drain(self) -> None:
        """Show that the first signal has come."""
        self.is_draining = True
        self.is_ready = False
        self._wake()

    def note_report(self, report: Report) -> None:
        """Keep a report."""
        self.last_report = report
        self._wake()

    async def wait_for_news(self) -> None:
        """Wait for the next report, or for the service or its drain to begin."""
        await self._has_news.wait()

    def _wake(self) -> None:
        self._has_news.set()
        self._has_news = trio.Event()
