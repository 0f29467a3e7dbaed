"""What a frame consists of, in the order in which it is on the wire: a description without a decoder.

::

    any1, u32be +itself, any2,  payload,  xce
    ----  -------------  ----   -------   ---
    before   number      behind           trailer

A trailer has a fixed size, or it is padding, of as many bytes as a byte of the header says.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

ByteOrder = Literal["big", "little"]
# What a frame may have beside its number and its payload, in bytes: more is a mistake rather than a header.
MOST_FILLER_BYTES = 1024
# A byte that counts the padding behind the payload.
PADDING_WORD = "pad8"


class NumberKind(Enum):
    """How a length is written."""

    UNSIGNED = "u"
    SIGNED = "i"
    VARINT = "varint"
    BER = "ber"
    DECIMAL = "dec"
    HEXADECIMAL = "hex"


_UNSIGNED, _SIGNED, _VARINT, _BER, _DECIMAL, _HEXADECIMAL = NumberKind
# What a kind has without a number behind its name.
DEFAULT_MOST: dict[NumberKind, int] = {_VARINT: 9, _BER: 4}


@dataclass(frozen=True)
class Number:
    """How the length is written.

    Attributes:
      kind: as bits, or as digits.
      most: bits, where they are of a fixed number; else bytes or digits that it has at most.
      least: digits that it has at least; as many as at most for a fixed width.
      byte_order: of bits of a fixed number.
      flags: what is written into the bits above the number; what is read in them means nothing.
    """

    kind: NumberKind = _UNSIGNED
    most: int = 32
    least: int = 32
    byte_order: ByteOrder = "big"
    flags: int = 0

    @property
    def is_binary(self) -> bool:
        """Whether it consists of bits of a fixed number."""
        return self.kind in (_UNSIGNED, _SIGNED)

    @property
    def least_bytes(self) -> int:
        """Bytes that it has at least."""
        if self.is_binary:
            return -(-self.most // 8)
        return self.least if self.kind in (_DECIMAL, _HEXADECIMAL) else 1

    @property
    def most_bytes(self) -> int:
        """Bytes that it has at most."""
        return self.least_bytes if self.is_binary else self.most + (self.kind is _BER)

    @property
    def largest(self) -> int:
        """The largest length that it can express."""
        if self.kind in (_DECIMAL, _HEXADECIMAL):
            value: int = (10 if self.kind is _DECIMAL else 16) ** self.most
            return value - 1
        bits = {_SIGNED: self.most - 1, _VARINT: 7 * self.most, _BER: 8 * self.most}.get(self.kind, self.most)
        return (1 << bits) - 1

    def __str__(self) -> str:
        name = self.kind.value
        if self.is_binary:
            order = "" if self.most <= 8 else self.byte_order[0] + "e"
            return f"{name}{self.most}{order}" + (f":{self.flags}" if self.flags else "")
        if self.kind in DEFAULT_MOST:
            return name if self.most == DEFAULT_MOST[self.kind] else f"{name}{self.most}"
        return f"{name}{self.most}" if self.least == self.most else f"{name}{self.least}-{self.most}"


Filler = tuple["int | bytes", ...]
"""Bytes that are no length, in order: so many of any value, or exactly these."""


def filler_bytes(filler: Filler) -> int:
    """Return how many bytes these are."""
    return sum(part if isinstance(part, int) else len(part) for part in filler)


def merged(filler: Filler) -> Filler:
    """Return the same, so that no two neighbours are of one kind: equal bytes are equal fillers."""
    parts: list[int | bytes] = []
    for part in filler:
        match (parts[-1] if parts else None), part:
            case (int(last), int(more)):
                parts[-1] = last + more
            case (bytes(last), bytes(more)):
                parts[-1] = last + more
            case _:
                parts.append(part)
    return tuple(parts)


@dataclass(frozen=True)
class Layout:
    """What a frame consists of.

    Attributes:
      number: the length.
      counted: how many bytes it counts beside the payload.
      before, behind: what is in the header in front of the number, and between it and the payload.
      trailer: what follows the payload.
      padding_at: where the byte is that says how much padding follows the payload, as an index of
        the header: from its end, if it is behind the number; None if there is no such byte.
    """

    number: Number = Number()
    counted: int = 0
    before: Filler = ()
    behind: Filler = ()
    trailer: Filler = ()
    padding_at: int | None = None

    @property
    def least_header_bytes(self) -> int:
        """Bytes of the shortest header."""
        return filler_bytes(self.before) + self.number.least_bytes + filler_bytes(self.behind)

    @property
    def most_header_bytes(self) -> int:
        """Bytes of the longest header."""
        return self.least_header_bytes - self.number.least_bytes + self.number.most_bytes

    @property
    def follows_from_payload(self) -> bool:
        """Whether there is one frame for a payload: nothing in it is free, or can be written in two ways."""
        fillers = (*self.before, *self.behind, *self.trailer)
        number = self.number
        return (
            all(isinstance(part, bytes) for part in fillers)
            and number.kind not in (_BER, _HEXADECIMAL)
            and not (number.is_binary and number.most % 8)
        )

    def parts_counted(self) -> dict[str, int]:
        """Return the bytes of each part that a number may count, by the words for them."""
        number = self.number
        rest = filler_bytes(self.behind)
        parts = {"rest": rest, "trailer": filler_bytes(self.trailer)}
        if number.least_bytes == number.most_bytes:
            parts = {"header": self.least_header_bytes, "itself": number.least_bytes, **parts}
        return parts

    def __str__(self) -> str:
        at, behind_bytes = self.padding_at, filler_bytes(self.behind)
        before = _parts_of(self.before, -1 if at is None else at)
        behind = _parts_of(self.behind, -1 if at is None else behind_bytes + at)
        trailer = _parts_of(self.trailer)
        number = f"{self.number}{self._counted_in_words()}"
        return ",".join([*before, number, *behind, *(["payload", *trailer] if trailer else [])])

    def _counted_in_words(self) -> str:
        if not self.counted:
            return ""
        parts = self.parts_counted()
        for word, size in parts.items():
            if self.counted == size:
                return f"+{word}"
        if "header" in parts and self.counted == parts["header"] + parts["trailer"]:
            return "+header+trailer"
        return f"+{self.counted}"


def _parts_of(filler: Filler, padding_at: int = -1) -> list[str]:
    words, start = [], 0
    for part in filler:
        if isinstance(part, bytes):
            words.append(f"x{part.hex()}")
            start += len(part)
        elif start <= padding_at < start + part:
            before, behind = padding_at - start, start + part - padding_at - 1
            words += [*_free(before), PADDING_WORD, *_free(behind)]
            start += part
        else:
            words += _free(part)
            start += part
    return words


def _free(size: int) -> list[str]:
    return [f"any{size}"] if size else []
