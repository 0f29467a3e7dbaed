"""The layout of help: as wide as the terminal, from 50 to 120 columns, and no word is broken."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from .terminal import text_width

# The last column at which the explanations of options may begin.
_WIDE_COLUMN, _NARROW_COLUMN = 24, 12
_NARROW = 70


class HelpFormatter(argparse.HelpFormatter):
    """Fills paragraphs, and keeps what is indented: tables and commands."""

    def __init__(self, prog: str, **settings: Any) -> None:
        width = text_width()
        column = _NARROW_COLUMN if width < _NARROW else _WIDE_COLUMN
        super().__init__(prog, **{"width": width, "max_help_position": column, **settings})

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Show the operands only; the list of options explains the options."""
        operands = [action for action in actions if not action.option_strings]
        options = argparse.Action([], "options", metavar="[options]")
        super().add_usage(usage, [options, *operands], [], prefix)

    # argparse's own formatters override these two; there is no public way.
    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(_filled(text, width)).rstrip()

    def _split_lines(self, text: str, width: int) -> list[str]:
        return _wrapped(" ".join(text.split()), width)


def _filled(text: str, width: int) -> Iterator[str]:
    paragraph: list[str] = []
    for line in [*_joined_entries(text.strip("\n").split("\n")), ""]:
        if line and not line.startswith(" "):
            paragraph.append(line)
            if not line.endswith(":"):  # a heading
                continue
        if paragraph:
            yield from _wrapped(" ".join(paragraph), width)
            paragraph = []
        if not line or line.startswith(" "):
            yield from _kept(line, width)


def _joined_entries(lines: Iterable[str]) -> list[str]:
    """Join each entry of a table with its further lines, which begin at its last column."""
    entries: list[str] = []
    for line in lines:
        if line and entries and _indent(line) == _last_column(entries[-1]):
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line)
    return entries


def _last_column(line: str) -> int | None:
    entry = re.match(r" +\S+(?: \S+)*  +", line)
    return entry.end() if entry else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _kept(line: str, width: int) -> list[str]:
    """Wrap a line of a table below its last column, or a command as shells continue it."""
    if len(line) <= width:
        return [line]
    if line.lstrip().startswith("trioecho "):
        return _continued(line, width)
    return _wrapped(line, width, subsequent_indent=" " * (_last_column(line) or _indent(line)))


def _continued(command: str, width: int) -> list[str]:
    lines = [""]
    for part in re.split(r" (?=-)", command):  # an option and its value stay together
        if lines[-1] and len(f"{lines[-1]} {part} \\") > width:
            lines[-1] += " \\"
            lines.append(f"      {part}")
        else:
            lines[-1] += f" {part}" if lines[-1] else part
    return lines


def _wrapped(text: str, width: int, **settings: Any) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False, **settings) or [""]
