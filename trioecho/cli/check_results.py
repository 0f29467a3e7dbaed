"""What ``trioecho check`` prints of the servers that it has checked, in their order."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ..check.output import Tested, Untested, outcome_of
from ..check.output.plain import verdict_counts
from ..check.output.text import COUNTED, Palette, suite_lines, table_lines
from ..check.verdict import SuiteResult
from .check_files import Reports
from .check_targets import Candidate
from .shared.output import print_error
from .shared.terminal import text_width


class Results:
    """What came of each server; printed when those before it are known, or as one line each.

    Args:
      arguments: of the command.
      servers: that are checked.
      reports: that are written.
    """

    def __init__(self, arguments: argparse.Namespace, servers: Sequence[Candidate], reports: Reports) -> None:
        self._arguments = arguments
        self._reports = reports
        self._known: list[Tested | None] = [None] * len(servers)
        self._printed = 0
        stream = sys.stderr if reports.use_stdout else sys.stdout
        self._palette = Palette(_is_coloured(stream), text_width(stream))
        # Who reads pages, or grades a class, wants to see all servers at a glance.
        has_pages = bool(arguments.class_commands) or reports.has_pages
        self._is_brief = has_pages and len(servers) > 1 and not arguments.verbose

    @property
    def all(self) -> list[Tested]:
        """All of them, in their order, when each is known."""
        return [each for each in self._known if each is not None]

    def add(self, number: int, outcome: Tested, *, is_interrupted: bool = False) -> None:
        """Note what came of a server, and print what can be printed now."""
        self._known[number] = outcome
        if is_interrupted and not any(isinstance(each, SuiteResult) for each in self._known):
            return  # whoever has interrupted knows
        if self._is_brief:
            self._print_line(outcome)
            return
        while self._printed < len(self._known):
            following = self._known[self._printed]
            if following is None:
                return
            self._printed += 1
            self._print_whole(following)

    def print_all(self) -> None:
        """Print what is to be said when all are known."""
        tested = self.all
        if self._reports.prints_rubric:
            self._print(self._reports.rubric(tested, self._palette.width).splitlines())
        elif self._is_brief:
            self._print(self._reports.summary(tested, self._palette.width))
        elif len(tested) > 1:
            strict = self._arguments.strict
            self._print(["", *table_lines(tested, strict=strict, width=self._palette.width)])

    def _print_whole(self, outcome: Tested) -> None:
        arguments = self._arguments
        if isinstance(outcome, Untested):
            who = f"{outcome.target}: " if len(self._known) > 1 else ""
            print_error(f"{arguments.prog}: {who}{outcome.reason}")
        elif self._reports.prints_rubric:
            if len(self._known) > 1:  # the grades come at the end, and that may be far
                print_error(f"{outcome.target}: {outcome.outcome(strict=arguments.strict)}")
        else:
            if self._printed > 1:
                self._reports.print_text("")
            is_verbose, strict = arguments.verbose, arguments.strict
            self._print(suite_lines(outcome, self._palette, strict=strict, is_verbose=is_verbose))

    def _print_line(self, outcome: Tested) -> None:
        if isinstance(outcome, Untested):
            words = f"not tested: {outcome.reason}"
        else:
            verdict = outcome_of(outcome, strict=self._arguments.strict)
            words = f"{verdict}: {verdict_counts(outcome, COUNTED) or 'no case was run'}"
        done = sum(each is not None for each in self._known)
        where = f" ({outcome.machine})" if outcome.machine is not None else ""
        print_error(f"{done} of {len(self._known)}  {outcome.target}{where}: {words}")

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._reports.print_text(line, is_safe=True)  # coloured, and escaped where it was made


def _is_coloured(stream: Any) -> bool:
    """Decide on colours as https://no-color.org asks for."""
    return (
        stream is not None
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )
