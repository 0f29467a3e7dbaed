"""Sizes and durations, held against an oracle that reads them in another way."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.base.units import parse_duration, parse_size

BYTES = {
    "": 1, "B": 1,
    "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4,
    "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4,
    "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4,
    "kB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4,
}  # fmt: skip
SECONDS = {
    "w": "604800", "d": "86400", "h": "3600", "m": "60", "s": "1", "ms": "0.001", "us": "0.000001",
    "ns": "0.000000001",
}  # fmt: skip
CASES = [str.lower, str.upper, str.swapcase, str]

whole_numbers = st.integers(0, 10**15).map(str)
fractions = st.builds("{}.{}".format, st.integers(0, 10**6), st.from_regex(r"[0-9]{1,9}", fullmatch=True))
numbers = whole_numbers | fractions
blanks = st.sampled_from(["", " ", "  "])


@given(numbers, blanks, st.sampled_from(sorted(BYTES)), st.sampled_from(CASES))
def test_a_size_is_number_times_unit_rounded_up(
    number: str, blank: str, unit: str, case: Callable[[str], str]
) -> None:
    text = case(f"{number}{blank}{unit}")
    if BYTES[unit] == 1 and "." in number:
        with pytest.raises(ValueError, match=r".*"):
            parse_size(text)
        return
    with localcontext() as context:
        context.prec = 60
        assert parse_size(text) == math.ceil(Decimal(number) * BYTES[unit])


@given(st.lists(st.tuples(numbers, blanks), min_size=8, max_size=8), st.sets(st.sampled_from(list(SECONDS))))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[str, str]], units: set[str]) -> None:
    used = [
        (number, blank, unit) for (number, blank), unit in zip(parts, SECONDS, strict=True) if unit in units
    ]
    text = "".join(f"{number}{blank}{unit}" for number, blank, unit in used)
    if not used:
        with pytest.raises(ValueError, match=r"^$"):
            parse_duration(text)
        return
    with localcontext() as context:
        context.prec = 60
        total = sum(Decimal(number) * Decimal(SECONDS[unit]) for number, _, unit in used)
        seconds = parse_duration(text)
        assert Decimal(seconds.numerator) / Decimal(seconds.denominator) == total


@given(st.text(max_size=20))
def test_any_other_text_is_refused_and_nothing_else_happens(text: str) -> None:
    for parse in (parse_size, parse_duration):
        try:
            assert parse(text) >= 0
        except ValueError:
            pass
        else:
            assert text.strip()[0] in ".0123456789"
