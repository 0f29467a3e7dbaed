"""The board of a load: each progress is a sample."""

from __future__ import annotations

import math
from typing import Any

from ..base.histogram import Histogram
from ..base.quantities import in_full
from ..base.version import version_and_build
from ..load import LoadPlan, LoadProgress
from ..load.results.path_counts import PathCounts
from .board_feed import BoardFeed, heat_bins

# Of the curve by percentile: for each nine.
_POINTS_PER_NINE = 8
_MS = 1e6  # in nanoseconds


class LoadBoard:
    """Tells the live page what a load does; of a search, one run after the other.

    Attributes:
      feed: what the page is told.
    """

    def __init__(self) -> None:
        self._t_s: float = 0.0  # of all runs
        self.feed: BoardFeed = BoardFeed(
            "load", "trioecho load", version_and_build(), clock=lambda: self._t_s
        )
        self._plan: LoadPlan | None = None
        self._runs = 0
        self._began_s = 0.0
        self._phase = ""
        self._errors: dict[str, int] = {}
        self._due_ns = Histogram()
        self._send_ns = Histogram()
        self._server_mean_ms: float | None = None

    def begin_run(self, plan: LoadPlan, address: str) -> None:
        """Show another run against the server at ``address``."""
        self._plan = plan
        self._runs += 1
        self._began_s = self._t_s
        self._phase, self._errors = "", {}
        self._due_ns, self._send_ns = Histogram(), Histogram()
        self.feed.set_about(f"trioecho load {address}", version_and_build())
        rate = "" if plan.rate is None else f" at {in_full(plan.rate)} messages/s"
        self.feed.note_event(f"run {self._runs} begins{rate}")

    def note_progress(self, progress: LoadProgress) -> None:
        """Show a progress."""
        if progress.phase != self._phase:
            self._phase = progress.phase
            self.feed.note_state("serving" if progress.phase == "measuring" else "starting", progress.phase)
        for kind, number in sorted(progress.errors.items()):
            if (new := number - self._errors.get(kind, 0)) > 0:
                self.feed.note_event(f"{kind}: {new:,}")
        self._errors = dict(progress.errors)
        if progress.t_s > 0 and progress.interval.width_s:
            self._t_s = max(self._t_s, self._began_s + progress.t_s)
            self._due_ns.merge(progress.interval.latency_ns)
            self._send_ns.merge(progress.from_send_ns)
            self.feed.note_sample(self._sample_of(progress), latest={"curve": self._curve()})

    def note_server(self, mean_ms: float | None) -> None:
        """Show the server's own mean service time since the last call, from the next sample on."""
        self._server_mean_ms = mean_ms

    def note_end(self) -> None:
        """Show that nothing more comes."""
        self.feed.note_state("ended", "ended")

    def _sample_of(self, progress: LoadProgress) -> dict[str, Any]:
        step, latency = progress.interval, progress.interval.latency_ns
        return {
            "t": self._t_s,
            "interval_s": step.width_s,
            "messages_per_s": step.messages / step.width_s,
            "sent_per_s": step.sent / step.width_s,
            "mean": _in_ms(latency.mean),
            "p50": _in_ms(latency.percentile(50)),
            "p99": _in_ms(latency.percentile(99)),
            "max": _in_ms(latency.max if latency.count else None),
            "in_flight": progress.sent - progress.messages,
            "connections": progress.connections,
            "messages": progress.messages,
            "errors": dict(sorted(progress.errors.items())),
            "progress": self._share_done(progress),
            "server_mean": self._server_mean_ms,
            "heat": heat_bins(latency),
            **_path_of(step.path),
        }

    def _share_done(self, progress: LoadProgress) -> float | None:
        duration_s = self._plan.duration_s if self._plan is not None else None
        if duration_s:
            return min(1.0, progress.t_s / duration_s)
        return progress.messages / progress.planned if progress.planned else None

    def _curve(self) -> list[tuple[float, float | None, float | None]]:
        """Return the latency of this run so far on the scale of nines: from due, and from send."""
        end = math.log10(max(self._due_ns.count, 10))
        count = math.ceil(end * _POINTS_PER_NINE)
        places = [place / _POINTS_PER_NINE for place in range(count)] + [end]
        return [
            (
                place,
                _in_ms(self._due_ns.percentile(100 * (1 - 10**-place))),
                _in_ms(self._send_ns.percentile(100 * (1 - 10**-place))),
            )
            for place in places
        ]


def _path_of(path: PathCounts | None) -> dict[str, Any]:
    """Return what the kernel knew of the path; nothing where it does not say."""
    if path is None:
        return {}
    return {
        "retransmits": path.retransmits,
        "rtt_p50": _in_ms(path.rtt_ns.percentile(50)),
        "rtt_max": _in_ms(path.rtt_ns.max if path.rtt_ns.count else None),
        "window": path.congestion_window.percentile(50),
        "unsent": path.unsent_bytes.mean,
    }


def _in_ms(time_ns: float | None) -> float | None:
    return None if time_ns is None else time_ns / _MS
