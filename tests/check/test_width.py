"""What ``trioecho check`` says to people: lines as wide as the terminal, whole words, no internal names."""

from __future__ import annotations

import pytest

from tests.support.check_results import good_suite, mixed_suite
from trioecho.check.book.book import RULES, SECTIONS
from trioecho.check.diagnosis.causes import CAUSES
from trioecho.check.output import Tested, Untested, grade, rubric_as_text
from trioecho.check.output.text import (
    Palette,
    book_lines,
    explain_lines,
    explain_section_lines,
    suite_lines,
    table_lines,
)

WIDTHS = (50, 66, 80, 120)
UNTESTED = Untested("python a.py", "it ended before it listened")


def told(width: int) -> list[str]:
    servers: list[Tested] = [good_suite(), mixed_suite(), UNTESTED]
    return [
        *book_lines(width),
        *(line for rule in RULES.values() for line in explain_lines(rule, width)),
        *(line for section in SECTIONS for line in explain_section_lines(section, width)),
        *suite_lines(mixed_suite(), Palette(False, width), strict=True, is_verbose=True),
        *suite_lines(good_suite(), Palette(False, width), strict=False, is_verbose=False),
        *table_lines(servers, strict=False, width=width),
        *rubric_as_text([grade(server) for server in servers], width=width).splitlines(),
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_but_what_is_to_be_copied(width: int) -> None:
    wide = [line for line in told(width) if len(line) > width and "trioecho check" not in line]
    assert wide == []


def test_wide_terminals_are_used() -> None:
    assert max(map(len, told(120))) > 110


@pytest.mark.parametrize("width", WIDTHS)
def test_words_are_whole(width: int) -> None:
    usual = {word for line in told(80) for word in line.split()}
    words = {word for line in told(width) for word in line.split()}
    # Bytes in hex and as text are in other rows; so are the lines under titles.
    broken = {word for word in words - usual if word.strip(",.;:()-=").isalpha()}
    assert {word for word in broken if not any(word in other for other in usual)} == set()


def test_a_cause_that_comes_again_is_a_sentence_and_no_internal_name() -> None:
    text = " ".join(" ".join(told(80)).split())
    cause = CAUSES["one-parse-per-recv"]
    assert f"likely cause as in 1.1: {cause.words}" in text
    assert cause.id not in text
