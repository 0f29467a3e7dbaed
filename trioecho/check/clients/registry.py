"""A rule for clients and the function that tries it, in one place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..book.rule import Heading, Level, Rule, Section
from .probe import ClientProbe

LETTER = "C"
# Gives a line on what was seen when all was as it should be.
Function = Callable[[ClientProbe], Awaitable[str]]


@dataclass(frozen=True)
class ClientCase:
    """A rule, and how it is tried.

    Attributes:
      rule: what the client has to do.
      run: tries it; returns what was seen, or raises `Deviation`, `NotApplicableError` or
        `InconclusiveError`.
    """

    rule: Rule
    run: Function

    @property
    def id(self) -> str:
        """The rule's id."""
        return self.rule.id


class Chapter:
    """A section of the book of clients, while its rules are written down.

    Args:
      number: of the section.
      title: a few words.
      about: what its rules are about, in a sentence.
    """

    def __init__(self, number: int, title: str, about: str) -> None:
        self.cases: list[ClientCase] = []
        self._number = number
        self._title = title
        self._about = about

    def rule(
        self,
        title: str,
        requirement: str,
        *,
        reason: str,
        source: str,
        heading: Heading,
        level: Level = Level.MUST,
        is_core: bool = False,
    ) -> Callable[[Function], Function]:
        """Write down the next rule, which the function below tries; the arguments are those of `Rule`."""
        rule_id = f"{LETTER}{self._number}.{len(self.cases) + 1}"
        rule = Rule(rule_id, title, level, requirement, reason, source, heading, is_core=is_core)

        def register(function: Function) -> Function:
            self.cases.append(ClientCase(rule, function))
            return function

        return register

    @property
    def section(self) -> Section:
        """The section, with all rules that have been written down."""
        return Section(
            self._number, self._title, self._about, tuple(case.rule for case in self.cases), letter=LETTER
        )
