"""What the first look at a server has shown."""

from __future__ import annotations

from dataclasses import dataclass, field

from .obstacle import Obstacle
from .pace import Pace
from .wire import Wire

# How long whoever echoes nothing may take for anything else.
OTHER_ANSWER_S = 0.5


class CannotCheckError(Exception):
    """The suite cannot be run against this; the message says what was seen."""


@dataclass(frozen=True)
class Survey:
    """What the first look has shown.

    Attributes:
      pace: how fast it is.
      echoes: whether frames come back right at all.
      is_concurrent: whether a second connection is served while a first one stalls.
      other_wire: the headers that the server seems to speak instead.
      unasked: bytes that came on an idle connection of a server that echoes.
      obstacle: why nothing but the simplest case is worth its time; None if the cases are.
    """

    pace: Pace = field(default_factory=Pace)
    echoes: bool = True
    is_concurrent: bool = True
    other_wire: Wire | None = None
    unasked: bytes = b""
    obstacle: Obstacle | None = None

    @property
    def patience_s(self) -> float:
        """How long the server may be silent."""
        return self.pace.patience_s if self.echoes else OTHER_ANSWER_S

    @property
    def confirm_patience_s(self) -> float:
        """How long it may be, alone, before its silence is believed."""
        return self.pace.confirm_patience_s if self.echoes else OTHER_ANSWER_S
