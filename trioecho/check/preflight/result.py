"""The result of the preflight."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ..client.pace import Pace
from ..client.wire import Wire
from ..diagnosis.diagnosis_of_wire import cause_of_wire
from ..spawned.only_first import OnlyFirst
from .blocker import Blocker

# Returns where to connect; a server that was started and has ended is started again.
Locate = Callable[[], Awaitable[tuple[str, int]]]

# How long a server that echoes nothing may take for anything else.
OTHER_ANSWER_S = 0.5


class CannotCheckError(Exception):
    """The suite cannot be run against this; the message says what was seen."""


@dataclass(frozen=True)
class Preflight:
    """The result of the preflight: what was seen before the first case.

    Attributes:
      pace: how fast it is.
      echoes: whether frames come back right at all.
      is_concurrent: whether a second connection is served while a first one stalls.
      other_wire: the headers that the server seems to speak instead.
      unasked: bytes that came on an idle connection of a server that echoes.
      blocker: why nothing but the simplest case is worth its time; None if the cases are.
      only_first: how a server that serves one connection and no other takes its end; such
        a server can be checked if the suite starts one for each connection.
    """

    pace: Pace = field(default_factory=Pace)
    echoes: bool = True
    is_concurrent: bool = True
    other_wire: Wire | None = None
    unasked: bytes = b""
    blocker: Blocker | None = None
    only_first: OnlyFirst | None = None

    def cause_everywhere(self, wire: Wire) -> str | None:
        """Return the cause that lets no frame come back right, if there is one."""
        if self.blocker is not None:
            return self.blocker.cause_id
        if self.unasked:
            return "speaks-unasked"
        return None if self.other_wire is None else cause_of_wire(self.other_wire, wire)

    @property
    def patience_s(self) -> float:
        """How long the server may be silent."""
        return self.pace.patience_s if self.echoes else OTHER_ANSWER_S

    @property
    def confirm_patience_s(self) -> float:
        """How long it may be, alone, before its silence is believed."""
        return self.pace.confirm_patience_s if self.echoes else OTHER_ANSWER_S
