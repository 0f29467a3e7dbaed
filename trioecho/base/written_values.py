"""Readers of values as people write them, wherever: on a command line, in a file, in a request.

What they refuse is a `ValueError` with one sentence, which says what would be right.
"""

from __future__ import annotations

import re

from .suggestion import quoted
from .units import parse_duration, parse_size

# More than any machine has; each command knows what a header can express.
_MAX_SIZE = (1 << 63) - 1
# Longer than any user means, and short enough for every clock of the system.
_MAX_DURATION_S = 365 * 24 * 3600.0


def refused(text: str, reason: str) -> ValueError:
    """Return the error to raise for what was written; the reason says what would be right."""
    return ValueError(f"{quoted(text)} {reason}")


def read_size(text: str) -> int:
    """Return bytes: ``65536``, ``64k``, ``64KiB``, ``1.5MiB``.

    Raises:
      ValueError: it is no size.
    """
    try:
        value = parse_size(text)
    except ValueError:
        raise refused(text, "is not a size; write bytes as 65536, 64k, 64KiB or 1.5MiB") from None
    if value > _MAX_SIZE:
        raise refused(text, f"is more than any machine has; {_MAX_SIZE} bytes at most")
    return value


def split_range(text: str) -> tuple[str, str, str]:
    """Return what stands at both sides of a hyphen; if one is missing, all as the first: it is no range."""
    least, hyphen, most = text.partition("-")
    return (least, hyphen, most) if least and most else (text, "", "")


def read_size_range(text: str) -> tuple[int, int]:
    """Return one size twice, or two with a hyphen between them: ``64``, ``64-4096``, ``0-64KiB``.

    Raises:
      ValueError: they are no sizes, or in the wrong order.
    """
    least, hyphen, most = split_range(text)
    sizes = read_size(least), read_size(most if hyphen else least)
    if sizes[0] > sizes[1]:
        raise refused(text, f"has its larger size first; write {most}-{least}")
    return sizes


def read_seconds(text: str) -> float:
    """Return seconds: ``10``, ``10s``, ``500ms``, ``100us``, ``1m30s``, ``2d``.

    Raises:
      ValueError: it is no duration, or longer than a year.
    """
    try:
        value = float(parse_duration(text))
    except ValueError:
        raise refused(text, "is not a duration; write 10 for seconds, or 500ms, 1m30s, 2d") from None
    if value > _MAX_DURATION_S:
        raise refused(text, "is longer than a year; to switch a clock off, write 0")
    return value


def read_count(text: str) -> int:
    """Return a whole number, 0 or more.

    Raises:
      ValueError: it is none.
    """
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII):
        raise refused(text, "is not a whole number from 0 to 999999999")
    return int(text)


def read_positive_count(text: str) -> int:
    """Return a whole number, 1 or more.

    Raises:
      ValueError: it is none.
    """
    value = read_count(text)
    if not value:
        raise refused(text, "is too few; at least 1")
    return value


def read_probability(text: str) -> float:
    """Return a number from 0 to 1.

    Raises:
      ValueError: it is none.
    """
    try:
        probability = float(text)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise refused(text, "is not a probability; write a number from 0 to 1")
    return probability
