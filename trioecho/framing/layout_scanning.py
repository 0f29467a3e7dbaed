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

    __slots__ = ("_codec", "_least", "_most_length", "_trailer_bytes")

    def __init__(self, layout: Layout, max_frame_length: int) -> None:
        self._codec = HeaderCodec(layout)
        self._trailer_bytes = self._codec.trailer_bytes
        self._least = layout.least_header_bytes
        self._most_length = max_frame_length

    def scan(self, data: Data, start: int = 0, only_one: bool = False) -> tuple[int, int, int]:
        position, end = start, len(data)
        count = 0
        while position < end:
            at, length = self._next(data, position, end)
            if length == NEEDS_MORE:
                return position - start, count, at
            position = at + length + self._trailer_bytes
            count += 1
            if only_one:
                break
        return position - start, count, self._least

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        payloads: list[bytes] = []
        position, end = 0, len(data)
        while position < end:
            at, length = self._next(data, position, end)
            if length == NEEDS_MORE:
                break
            payloads.append(data[at : at + length])
            position = at + length + self._trailer_bytes
        return payloads, position

    def _next(self, data: Data, position: int, end: int) -> tuple[int, int]:
        """Return where the next payload begins, and its length; what it needs, and -1, if it is not whole."""
        try:
            header_bytes, length = self._codec.measure(data, position, end)
        except RemoteProtocolError:
            return _REFUSED_BYTES, NEEDS_MORE
        if length == NEEDS_MORE:
            return header_bytes, NEEDS_MORE
        if length > self._most_length:
            return _REFUSED_BYTES, NEEDS_MORE
        size = header_bytes + length + self._trailer_bytes
        if position + size > end:
            return size, NEEDS_MORE
        if self._trailer_bytes and not self._codec.is_trailer(data, position + header_bytes + length):
            return _REFUSED_BYTES, NEEDS_MORE
        return position + header_bytes, length


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
