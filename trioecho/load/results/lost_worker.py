"""A worker that was lost while its part of a load ran, and what is not known of that part."""

from __future__ import annotations

from dataclasses import dataclass

from ...base.json_part import Part
from ...base.printable import printable_line
from ...base.quantities import plural

# No load took longer, either way.
_MOST_S = 1e9


@dataclass(frozen=True)
class LostWorker:
    """A process of a load that died or hung before its part was done, and its share of the messages.

    Attributes:
      name: of the worker, with its machine or its process, in words.
      reason: how it was lost, in words that follow the name.
      lost_s: when that was seen, in seconds since the measured part began; negative in the warm-up.
      reported_s: up to when its reports go; None if there was none.
      connections: that it had.
      of_connections: that the load had.
      sent: messages that it had sent by its last report.
      unknown: those of them of which no report says what became of them.
      unreported: messages that were due at it after that, sent or not.
      is_counted: whether that is known: in a closed loop that no number of messages ends, it is not.
    """

    name: str
    reason: str
    lost_s: float
    reported_s: float | None
    connections: int
    of_connections: int
    sent: int
    unknown: int
    unreported: int
    is_counted: bool

    @property
    def unaccounted(self) -> int:
        """The messages of its share of which nobody knows what became of them."""
        return self.unknown + self.unreported

    @property
    def when(self) -> str:
        """The time at which the loss was seen, in words."""
        return f"after {self.lost_s:,.1f} s" if self.lost_s >= 0 else "in the warm-up"

    @property
    def in_words(self) -> str:
        """Who was lost, how, when, and what is not known of its share: a sentence without its end."""
        lost = f"{self.when}, {printable_line(self.name)} {printable_line(self.reason)}"
        had = f"it had {self.connections:,} of {plural(self.of_connections, 'connection')}"
        if self.reported_s is None:
            reported = "and sent no report"
        else:
            sent = plural(self.sent, "message")
            reported = f"and had sent {sent} by its last report, of {self.reported_s:,.1f} s"
        of_share = f"{plural(self.unaccounted, 'message')} of its share {_is_or_are(self.unaccounted)}"
        more = "" if self.is_counted else "; what it sent after that is in no number"
        return f"{lost}; {had}, {reported}; {of_share} not accounted for{more}"


def _is_or_are(count: int) -> str:
    return "is" if count == 1 else "are"


def read_lost_workers(part: Part) -> list[LostWorker]:
    """Return the lost workers of a result.

    Raises:
      DamagedError: it is something else.
    """
    lost = []
    for item in part:
        worker: LostWorker = item.record(LostWorker)
        for name in ("connections", "of_connections", "sent", "unknown", "unreported"):
            item[name].count()
        for name in ("lost_s", "reported_s"):
            if abs(getattr(worker, name) or 0.0) > _MOST_S:
                raise item[name].wrong("no load took as long")
        lost.append(worker)
    return lost
