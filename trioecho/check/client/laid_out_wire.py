"""Frames whose headers are more than a number, made and read by the suite's own lines, plainly."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from typing import ClassVar

from .wire import Wire

Filler = tuple["int | bytes", ...]


@dataclass(frozen=True)
class LaidOutWire(Wire):
    """How frames are written that have more than a length and a payload in them.

    Attributes:
      words: the format, as ``--format`` has it.
      kind: how the length is written: "u", "i", "varint", "ber", "dec" or "hex".
      most: bits of a length of "u" and "i"; else bytes or digits that it has at most.
      least: digits that it has at least.
      flags: what is in the bits above it.
      counted: bytes that it counts beside the payload.
      before, behind, trailer: what is in front of it, between it and the payload, and after the
        payload: so many bytes of any value, or exactly these.
      padding_at: where in a header the byte is that counts padding behind the payload, from the
        header's end if it is negative; None if none does.
      sent_before, sent_behind: what is sent in the place of bytes of any value; zeros if they are empty.
    """

    words: str = ""
    kind: str = "u"
    most: int = 32
    least: int = 0
    flags: int = 0
    counted: int = 0
    before: Filler = ()
    behind: Filler = ()
    trailer: Filler = ()
    padding_at: int | None = None
    sent_before: bytes = b""
    sent_behind: bytes = b""

    is_plain: ClassVar[bool] = False

    def __str__(self) -> str:
        return self.words

    @property
    def largest_number(self) -> int:
        if self.kind == "dec":
            return int("9" * self.most)
        bits = {"i": self.most - 1, "varint": 7 * self.most, "ber": 8 * self.most, "hex": 4 * self.most}
        return int("1" * bits.get(self.kind, self.most), 2)

    @property
    def _counted(self) -> int:
        return self.counted

    def number(self, value: int) -> bytes:
        before, behind = self.sent_before or _plain(self.before), self.sent_behind or _plain(self.behind)
        return before + self._digits(value) + behind

    def _new_frame(self, payload: bytes) -> bytes:
        header = self.header(len(payload))
        return header + payload + _plain(self.trailer) + bytes(self._padding(header))

    def like(self, frame: bytes, /) -> LaidOutWire:
        start = self.payload_at(frame)
        behind = frame[start - _size(self.behind) : start]
        return replace(self, sent_before=frame[: _size(self.before)], sent_behind=behind)

    def payload_at(self, frame: bytes, /) -> int:
        at = _size(self.before)
        _, width = self._read(frame[at:]) or (0, 0)
        return at + width + _size(self.behind)

    def first(self, data: bytes) -> tuple[bytes, int] | None:
        at = _size(self.before)
        number = self._read(data[at:])
        if number is None or not _fits(data, self.before):
            return None
        value, width = number
        start = at + width + _size(self.behind)
        end = start + value - self.counted
        if len(data) < start or end < start:
            return None
        size = end + _size(self.trailer) + self._padding(data[:start])
        if len(data) < size:
            return None
        if not _fits(data[at + width :], self.behind) or not _fits(data[end:], self.trailer):
            return None
        return data[start:end], size

    def _padding(self, header: bytes) -> int:
        return 0 if self.padding_at is None else header[self.padding_at]

    def _digits(self, value: int) -> bytes:
        if self.kind in "ui":
            return (self.flags << self.most | value).to_bytes((self.most + 7) // 8, self.byte_order)
        if self.kind == "dec":
            return b"%0*d" % (self.least, value)
        if self.kind == "hex":
            return b"%0*x" % (self.least, value)
        if self.kind == "varint":
            septets = [value & 0x7F]
            while value := value >> 7:
                septets.append(value & 0x7F)
            return bytes([*(septet + 0x80 for septet in septets[:-1]), septets[-1]])
        if value < 0x80:
            return bytes((value,))
        size = (value.bit_length() + 7) // 8
        return bytes((0x80 + size,)) + value.to_bytes(size, "big")

    def _read(self, data: bytes) -> tuple[int, int] | None:
        """Return the number at the beginning, and how many bytes it has."""
        if self.kind in "ui":
            width = (self.most + 7) // 8
            value = int.from_bytes(data[:width], self.byte_order) & ((1 << self.most) - 1)
            return None if len(data) < width or value > self.largest_number else (value, width)
        if self.kind in ("dec", "hex"):
            digits = (string.digits if self.kind == "dec" else string.hexdigits).encode()
            width = next(
                (i for i, byte in enumerate(data[: self.most]) if byte not in digits), len(data[: self.most])
            )
            return (
                None if width < self.least else (int(data[:width], 10 if self.kind == "dec" else 16), width)
            )
        if self.kind == "varint":
            last = next((i for i, byte in enumerate(data[: self.most]) if byte < 0x80), None)
            if last is None:
                return None
            return sum((byte & 0x7F) << 7 * i for i, byte in enumerate(data[: last + 1])), last + 1
        if not data or data[0] < 0x80:
            return (data[0], 1) if data else None
        size = data[0] - 0x80
        return (int.from_bytes(data[1 : size + 1], "big"), size + 1) if 1 <= size < len(data) else None


def _size(filler: Filler) -> int:
    return len(_plain(filler))


def _plain(filler: Filler) -> bytes:
    return b"".join(bytes(part) if isinstance(part, int) else part for part in filler)


def _fits(data: bytes, filler: Filler) -> bool:
    """Return whether bytes begin with what has to be there."""
    for part in filler:
        size = part if isinstance(part, int) else len(part)
        if len(data) < size or (isinstance(part, bytes) and not data.startswith(part)):
            return False
        data = data[size:]
    return True
