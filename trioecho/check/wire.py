"""Frames on the wire, made and read by the suite's own few lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Wire:
    """How headers are written.

    Attributes:
      header_bytes: width of a header in bytes.
      byte_order: which byte comes first.
      counts_header: whether the announced length includes the header.
    """

    header_bytes: int = 4
    byte_order: Literal["big", "little"] = "big"
    counts_header: bool = False

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
        """A header that holds this number, whatever it means."""
        return value.to_bytes(self.header_bytes, self.byte_order)

    def header(self, payload_length: int) -> bytes:
        """The header of a payload of that many bytes."""
        return self.number(payload_length + self._counted)

    def frame(self, payload: bytes) -> bytes:
        """A payload behind its header."""
        return self.header(len(payload)) + payload

    def frames(self, *payloads: bytes) -> bytes:
        """Frames, one behind the other."""
        return b"".join(map(self.frame, payloads))

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """The payloads of the whole frames in some bytes, and what is left behind them."""
        payloads = []
        while len(data) >= self.header_bytes:
            length = int.from_bytes(data[: self.header_bytes], self.byte_order) - self._counted
            end = self.header_bytes + length
            if length < 0 or len(data) < end:
                break
            payloads.append(data[self.header_bytes : end])
            data = data[end:]
        return payloads, data
