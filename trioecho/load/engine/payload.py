"""Payloads with their headers, for functions of the user, where a header is more than a length."""

from __future__ import annotations

from ...framing import FrameFormat
from .ring import Ring


class Payload(bytes):
    """A payload of a frame whose header has more in it than a length.

    Attributes:
      header: all in front of the payload, the length included.
    """

    header: bytes

    def __new__(cls, payload: bytes, header: bytes) -> Payload:
        """Keep the header beside the payload."""
        self = super().__new__(cls, payload)
        self.header = header
        return self


def message_of(ring: Ring, message: int, format: FrameFormat) -> bytes:
    """Return the payload of a message that was sent, counted from 0; with its header where that says more."""
    payload = ring.payload(message)
    if format.is_plain:
        return payload
    header = ring.header(message)
    return Payload(payload, format.encode_header(len(payload)) if header is None else header)


def reply_of(payload: bytes, header: bytes, format: FrameFormat) -> bytes:
    """Return the payload of a reply; with its header where that says more."""
    return payload if format.is_plain else Payload(payload, header)
