"""What was seen, as Markdown: a table of servers and rules, and why each breaks what it breaks."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from trioecho.check.book.book import SECTIONS

from .candidate import Candidate, Kind
from .grading import Grade

# The guide's page, of which everything from this heading on is written here.
PAGE = Path(__file__).parents[2] / "trioecho" / "guide" / "services.md"
_HEADING = "## What was seen"
_WIDTH = 120

Grades = Mapping[Candidate, Grade]
_SIGNS = {"warn": "!", "fail": "✗", "inconclusive": "?"}
LEGEND = (
    "A cell has how many rules held, of those that could be tried; then the others: `✗` a MUST that is "
    "broken, `!` a SHOULD."
)


def table(grades: Grades) -> Iterator[str]:
    """Yield a row for each server, with a column for each section."""
    titles = [f"{section.number} {section.title}" for section in SECTIONS]
    yield f"| server | {' | '.join(titles)} | under load |"
    yield "|---" * (len(titles) + 2) + "|"
    for candidate, grade in grades.items():
        cells = [_cell(grade, section.number) for section in SECTIONS]
        version = f" {grade.version}" if grade.version else ""
        loaded = "-" if grade.loaded is None else f"{grade.loaded:,} replies"
        yield f"| {candidate.title}{version} | {' | '.join(cells)} | {loaded} |"


def _cell(grade: Grade, section: int) -> str:
    tried = {
        rule: verdict
        for rule, verdict in grade.verdicts.items()
        if rule.partition(".")[0] == str(section) and verdict != "not applicable"
    }
    if not tried:
        return "-"
    passed = sum(verdict == "pass" for verdict in tried.values())
    others = [f"{_SIGNS[verdict]} {rule}" for rule, verdict in tried.items() if verdict != "pass"]
    return ", ".join([f"{passed}/{len(tried)}", *others])


def reasons(grades: Grades) -> Iterator[str]:
    """Yield why each server breaks what it breaks, an item of a list for each reason."""
    for candidate in grades:
        if candidate.note:
            yield f"- **{candidate.title}**: {candidate.note}"
        for deviation in candidate.deviations:
            what = "a fault" if deviation.kind is Kind.FAULT else "documented"
            yield (f"- **{candidate.title}, {', '.join(deviation.rules)}** ({what}): {deviation.why}")


def write_page(grades: Grades) -> None:
    """Write what was seen today into the guide."""
    before, _, _ = PAGE.read_text().partition(_HEADING)
    seen = [
        _HEADING,
        "",
        f"On {datetime.date.today()}, in the versions that the table names.",
        "",
        *table(grades),
        "",
        *textwrap.wrap(LEGEND, _WIDTH),
        "",
        *(
            line
            for reason in reasons(grades)
            for line in textwrap.wrap(reason, _WIDTH, subsequent_indent="  ", break_long_words=False)
        ),
    ]
    PAGE.write_text(before + "\n".join(seen) + "\n")
