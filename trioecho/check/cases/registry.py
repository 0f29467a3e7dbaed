"""Which function tries which rule."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..book import rule_of
from ..probe import Probe

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
    """

    id: str
    run: Function
    is_alone: bool


CASES: dict[str, Case] = {}


def case(rule_id: str, *, is_alone: bool = False) -> Callable[[Function], Function]:
    """Register the function that tries a rule."""
    rule_of(rule_id)

    def register(function: Function) -> Function:
        if rule_id in CASES:
            raise ValueError(f"rule {rule_id} has a case already")
        CASES[rule_id] = Case(rule_id, function, is_alone)
        return function

    return register
