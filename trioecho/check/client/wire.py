"""Frames on the wire, made and read by the suite's own few lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

_USUAL_BYTES = 4096


class FramedPayload(bytes):
    """A payload with the frame that it is sent in, whose header has more in it than a length.

    Attributes:
      frame: all of it.
    """

    frame: bytes

    def __new__(cls, payload: bytes, frame: bytes) -> FramedPayload:
        """Keep the frame beside the payload."""
        self = super().__new__(cls, payload)
        self.frame = frame
        return self

    def __getnewargs__(self) -> tuple[bytes, bytes]:  # type: ignore[override]  # that of bytes has one
        """Return what a copy is made from, also in another process."""
        return bytes(self), self.frame


def is_as_given(given: bytes, frame: bytes, payload: bytes) -> bool:
    """Return whether a frame with this payload is the given one; its header only where that is given, too."""
    return payload == given and (not isinstance(given, FramedPayload) or frame == given.frame)


@dataclass(frozen=True)
class Wire:
    """How headers are written.

    Attributes:
      header_bytes: width of a header in bytes; where that varies, of the shortest.
      byte_order: which byte comes first.
      counts_header: whether the announced length includes the header.
      is_plain: whether a header is a number of so many bytes, and a frame has nothing else.
    """

    header_bytes: int = 4
    byte_order: Literal["big", "little"] = "big"
    counts_header: bool = False

    is_plain: ClassVar[bool] = True

    def __str__(self) -> str:
        order = "" if self.header_bytes == 1 else self.byte_order[0] + "e"
        return f"u{8 * self.header_bytes}{order}{'+header' if self.counts_header else ''}"

    @property
    def largest_number(self) -> int:
        """The largest number that a header can hold."""
        return (1 << 8 * self.header_bytes) - 1

    @property
    def largest_payload(self) -> int:
        """The longest payload whose length a header can announce."""
        return self.largest_number - self._counted

    @property
    def _counted(self) -> int:
        return self.header_bytes if self.counts_header else 0

    def number(self, value: int) -> bytes:
        """Make a header that holds this number, whatever it means."""
        return value.to_bytes(self.header_bytes, self.byte_order)

    def header(self, payload_length: int) -> bytes:
        """Make the header of a payload of that many bytes."""
        return self.number(payload_length + self._counted)

    def frame(self, payload: bytes) -> bytes:
        """Put a payload behind its header, or return the frame that it is in already."""
        return payload.frame if isinstance(payload, FramedPayload) else self._new_frame(payload)

    def _new_frame(self, payload: bytes) -> bytes:
        return self.header(len(payload)) + payload

    def like(self, frame: bytes, /) -> Wire:
        """Return the same, of which all headers are as this frame's, except for their lengths."""
        return self

    def payload_at(self, frame: bytes, /) -> int:
        """Return the offset of the payload in a whole frame."""
        return self.header_bytes

    def size(self, payload: bytes) -> int:
        """Return how many bytes the frame of a payload has."""
        return len(self.frame(payload))

    def frames(self, *payloads: bytes) -> bytes:
        """Join frames, one behind the other."""
        return b"".join(map(self.frame, payloads))

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the payloads of the whole frames in some bytes, and what is left behind them."""
        payloads, end = [], 0
        for payload, _, at in self._whole_frames(data):
            payloads.append(payload)
            end = at
        return payloads, data[end:]

    def whole_frames(self, data: bytes) -> Iterator[bytes]:
        """Return the whole frames in some bytes, one after the other."""
        return (data[start:end] for _, start, end in self._whole_frames(data))

    def _whole_frames(self, data: bytes) -> Iterator[tuple[bytes, int, int]]:
        at = 0
        # To look at a copy of all that is left would take time that grows with its square.
        while (frame := self.first(data[at : at + _USUAL_BYTES]) or self.first(data[at:])) is not None:
            payload, size = frame
            yield payload, at, at + size
            at += size

    def first(self, data: bytes) -> tuple[bytes, int] | None:
        """Return the payload of the first frame, and the frame's size; None if none is whole and right."""
        if len(data) < self.header_bytes:
            return None
        length = int.from_bytes(data[: self.header_bytes], self.byte_order) - self._counted
        end = self.header_bytes + length
        return None if length < 0 or len(data) < end else (data[self.header_bytes : end], end)
