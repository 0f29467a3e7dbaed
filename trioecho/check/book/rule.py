"""What a rule of the book is made of."""

from __future__ import annotations

import enum
import string
from dataclasses import dataclass


class Level(enum.Enum):
    """How much a rule asks for."""

    MUST = "MUST"
    SHOULD = "SHOULD"


class Heading(enum.Enum):
    """The headings under which the course grades homework.

    `ANALYSIS` is for a person to judge; no rule belongs to it.
    """

    CORRECTNESS = "correctness"
    ROBUSTNESS = "framing robustness"
    EDGE_CASES = "edge cases"
    ANALYSIS = "clear analysis"


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
      id: section and number, as ``"2.3"``; of a rule for clients ``"C2.3"``.
      title: a few words.
      level: how much it asks for.
      requirement: what the server or client has to do, in full.
      reason: why.
      source: where it comes from.
      heading: where it counts when homework is graded.
      needs_spawn: whether it can be tried only on a server that the suite has started.
      is_core: whether it is what its heading is about, so that one who breaks it has at
        most half of the heading's points.
    """

    id: str
    title: str
    level: Level
    requirement: str
    reason: str
    source: str
    heading: Heading
    needs_spawn: bool = False
    is_core: bool = False

    @property
    def section(self) -> int:
        """The number of its section."""
        return int(self.section_id.lstrip(string.ascii_uppercase))

    @property
    def section_id(self) -> str:
        """The name of its section: its number, behind the letter of its book if that has one."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Section:
    """Rules that belong together.

    Attributes:
      number: the first part of their ids.
      title: a few words.
      about: what they are about, in a sentence or two.
      rules: in their order.
      letter: what stands before the number, in the book of clients.
    """

    number: int
    title: str
    about: str
    rules: tuple[Rule, ...]
    letter: str = ""

    @property
    def id(self) -> str:
        """What it is called by: ``"2"``, ``"C2"``."""
        return f"{self.letter}{self.number}"
