"""How a frame is written: the header, and what it can express."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ..errors import FrameTooSmallError, MalformedFrameError, PayloadTooLargeError
from .format_language import parse_layout
from .header_codec import HeaderCodec
from .layout import Layout, NumberKind
from .number_codecs import NEEDS_MORE

# nginx takes request bodies of 1 MiB (client_max_body_size); gRPC messages of 4 MiB.
DEFAULT_MAX_FRAME_LENGTH = 1 << 20

_STRUCT_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_BYTE_ORDERS = {"big": ">", "little": "<"}


class Frame(NamedTuple):
    """A frame in its parts, for formats whose headers are more than a length.

    Attributes:
      header: all in front of the payload, the length included.
      payload: the payload.
      trailer: what follows it.
    """

    header: bytes
    payload: bytes
    trailer: bytes = b""


@dataclass(frozen=True, repr=False)
class FrameFormat:
    """How a frame is written. The default is the service's own format.

    A header of 1, 2, 4 or 8 bytes, which is a length and nothing else, is described by the
    three arguments; every other one by `parse`, with a few words or the name of a protocol:

    >>> FrameFormat(2, "little") == FrameFormat.parse("u16le")
    True
    >>> FrameFormat.parse("mqtt")
    FrameFormat.parse('any1,varint4')

    Attributes:
      header_bytes: bytes of a header: 1, 2, 4 or 8, or any number in a format of `parse`,
        where it is that of the shortest.
      byte_order: ``"big"`` (network order) or ``"little"``.
      length_includes_header: whether the announced length counts the header.

    Raises:
      ValueError: for any other width or byte order.
    """

    header_bytes: int = 4
    byte_order: Literal["big", "little"] = "big"
    length_includes_header: bool = False
    _header: struct.Struct = field(init=False, compare=False)
    _counted_header_bytes: int = field(init=False, compare=False)
    # Makes a header of a payload's length, to which what the header counts was added; not of layouts.
    _pack: Callable[[int], bytes] = field(init=False, compare=False)
    # None for a header that is a number of 1, 2, 4 or 8 bytes and nothing else.
    _layout: Layout | None = field(init=False, default=None)
    _codec: HeaderCodec | None = field(init=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.header_bytes not in _STRUCT_CODES:
            raise ValueError(f"header_bytes must be 1, 2, 4 or 8, not {self.header_bytes!r}")
        if self.byte_order not in _BYTE_ORDERS:
            raise ValueError(f"byte_order must be 'big' or 'little', not {self.byte_order!r}")
        header = struct.Struct(_BYTE_ORDERS[self.byte_order] + _STRUCT_CODES[self.header_bytes])
        object.__setattr__(self, "_header", header)
        object.__setattr__(self, "_pack", header.pack)
        counted = self.header_bytes if self.length_includes_header else 0
        object.__setattr__(self, "_counted_header_bytes", counted)

    @classmethod
    def parse(cls, text: str) -> FrameFormat:
        """Return the format that a text describes: ``u32be+header``, ``any1,varint4``, ``dns``.

        The guide's page on formats has the words, and the names of protocols.

        Raises:
          FormatSyntaxError: a `ValueError`; it cannot be read. The message says where, and
            what would be right.
        """
        layout = parse_layout(text)
        number = layout.number
        includes_header = layout.counted == layout.least_header_bytes
        if layout == Layout(number, layout.counted) and number.kind is NumberKind.UNSIGNED:
            width = number.most // 8
            if number.most % 8 == 0 and width in _STRUCT_CODES and (includes_header or not layout.counted):
                return cls(width, number.byte_order if width > 1 else "big", includes_header)
        self = object.__new__(cls)
        codec = HeaderCodec(layout)
        # What the number counts is the codec's business, so that nobody else has to add it.
        for name, value in (
            ("header_bytes", layout.least_header_bytes),
            ("byte_order", number.byte_order),
            ("length_includes_header", includes_header and number.least_bytes == number.most_bytes),
            ("_codec", codec),
            ("_pack", codec.pack),
            ("_counted_header_bytes", 0),
            ("_layout", layout),
        ):
            object.__setattr__(self, name, value)
        return self

    def __str__(self) -> str:
        """Return the format as commands take it: ``u32be``, ``u16le+header``, ``any1,varint4``."""
        if self._layout is not None:
            return str(self._layout)
        order = "" if self.header_bytes == 1 else self.byte_order[0] + "e"
        return f"u{8 * self.header_bytes}{order}{'+header' if self.length_includes_header else ''}"

    def __repr__(self) -> str:
        if self._layout is not None:
            return f"FrameFormat.parse({str(self)!r})"
        return (
            f"FrameFormat(header_bytes={self.header_bytes!r}, byte_order={self.byte_order!r}, "
            f"length_includes_header={self.length_includes_header!r})"
        )

    def __reduce__(self) -> tuple[object, ...]:
        # A Struct cannot be copied or pickled; it is made again.
        if self._layout is not None:
            return FrameFormat.parse, (str(self),)
        return FrameFormat, (self.header_bytes, self.byte_order, self.length_includes_header)

    @property
    def is_plain(self) -> bool:
        """Whether a header is a number of 1, 2, 4 or 8 bytes, and a frame has only that and its payload."""
        return self._layout is None

    @property
    def max_payload_length(self) -> int:
        """The longest payload, in bytes, whose length the header can express."""
        if self._layout is not None:
            return self._layout.number.largest - self._layout.counted
        return (1 << 8 * self.header_bytes) - 1 - self._counted_header_bytes

    @property
    def trailer(self) -> bytes:
        """What follows a payload that is sent with a header of its own; nothing in most formats."""
        return b"" if self._codec is None else self._codec.trailer

    def _trailer_of(self, header: bytes) -> bytes:
        """Return what follows a payload that is sent with a whole header: zeros, if that says how many."""
        return self.trailer or bytes(self._bytes_behind(header, 0, len(header)))

    def frame_length(self, payload_length: int) -> int:
        """Return how many bytes the frame of a payload has, as it is sent.

        Raises:
          PayloadTooLargeError, ValueError: as `encode_header`.
        """
        if self._layout is None:
            return self.header_bytes + payload_length
        return len(self.encode_header(payload_length)) + payload_length + len(self.trailer)

    def encode_header(self, payload_length: int, *, like: bytes | None = None) -> bytes:
        """Return the header of a frame with that many payload bytes.

        Args:
          payload_length: of the frame.
          like: a header whose other bytes this one is to have: type, flags, identifiers; all of it,
            or all but its length. Without it they are 0, or what the format says.

        Raises:
          PayloadTooLargeError: the length does not fit into the header.
          ValueError: the length is negative, or ``like`` is no whole header of this format.
        """
        if payload_length < 0:
            raise ValueError(f"a payload cannot have {payload_length} bytes")
        try:
            if like is not None:
                return self._pack_like(like, payload_length)
            return self._pack(payload_length + self._counted_header_bytes)
        except struct.error:
            raise PayloadTooLargeError(payload_length, self.max_payload_length) from None

    def _pack_like(self, header: bytes, payload_length: int) -> bytes:
        if self._codec is not None:
            return self._codec.pack_like(header, payload_length)
        if len(header) != self.header_bytes:
            raise ValueError(f"a header of {self} does not have {len(header)} bytes")
        return self._pack(payload_length + self._counted_header_bytes)

    def decode_header(self, data: bytes | bytearray | memoryview, offset: int = 0) -> int:
        """Return how many payload bytes the header at ``offset`` announces.

        Compare it with a limit before you believe it. What follows the header is not
        looked at.

        Raises:
          FrameTooSmallError: the length does not cover what it counts beside the payload.
          MalformedFrameError: it is no header of this format.
          ValueError: the header is not complete.
        """
        size, length = self._measure(data, offset, len(data))
        if length == NEEDS_MORE:
            raise ValueError(f"a header of {self} has {size} bytes")
        return length

    def _measure(self, data: bytes | bytearray | memoryview, start: int, end: int) -> tuple[int, int]:
        """Return how many bytes the header at ``start`` has, and how many its payload.

        If more is needed, the second is `NEEDS_MORE` and the first is how many bytes, at least.

        Raises:
          As `decode_header`, without ValueError.
        """
        if self._codec is not None:
            return self._codec.measure(data, start, end)
        if end - start < self.header_bytes:
            return self.header_bytes, NEEDS_MORE
        (length,) = self._header.unpack_from(data, start)
        if length < self._counted_header_bytes:
            raise FrameTooSmallError(length, self._counted_header_bytes)
        return self.header_bytes, length - self._counted_header_bytes

    def _bytes_behind(self, data: bytes | bytearray | memoryview, start: int, header_bytes: int) -> int:
        """Return how many bytes follow the payload of the frame whose header is at ``start``, and whole."""
        return 0 if self._codec is None else self._codec.bytes_behind(data, start, header_bytes)

    def _wrong_trailer(
        self, data: bytes | bytearray, start: int, max_frame_length: int
    ) -> MalformedFrameError | None:
        """Return what is wrong behind the payload of the frame at ``start``, if it is all there."""
        codec = self._codec
        if codec is None or not codec.trailer:
            return None
        try:
            header_bytes, length = codec.measure(data, start, len(data))
            if length <= max_frame_length:
                codec.check_trailer(data, start, start + header_bytes + length)
        except MalformedFrameError as error:
            return error
        except FrameTooSmallError:
            pass
        return None

    def _around(self, wire: bytes, payloads: Sequence[bytes]) -> list[Frame]:
        """Return the frames at the front of a wire, which have these payloads, without the payloads."""
        frames: list[Frame] = []
        start = 0
        for payload in payloads:
            header_bytes, _ = self._measure(wire, start, len(wire))
            header_end = start + header_bytes
            payload_end = header_end + len(payload)
            end = payload_end + self._bytes_behind(wire, start, header_bytes)
            frames.append(Frame(wire[start:header_end], b"", wire[payload_end:end]))
            start = end
        return frames

    def _take_apart(self, wire: bytes) -> Frame:
        """Return the parts of a whole frame."""
        header_bytes, length = self._measure(wire, 0, len(wire))
        end = header_bytes + length
        return Frame(wire[:header_bytes], wire[header_bytes:end], wire[end:])


DEFAULT_FORMAT = FrameFormat()


def encode_frame(
    payload: bytes | bytearray | memoryview,
    *,
    format: FrameFormat = DEFAULT_FORMAT,
    header: bytes | None = None,
) -> bytes:
    """Return the frame that carries this payload, header first.

    Args:
      payload: any bytes-like object.
      format: how frames are written.
      header: one whose other bytes this frame's header is to have; see `FrameFormat.encode_header`.

    Raises:
      PayloadTooLargeError: the length does not fit into the format's header.
      TypeError: the payload is not bytes-like.
    """
    # len() counts items, which in other types may be wider than a byte.
    length = len(payload) if type(payload) is bytes else memoryview(payload).nbytes
    if header is not None or format._layout is not None:
        header = format.encode_header(length, like=header)
        return b"".join((header, payload, format._trailer_of(header)))
    return b"".join((format.encode_header(length), payload))
