"""How the run of a case ended, before all cases together say why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from ..book.book import SERVERS, Book
from ..client.finding import BREAKS_OFF, Deviation, Kind
from ..spawned.spawned_server import SpawnedServer
from ..verdict import CaseResult, Cause, Event, Verdict

# How many cases show what the server wrote; it is mostly the same.
_SHOWING_OUTPUT = 3
_WROTE = "the server wrote: "


class Named(Protocol):
    """A case, of which only its rule matters here."""

    @property
    def id(self) -> str:
        """The rule's id."""


@dataclass(eq=False)
class CaseOutcome:
    """How a case's run ended.

    Attributes:
      case: which.
      deviation: what was not as it should be.
      server: what it ran against, if that is one that all share.
      did_server_end: whether the server was gone when the case ended, of which another
        case may be the cause that ran beside it, or before.
      notes: what else is to be said of it.
      attempts: how often it ran.
      was_refused: whether no connection was accepted before it had sent a byte: that is
        never the case's fault.
      is_charged: whether it is known to have ended the server.
    """

    case: Named
    verdict: Verdict
    summary: str
    elapsed_s: float
    transcript: tuple[Event, ...]
    events_left_out: int
    deviation: Deviation | None = None
    server: SpawnedServer | None = None
    did_server_end: bool = False
    notes: tuple[str, ...] = ()
    attempts: int = 1
    was_refused: bool = False
    is_charged: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has to be seen again to be believed."""
        return self.deviation is not None and self.deviation.is_uncertain and not self.did_server_end

    @property
    def is_suspect(self) -> bool:
        """Whether it may have ended the server, as far as is known."""
        return self.did_server_end and not self.is_charged

    def result(self, cause: Cause | None, reproduce: str, book: Book = SERVERS) -> CaseResult:
        """Return the result for the reports."""
        deviation = self.deviation
        return CaseResult(
            id=self.case.id,
            verdict=self.verdict,
            summary=self.summary,
            expected=deviation.expected if deviation else "",
            actual=deviation.actual if deviation else "",
            cause=cause,
            transcript=self.transcript,
            events_left_out=self.events_left_out,
            notes=self.notes,
            reproduce=reproduce,
            elapsed_s=self.elapsed_s,
            attempts=self.attempts,
            book=book,
        )

    def charged(self) -> CaseOutcome:
        """Return it as that of the case which has ended the server: a failure, whatever else it saw."""
        server = self.server
        how = f"the server {server.how_it_ended}" if server else "the server accepted no connection any more"
        when = f"{how} in this case" if server else f"after this case {how}"
        deviation = self.deviation
        if deviation is None:
            seen = f"; what was seen before: {self.summary}" if self.verdict is Verdict.PASS else ""
            deviation = Deviation(Kind.OTHER, "the server to serve on", f"{how}{seen}")
        elif deviation.kind in BREAKS_OFF and server:
            deviation.actual += f" ({how})"
        return replace(
            self,
            verdict=Verdict.FAIL,
            deviation=deviation,
            summary=deviation.actual,
            is_charged=True,
            did_server_end=True,
            notes=(*self.notes, when, *(last_words(server) if server else ())),
        )


def not_tried(case: Named, why: str) -> CaseOutcome:
    """Return the outcome of a case that was not run."""
    return CaseOutcome(case, Verdict.INCONCLUSIVE, why, 0.0, (), 0)


def last_words(server: SpawnedServer) -> tuple[str, ...]:
    """Return notes of what a server has written last."""
    return tuple(f"{_WROTE}{line}" for line in server.last_lines())


def with_output_once(outcomes: Iterable[CaseOutcome]) -> Iterator[CaseOutcome]:
    """Give the outcomes with what the server wrote where it was first, and not in every case again."""
    shown: dict[tuple[str, ...], str] = {}
    for outcome in outcomes:
        output = tuple(note for note in outcome.notes if note.startswith(_WROTE))
        rest = tuple(note for note in outcome.notes if not note.startswith(_WROTE))
        if len(output) < 2:
            yield outcome
        elif output in shown:
            yield replace(outcome, notes=(*rest, f"the server wrote the same as in case {shown[output]}"))
        elif len(shown) < _SHOWING_OUTPUT:
            shown[output] = outcome.case.id
            yield outcome
        else:
            yield replace(outcome, notes=(*rest, "the server wrote more, which is left out here"))
