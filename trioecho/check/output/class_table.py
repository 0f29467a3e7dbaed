"""Many servers at a glance, for a terminal: a line or two for each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from ...base.printable import printable
from ..verdict import Verdict
from .rubric import Grade
from .tested import Tested, Untested, book_of, outcome_of

# Where so many columns are left beside the others, the last one stands there, and else below.
_LEAST_OF_LAST = 24
_MOST_OF_NAME = 30
_INDENT = 4


def class_table_lines(
    servers: Sequence[Tested], grades: Sequence[Grade], *, strict: bool, width: int
) -> Iterator[str]:
    """Write a table: the server's name, its verdict, its points, and the rules that it broke.

    Args:
      servers: what the suite found.
      grades: of the same servers.
      strict: whether a broken SHOULD counts.
      width: of a line, in columns.
    """
    names = [printable(server.target) for server in servers]
    noun = book_of(servers).noun
    name_columns = min(max(map(len, [noun, *names])), _MOST_OF_NAME)
    points = ["points", *map(_points, grades)]
    point_columns = max(map(len, points))
    rows = zip(
        [noun, *names],
        ["verdict", *(outcome_of(server, strict=strict) for server in servers)],
        points,
        ["broken rules", *(_last(server, strict) for server in servers)],
        strict=True,
    )
    for number, (name, outcome, sum_of_points, last) in enumerate(rows):
        has_own_line = len(name) > name_columns
        if has_own_line:
            yield name
        first = (
            f"{'' if has_own_line else name:<{name_columns}}  {outcome:<14}  {sum_of_points:>{point_columns}}"
        )
        indent = len(first) + 2 if width - len(first) - 2 >= _LEAST_OF_LAST else _INDENT
        lines = textwrap.wrap(last, width - indent, break_on_hyphens=False, break_long_words=False)
        if lines and indent > _INDENT:
            first = f"{first}  {lines.pop(0)}"
        yield first.rstrip()
        yield from (f"{'':{indent}}{line}" for line in lines)
        if not number:
            yield "-" * width


def _points(grade: Grade) -> str:
    return "-" if grade.points is None else f"{grade.points:g}/{grade.out_of:g}"


def _last(server: Tested, strict: bool) -> str:
    if isinstance(server, Untested):
        return printable(server.reason)
    broken = " ".join(result.id for result in server.broken(strict=strict))
    undecided = server.count(Verdict.INCONCLUSIVE)
    if not undecided:
        return broken
    return f"{broken}{'; ' * bool(broken)}{undecided} inconclusive"
