"""Write and read one header that is more than a number, and the trailer of its frame."""

from __future__ import annotations

import struct

from ..errors import FrameTooSmallError, MalformedFrameError, RemoteProtocolError
from .layout import Filler, Layout, filler_bytes
from .number_codecs import NEEDS_MORE, Data, NumberCodec, number_codec


class HeaderCodec:
    """Writes and reads the headers of a layout.

    Attributes:
      layout: what a frame consists of.
      number: writes and reads the length alone.
      trailer: what follows every payload; nothing, if its size is in the header.
      trailer_bytes: its size.
      start: where in a header the number is.

    Args:
      layout: as above.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout: Layout = layout
        self.number: NumberCodec = number_codec(layout.number)
        self.trailer: bytes = _default(layout.trailer)
        self.trailer_bytes: int = len(self.trailer)
        self.start: int = filler_bytes(layout.before)
        self._before = _default(layout.before)
        self._behind = _default(layout.behind)
        self._checked_before = _checked(layout.before)
        self._checked_behind = _checked(layout.behind)
        self._checked_trailer = _checked(layout.trailer)
        self._rest = len(self._behind)
        self._or_without = f"without its length it has {self.start + self._rest}"
        self._padding_at = layout.padding_at
        self._least = layout.least_header_bytes
        self._counted = layout.counted

    def pack(self, payload_length: int) -> bytes:
        """Return the header of a payload of that many bytes.

        Raises:
          struct.error: the number cannot express it.
        """
        return b"".join((self._before, self._encode(payload_length), self._behind))

    def pack_like(self, header: bytes, payload_length: int) -> bytes:
        """Return a header with another length, and else the same.

        Args:
          header: a whole one, or one without its number.
          payload_length: the length.

        Raises:
          struct.error: the number cannot express it.
          ValueError: that is no header, or not a whole one, or something is behind it.
        """
        if len(header) == self.start + self._rest:
            return self._pack_around(header, payload_length)
        try:
            size, length = self.measure(header, 0, len(header))
        except RemoteProtocolError as error:
            raise ValueError(
                f"{header!r} is no header of {self.layout}: {error}; {self._or_without}"
            ) from None
        if length == NEEDS_MORE or size != len(header):
            reason = f"a header of {self.layout} does not have {len(header)} bytes; {self._or_without}"
            raise ValueError(reason)
        if length == payload_length:
            return header  # as it is, if its number could be written in another way
        stop = size - self._rest
        number = self._encode(payload_length, header[self.start : stop])
        return b"".join((header[: self.start], number, header[stop:]))

    def _pack_around(self, header: bytes, payload_length: int) -> bytes:
        whole = b"".join((header[: self.start], self._encode(payload_length), header[self.start :]))
        try:
            self.measure(whole, 0, len(whole))
        except MalformedFrameError as error:
            reason = f"{header!r} is no header of {self.layout} without its length: {error.reason}"
            raise ValueError(reason) from None
        return whole

    def _encode(self, payload_length: int, old: Data = b"") -> bytes:
        value = payload_length + self._counted
        if value > self.number.largest:
            raise struct.error("the number cannot express it")
        return self.number.encode(value, old)

    def measure(self, data: Data, start: int, end: int) -> tuple[int, int]:
        """Return how many bytes the header at ``start`` has, and how many its payload.

        If more is needed, the second is `NEEDS_MORE` and the first is how many bytes, at least.

        Raises:
          FrameTooSmallError: the length is less than what it counts beside the payload.
          MalformedFrameError: something else in it cannot be.
        """
        if end - start < self._least:
            return self._least, NEEDS_MORE
        for offset, wanted in self._checked_before:
            _check(data, start + offset, wanted, offset)
        # What is behind the number is never looked at before it is all here. So the same bytes
        # give the same result, however they were cut.
        number_at, hidden = start + self.start, self._rest - self.number.looks_ahead
        try:
            size, value = self.number.read(data, number_at, end - hidden)
        except MalformedFrameError as error:
            raise MalformedFrameError(error.reason, self.start + error.offset) from None
        if value == NEEDS_MORE:
            return self.start + size + hidden, NEEDS_MORE
        header_bytes = self.start + size + self._rest
        if end - start < header_bytes:
            return header_bytes, NEEDS_MORE
        for offset, wanted in self._checked_behind:
            _check(data, number_at + size + offset, wanted, self.start + size + offset)
        if value < self._counted:
            raise FrameTooSmallError(value, self._counted)
        return header_bytes, value - self._counted

    def bytes_behind(self, data: Data, start: int, header_bytes: int) -> int:
        """Return how many bytes follow the payload of a frame, of whose header this is the place."""
        at = self._padding_at
        if at is None:
            return self.trailer_bytes
        return data[start + at if at >= 0 else start + header_bytes + at]

    def check_trailer(self, data: Data, start: int, position: int) -> None:
        """Check what follows the payload of the frame that begins at ``start``.

        Raises:
          MalformedFrameError: it is not what it has to be.
        """
        for offset, wanted in self._checked_trailer:
            _check(data, position + offset, wanted, position + offset - start)

    def is_trailer(self, data: Data, position: int) -> bool:
        """Return whether what is there may follow a payload."""
        return all(
            data[position + at : position + at + len(wanted)] == wanted
            for at, wanted in self._checked_trailer
        )


def _default(filler: Filler) -> bytes:
    return b"".join(bytes(part) if isinstance(part, int) else part for part in filler)


def _checked(filler: Filler) -> list[tuple[int, bytes]]:
    """Return the bytes that are not free, and where they are."""
    found, offset = [], 0
    for part in filler:
        if isinstance(part, bytes):
            found.append((offset, part))
        offset += part if isinstance(part, int) else len(part)
    return found


def _check(data: Data, at: int, wanted: bytes, offset: int) -> None:
    """Compare what is here with what it has to be; the offset is that in the frame."""
    here = bytes(data[at : at + len(wanted)])
    if here != wanted:
        wrong = next(i for i, (one, other) in enumerate(zip(here, wanted, strict=True)) if one != other)
        raise MalformedFrameError(
            f"0x{here[wrong]:02x} came instead of 0x{wanted[wrong]:02x}", offset + wrong
        )
