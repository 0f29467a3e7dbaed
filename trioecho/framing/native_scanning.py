"""Finds whole frames in bytes with the processor's own arithmetic, where this module is compiled.

An interpreter takes longer for this than for `StructScanner`, which says what is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .frame_format import FrameFormat
from .scanning import StructScanner

if TYPE_CHECKING:
    from mypy_extensions import i64

# Numbers up to this one can be added to a position without an overflow.
MOST_NATIVE: Final = 1 << 62


class NativeScanner(StructScanner):
    """Reads headers byte by byte. The limit must be less than `MOST_NATIVE`."""

    __slots__ = ("_first", "_header", "_high", "_is_u32be", "_low", "_step")

    def __init__(self, frame_format: FrameFormat, max_frame_length: int) -> None:
        super().__init__(frame_format, max_frame_length)
        is_big_endian = frame_format.byte_order == "big"
        self._is_u32be = frame_format.header_bytes == 4 and is_big_endian
        self._header: i64 = frame_format.header_bytes
        # Where its most significant byte is, and the next one from there.
        self._first: i64 = 0 if is_big_endian else self._header - 1
        self._step: i64 = 1 if is_big_endian else -1
        self._low: i64 = self._least
        self._high: i64 = self._most

    def scan(
        self, data: bytes | bytearray | memoryview, start: int = 0, only_one: bool = False
    ) -> tuple[int, int, int]:
        if not isinstance(data, bytes):
            return super().scan(data, start, only_one)
        header_bytes, least, most = self._header, self._low, self._high
        begin: i64 = start
        end: i64 = len(data)
        last_header = end - header_bytes
        if only_one and begin < last_header:
            last_header = begin
        position = begin
        count: i64 = 0
        size = header_bytes
        while position <= last_header:
            length = self._length(data, position)
            if length > most or length < least:
                break
            size = length + header_bytes - least
            position += size
            count += 1
        if position > end:
            return position - size - begin, count - 1, size
        return position - begin, count, header_bytes

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        header_bytes, least, most = self._header, self._low, self._high
        payloads: list[bytes] = []
        end: i64 = len(data)
        last_header = end - header_bytes
        position: i64 = 0
        while position <= last_header:
            length = self._length(data, position)
            if length > most or length < least:
                break
            next_position = position + length + header_bytes - least
            if next_position > end:
                break
            payloads.append(data[position + header_bytes : next_position])
            position = next_position
        return payloads, position

    def are_frames(self, pieces: Sequence[bytes], sizes: Sequence[int]) -> bool:
        header_bytes, least, most = self._header, self._low, self._high
        for piece in pieces:
            size: i64 = len(piece)
            if size < header_bytes:
                return False
            length = self._length(piece, 0)
            if length > most or length < least or length + header_bytes - least != size:
                return False
        return True

    def _length(self, data: bytes, position: i64) -> i64:
        """Return the number in the header; one that has 64 bits and is too large may be negative."""
        if self._is_u32be:
            a: i64 = data[position]
            b: i64 = data[position + 1]
            c: i64 = data[position + 2]
            d: i64 = data[position + 3]
            return a << 24 | b << 16 | c << 8 | d
        length: i64 = 0
        at = position + self._first
        for _ in range(self._header_bytes):
            digit: i64 = data[at]
            length = length << 8 | digit
            at += self._step
        return length
