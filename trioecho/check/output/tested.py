"""Several servers or clients at once: those that were tested, and those that could not be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ..book.book import SERVERS, Book
from ..verdict import CheckMachine, SuiteResult


@dataclass(frozen=True)
class Untested:
    """A server or client that the suite could not try.

    Attributes:
      target: its name; if it has none, ``HOST:PORT``, or a command.
      reason: why, in a line.
      book: the rules that it would have been held to.
      machine: where that was seen; None if on this one, or on none.
    """

    target: str
    reason: str
    book: Book = SERVERS
    machine: CheckMachine | None = None


Tested = SuiteResult | Untested
Conformance = Literal["conformant", "not conformant", "inconclusive", "not tested"]


def book_of(servers: Sequence[Tested]) -> Book:
    """Return the rules that all of these were held to: all are servers, or all are clients."""
    return servers[0].book if servers else SERVERS


def outcome_of(server: Tested, *, strict: bool) -> Conformance:
    """Return the verdict on one server."""
    return server.outcome(strict=strict) if isinstance(server, SuiteResult) else "not tested"


def outcome_of_all(servers: Iterable[Tested], *, strict: bool) -> Conformance:
    """Return the worst verdict: "not conformant", then "not tested", then "inconclusive"."""
    outcomes = {outcome_of(server, strict=strict) for server in servers}
    order: tuple[Conformance, ...] = ("not conformant", "not tested", "inconclusive")
    return next((outcome for outcome in order if outcome in outcomes), "conformant")
