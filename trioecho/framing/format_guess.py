"""Guess the format of bytes: in which one are they frames, and how unlikely would that be by chance?

For each candidate the bits are counted that had to be as they are. A length of 32 bits that ends
within the 1000 bytes behind it says 22 bits: of random numbers one in 4 million does. Bytes that
are fixed say 8 bits each, and frames that end exactly where the bytes do say as much as the place
where they could have ended. So formats can be compared, and what fits by chance can be told.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..errors import RemoteProtocolError
from .format_language import parse_layout
from .frame_format import FrameFormat
from .layout import Layout, NumberKind
from .number_codecs import NEEDS_MORE
from .presets import PRESETS

# What each part of a format beyond its length has to say at least, to be believed: else every
# `u32be` would be as likely an `x00,u24be`.
_BITS_OF_A_PART = 8
# What is looked at; an announced frame that is not all there has at most so many bytes.
LOOKED_AT_BYTES = 1 << 16
_MOST_LENGTH = 1 << 24
# One in a thousand: less is nothing. One in a million, and 60 times likelier than the next: likely.
_LEAST_BITS, _LIKELY_BITS, _AHEAD_BITS = 10, 20, 6

_PLAIN = [
    f"u{width}{order}{counted}"
    for counted in ("", "+header")
    for width, orders in (
        (32, ("be", "le")),
        (16, ("be", "le")),
        (64, ("be", "le")),
        (24, ("be", "le")),
        (8, ("",)),
    )
    for order in orders
]
_OTHERS = ["varint5", "dec4", "hex4", "any1,u32be", "any1,u16be", "any2,u16be"]


class Guess(NamedTuple):
    """A format in which bytes are frames.

    Attributes:
      format: the format.
      protocols: the presets that have it.
      bits: how many bits had to be as they are: one in two to that power by chance.
      payload_lengths: of the whole frames, in bytes.
      left_bytes: how many bytes are left behind them.
      missing_bytes: how many the frame lacks that these begin; None if not even its header is there.
      is_likely: whether it is more than possible.
      ends: offsets at which its frames end.
    """

    format: FrameFormat
    protocols: tuple[str, ...]
    bits: float
    payload_lengths: tuple[int, ...]
    left_bytes: int
    missing_bytes: int | None
    is_likely: bool = False
    ends: tuple[int, ...] = ()


def guess_formats(data: bytes) -> list[Guess]:
    """Return the formats that these bytes may have, the likeliest first; none if that cannot be told."""
    data = data[:LOOKED_AT_BYTES]
    names: dict[FrameFormat, list[str]] = {FrameFormat.parse(text): [] for text in (*_PLAIN, *_OTHERS)}
    for name in PRESETS:
        names.setdefault(FrameFormat.parse(_unsigned(name)), []).append(name)
    guesses = (_look(data, each, tuple(protocols)) for each, protocols in names.items())
    found = sorted((guess for guess in guesses if guess is not None), key=lambda guess: -guess.bits)
    second = found[1].bits if len(found) > 1 else 0.0
    if found and found[0].bits >= max(_LIKELY_BITS, second + _AHEAD_BITS):
        found[0] = found[0]._replace(is_likely=True)
    return found


def _unsigned(name: str) -> str:
    """Return the format of a preset; a sign says nothing, since it is never set."""
    text = PRESETS[name].format
    return text.replace("i32", "u32") if text.startswith("i32") else text


def _look(data: bytes, format: FrameFormat, protocols: tuple[str, ...]) -> Guess | None:
    """Count what the bytes say for a format; None if they say nothing, or are no frames of it."""
    layout = parse_layout(str(format))
    fixed = b"".join(
        part for part in (*layout.before, *layout.behind, *layout.trailer) if isinstance(part, bytes)
    )
    telling_bytes = len(fixed) - fixed.count(0)
    parts = len((*layout.before, *layout.behind, *layout.trailer)) + (layout.number.most % 8 > 0)
    position, bits = 0, -float(_BITS_OF_A_PART * parts)
    lengths: list[int] = []
    ends: list[int] = []
    missing: int | None = 0
    while position < len(data):
        rest = len(data) - position
        try:
            header_bytes, length = format._measure(data, position, len(data))
            if length == NEEDS_MORE:
                missing = None
                break
            size = header_bytes + length + format._bytes_behind(data, position, header_bytes)
            if length > _MOST_LENGTH or format._wrong_trailer(
                data, position, _MOST_LENGTH if size <= rest else -1
            ):
                return None
        except RemoteProtocolError:
            return None
        bits += 8 * telling_bytes
        if length:  # zeros are too common in other things
            bits += 8 * (len(fixed) - telling_bytes)
            bits += _bits_of_number(layout, header_bytes, rest if size <= rest else _MOST_LENGTH)
        if size > rest:
            missing = size - rest
            break
        lengths.append(length)
        position += size
        ends.append(position)
        if position == len(data) and length:
            bits += math.log2(rest)
    if not lengths or bits < _LEAST_BITS:
        return None
    return Guess(format, protocols, bits, tuple(lengths), len(data) - position, missing, ends=tuple(ends))


def _bits_of_number(layout: Layout, header_bytes: int, reachable: int) -> float:
    """Return how many bits a number had to have as they are, to end within so many bytes."""
    number = layout.number
    width = header_bytes - layout.least_header_bytes + number.least_bytes
    possible = math.log2(reachable + 1)
    if number.kind in (NumberKind.DECIMAL, NumberKind.HEXADECIMAL):
        return max(0.0, 8.0 * width - possible)
    return max(0.0, (number.most if number.is_binary else 8.0 * width) - possible)
