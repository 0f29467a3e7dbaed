"""Where two byte strings first differ, and how that is shown to people."""

from __future__ import annotations

_BEFORE_BYTES = 4
_SHOWN_BYTES = 12


def first_difference(expected: bytes, received: bytes) -> int | None:
    """Return the place of the first byte that differs; None if one is the beginning of the other."""
    low, high = 0, min(len(expected), len(received))
    if expected[:high] == received[:high]:
        return None
    while high - low > 1:  # the first difference is within
        middle = (low + high) // 2
        if expected[low:middle] == received[low:middle]:
            low = middle
        else:
            high = middle
    return low


def describe_difference(expected: bytes, received: bytes, offset: int = 0) -> str | None:
    """Return what is around the first difference, marked by brackets, and what it is.

    Args:
      expected: some bytes.
      received: those that came in their place.
      offset: where in the whole both begin.

    Returns:
      None if one is the beginning of the other.
    """
    at = first_difference(expected, received)
    if at is None:
        return None
    begin = max(0, at - _BEFORE_BYTES)
    return (
        f"from byte {offset + begin} expected {_marked(expected, begin, at)}, "
        f"received {_marked(received, begin, at)}; byte {offset + at} is {received[at]:02x} instead of "
        f"{expected[at]:02x}"
    )


def in_hex(data: bytes, begin: int = 0) -> str:
    """Return the first few bytes from there on in hexadecimal, with dots for those that are left out."""
    end = begin + _SHOWN_BYTES
    return data[begin:end].hex() + ("..." if len(data) > end else "")


def _marked(data: bytes, begin: int, at: int) -> str:
    digits = in_hex(data, begin)
    place = 2 * (at - begin)
    # The first one needs no mark.
    return f"{digits[:place]}[{digits[place : place + 2]}]{digits[place + 2 :]}" if place else digits
