"""Keeps the headers of messages that were handed out without them, in case that they are taken back."""

from __future__ import annotations

from collections.abc import Sequence

from .frame_format import Frame, FrameFormat
from .scanning import Scanner


class HeaderKeeper(Scanner):
    """Finds what another scanner finds, and keeps what stood around the payloads that it gave last.

    Args:
      format: how frames are written.
      scanner: finds them.
    """

    __slots__ = ("_format", "_last", "_scanner")

    def __init__(self, format: FrameFormat, scanner: Scanner) -> None:
        self._format = format
        self._scanner = scanner
        self._last: list[Frame] = []

    def scan(
        self, data: bytes | bytearray | memoryview, start: int = 0, only_one: bool = False
    ) -> tuple[int, int, int]:
        return self._scanner.scan(data, start, only_one)

    def split(self, data: bytes) -> tuple[list[bytes], int]:
        payloads, size = self._scanner.split(data)
        self._last = self._format._around(data, payloads)
        return payloads, size

    def keep(self, frames: Sequence[Frame]) -> None:
        """Keep what stands around the payloads of these frames, and not the payloads."""
        self._last = [frame._replace(payload=b"") for frame in frames]

    def wires(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Return the frames of the payloads that were handed out last, as they came."""
        return [
            b"".join((frame.header, payload, frame.trailer))
            for frame, payload in zip(self._last[-len(payloads) :], payloads, strict=True)
        ]
