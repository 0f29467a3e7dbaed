"""Apache Thrift, framed, in its strict binary protocol."""

from __future__ import annotations

from .polite_requests import PoliteRequests, behind_length, number

_STRICT_CALL, _STRING, _STOP = number(0x80010001, 4), b"\x0b", b"\0"
# A field that no method has, and that a server skips.
_UNKNOWN_FIELD = _STRING + number(0x7FFF, 2) + behind_length(b"trioecho check", 4)


def _ping(arguments: bytes) -> bytes:
    return behind_length(_STRICT_CALL + behind_length(b"ping", 4) + number(1, 4) + arguments + _STOP, 4)


THRIFT = PoliteRequests(
    "a call of ping, without and with an argument that is unknown; a service without ping says so",
    (_ping(b""), _ping(_UNKNOWN_FIELD)),
    correlate="12:4",
)
