"""The Plan 9 file protocol, 9P2000 (its manual, section 5) and 9P2000.L: a server may reply in any order."""

from __future__ import annotations

from ..opening import FirstMessage
from .polite_requests import PoliteRequests

_VERSION, _FLUSH, _CLUNK = 100, 108, 120
_NO_TAG, _MOST_BYTES = 0xFFFF, 8192
# A tag and a fid that are never used here: identifiers have no byte with its highest bit set.
_UNUSED_TAG, _UNUSED_FID = 0xFFFE, 0x7FFFFFFE
# An Rversion that says "unknown" is the only one of this length.
_UNKNOWN_VERSION = b"\x14\0\0\0\x65"


def _little(value: int, width: int) -> bytes:
    return value.to_bytes(width, "little")


def _message(kind: int, tag: int, more: bytes) -> bytes:
    return _little(7 + len(more), 4) + _little(kind, 1) + _little(tag, 2) + more


def _string(text: bytes) -> bytes:
    return _little(len(text), 2) + text


NINE_P = PoliteRequests(
    "flush(5) of a tag and clunk(5) of a fid that nobody uses, in a session of 9P2000.L or 9P2000",
    (_message(_FLUSH, 1, _little(_UNUSED_TAG, 2)), _message(_CLUNK, 1, _little(_UNUSED_FID, 4))),
    correlate="header+5:2",
    first_messages=(
        FirstMessage(
            _message(_VERSION, _NO_TAG, _little(_MOST_BYTES, 4) + _string(b"9P2000.L")),
            unless=(_UNKNOWN_VERSION,),
        ),
    ),
)
