"""The rule book: what a server of length-prefixed echoes has to do, why, and who says so.

The words MUST and SHOULD are those of RFC 2119. A rule is named by its
section and its number in it, ``"2.3"``; numbers are never given to another rule.
"""

from __future__ import annotations

from .ending import ENDING
from .framing import FRAMING
from .garbage import GARBAGE
from .lifecycle import LIFECYCLE
from .limits import LIMITS
from .order import ORDER
from .rule import Heading, Level, Rule, Section
from .stream import STREAM

__all__ = ["RULES", "SECTIONS", "Heading", "Level", "Rule", "Section", "rule_of", "select"]

SECTIONS = (FRAMING, STREAM, ORDER, LIMITS, ENDING, LIFECYCLE, GARBAGE)
RULES = {rule.id: rule for section in SECTIONS for rule in section.rules}


def rule_of(case_id: str) -> Rule:
    """Return the rule with this id.

    Raises:
      KeyError: the book has none.
    """
    return RULES[case_id]


def select(names: tuple[str, ...] | list[str]) -> list[Rule]:
    """Return the rules that are named, by id (``"2.3"``) or by section (``"2"``); all, if none is.

    Whatever the order of the names, the rules come in the book's.

    Raises:
      KeyError: with the first name that the book does not have.
    """
    chosen = set()
    for name in names:
        ids = {rule.id for rule in RULES.values() if name in (rule.id, str(rule.section))}
        if not ids:
            raise KeyError(name)
        chosen |= ids
    return [rule for rule in RULES.values() if not names or rule.id in chosen]
