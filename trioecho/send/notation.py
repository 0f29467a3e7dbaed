"""How people write messages, and how replies are shown to them."""

from __future__ import annotations

import base64
import binascii
import enum
import json

from ..framing import Frame

_BYTES_IN_LINE = 16


class Notation(enum.Enum):
    """How a message is written."""

    TEXT = "text"
    HEX = "hex"
    BASE64 = "base64"


def read_message(written: bytes, notation: Notation) -> bytes:
    """Return the message that somebody has written.

    Args:
      written: as it was typed, without the end of the line.
      notation: TEXT is taken as it is. HEX may have white space between bytes.

    Raises:
      ValueError: it is not written in that way.
    """
    if notation is Notation.TEXT:
        return written
    try:
        if notation is Notation.HEX:
            return bytes.fromhex(written.decode("ascii"))
        return base64.b64decode(b"".join(written.split()), validate=True)
    except (UnicodeDecodeError, binascii.Error, ValueError):
        what = (
            "hexadecimal; write two digits for each byte, as 00 ff" if notation is Notation.HEX else "Base64"
        )
        raise ValueError(f"is not {what}") from None


def as_text(frame: Frame, *, with_header: bool) -> str:
    """Return a reply for people: its text, if it is printable UTF-8, or else its bytes in hexadecimal.

    Args:
      frame: the reply.
      with_header: whether the header is shown, too, on a line in front.
    """
    shown = _text_of(frame.payload)
    if shown is None:
        shown = "\n".join(hex_lines(frame.payload)) or "(empty)"
    return f"header {frame.header.hex(' ')}\n{shown}" if with_header else shown


def as_json(frame: Frame, *, with_header: bool) -> str:
    """Return a reply as a line of JSON: ``text`` if it is UTF-8, or else ``hex``; perhaps ``header``.

    Such a line is also a message in a file of messages.
    """
    line: dict[str, str] = {"header": frame.header.hex()} if with_header else {}
    try:
        line["text"] = frame.payload.decode()
    except UnicodeDecodeError:
        line["hex"] = frame.payload.hex()
    return json.dumps(line)


def hex_lines(data: bytes) -> list[str]:
    """Return lines with an offset, 16 bytes in hexadecimal, and what of them is ASCII."""
    lines = []
    for start in range(0, len(data), _BYTES_IN_LINE):
        piece = data[start : start + _BYTES_IN_LINE]
        ascii_only = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
        lines.append(f"{start:08x}  {piece.hex(' '):<{3 * _BYTES_IN_LINE - 1}}  |{ascii_only}|")
    return lines


def _text_of(payload: bytes) -> str | None:
    """Return the text of a payload; None if there is none, or a terminal could obey it."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    is_printable = all(character.isprintable() or character in "\n\t" for character in text)
    return text if text and is_printable else None
