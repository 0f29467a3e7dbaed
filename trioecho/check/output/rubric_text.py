"""Grades as text to hand back, and as a table for spreadsheets."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Sequence

from ...base.printable import printable
from ..book.book import Heading
from .rubric import Grade, HeadingGrade

_COLUMNS = 79
# Of the table with its headings and names; narrower, the columns of points are.
_LEAST_COLUMNS = 60
_UNJUDGED = "-"


def rubric_as_text(grades: Sequence[Grade], *, width: int = _COLUMNS) -> str:
    """Write a sheet for each server or client; before them, if they are several, a table of all.

    Args:
      grades: of the servers, or of the clients.
      width: of a line, in columns.
    """
    blocks = [_sheet(grade, width) for grade in grades]
    if len(grades) > 1:
        blocks.insert(0, _table(grades, width))
    return "\n\n".join(blocks) + "\n"


def rubric_as_csv(grades: Sequence[Grade]) -> str:
    """Write a row for each server or client, with a heading row, as RFC 4180 has it.

    What a spreadsheet would take for a formula has an apostrophe before it.
    """
    file = io.StringIO()
    writer = csv.writer(file)
    names = [heading.value for heading in Heading]
    writer.writerow(
        [
            grades[0].noun if grades else "server",
            "points",
            "out of",
            *(column for name in names for column in (name, f"{name} out of")),
            *(f"feedback: {name}" for name in names),
            "likely causes",
            "remarks",
        ]
    )
    for grade in grades:
        cells = [
            grade.target,
            _points(grade.points, none=""),
            _points(grade.out_of),
            *(
                cell
                for heading in grade.headings
                for cell in (_points(heading.points, none=""), _points(heading.out_of))
            ),
            *(_feedback(heading) for heading in grade.headings),
            " ".join(cause.id for cause in grade.causes),
            " ".join(grade.remarks),
        ]
        writer.writerow([_harmless(cell) for cell in cells])
    return file.getvalue()


def _feedback(grade: HeadingGrade) -> str:
    return " ".join([*grade.feedback, *([f"To see it: {grade.reproduce}"] if grade.reproduce else [])])


def _sheet(grade: Grade, width: int) -> str:
    title = f"Grade of {grade.target}"
    lines = [title, "=" * min(len(title), width), ""]
    for heading in grade.headings:
        lines += _heading_lines(heading, width)
        if heading.feedback:
            lines.append("")
    lines += _sum_lines(grade, width)
    for remark in grade.remarks:
        lines += _wrapped(remark, "  ", width)
    return "\n".join(lines)


def _heading_lines(grade: HeadingGrade, width: int) -> Iterator[str]:
    name = grade.heading.value.capitalize()
    yield f"{name:<24}{_out_of(grade.points, grade.out_of):>12}"
    for sentence in grade.feedback:
        yield from _wrapped(sentence, "  ", width)
    if grade.reproduce:  # whole, to be copied
        yield "  To see it:"
        yield f"    {grade.reproduce}"


def _sum_lines(grade: Grade, width: int) -> Iterator[str]:
    line = f"{'Sum':<24}{_out_of(grade.points, grade.out_of):>12}"
    left = f"and up to {_points(grade.left_to_teacher)} for the teacher to give"
    if grade.points is None:
        yield line
    elif len(line) + len(left) + 2 <= width:
        yield f"{line}, {left}"
    else:
        yield from (f"{line},", f"  {left}")


def _table(grades: Sequence[Grade], columns: int) -> str:
    """Write one line for each server; the names get what is left of the line."""
    headings = [("correct", 9), ("robust", 9), ("edges", 9), ("analysis", 9), ("sum", 12)]
    if columns < _LEAST_COLUMNS:
        headings = [("correct", 8), ("robust", 8), ("edges", 8), ("analysis", 9), ("sum", 10)]
    name_columns = columns - sum(width for _, width in headings)
    lines = [grades[0].noun.ljust(name_columns) + "".join(name.rjust(width) for name, width in headings)]
    lines.append("-" * columns)
    for grade in grades:
        cells = [_out_of(heading.points, heading.out_of) for heading in grade.headings]
        cells.append(_out_of(grade.points, grade.out_of))
        name = grade.target
        if len(name) >= name_columns:  # a line of its own: the end of a name distinguishes it from others
            lines.append(name)
            name = ""
        lines.append(
            name.ljust(name_columns)
            + "".join(cell.rjust(width) for cell, (_, width) in zip(cells, headings, strict=True))
        )
    return "\n".join(lines)


def _out_of(points: float | None, out_of: float) -> str:
    return f"{_points(points)}/{_points(out_of)}" if out_of else _UNJUDGED


def _points(points: float | None, *, none: str = _UNJUDGED) -> str:
    return none if points is None else f"{points:g}"


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
