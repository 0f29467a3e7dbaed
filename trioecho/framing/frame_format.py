"""How a frame is written: the header, and what it can express."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Literal

from ..errors import PayloadTooLargeError

# nginx takes request bodies of 1 MiB (client_max_body_size); gRPC messages of 4 MiB.
DEFAULT_MAX_FRAME_LENGTH = 1 << 20

_STRUCT_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_BYTE_ORDERS = {"big": ">", "little": "<"}


@dataclass(frozen=True)
class FrameFormat:
    """How a header is written. The default is the service's own format.

    Attributes:
      header_bytes: width of the header in bytes: 1, 2, 4 or 8.
      byte_order: ``"big"`` (network order) or ``"little"``.
      length_includes_header: whether the announced length counts the header.

    Raises:
      ValueError: for any other width or byte order.
    """

    header_bytes: Literal[1, 2, 4, 8] = 4
    byte_order: Literal["big", "little"] = "big"
    length_includes_header: bool = False
    _header: struct.Struct = field(init=False, repr=False, compare=False)
    _counted_header_bytes: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.header_bytes not in _STRUCT_CODES:
            raise ValueError(f"header_bytes must be 1, 2, 4 or 8, not {self.header_bytes!r}")
        if self.byte_order not in _BYTE_ORDERS:
            raise ValueError(f"byte_order must be 'big' or 'little', not {self.byte_order!r}")
        header = struct.Struct(_BYTE_ORDERS[self.byte_order] + _STRUCT_CODES[self.header_bytes])
        object.__setattr__(self, "_header", header)
        counted = self.header_bytes if self.length_includes_header else 0
        object.__setattr__(self, "_counted_header_bytes", counted)

    def __reduce__(self) -> tuple[object, ...]:
        # A Struct cannot be copied or pickled; it is made again.
        return FrameFormat, (self.header_bytes, self.byte_order, self.length_includes_header)

    @property
    def max_payload_length(self) -> int:
        """The longest payload, in bytes, whose length the header can express."""
        return (1 << 8 * self.header_bytes) - 1 - self._counted_header_bytes

    def encode_header(self, payload_length: int) -> bytes:
        """The header of a frame with that many payload bytes.

        Raises:
          PayloadTooLargeError: the length does not fit into the header.
          ValueError: it is negative.
        """
        if payload_length < 0:
            raise ValueError(f"a payload cannot have {payload_length} bytes")
        try:
            return self._header.pack(payload_length + self._counted_header_bytes)
        except struct.error:
            raise PayloadTooLargeError(payload_length, self.max_payload_length) from None


DEFAULT_FORMAT = FrameFormat()


def encode_frame(
    payload: bytes | bytearray | memoryview,
    *,
    format: FrameFormat = DEFAULT_FORMAT,
) -> bytes:
    """The frame that carries this payload, header first.

    Raises:
      PayloadTooLargeError: the length does not fit into the format's header.
    """
    # len() of a memoryview counts its items, which may be wider than a byte.
    length = payload.nbytes if isinstance(payload, memoryview) else len(payload)
    return b"".join((format.encode_header(length), payload))


_TELLTALE_BYTES = (
    (
        (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI "),
        "an HTTP request; is the peer an HTTP client?",
    ),
    ((b"HTTP",), "an HTTP response; is the peer an HTTP server?"),
    ((b"\x16\x03",), "a TLS handshake; does the peer expect TLS here?"),
    ((b"SSH-",), "an SSH greeting; is the peer an SSH program?"),
)


def diagnose(header: bytes, frame_format: FrameFormat, limit: int) -> str | None:
    """What a header with an impossible length most likely is."""
    for beginnings, meaning in _TELLTALE_BYTES:
        if header.startswith(beginnings):
            return f"the bytes {header!r} begin {meaning}"
    other_order: Literal["big", "little"] = "little" if frame_format.byte_order == "big" else "big"
    length = int.from_bytes(header, other_order) - frame_format._counted_header_bytes
    if 0 <= length <= limit:
        return f"read as {other_order}-endian it would be {length}; does the peer use that byte order?"
    return None
