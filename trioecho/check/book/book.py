"""The rule book: what a server of length-prefixed echoes has to do, why, and who says so.

The words MUST and SHOULD are those of RFC 2119. A rule is named by its
section and its number in it, ``"2.3"``; numbers are never given to another rule.
The book of clients has the same form, and stands where its cases are.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .ending import ENDING
from .framing import FRAMING
from .garbage import GARBAGE
from .lifecycle import LIFECYCLE
from .limits import LIMITS
from .order import ORDER
from .rule import Heading, Level, Rule, Section
from .stream import STREAM

__all__ = [
    "RULES",
    "SECTIONS",
    "SERVERS",
    "Book",
    "Heading",
    "Level",
    "Rule",
    "Section",
    "rule_of",
    "select",
]


@dataclass(frozen=True)
class Book:
    """The rules for one kind of program.

    Attributes:
      noun: what keeps or breaks them: ``"server"`` or ``"client"``.
      sections: in their order.
      simplest: the id of the rule without which no other says anything.
    """

    noun: str
    sections: tuple[Section, ...]
    simplest: str

    @functools.cached_property
    def rules(self) -> Mapping[str, Rule]:
        """All rules by their ids, in the book's order."""
        return {rule.id: rule for section in self.sections for rule in section.rules}

    def has(self, name: str) -> bool:
        """Return whether a rule or a section is called so."""
        return name in self.rules or self.section(name) is not None

    def section(self, name: str) -> Section | None:
        """Return the section of this name, if there is one."""
        return next((section for section in self.sections if section.id == name), None)

    def select(self, names: Sequence[str]) -> list[Rule]:
        """Return the rules that are named, by id (``"2.3"``) or by section (``"2"``); all, if none is.

        Whatever the order of the names, the rules come in the book's.

        Raises:
          KeyError: with the first name that the book does not have.
        """
        chosen = set()
        for name in names:
            ids = {rule.id for rule in self.rules.values() if name in (rule.id, rule.section_id)}
            if not ids:
                raise KeyError(name)
            chosen |= ids
        return [rule for rule in self.rules.values() if not names or rule.id in chosen]


SERVERS = Book("server", (FRAMING, STREAM, ORDER, LIMITS, ENDING, LIFECYCLE, GARBAGE), simplest="1.2")
SECTIONS = SERVERS.sections
RULES = SERVERS.rules


def rule_of(case_id: str) -> Rule:
    """Return the rule for servers with this id.

    Raises:
      KeyError: the book has none.
    """
    return RULES[case_id]


def select(names: Sequence[str]) -> list[Rule]:
    """Return the rules for servers that are named, as `Book.select` does."""
    return SERVERS.select(names)
