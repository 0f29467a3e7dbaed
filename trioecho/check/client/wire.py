"""Frames on the wire, made and read by the suite's own few lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


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
        """Put a payload behind its header."""
        return self.header(len(payload)) + payload

    def size(self, payload: bytes) -> int:
        """Return how many bytes the frame of a payload has."""
        return len(self.frame(payload))

    def frames(self, *payloads: bytes) -> bytes:
        """Join frames, one behind the other."""
        return b"".join(map(self.frame, payloads))

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the payloads of the whole frames in some bytes, and what is left behind them."""
        payloads = []
        while (frame := self.first(data)) is not None:
            payload, size = frame
            payloads.append(payload)
            data = data[size:]
        return payloads, data

    def first(self, data: bytes) -> tuple[bytes, int] | None:
        """Return the payload of the first frame, and the frame's size; None if none is whole and right."""
        if len(data) < self.header_bytes:
            return None
        length = int.from_bytes(data[: self.header_bytes], self.byte_order) - self._counted
        end = self.header_bytes + length
        return None if length < 0 or len(data) < end else (data[self.header_bytes : end], end)
