"""Messages with something in them that differs from one to the next: a template of text, or of bytes.

::

    text   GET /{{connection}}/{{number 6}}?t={{time}}&id={{random 8}}
    hex    0001 {{number u32be}} {{random 4}} 00

A placeholder is a word in two braces. Of the numbers, ``connection`` counts from 0, ``number``, the
message on its connection, from 1, as reports name them, and ``time`` is in milliseconds since 1970. In a text
they are decimal; with a width, they have that many digits, zeros in front, and the highest digits are left
out. In bytes they are written in a format, ``u16le``, and the highest bits are left out. ``random N`` are N
letters and digits, or N bytes. Everything but the time follows from a seed. Two open braces are
written as four.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

# Digits of the largest numbers: of a connection, of a message, of milliseconds until the year 2286.
_DIGITS = {"connection": 8, "number": 13, "time": 13}
_MOST_DIGITS = 20
_MOST_RANDOM = 1 << 16
_ORDERS: dict[str, Literal["big", "little"]] = {"be": "big", "le": "little"}
_FORMATS = "u8, u16be, u32le, u64be, ..."
_FORMAT = re.compile(r"u(?:8|(16|24|32|40|48|56|64)(be|le))")
# 32 characters, so that each is as likely as the others.
_CHARACTERS = bytes(b"abcdefghijklmnopqrstuvwxyz234567"[byte % 32] for byte in range(256))

TemplateKind = Literal["text", "hex"]


class TemplateError(ValueError):
    """A template cannot be read; the message is one line that says what would be right.

    Attributes:
      piece (str): the piece of the template that is wrong.
    """

    def __init__(self, reason: str, piece: str) -> None:
        super().__init__(reason, piece)
        self.reason = reason
        self.piece = piece

    def __str__(self) -> str:
        return self.reason


class Values(NamedTuple):
    """What placeholders stand for, in one message.

    Attributes:
      seed: of the run.
      connection: from 0.
      number: of the message on its connection, from 1.
      time_ms: milliseconds since 1970.
    """

    seed: int
    connection: int
    number: int
    time_ms: int


_Part = Callable[[Values], bytes]


class Template:
    """A message that is made anew each time.

    Attributes:
      kind: whether it is written as text or in hexadecimal.
      source: as it was written.
      least_bytes: of the shortest message.
      most_bytes: of the longest.
      has_time: whether the time is in it.

    Args:
      source: the template.
      kind: as the attribute.

    Raises:
      TemplateError: a placeholder, or what is around it, cannot be read.
    """

    def __init__(self, source: str, kind: TemplateKind) -> None:
        self.kind: TemplateKind = kind
        self.source: str = source
        self.least_bytes: int = 0
        self.most_bytes: int = 0
        self.has_time: bool = False
        self._parts: list[bytes | _Part] = []
        self._randoms = 0
        for is_placeholder, piece in _pieces(source):
            if is_placeholder:
                self._add_placeholder(piece)
            else:
                self._add(_literal(piece, kind))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and (self.kind, self.source) == (other.kind, other.source)

    def __hash__(self) -> int:
        return hash((self.kind, self.source))

    def render(self, values: Values) -> bytes:
        """Return the message."""
        return b"".join([part if type(part) is bytes else part(values) for part in self._parts])  # type: ignore[operator]

    def _add(self, part: bytes | _Part, least: int | None = None, most: int | None = None) -> None:
        length = len(part) if isinstance(part, bytes) else 0
        self.least_bytes += length if least is None else least
        self.most_bytes += length if most is None else most
        self._parts.append(part)

    def _add_placeholder(self, piece: str) -> None:
        """Add what a piece stands for; the piece has its braces."""
        words = piece[2:-2].split()
        name, size = words[0] if words else "", " ".join(words[1:])
        if name == "random":
            count = _count(size, piece, "random", _MOST_RANDOM)
            self._randoms += 1
            self._add(_random(count, self._randoms, self.kind), count, count)
            return
        if name not in _DIGITS:
            [close] = difflib.get_close_matches(name, [*_DIGITS, "random"], 1) or [""]
            hint = f"; did you mean {close}?" if close else ""
            raise TemplateError(f"{piece} is none of connection, number, time and random N{hint}", piece)
        self.has_time |= name == "time"
        if self.kind == "hex":
            match = _FORMAT.fullmatch(size)
            if match is None:
                wanted = f"in hexadecimal it needs a format ({_FORMATS})"
                raise TemplateError(f"{piece}: {wanted}, as {{{{{name} u32be}}}}", piece)
            width = int(match[1] or 8) // 8
            self._add(_in_bytes(name, width, _ORDERS[match[2] or "be"]), width, width)
        elif size:
            width = _count(size, piece, name, _MOST_DIGITS)
            self._add(_padded(name, width), width, width)
        else:
            self._add(_decimal(name), 13 if name == "time" else 1, _DIGITS[name])


def _pieces(source: str) -> Iterator[tuple[bool, str]]:
    """Yield each piece, and whether it is a placeholder."""
    at = 0
    while (begin := source.find("{{", at)) >= 0:
        if begin > at:
            yield False, source[at:begin]
        if source.startswith("{{{{", begin):
            yield False, "{{"
            at = begin + 4
            continue
        end = source.find("}}", begin)
        if end < 0:
            piece = source[begin : begin + 20]
            raise TemplateError(f"{piece} has no }}}} behind it; two open braces are written {{{{{{{{", piece)
        at = end + 2
        yield True, source[begin:at]
    if at < len(source):
        yield False, source[at:]


def _literal(piece: str, kind: TemplateKind) -> bytes:
    if kind == "text":
        try:
            return piece.encode()
        except UnicodeEncodeError:
            reason = "half of a surrogate pair is no character"
            raise TemplateError(reason, piece) from None
    try:
        return bytes.fromhex(piece)
    except ValueError:
        shown = piece if len(piece) <= 20 else f"{piece[:20]}..."
        raise TemplateError(f"{shown!r} is not hexadecimal: two digits a byte", piece) from None


def _count(size: str, piece: str, name: str, most: int) -> int:
    if not re.fullmatch(r"\d{1,9}", size, re.ASCII) or not 1 <= int(size) <= most:
        what = "how many" if name == "random" else "how many digits"
        raise TemplateError(f"{piece}: {what} is a number from 1 to {most}, as {{{{{name} 8}}}}", piece)
    return int(size)


_AT = {
    name: Values._fields.index(field)
    for name, field in (("connection",) * 2, ("number",) * 2, ("time", "time_ms"))
}


def _decimal(name: str) -> _Part:
    at = _AT[name]
    return lambda values: b"%d" % values[at]


def _padded(name: str, width: int) -> _Part:
    at, above = _AT[name], 10**width
    return lambda values: b"%0*d" % (width, values[at] % above)


def _in_bytes(name: str, width: int, order: Literal["big", "little"]) -> _Part:
    at, mask = _AT[name], (1 << 8 * width) - 1
    return lambda values: (values[at] & mask).to_bytes(width, order)


def _random(count: int, which: int, kind: TemplateKind) -> _Part:
    """Return what makes ``count`` bytes, or characters, that are those of no other message."""

    def random_bytes(values: Values) -> bytes:
        name = b"%d %d %d %d" % (values.seed, values.connection, values.number, which)
        return hashlib.shake_128(name).digest(count)

    if kind == "hex":
        return random_bytes
    return lambda values: random_bytes(values).translate(_CHARACTERS)
