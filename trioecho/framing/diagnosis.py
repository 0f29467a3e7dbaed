"""Guess what bytes are that are not valid frames, the likelier first.

The peer's operator reads it in a log. A client also uses it for a server of which it
knows nothing: what that sends first shows what it is (`diagnose`).
"""

from __future__ import annotations

from typing import Literal

from ..errors import FrameTooSmallError, MalformedFrameError
from .foreign_protocols import describe_text, recognize, shown
from .frame_format import FrameFormat

RAISE_LIMIT = "if the peer means it, raise max_frame_length"

# A length over the limit up to here may be meant; beyond, it is rather no length at all.
_MEANT_BYTES = 1 << 28
# Beyond it, a person may still have chosen a round number.
_ROUND_BYTES = 1 << 20


def diagnose(first_bytes: bytes, format: FrameFormat, limit: int, frames_before: int = 0) -> list[str]:
    """Return what the bytes that begin with a length over the limit may be, the likelier first.

    Args:
      first_bytes: the header and what has come behind it, perhaps nothing.
      format: in which they were read.
      limit: payload bytes that a frame may have.
      frames_before: how many frames were good before these bytes.

    Returns:
      Ends of sentences; none if nothing is known. `RAISE_LIMIT` is among them where
      a large frame is possible, too.
    """
    causes = _other_protocol(first_bytes, format)
    if not causes and format.is_plain:
        causes = _other_byte_order(first_bytes, format, limit)
    if frames_before:
        frames = "a frame" if frames_before == 1 else f"{frames_before} frames"
        perhaps = f", and is the format perhaps {_toggled(format)}?" if format.is_plain else "?"
        causes.append(
            f"after {frames} the peer fell out of step: does the payload always have as many bytes as "
            f"announced{perhaps}"
        )
        if len(causes) == 1:
            causes.insert(0 if _may_be_meant(first_bytes, format) else 1, RAISE_LIMIT)
    return causes


def diagnose_incomplete(first_bytes: bytes, format: FrameFormat, limit: int) -> list[str]:
    """Return why a frame may have begun and not ended, the likelier first; none if nothing is known.

    Args:
      first_bytes: what has come of it, header included.
      format: as in `diagnose`.
      limit: as in `diagnose`.
    """
    if causes := _other_protocol(first_bytes, format, is_suspect=False):
        return causes
    if not format.is_plain:
        return []  # it has too many relatives
    causes = []
    toggled, other = _toggled(format), _in_other_order(format)
    if _reads_as(first_bytes, toggled, limit):
        counts = "counts" if toggled.length_includes_header else "does not count"
        causes.append(f"it is whole if the length {counts} the header; does the peer write {toggled}?")
    if other != format and _reads_as(first_bytes, other, limit):
        causes.append(f"it is whole if the length is {_order(other)}; does the peer use that byte order?")
    return causes


def in_words(causes: list[str]) -> str | None:
    """Return the causes as the end of a sentence; None if there are none."""
    text = None
    for cause in causes:
        text = f"{text}{'' if text.endswith('?') else ';'} Or, less likely: {cause}" if text else cause
    return text


def _other_protocol(first_bytes: bytes, format: FrameFormat, *, is_suspect: bool = True) -> list[str]:
    header = bytes(first_bytes[: format.header_bytes])
    protocol = recognize(first_bytes)
    if protocol is not None:
        return [f"the bytes {header!r} begin {protocol.what}; {protocol.question}"]
    # A header that may be one can also be a letter.
    text = describe_text(first_bytes) if is_suspect or len(header) > 1 else None
    if text is not None:
        return [f"the bytes {shown(first_bytes)} are {text}; does the peer send it without a header?"]
    return []


def _other_byte_order(first_bytes: bytes, format: FrameFormat, limit: int) -> list[str]:
    header = first_bytes[: format.header_bytes]
    other = _in_other_order(format)
    length = _announced(header, other)
    if other == format or length is None or length > limit:
        return []
    is_whole = _reads_as(first_bytes, other, limit)
    if is_whole is False:
        return []
    hint = f"read as {_order(other)} it would be {length}; does the peer use that byte order?"
    # Messages of less than 256 bytes are likelier than those that look like them.
    is_short = not any(header[1:] if other.byte_order == "little" else header[:-1])
    if is_whole:
        return [hint]
    if not _may_be_meant(first_bytes, format):
        is_round = not is_short and not int.from_bytes(header, format.byte_order) % _ROUND_BYTES
        return [hint, RAISE_LIMIT] if is_round else [hint]
    return [hint, RAISE_LIMIT] if is_short else [RAISE_LIMIT, hint]


def _may_be_meant(first_bytes: bytes, format: FrameFormat) -> bool:
    length = _announced(first_bytes, format)
    return length is None or length <= _MEANT_BYTES


def _reads_as(data: bytes, format: FrameFormat, limit: int) -> bool | None:
    """Return whether these bytes are frames of that format, the first one whole; None if unclear."""
    position = 0
    while len(data) - position >= format.header_bytes:
        length = _announced(data, format, position)
        if length is None or length > limit:
            return False
        if not length:
            return None  # zeros are too common in other things
        if position:
            return True  # a frame, and a good header behind it
        position += format.header_bytes + length
    return True if position == len(data) else None


def _announced(data: bytes, format: FrameFormat, offset: int = 0) -> int | None:
    """Return the payload length that a header announces; None if it does not even cover the header."""
    try:
        return format.decode_header(data, offset)
    except (FrameTooSmallError, MalformedFrameError):
        return None


def _in_other_order(format: FrameFormat) -> FrameFormat:
    if format.header_bytes == 1:
        return format
    other: Literal["big", "little"] = "little" if format.byte_order == "big" else "big"
    return FrameFormat(format.header_bytes, other, format.length_includes_header)


def _toggled(format: FrameFormat) -> FrameFormat:
    return FrameFormat(format.header_bytes, format.byte_order, not format.length_includes_header)


def _order(format: FrameFormat) -> str:
    return f"{format.byte_order}-endian"
