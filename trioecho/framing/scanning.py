"""Finds whole frames in bytes: the loops that a small frame costs."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ..base.mypyc import mypyc_attr
from .frame_format import FrameFormat


@mypyc_attr(allow_interpreted_subclasses=True)
class Scanner:
    """Finds whole frames of one format and limit. It keeps nothing, so decoders can share it."""

    __slots__ = ()

    def scan(
        self, data: bytes | bytearray | memoryview, start: int = 0, only_one: bool = False
    ) -> tuple[int, int, int]:
        """Return bytes and number of the frames that are complete from ``start`` on, and what the next needs.

        The third is how many bytes the next frame needs, or its header if that is not
        complete. If they are all there and no frame was found, its header is invalid.
        """
        raise NotImplementedError

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        """Return the payloads of the frames that are complete, and how many bytes these frames have."""
        raise NotImplementedError

    def are_frames(self, pieces: Sequence[bytes], sizes: Sequence[int]) -> bool:
        """Return whether each of many pieces, whose sizes are given, is exactly one frame."""
        for piece, size in zip(pieces, sizes, strict=True):
            whole, count, _ = self.scan(piece)
            if count != 1 or whole != size:
                return False
        return True


@mypyc_attr(allow_interpreted_subclasses=True)
class StructScanner(Scanner):
    """Reads headers with `struct`, which is the fastest way for an interpreter."""

    __slots__ = ("_header_bytes", "_least", "_most", "_unpack_from")

    def __init__(self, frame_format: FrameFormat, max_frame_length: int) -> None:
        self._unpack_from = frame_format._header.unpack_from
        self._header_bytes: int = frame_format.header_bytes
        # Of the number in a header: what it may be. It is `_least` less than payload and header
        # together, and the header.
        self._least: int = frame_format._counted_header_bytes
        self._most: int = max_frame_length + self._least

    def scan(
        self, data: bytes | bytearray | memoryview, start: int = 0, only_one: bool = False
    ) -> tuple[int, int, int]:
        unpack_from, header_bytes = self._unpack_from, self._header_bytes
        least, most = self._least, self._most
        uncounted = header_bytes - least
        end = len(data)
        last_header = end - header_bytes
        if only_one and start < last_header:
            last_header = start
        position = start
        count = 0
        size = header_bytes
        # Whether the last frame is all there is looked at once, and behind the loop.
        while position <= last_header:
            (length,) = unpack_from(data, position)
            if length > most or length < least:
                break
            size = length + uncounted
            position += size
            count += 1
        if position > end:
            return position - size - start, count - 1, size
        return position - start, count, header_bytes

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        unpack_from, header_bytes = self._unpack_from, self._header_bytes
        least, most = self._least, self._most
        uncounted = header_bytes - least
        payloads: list[bytes] = []
        append = payloads.append
        end = len(data)
        last_header = end - header_bytes
        position = 0
        while position <= last_header:
            (length,) = unpack_from(data, position)
            if length > most or length < least:
                break
            next_position = position + length + uncounted
            if next_position > end:
                break
            append(data[position + header_bytes : next_position])
            position = next_position
        return payloads, position

    def are_frames(self, pieces: Sequence[bytes], sizes: Sequence[int]) -> bool:
        # Every step is for all pieces, in a loop of the interpreter's own, which takes a
        # fraction of the time of a scan of each (`scripts/bench --only many`).
        try:
            announced = list(map(self._unpack_from, pieces))
        except struct.error:  # one is too short for a header
            return False
        uncounted = self._header_bytes - self._least
        expected = list(zip(map((-uncounted).__add__, sizes), strict=True))
        return announced == expected and max(sizes) <= self._most + uncounted
