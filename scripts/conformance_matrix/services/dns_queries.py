"""Queries that any name server replies to, for the load; `check --preset dns` has its own."""

from __future__ import annotations

import json

_IN = 1


def _query(number: int, kind: int) -> str:
    """Make a query for localhost in hexadecimal (RFC 1035, section 4.1)."""
    numbers = (number, 0, 1, 0, 0, 0)
    name = b"\x09localhost\0"
    return (
        b"".join(value.to_bytes(2, "big") for value in numbers)
        + name
        + kind.to_bytes(2, "big")
        + _IN.to_bytes(2, "big")
    ).hex()


# Addresses, name servers and the start of authority, of both versions of IP.
AS_LINES = "".join(json.dumps({"hex": _query(0x1000 + kind, kind)}) + "\n" for kind in (1, 28, 2, 6))
