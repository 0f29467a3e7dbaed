"""memcached's binary protocol."""

from __future__ import annotations

from .polite_requests import PoliteRequests, number

_REQUEST = 0x80
_GET, _NOOP, _VERSION = 0x00, 0x0A, 0x0B


def _request(opcode: int, key: bytes = b"") -> bytes:
    front = bytes((_REQUEST, opcode)) + number(len(key), 2) + bytes(4)
    return front + number(len(key), 4) + number(1, 4) + bytes(8) + key


MEMCACHED = PoliteRequests(
    "noop, version, and get of a key that nobody has set; the binary protocol",
    (_request(_NOOP), _request(_VERSION), _request(_GET, b"trioecho check: nobody has set this")),
    correlate="header+12:4",
)
