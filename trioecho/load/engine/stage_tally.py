"""Count what belongs to each stage of a schedule, while a load runs."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from ...base.units import NS_PER_S
from ..results.stage_result import StageResult, stage_spans_ns
from ..stages import Stage


class StageTally:
    """Counts by stage. Times are in ns of the clock.

    Args:
      stages: of the plan; at least one.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._spans_ns = list(stage_spans_ns(stages))
        # Behind those of the stages are the counts of what is of none, in the warm-up and after the end.
        # Those since the last report, and those of all reports.
        self._names = [*(stage.name for stage in stages), ""]
        self._counts = [StageResult(name) for name in self._names]
        self._reported = [StageResult(name) for name in self._names[:-1]]
        self._begins: list[float] = [math.inf] * len(self._counts)

    def begin(self, at: int) -> None:
        """Let the first stage begin at this time."""
        self._begins = [at + begins_ns for begins_ns, _ in self._spans_ns]
        self._begins.append(at + self._spans_ns[-1][1])

    def at(self, time: int) -> StageResult:
        """Return the counts of the stage at a time; they go nowhere if there is none."""
        return self._counts[bisect_right(self._begins, time) - 1]

    def add_replies(self, count: int, due: int, sent: int, now: int) -> None:
        """Count the times of replies with the right content to messages that were due at one time."""
        stage = self.at(due)
        stage.latency_ns.record(now - due, count)
        stage.from_send_ns.record(now - sent, count)

    def add_right_replies(self, count: int, wire_bytes: int, due: int, now: int) -> None:
        """Count right replies to messages that were due at one time."""
        stage = self.at(due)
        stage.messages += count
        stage.bytes += wire_bytes
        self.at(now).received += count

    def add_unsent(self, dues: Iterable[int], by_stage: Sequence[int] = ()) -> None:
        """Count messages that will never be sent: those that were due at these times, and so many of each."""
        for due in dues:
            self.at(due).errors["unsent"] += 1
        for stage, count in zip(self._counts, by_stage, strict=False):
            if count:
                stage.errors["unsent"] += count

    def take(self) -> tuple[StageResult, ...]:
        """Return what was counted since the last call, of those stages in which something was."""
        counts, self._counts = self._counts, [StageResult(name) for name in self._names]
        for stage, new in zip(self._reported, counts, strict=False):
            stage.add(new)
        return tuple(
            new for new in counts[:-1] if new.sent or new.received or new.errors or new.latency_ns.count
        )

    def results(self, ended_s: float) -> list[StageResult]:
        """Return what was counted in a run that ended so long after the measured part began."""
        self.take()
        results = self._reported
        for stage, (begins_ns, ends_ns) in zip(results, self._spans_ns, strict=True):
            stage.begins_s = begins_ns / NS_PER_S
            stage.length_s = max(0, min(ends_ns, round(ended_s * NS_PER_S)) - begins_ns) / NS_PER_S
        return results
