"""What became of the connections of a load: those that were lost, opened again, or renewed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...base.histogram import Histogram
from ...base.quantities import in_seconds, plural

# How many outages are kept with their times; of all there are counts.
MOST_OUTAGES = 1000
# How many different reasons for failed attempts are kept.
MOST_REASONS = 10
_OTHER_REASONS = "other reasons"


class Outage(NamedTuple):
    """A time in which at least one connection had been lost and was not open again.

    Attributes:
      start_s: when the first was lost, in seconds since the measured part began.
      length_s: until the last was open again, or until the measured part ended.
      connections: how many were lost in it; one counts twice that was lost twice.
      is_over: False if the measured part ended before all were open again.
    """

    start_s: float
    length_s: float
    connections: int
    is_over: bool = True

    @property
    def end_s(self) -> float:
        """When it was over."""
        return self.start_s + self.length_s


@dataclass
class ChurnResult:
    """How connections came and went.

    Outages are of the measured part; all else is of the warm-up, too.

    Attributes:
      renewed: connections that were opened after the start, in the place of others.
      ended: connections that the load ended in order, because of their messages or their time.
      failed_attempts: how often a connection could not be opened after the start, by reason.
      taken_back: messages of the measured part that were in flight when the server ended their connection
        between two replies: one that drains has not taken them, and one that died may have. They were
        sent once more, and count twice in the messages sent, or are unsent.
      conversations_cut: those that the load ended in the middle: by its own end, or since they went on for
        long after the part of their connection was done.
      outages: the first of them, in order; those that overlap are one.
      outage_ns: for how long each connection that was lost was not open again.
      first_reply_ns: from the first message on a connection to its reply, where that came in time.
      attempt_lateness_ns: from when an attempt to connect was due, by the rate of new connections, to
        when it was made.
    """

    renewed: int = 0
    ended: int = 0
    failed_attempts: dict[str, int] = field(default_factory=dict)
    taken_back: int = 0
    conversations_cut: int = 0
    outages: list[Outage] = field(default_factory=list)
    outage_ns: Histogram = field(default_factory=Histogram)
    first_reply_ns: Histogram = field(default_factory=Histogram)
    attempt_lateness_ns: Histogram = field(default_factory=Histogram)

    @property
    def lasts(self) -> bool:
        """True if an outage was not over when the measured part ended."""
        return any(not outage.is_over for outage in self.outages)

    @property
    def in_short(self) -> str:
        """The outages in a phrase; empty if there were none."""
        if not self.outages:
            return ""
        total_s = sum(outage.length_s for outage in self.outages)
        over = ", not over at the end" if self.lasts else ""
        return f"{plural(len(self.outages), 'outage')} of {in_seconds(total_s)} in all{over}"

    @property
    def taken_back_in_words(self) -> str:
        """What became of the messages that were taken back, a phrase; empty if there were none."""
        if not self.taken_back:
            return ""
        return (
            f"{plural(self.taken_back, 'message')} without a reply when the server ended the connection: "
            "sent again on another one, or unsent; it is not known what the server had taken"
        )

    @property
    def cut_in_words(self) -> str:
        """How many conversations the load has cut, a phrase; empty if it has cut none."""
        if not self.conversations_cut:
            return ""
        cut = plural(self.conversations_cut, "conversation")
        return f"{cut} cut in the middle, where the messages of the connection, or the load, were over"

    def note_failure(self, reason: str) -> None:
        """Count an attempt that failed."""
        add_reasons(self.failed_attempts, {reason: 1})


def add_reasons(reasons: dict[str, int], more: dict[str, int]) -> None:
    """Add counts by reason; those of reasons beyond the first few go together."""
    for reason, count in more.items():
        is_known = reason in reasons or len(reasons) < MOST_REASONS
        name = reason if is_known else _OTHER_REASONS
        reasons[name] = reasons.get(name, 0) + count


def merge_churn(parts: Sequence[ChurnResult]) -> ChurnResult:
    """Add up what became of the connections of several processes or machines."""
    merged = ChurnResult()
    for part in parts:
        merged.renewed += part.renewed
        merged.ended += part.ended
        merged.taken_back += part.taken_back
        merged.conversations_cut += part.conversations_cut
        for name in _HISTOGRAMS:
            getattr(merged, name).merge(getattr(part, name))
    reasons: Counter[str] = Counter()
    for part in parts:
        reasons.update(part.failed_attempts)
    add_reasons(merged.failed_attempts, dict(reasons.most_common()))
    merged.outages = join_outages(outage for part in parts for outage in part.outages)
    return merged


def join_outages(outages: Iterable[Outage]) -> list[Outage]:
    """Return outages in order, and one in the place of those that overlap; the first `MOST_OUTAGES`."""
    joined: list[Outage] = []
    for outage in sorted(outages):
        last = joined[-1] if joined else None
        if last is None or outage.start_s > last.end_s:
            joined.append(outage)
            continue
        length_s = max(last.end_s, outage.end_s) - last.start_s
        is_over = last.is_over and outage.is_over
        joined[-1] = Outage(last.start_s, length_s, last.connections + outage.connections, is_over)
    return joined[:MOST_OUTAGES]


_HISTOGRAMS = ("outage_ns", "first_reply_ns", "attempt_lateness_ns")
