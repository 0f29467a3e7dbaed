"""Which reports are worth a line: of a service that is idle one is enough."""

from __future__ import annotations

from .report import Report


class WantedReports:
    """Chooses among the reports of a service, in their order.

    Args:
      is_quiet_when_idle: whether a report is left out if it says of its interval what the one
        before said of its own: no message, no more errors, as many connections. So the first
        report of an idle time is there, and the first one after it.
    """

    def __init__(self, *, is_quiet_when_idle: bool) -> None:
        self._is_quiet_when_idle = is_quiet_when_idle
        self._before: Report | None = None
        self._is_asked_for = False

    def ask(self) -> None:
        """Want the next report, whatever is in it."""
        self._is_asked_for = True

    def has(self, report: Report) -> bool:
        """Return whether the next report is wanted; the final one always is."""
        before, self._before = self._before, report
        is_asked_for, self._is_asked_for = self._is_asked_for, False
        if not self._is_quiet_when_idle or report.final or is_asked_for or before is None:
            return True
        is_idle = not report.messages and not report.blocked_s
        was_idle = not before.messages and not before.blocked_s
        return not (
            is_idle
            and was_idle
            and report.connections == before.connections
            and report.errors == before.errors
        )
