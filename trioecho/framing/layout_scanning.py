"""Finds whole frames whose headers are more than a number of 1, 2, 4 or 8 bytes."""

from __future__ import annotations

from ..errors import RemoteProtocolError
from .header_codec import HeaderCodec
from .layout import Layout
from .number_codecs import NEEDS_MORE, Data
from .scanning import Scanner

# Where a frame cannot be: as many bytes are always here, so that it is looked at, and refused.
_REFUSED_BYTES = 1


class LayoutScanner(Scanner):
    """Finds the frames of any layout."""

    __slots__ = ("_codec", "_has_trailer", "_least", "_most_length")

    def __init__(self, layout: Layout, max_frame_length: int) -> None:
        self._codec = HeaderCodec(layout)
        self._has_trailer = self._codec.trailer_bytes > 0
        self._least = layout.least_header_bytes
        self._most_length = max_frame_length

    def scan(self, data: Data, start: int = 0, only_one: bool = False) -> tuple[int, int, int]:
        position, end = start, len(data)
        count = 0
        while position < end:
            at, length, next_position = self._next(data, position, end)
            if length == NEEDS_MORE:
                return position - start, count, at
            position = next_position
            count += 1
            if only_one:
                break
        return position - start, count, self._least

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        payloads: list[bytes] = []
        position, end = 0, len(data)
        while position < end:
            at, length, next_position = self._next(data, position, end)
            if length == NEEDS_MORE:
                break
            payloads.append(data[at : at + length])
            position = next_position
        return payloads, position

    def _next(self, data: Data, position: int, end: int) -> tuple[int, int, int]:
        """Return where the next payload begins, its length, and where its frame ends.

        If the frame is not whole, return how many bytes it needs, -1 and 0.
        """
        codec = self._codec
        try:
            header_bytes, length = codec.measure(data, position, end)
        except RemoteProtocolError:
            return _REFUSED_BYTES, NEEDS_MORE, 0
        if length == NEEDS_MORE:
            return header_bytes, NEEDS_MORE, 0
        if length > self._most_length:
            return _REFUSED_BYTES, NEEDS_MORE, 0
        payload_end = position + header_bytes + length
        frame_end = payload_end + codec.bytes_behind(data, position, header_bytes)
        if frame_end > end:
            return frame_end - position, NEEDS_MORE, 0
        if self._has_trailer and not codec.is_trailer(data, payload_end):
            return _REFUSED_BYTES, NEEDS_MORE, 0
        return position + header_bytes, length, frame_end


class VarintScanner(Scanner):
    """Finds frames of a varint and a payload, without a call for each that has less than 16 KiB."""

    __slots__ = ("_most_bytes", "_most_length")

    def __init__(self, most_bytes: int, max_frame_length: int) -> None:
        self._most_bytes = most_bytes
        self._most_length = max_frame_length

    def scan(self, data: Data, start: int = 0, only_one: bool = False) -> tuple[int, int, int]:
        most_bytes, most_length = self._most_bytes, self._most_length
        position, end = start, len(data)
        count = 0
        while position < end:
            length = data[position]
            at = position + 1
            if length > 0x7F:
                if at < end and 0 < data[at] <= 0x7F and most_bytes > 1:
                    length += (data[at] - 1) << 7
                    at += 1
                else:
                    at, length = self._long_varint(data, position, end)
                    if length == NEEDS_MORE:
                        return position - start, count, at
            if length > most_length:
                return position - start, count, _REFUSED_BYTES
            if at + length > end:
                return position - start, count, at + length - position
            position = at + length
            count += 1
            if only_one:
                break
        return position - start, count, 1

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        most_bytes, most_length = self._most_bytes, self._most_length
        payloads: list[bytes] = []
        position, end = 0, len(data)
        while position < end:
            length = data[position]
            at = position + 1
            if length > 0x7F:
                if at < end and 0 < data[at] <= 0x7F and most_bytes > 1:
                    length += (data[at] - 1) << 7
                    at += 1
                else:
                    at, length = self._long_varint(data, position, end)
                    if length == NEEDS_MORE:
                        break
            next_position = at + length
            if length > most_length or next_position > end:
                break
            payloads.append(data[at:next_position])
            position = next_position
        return payloads, position

    def _long_varint(self, data: Data, start: int, end: int) -> tuple[int, int]:
        """Return where a long varint ends, and its number; what it needs, and -1, if it is not whole."""
        length = shift = 0
        for at in range(start, min(end, start + self._most_bytes)):
            byte = data[at]
            length |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (at + 1, length) if byte else (_REFUSED_BYTES, NEEDS_MORE)
            shift += 7
        return (end - start + 1 if end - start < self._most_bytes else _REFUSED_BYTES), NEEDS_MORE
