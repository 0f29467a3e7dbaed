"""Read a description of a frame: ``u32be``, ``any1,u32be+itself``, ``any3,u32be,payload,xce``, ``dns``.

The parts stand in the order in which they are on the wire, with commas between them:

==================  ======================================================================
``u32be``           the length, of 32 bits, most significant byte first; ``le``: least. Where the
                    bits do not fill whole bytes, those above them are flags: ``u31be``, ``u17be``;
                    ``u31be:1`` is written with the flag 1
``i32be``           a length with a sign, which must be positive
``varint``          7 bits a byte, least first, another byte follows where the highest bit is
                    set; ``varint4``: of at most 4 bytes
``dec4``, ``hex4``  digits, decimal or hexadecimal; ``dec1-9``: from 1 to 9 of them
``ber``             a length in the way of BER and DER, of at most 4 bytes; ``ber2``: of at most 2
``any3``            3 bytes that may be anything; those that are written are 0
``x30``             exactly these bytes, in hexadecimal
``pad8``            a byte that says how many bytes of padding follow the payload
``payload``         where the payload is; needed only if something follows it
==================  ======================================================================

A length counts the payload. What it counts beside it stands behind it: ``+header`` (all in front
of the payload), ``+itself`` (its own bytes), ``+rest`` (what is between it and the payload),
``+trailer`` (what follows the payload), ``+4`` (4 bytes).
"""

from __future__ import annotations

import re

from .layout import (
    DEFAULT_MOST,
    MOST_FILLER_BYTES,
    PADDING_WORD,
    Filler,
    Layout,
    Number,
    NumberKind,
    filler_bytes,
    merged,
)
from .presets import PRESETS

_NUMBER = re.compile(
    r"(?:(?P<bits>[ui])(?P<width>\d{1,3})(?P<order>be|le)?(?::(?P<flags>\d{1,20}))?"
    r"|(?P<code>varint|ber)(?P<most>\d{1,2})?"
    r"|(?P<digits>dec|hex)(?P<least>\d{1,2})(?:-(?P<until>\d{1,2}))?)"
    r"(?P<counted>(?:\+[a-z0-9]+)*)"
)
_SHOWN_CHARACTERS = 60
_MOST_DIGITS = 19  # of lengths below 2**63, as programs have them
_KINDS = "u32be, varint, dec4, hex4, ber, any2, x30, pad8 or payload"


class FormatSyntaxError(ValueError):
    """A description of a frame that cannot be read; the message says where, and what would be right.

    Attributes:
      text (str): the description.
      part (str): what is wrong in it; empty if it is the whole.
    """

    def __init__(self, text: str, reason: str, part: str = "") -> None:
        super().__init__(text, reason, part)
        self.text = text
        self.reason = reason
        self.part = part

    def __str__(self) -> str:
        return f"{_quoted(self.text)}: {self.reason}" if self.part else f"{_quoted(self.text)} {self.reason}"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "...")


def parse_layout(text: str) -> Layout:
    """Return what a description, or the name of a preset, describes.

    Raises:
      FormatSyntaxError: it cannot be read.
    """
    words = text.strip().lower()
    if words in PRESETS:
        words = PRESETS[words].format
    reader = _Reader(text)
    for place, part in enumerate(words.split(","), 1):
        reader.read(part.strip(), place)
    return reader.layout()


class _Reader:
    """Reads one part after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._number: Number | None = None
        self._counted: list[str] = []
        self._place = ""  # of the number
        self._fillers: list[list[int | bytes]] = [[], [], []]
        self._where = 0  # before the number, behind it, after the payload
        self._padding: tuple[int, int] | None = None  # where, and behind how many bytes there

    def read(self, part: str, place: int) -> None:
        shown = f"part {place}, {_quoted(part)},"
        if not part and self._text.strip():
            raise self._error(f"part {place} is empty; between two commas stands {_KINDS}", shown)
        if part == "payload":
            if self._where != 1:
                why = "comes before any length" if not self._where else "is there twice"
                raise self._error(f"{shown} {why}; the length comes first, then one payload", shown)
            self._where = 2
        elif part == PADDING_WORD:
            self._read_padding(shown)
        elif match := re.fullmatch(r"any(\d{1,4})", part):
            if not 1 <= int(match[1]) <= MOST_FILLER_BYTES:
                raise self._error(f"{shown} has to be from any1 to any{MOST_FILLER_BYTES}", shown)
            self._fillers[self._where].append(int(match[1]))
        elif re.fullmatch(r"x[0-9a-f]*", part):
            if len(part) % 2 == 0 or len(part) == 1:
                raise self._error(f"{shown} has to have two hexadecimal digits for each byte, as x30", shown)
            self._fillers[self._where].append(bytes.fromhex(part[1:]))
        elif (numbered := _NUMBER.fullmatch(part)) is not None:
            self._read_number(numbered, shown)
        else:
            raise self._unknown(part, place, shown)

    def _read_padding(self, shown: str) -> None:
        if self._where == 2 or self._padding is not None:
            why = "is there twice" if self._padding else "stands behind the payload"
            raise self._error(f"{shown} {why}; one byte in front of the payload counts the padding", shown)
        self._padding = self._where, filler_bytes(tuple(self._fillers[self._where]))
        self._fillers[self._where].append(1)

    def _unknown(self, part: str, place: int, shown: str) -> FormatSyntaxError:
        if place == 1 and part == self._text.strip().lower():
            return FormatSyntaxError(
                self._text,
                "is not a frame format; write u32be for 4 bytes, most significant first, or u8, u16le, "
                "u64be ..., with +header behind it if the length counts the header, or a protocol, as dns",
            )
        return self._error(f"{shown} is none of {_KINDS}", shown)

    def _error(self, reason: str, part: str) -> FormatSyntaxError:
        return FormatSyntaxError(self._text, reason, part)

    def _read_number(self, match: re.Match[str], shown: str) -> None:
        if self._number is not None:
            raise self._error(f"{shown} is a second length; a frame has one", shown)
        if match["bits"]:
            number = self._binary(match, shown)
        elif match["code"]:
            kind = NumberKind(match["code"])
            number = Number(kind, int(match["most"] or DEFAULT_MOST[kind]), 1)
            if not 1 <= number.most <= (9 if kind is NumberKind.VARINT else 8):
                limit = "varint1 to varint9" if kind is NumberKind.VARINT else "ber1 to ber8"
                raise self._error(f"{shown} has to be from {limit}", shown)
        else:
            least = int(match["least"])
            number = Number(NumberKind(match["digits"]), int(match["until"] or least), least)
            if not 1 <= number.least <= number.most <= _MOST_DIGITS:
                raise self._error(
                    f"{shown} has to have from 1 to {_MOST_DIGITS} digits, the fewer first: dec4, dec1-9",
                    shown,
                )
        self._number = number
        self._counted = match["counted"].split("+")[1:]
        self._place = shown
        self._where = 1

    def _binary(self, match: re.Match[str], shown: str) -> Number:
        kind, width, order = NumberKind(match["bits"]), int(match["width"]), match["order"]
        if not 1 <= width <= 64:
            raise self._error(f"{shown} has to have from 1 to 64 bits", shown)
        part = f"{match['bits']}{width}"
        if width > 8 and not order:
            raise self._error(f"{shown} needs its byte order; write {part}be or {part}le", shown)
        if width <= 8 and order:
            raise self._error(f"{shown} has one byte and no byte order; write {part}", shown)
        if kind is NumberKind.SIGNED and width % 8:
            raise self._error(
                f"{shown} has to have whole bytes, as i32be; the bit above u31be is a flag", shown
            )
        flags, room = int(match["flags"] or 0), -width % 8
        if flags >> room:
            most = (1 << room) - 1
            raise self._error(f"{shown} has room for flags up to {most}", shown)
        byte_order = "little" if order == "le" and width > 8 else "big"
        return Number(kind, width, width, byte_order, flags)  # type: ignore[arg-type]  # one of the two words

    def layout(self) -> Layout:
        if self._number is None:
            raise FormatSyntaxError(
                self._text, f"has no length; it needs one of {_KINDS.partition(', any')[0]}", ""
            )
        before, behind, trailer = (merged(tuple(filler)) for filler in self._fillers)
        self._check_end_of_digits(self._number, behind)
        if trailer and self._padding is not None:
            raise FormatSyntaxError(
                self._text, f"has padding ({PADDING_WORD}) and something else behind the payload; one can be"
            )
        layout = Layout(self._number, 0, before, behind, trailer)
        if sum(map(filler_bytes, (before, behind, trailer))) > MOST_FILLER_BYTES:
            raise FormatSyntaxError(self._text, f"has more than {MOST_FILLER_BYTES} bytes beside its payload")
        counted = sum(self._count(word, layout) for word in self._counted)
        if counted > self._number.largest:
            raise self._error(f"{self._place} cannot express the {counted} bytes that it counts", self._place)
        return Layout(self._number, counted, before, behind, trailer, self._padding_at(behind))

    def _padding_at(self, behind: Filler) -> int | None:
        if self._padding is None:
            return None
        where, offset = self._padding
        return offset - filler_bytes(behind) if where else offset

    def _count(self, word: str, layout: Layout) -> int:
        if re.fullmatch(r"\d{1,4}", word):
            return int(word)
        parts = layout.parts_counted()
        if word in parts:
            return parts[word]
        if word in ("header", "itself"):
            raise self._error(
                f"{self._place} cannot count itself, since its own width varies; write +rest or +N",
                self._place,
            )
        raise self._error(
            f"{self._place} can count +header, +itself, +rest, +trailer or a number of bytes, as +4",
            self._place,
        )

    def _check_end_of_digits(self, number: Number, behind: Filler) -> None:
        if number.kind not in (NumberKind.DECIMAL, NumberKind.HEXADECIMAL) or number.least == number.most:
            return
        digits = b"0123456789abcdefABCDEF"[: 22 if number.kind is NumberKind.HEXADECIMAL else 10]
        if (
            not behind
            or not isinstance(behind[0], bytes)
            or behind[0][:1] in [bytes([digit]) for digit in digits]
        ):
            raise self._error(
                f"{self._place} needs a byte behind it at which it ends and which is no digit: "
                f"{number},x3a for a colon",
                self._place,
            )
