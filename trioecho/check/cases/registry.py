"""Which function tries which rule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..book.book import rule_of
from ..client.probe import Probe

# Gives a line on what was seen when all was as it should be.
Function = Callable[[Probe], Awaitable[str]]


@dataclass(frozen=True)
class Case:
    """How a rule is tried.

    Attributes:
      id: the rule's.
      run: tries it; returns what was seen, or raises `Deviation`,
        `NotApplicableError` or `InconclusiveError`.
      is_alone: whether no other case may run meanwhile, because it takes much of
        the server, or may harm it.
      may_end_server: whether a server that is not careful may not survive it; where such
        a server cannot be started again no other case may run meanwhile.
      tries: how often it is tried, because what it is about is a race; the worst try counts.
    """

    id: str
    run: Function
    is_alone: bool = False
    may_end_server: bool = False
    tries: int = 1


CASES: dict[str, Case] = {}


def case(
    rule_id: str, *, is_alone: bool = False, may_end_server: bool = False, tries: int = 1
) -> Callable[[Function], Function]:
    """Register the function that tries a rule; the arguments are those of `Case`."""
    rule_of(rule_id)

    def register(function: Function) -> Function:
        if rule_id in CASES:
            raise ValueError(f"rule {rule_id} has a case already")
        CASES[rule_id] = Case(rule_id, function, is_alone, may_end_server, tries)
        return function

    return register
