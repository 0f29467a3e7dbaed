"""What the pages of ``--admin`` know of a load that runs."""

from __future__ import annotations

from collections import Counter

from ..base.histogram import Histogram
from ..load import LoadPlan, LoadProgress
from ..load.results.path_counts import PathCounts


class LoadState:
    """All that a load has done so far, over its runs, of which a search has several.

    Attributes:
      runs: how many have begun.
      plan: of the run that goes on; None before the first.
      progress: the last one of that run; None before the first.
      latency_ns: of all right replies of the measured parts, of all runs.
      bytes: of these replies on the wire.
      path: what the kernel knew of the connections, of all runs; None where it does not say.
    """

    def __init__(self) -> None:
        self.runs: int = 0
        self.plan: LoadPlan | None = None
        self.progress: LoadProgress | None = None
        self.latency_ns: Histogram = Histogram()
        self.bytes: int = 0
        self.path: PathCounts | None = None
        # Of the runs before this one.
        self._sent = 0
        self._messages = 0
        self._errors: Counter[str] = Counter()

    def begin_run(self, plan: LoadPlan) -> None:
        """Go on with another run."""
        self._sent, self._messages, self._errors = self.sent, self.messages, Counter(self.errors)
        self.runs += 1
        self.plan = plan
        self.progress = None

    def note_progress(self, progress: LoadProgress) -> None:
        """Add what has happened since the last progress."""
        self.progress = progress
        self.latency_ns.merge(progress.interval.latency_ns)
        self.bytes += progress.interval.bytes
        if progress.interval.path is not None:
            self.path = PathCounts() if self.path is None else self.path
            self.path.add(progress.interval.path)

    @property
    def sent(self) -> int:
        """Messages offered to the kernel in the measured parts."""
        return self._sent + (self.progress.sent if self.progress else 0)

    @property
    def messages(self) -> int:
        """Right replies to them."""
        return self._messages + (self.progress.messages if self.progress else 0)

    @property
    def errors(self) -> Counter[str]:
        """Errors by kind."""
        return self._errors + Counter(self.progress.errors if self.progress else {})
