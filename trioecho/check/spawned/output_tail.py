"""The end of what a server has written, however much that is."""

from __future__ import annotations

from collections import deque

from ...base.printable import printable, printable_line

_KEPT_BYTES = 1 << 18
# What is looked at, and shown, of one line.
_LINE_BYTES, _LINE_CHARACTERS = 4096, 300


class OutputTail:
    """Keeps the last bytes, and takes them apart only when somebody asks: most servers are never asked."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._kept_bytes = 0
        self._is_cut = False

    def add(self, data: bytes | bytearray) -> None:
        """Add what was written next."""
        piece = bytes(data[-_KEPT_BYTES:])
        self._pieces.append(piece)
        self._kept_bytes += len(piece)
        while self._kept_bytes - len(self._pieces[0]) >= _KEPT_BYTES:
            self._kept_bytes -= len(self._pieces.popleft())
            self._is_cut = True

    def last_lines(self, most: int, *, with_rest: bool) -> tuple[str, ...]:
        """Return the last lines that are not empty, with no character that moves a cursor.

        Args:
          most: how many.
          with_rest: whether a line without an end is one.
        """
        *lines, rest = b"".join(self._pieces).split(b"\n")
        if with_rest:
            lines.append(rest)
        if self._is_cut and len(lines) > 1:
            del lines[0]  # of which the beginning is gone
        filled = [line for line in lines if line.strip()][-most:]
        return tuple(map(_shown, filled))


def _shown(line: bytes) -> str:
    text = printable_line(printable(line[:_LINE_BYTES]).rstrip())
    return text if len(text) <= _LINE_CHARACTERS else f"{text[:_LINE_CHARACTERS]}..."
