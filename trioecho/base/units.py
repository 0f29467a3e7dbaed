"""Sizes and durations as people write them: ``64k``, ``1.5MiB``; ``100us``, ``1m30s``.

Units are read as GNU's coreutils read them: a letter alone, k, m, g or t, is a power
of 1024 (as in nginx), KiB and the like are the same, and kB and the like are powers
of 1000. Upper and lower case mean the same.
"""

from __future__ import annotations

import re
from fractions import Fraction

NS_PER_S = 1_000_000_000

_BYTES = {"b": 1} | {
    f"{letter}{rest}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for rest, base in (("", 1024), ("i", 1024), ("ib", 1024), ("b", 1000))
}
# From the longest to the shortest, the order in which they follow each other.
_SECONDS = {
    "w": Fraction(7 * 24 * 3600),
    "d": Fraction(24 * 3600),
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}
# Two characters look like a Greek mu, and many keyboards have neither.
_ALSO = {"min": "m", "µs": "us", "μs": "us"}
_ORDER = list(_SECONDS)

_NUMBER = r"(\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})"
_PART = re.compile(rf"{_NUMBER}\s*([a-zµμ]+)\s*", re.ASCII | re.IGNORECASE)


def parse_size(text: str) -> int:
    """Return bytes; a part of a byte, as 1.1KiB has, is rounded up.

    Raises:
      ValueError: the text is not a size.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d{1,40}", text, re.ASCII):
        return int(text)
    match = _PART.fullmatch(text)
    if match is None or match[2] not in _BYTES or ("." in match[1] and match[2] == "b"):
        raise ValueError(text)
    return -int(-Fraction(_whole(match[1])) * _BYTES[match[2]] // 1)


def parse_duration(text: str) -> Fraction:
    """Return seconds; a number without a unit is seconds, and stands alone.

    Raises:
      ValueError: the text is not a duration, or its units are not in order.
    """
    text = text.strip().lower()
    if re.fullmatch(_NUMBER, text, re.ASCII):
        return Fraction(_whole(text))
    total, place, longest = Fraction(0), 0, -1
    while place < len(text):
        match = _PART.match(text, place)
        unit = _ALSO.get(match[2], match[2]) if match else ""
        if match is None or unit not in _SECONDS or _ORDER.index(unit) <= longest:
            raise ValueError(text)
        longest = _ORDER.index(unit)
        total += Fraction(_whole(match[1])) * _SECONDS[unit]
        place = match.end()
    if longest < 0:
        raise ValueError(text)
    return total


def _whole(number: str) -> str:
    """Return ``.5`` and ``5.`` as the fractions of every Python read them."""
    return f"0{number}0" if "." in number else number
