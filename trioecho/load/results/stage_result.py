"""What was measured in one stage of a schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...base.histogram import Histogram
from ...base.units import NS_PER_S
from ..stages import Stage


@dataclass
class StageResult:
    """The counts of one stage.

    A message, its reply and what went wrong with it are of the stage in which the message was due,
    however late the reply came. What went wrong with a connection is of the stage in which it did.

    Attributes:
      name: of the stage.
      begins_s: when it began, in seconds since the measured part began.
      length_s: how long it lasted; 0 if the run ended before it.
      sent: messages that were due in it and were offered to the kernel.
      messages: replies to these that were right.
      bytes: of these replies on the wire, headers included.
      received: right replies that came while it lasted, whenever their messages were due.
      errors: how often each kind occurred; kinds that did not are not in it.
      failed: those of ``sent`` of which it is known that they have no right reply; not in files.
      latency_ns: as of `LoadResult`, of the messages that were due in it.
      from_send_ns: likewise.
    """

    name: str
    begins_s: float = 0.0
    length_s: float = 0.0
    sent: int = 0
    messages: int = 0
    bytes: int = 0
    received: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    latency_ns: Histogram = field(default_factory=Histogram)
    from_send_ns: Histogram = field(default_factory=Histogram)

    @property
    def unsent(self) -> int:
        """Messages that were due in it, and were not sent."""
        return self.errors.get("unsent", 0)

    @property
    def due(self) -> int:
        """Messages that were due in it: each of them is in ``sent``, in ``unsent``, or unreported."""
        return self.sent + self.unsent + self.errors.get("unreported", 0)

    @property
    def error_count(self) -> int:
        """Errors of all kinds."""
        return sum(self.errors.values())

    @property
    def due_per_s(self) -> float:
        """Messages per second that were due."""
        return self.due / self.length_s if self.length_s else 0.0

    @property
    def messages_per_s(self) -> float:
        """Right replies per second that came while it lasted: what the server gave."""
        return self.received / self.length_s if self.length_s else 0.0

    def add(self, other: StageResult) -> None:
        """Add what another process or machine counted in this stage."""
        self.length_s = max(self.length_s, other.length_s)
        for name in ("sent", "messages", "bytes", "received", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.errors.update(other.errors)
        self.latency_ns.merge(other.latency_ns)
        self.from_send_ns.merge(other.from_send_ns)


def stage_spans_ns(stages: Sequence[Stage]) -> Iterator[tuple[int, int]]:
    """Yield when each stage begins and when it ends, in ns since the measured part began."""
    begins_ns = 0
    for stage in stages:
        ends_ns = begins_ns + round(stage.length_s * NS_PER_S)
        yield begins_ns, ends_ns
        begins_ns = ends_ns


def merge_stages(parts: Sequence[Sequence[StageResult]]) -> list[StageResult]:
    """Add up what several processes or machines counted, stage by stage."""
    merged: list[StageResult] = []
    for stages in zip(*parts, strict=True):
        total = StageResult(stages[0].name, stages[0].begins_s)
        for stage in stages:
            total.add(stage)
        merged.append(total)
    return merged
