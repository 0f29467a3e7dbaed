"""Identifiers that a service sends back, so that a reply is known by its own bytes, whenever it comes."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

_PLACE = re.compile(r"(?P<header>header\+)?(?P<offset>\d{1,9}):(?P<width>\d{1,2})", re.ASCII)
_MOST_WIDTH = 16
# A byte above it would make a number negative, in one byte order or the other, or a text malformed.
_BYTE_VALUES = 0x80
RIGHT = (
    "write OFFSET:WIDTH in bytes of the payload, as 0:2, or header+OFFSET:WIDTH in those of the header; "
    "where the reply has it at another place, both, as 4:4=0:4"
)


@dataclass(frozen=True)
class Place:
    """A place in frames.

    Attributes:
      offset: of its first byte, from the beginning of the payload, or of the header.
      width: how many bytes it has.
      in_header: which of the two.
    """

    offset: int
    width: int
    in_header: bool = False

    def __str__(self) -> str:
        return f"{'header+' if self.in_header else ''}{self.offset}:{self.width}"

    @property
    def in_words(self) -> str:
        """The same for people."""
        last = self.offset + self.width - 1
        which = f"byte {self.offset}" if self.width == 1 else f"bytes {self.offset} to {last}"
        return f"{which} of the {'header' if self.in_header else 'payload'}"

    def within(self, frame: bytes, payload_at: int, payload_end: int) -> int | None:
        """Return where the place begins in a frame; None if the frame is too short for it.

        Args:
          frame: all of it.
          payload_at: where its payload begins.
          payload_end: where its payload ends.
        """
        start, end = (0, payload_at) if self.in_header else (payload_at, payload_end)
        return start + self.offset if start + self.offset + self.width <= end <= len(frame) else None


@dataclass(frozen=True)
class Correlation:
    """Where a request has its identifier, and its reply the same.

    Attributes:
      request: in the request.
      reply: in the reply; as wide.
    """

    request: Place
    reply: Place

    @classmethod
    def parse(cls, text: str) -> Correlation:
        """Return what ``0:2``, ``header+0:2`` or ``4:4=0:4`` stands for.

        Raises:
          ValueError: it is none of these; the message says what is right.
        """
        first, _, second = text.partition("=")
        request, reply = _place(first), _place(second) if "=" in text else _place(first)
        if request.width != reply.width:
            raise ValueError("an identifier is as wide in the reply as in the request")
        return cls(request, reply)

    def __str__(self) -> str:
        return f"{self.request}={self.reply}" if self.request != self.reply else str(self.request)


def _place(text: str) -> Place:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError(RIGHT)
    width = int(found["width"])
    if not 1 <= width <= _MOST_WIDTH:
        raise ValueError(f"an identifier has 1 to {_MOST_WIDTH} bytes")
    return Place(int(found["offset"]), width, found["header"] is not None)


class Identifiers:
    """One after the other for each of several requests; none has one of another's, or the same soon again.

    Where requests have decimal digits at the place, so have these, without leading zeros. Else no byte
    has its highest bit set, and the first is not 0.
    """

    def __init__(self, width: int, source: random.Random, *, kinds: int, are_digits: bool) -> None:
        self._width = width
        self._base = 10 if are_digits else _BYTE_VALUES
        self._least = self._base ** (width - 1)
        self._each = how_many(width, are_digits=are_digits) // kinds
        self._next = [source.randrange(self._each) for _ in range(kinds)]
        self._are_digits = are_digits

    def fresh(self, kind: int) -> bytes:
        """Return the next one of a request."""
        value = self._least + kind * self._each + self._next[kind]
        self._next[kind] = (self._next[kind] + 1) % self._each
        if self._are_digits:
            return b"%d" % value
        values = []
        for _ in range(self._width):
            value, low = divmod(value, self._base)
            values.append(low)
        return bytes(reversed(values))


def how_many(width: int, *, are_digits: bool) -> int:
    """Return how many identifiers there are of so many bytes."""
    base = 10 if are_digits else _BYTE_VALUES
    first = int(base ** (width - 1))
    return first * base - first
