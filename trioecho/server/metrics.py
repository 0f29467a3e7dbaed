"""The metrics task: it collects what connections count, and reports it on a schedule.

All connections of a server share one `Tally`, to which each adds once per send, with plain
additions: no waiting and no lock, because their tasks never run at the same time. A tally
for each would cost memory, and time to collect it.

When there is something new, the tally goes (itself, not a copy) into a memory channel. Until
the metrics task takes it out, connections go on adding to it. The task wakes on its schedule,
takes the tally, empties it, and reports. So each message is counted exactly once, and the
channel, which has room for one, is never full: a tally that waits in it is not sent again.

Whoever asks for totals in between has the tally taken out at once; what was in it waits for
the next report, which is the same as if nobody had asked.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

import trio

from .counts import Counts
from .report import Report, report_of
from .tally import Tally

logger: logging.Logger = logging.getLogger(__name__)


class Metrics:
    """Makes reports of what is counted.

    Attributes:
      tally: where to count it.

    Args:
      interval_s: seconds from one report to the next; 0 for the final report only.
      connections: returns how many connections are open now.
      on_report: called with each `Report`; must return at once. If it raises,
        the error is logged, with its traceback, and reports go on.
    """

    def __init__(
        self,
        *,
        interval_s: float,
        connections: Callable[[], int],
        on_report: Callable[[Report], object],
    ) -> None:
        self._interval_s = interval_s
        self._connections = connections
        self._on_report = on_report
        to_task, self._from_connections = trio.open_memory_channel[Tally](1)
        self.tally: Tally = Tally(to_task)
        self._unreported = Counts()
        self._totals = Counts()
        self._interval_began = trio.current_time()
        self._has_ended = False

    async def run(self) -> None:
        """Report on schedule until cancelled; call `report_final` after that.

        The schedule does not drift: a late report does not delay the next one. A
        report that could not be made in time is left out, and the next one covers
        its time.
        """
        if not self._interval_s:
            await trio.sleep_forever()
        due = self._interval_began
        while True:
            missed = (trio.current_time() - due) // self._interval_s
            due += self._interval_s * (missed + 1)
            await trio.sleep_until(due)
            self._report(final=False)

    def totals(self) -> Counts:
        """Return all that was counted since the start; whoever gets it must not change it."""
        self._merge()
        return self._totals

    def report_now(self) -> None:
        """Report what was counted since the last report, whatever the schedule says.

        The next report on the schedule comes when it is due, and covers the time
        since this one. After the final report this does nothing.
        """
        if not self._has_ended:
            self._report(final=False)

    def report_final(self) -> None:
        """Report what has not been reported yet; this is the last report."""
        self._has_ended = True
        self._report(final=True)

    def _report(self, *, final: bool) -> None:
        now = trio.current_time()
        interval_s, self._interval_began = now - self._interval_began, now
        report = self._collect(interval_s, final)
        try:
            self._on_report(report)
        except Exception:
            logger.exception("on_report failed; the service goes on")

    def _merge(self) -> None:
        with contextlib.suppress(trio.WouldBlock):  # there is nothing new
            counts = self._from_connections.receive_nowait().take()
            self._unreported.add(counts)
            self._totals.add(counts)

    def _collect(self, interval_s: float, final: bool) -> Report:
        self._merge()
        return report_of(
            self._unreported.take(),
            interval_s=interval_s,
            messages_total=self._totals.messages,
            errors_total=self._totals.errors,
            connections=self._connections(),
            final=final,
        )
