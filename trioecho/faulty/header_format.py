"""How frames are written: a length, and what else may be there; by lines of this folder's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Filler = tuple["int | bytes", ...]
"""Bytes that are no length: so many of any value, or exactly these."""

_DIGITS = {"dec": rb"[0-9]", "hex": rb"[0-9a-fA-F]"}


class RefusedError(Exception):
    """A header announces more than the limit, or is none, or cannot announce so much."""


@dataclass(frozen=True)
class HeaderFormat:
    """How frames are written: by default, behind a number of 4 bytes, most significant byte first.

    Attributes:
      kind: how the length is written: "u", "i", "varint", "ber", "dec" or "hex".
      least, most: bits of a length of "u" and "i"; else the fewest and the most bytes, or digits.
      byte_order: of a length of "u" and "i".
      flags: what is in the bits above it.
      counted: bytes that it counts beside the payload.
      before, behind, trailer: what is in front of it, between it and the payload, and behind that.
      padding_at: where in a header the byte is that counts padding behind the payload, as an index.
    """

    kind: str = "u"
    least: int = 32
    most: int = 32
    byte_order: Literal["big", "little"] = "big"
    flags: int = 0
    counted: int = 0
    before: Filler = ()
    behind: Filler = ()
    trailer: Filler = ()
    padding_at: int | None = None

    # ---- what headers are like ----

    @property
    def is_binary(self) -> bool:
        """Whether the length is a number of bits."""
        return self.kind in ("u", "i")

    @property
    def is_plain(self) -> bool:
        """Whether a frame has a number of whole bytes, which counts the payload, and that, and no more."""
        has_more = self.counted or self.before or self.behind or self.trailer
        return self.is_binary and self.most % 8 == 0 and not has_more

    @property
    def has_fixed_size(self) -> bool:
        """Whether all headers have as many bytes."""
        return self.is_binary or (self.kind in _DIGITS and self.least == self.most)

    @cached_property
    def header_bytes(self) -> int:
        """Bytes of a header; of the shortest, where that varies."""
        length = -(-self.most // 8) if self.is_binary else self.least
        return len(_zeros(self.before)) + length + len(_zeros(self.behind))

    @cached_property
    def longest_payload(self) -> int:
        """Bytes of the longest payload that a header can announce."""
        if self.kind == "dec":
            return int("9" * self.most) - self.counted
        bits = {"i": self.most - 1, "varint": 7 * self.most, "ber": 8 * self.most, "hex": 4 * self.most}
        return (1 << bits.get(self.kind, self.most)) - 1 - self.counted

    # ---- trailers ----

    def encode_trailer(self) -> bytes:
        """Return what follows a payload that is sent."""
        return _zeros(self.trailer)

    def trailer_bytes(self, header: bytes) -> int:
        """Return how many bytes are behind the payload of a header."""
        return len(_zeros(self.trailer)) if self.padding_at is None else header[self.padding_at]

    def check_trailer(self, trailer: bytes) -> None:
        """Compare what follows a payload with what has to be there.

        Raises:
          RefusedError: it is something else.
        """
        if self.padding_at is None and not re.fullmatch(_matching(self.trailer), trailer, re.DOTALL):
            raise RefusedError(trailer)

    # ---- headers ----

    def encode(self, length: int) -> bytes:
        """Return the header of a payload of that many bytes.

        Raises:
          RefusedError: no header can announce them.
        """
        if length > self.longest_payload:
            raise RefusedError(length)
        return _zeros(self.before) + self._digits(length + self.counted) + _zeros(self.behind)

    def decode(self, header: bytes) -> int:
        """Return how many bytes of payload a header announces.

        Raises:
          RefusedError: it is no header, or one of less than nothing.
        """
        try:
            digits = header[len(_zeros(self.before)) : len(header) - len(_zeros(self.behind))]
            length = self._number(digits) - self.counted
        except (ValueError, IndexError):
            length = -1
        if length < 0:
            raise RefusedError(header)
        return length

    def size_in(self, data: bytes | bytearray) -> int | None:
        """Return how many bytes the header has with which these begin; None while it is not complete.

        Raises:
          RefusedError: no header begins so.
        """
        if found := self._pattern.match(data):
            return found.end()
        if len(data) >= self._longest_bytes:
            raise RefusedError(bytes(data[: self._longest_bytes]))
        return None

    # ---- the length ----

    def _digits(self, value: int) -> bytes:
        if self.is_binary:
            return (self.flags << self.most | value).to_bytes(-(-self.most // 8), self.byte_order)
        if self.kind in _DIGITS:
            return f"{value:0{self.least}{'d' if self.kind == 'dec' else 'x'}}".encode()
        if self.kind == "varint":
            digits = b""
            while value > 0x7F:
                digits, value = digits + bytes([value & 0x7F | 0x80]), value >> 7
            return digits + bytes([value])
        size = -(-value.bit_length() // 8)
        return bytes([value]) if value < 0x80 else bytes([0x80 | size]) + value.to_bytes(size, "big")

    def _number(self, digits: bytes) -> int:
        if self.kind == "i":
            return int.from_bytes(digits, self.byte_order, signed=True)
        if self.kind == "u":
            return int.from_bytes(digits, self.byte_order) & ((1 << self.most) - 1)
        if self.kind in _DIGITS:
            return int(digits, 10 if self.kind == "dec" else 16)
        if self.kind == "varint":
            return sum((byte & 0x7F) << 7 * at for at, byte in enumerate(digits))
        return digits[0] if len(digits) == 1 else int.from_bytes(digits[1:], "big")

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        """Match a header; its group is the length."""
        if self.is_binary:
            length = rb".{%d}" % -(-self.most // 8)
        elif self.kind in _DIGITS:
            length = rb"%b{%d,%d}" % (_DIGITS[self.kind], self.least, self.most)
        elif self.kind == "varint":
            length = rb"[\x80-\xff]{0,%d}[\x00-\x7f]" % (self.most - 1)
        else:
            sizes = (re.escape(bytes([0x80 | size])) + rb".{%d}" % size for size in range(1, self.most + 1))
            length = b"|".join((rb"[\x00-\x7f]", *sizes))
        return re.compile(rb"%b(%b)%b" % (_matching(self.before), length, _matching(self.behind)), re.DOTALL)

    @cached_property
    def _longest_bytes(self) -> int:
        if self.is_binary:
            return self.header_bytes
        return self.header_bytes - self.least + self.most + (self.kind == "ber")


def _zeros(filler: Filler) -> bytes:
    return b"".join(bytes(part) if isinstance(part, int) else part for part in filler)


def _matching(filler: Filler) -> bytes:
    return b"".join(rb".{%d}" % part if isinstance(part, int) else re.escape(part) for part in filler)
