"""The board of a service: each report is a sample."""

from __future__ import annotations

import json
from typing import Any

from ..base.version import version_and_build
from ..server.report import Report
from ..server.report_lines import report_as_json
from .board_feed import BoardFeed, heat_bins


class ServiceBoard:
    """Tells the live page what happens to a service.

    Attributes:
      feed: what the page is told.
    """

    def __init__(self) -> None:
        self.feed: BoardFeed = BoardFeed("service", "trioecho serve", version_and_build())
        self._errors: dict[str, int] = {}
        self._workers = 0
        self._is_draining = False

    def note_listening(self, addresses: str) -> None:
        """Show that the service accepts connections."""
        self.feed.set_about("trioecho serve", f"{addresses}; {version_and_build()}")
        self.feed.note_state("serving", "serving")
        self.feed.note_event(addresses)

    def note_drain(self, connections: int) -> None:
        """Show that the drain begins."""
        self._is_draining = True
        self.feed.note_state("draining", "draining: no new connection is accepted")
        self.feed.note_event(f"the drain begins, with {connections:,} connections open")

    def note_report(self, report: Report, workers: int) -> None:
        """Show a report, and what is new in it."""
        if self._workers and workers != self._workers:
            self.feed.note_event(f"{workers} workers serve, {self._workers} before")
        self._workers = workers
        for kind, number in sorted(report.errors.items()):
            if (new := number - self._errors.get(kind, 0)) > 0:
                self.feed.note_event(f"{kind}: {new:,}")
        self._errors = dict(report.errors)
        self.feed.note_sample(_sample_of(report, workers, is_draining=self._is_draining))
        if report.final:
            self.feed.note_state("ended", "ended")


def _sample_of(report: Report, workers: int, *, is_draining: bool) -> dict[str, Any]:
    sample: dict[str, Any] = json.loads(report_as_json(report))
    return {
        **sample.pop("service_ms"),
        **sample,
        "t": report.time.timestamp(),
        "workers": workers,
        "draining": is_draining,
        "heat": heat_bins(report.counts.service_ns),
    }
