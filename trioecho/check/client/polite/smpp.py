"""SMPP (3.4 and 5.0): the request that asks whether the other side is still there."""

from __future__ import annotations

from .polite_requests import PoliteRequests, number

_ENQUIRE_LINK, _OK = 0x15, 0
_HEADER_BYTES = 16

SMPP = PoliteRequests(
    "enquire_link, without a bind before it; a server that wants one says so",
    (b"".join(number(value, 4) for value in (_HEADER_BYTES, _ENQUIRE_LINK, _OK, 1)),),
    correlate="header+12:4",
)
