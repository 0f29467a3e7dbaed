"""How the run of a case ended, before all cases together say why."""

from __future__ import annotations

from dataclasses import dataclass

from .cases import Case
from .causes import CAUSES
from .finding import Deviation
from .server import SpawnedServer
from .verdict import CaseResult, Event, Verdict


@dataclass
class Outcome:
    """How a case's run ended.

    Attributes:
      deviation: what was not as it should be.
      server: what it ran against, if that is one that all share.
      did_server_end: whether the server was gone when the case ended.
      notes: what else is to be said of it.
      attempts: how often it ran.
    """

    case: Case
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

    @property
    def is_open(self) -> bool:
        """Whether it has to be seen again to be believed."""
        return self.deviation is not None and self.deviation.is_uncertain and not self.did_server_end

    def result(self, cause_id: str | None, reproduce: str) -> CaseResult:
        """What is told of it."""
        deviation = self.deviation
        return CaseResult(
            id=self.case.id,
            verdict=self.verdict,
            summary=self.summary,
            expected=deviation.expected if deviation else "",
            actual=deviation.actual if deviation else "",
            cause=CAUSES[cause_id] if cause_id else None,
            transcript=self.transcript,
            events_left_out=self.events_left_out,
            notes=self.notes,
            reproduce=reproduce,
            elapsed_s=self.elapsed_s,
            attempts=self.attempts,
        )
