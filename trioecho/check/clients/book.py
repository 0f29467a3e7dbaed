"""The book of clients: what a client of length-prefixed echoes has to do, why, and who says so."""

from __future__ import annotations

from ..book.book import SERVERS, Book
from ..book.rule import Rule
from .registry import LETTER, ClientCase
from .rules.conduct import CONDUCT
from .rules.delivery import DELIVERY
from .rules.endings import ENDINGS
from .rules.lengths import LENGTHS
from .rules.replies import REPLIES

_CHAPTERS = (DELIVERY, REPLIES, ENDINGS, LENGTHS, CONDUCT)

CLIENTS = Book("client", tuple(chapter.section for chapter in _CHAPTERS), simplest="C1.1")
CLIENT_CASES: dict[str, ClientCase] = {case.id: case for chapter in _CHAPTERS for case in chapter.cases}


def rule_of_either(rule_id: str) -> Rule:
    """Return the rule with this id, for servers or for clients.

    Raises:
      KeyError: neither book has one.
    """
    return (CLIENTS if rule_id.startswith(LETTER) else SERVERS).rules[rule_id]
