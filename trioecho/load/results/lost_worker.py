"""A worker that was lost while its part of a load ran, and what is not known of that part."""

from __future__ import annotations

from dataclasses import dataclass

from ...base.json_part import Part
from ...base.printable import printable_line
from ...base.quantities import plural

# No load took longer; a worker may also be lost before the measured part.
_MOST_S = 1e9


@dataclass(frozen=True)
class LostWorker:
    """A process of a load that died or hung before its part was done, and its share of the messages.

    Attributes:
      name: of the worker, with its machine or its process, in words.
      reason: how it was lost, in words that follow the name.
      lost_s: when that was seen, in seconds since the measured part began; negative before that.
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
        return f"after {self.lost_s:,.1f} s" if self.lost_s >= 0 else "before the measured part"

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
    return [_lost_worker(item) for item in part]


def _lost_worker(part: Part) -> LostWorker:
    lost_s = part["lost_s"].value
    if isinstance(lost_s, bool) or not isinstance(lost_s, int | float) or not abs(lost_s) <= _MOST_S:
        raise part["lost_s"].wrong(
            f"{part['lost_s']} is not a time that a load can take, before or after its start"
        )
    reported_s = part["reported_s"].read(float | None)
    if reported_s is not None and reported_s > _MOST_S:
        raise part["reported_s"].wrong("no load took as long")
    return LostWorker(
        name=part["name"].text(),
        reason=part["reason"].text(),
        lost_s=float(lost_s),
        reported_s=reported_s,
        connections=part["connections"].count(),
        of_connections=part["of_connections"].count(),
        sent=part["sent"].count(),
        unknown=part["unknown"].count(),
        unreported=part["unreported"].count(),
        is_counted=part["is_counted"].flag(),
    )
