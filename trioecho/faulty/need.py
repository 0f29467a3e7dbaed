"""What headers have to be like for a bug to show in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .header_format import HeaderFormat


class Need(NamedTuple):
    """What a bug needs of headers.

    Attributes:
      words: the end of a sentence: it needs ...
      is_met: whether headers of a format, and a limit in payload bytes, are such.
    """

    words: str
    is_met: Callable[[HeaderFormat, int], bool]


TWO_BYTES = Need(
    "headers of two bytes or more", lambda headers, _: headers.header_bytes > 1 or not headers.has_fixed_size
)
FIXED_SIZE = Need("headers that all have as many bytes", lambda headers, _: headers.has_fixed_size)
NO_TRAILER = Need("nothing behind the payload", lambda headers, _: not headers.trailer)
PLAIN = Need("headers that are a number of bytes and nothing else", lambda headers, _: headers.is_plain)
BIG_ENDIAN = Need(
    "headers with the most significant byte first",
    lambda headers, _: headers.byte_order == "big" and headers.header_bytes > 1,
)
UNSIGNED = Need("lengths without a sign", lambda headers, _: headers.kind != "i")
UP_TO_4_BYTES = Need("headers of at most 4 bytes", lambda headers, _: headers.header_bytes <= 4)
OVER_THE_LIMIT = Need(
    "lengths over the limit; give a smaller --max-frame-length",
    lambda headers, limit: headers.longest_payload > limit,
)


def lengths_over(least: int) -> Need:
    """Return the need of lengths over this."""
    return Need(f"lengths over {least:,}", lambda headers, _: headers.longest_payload > least)
