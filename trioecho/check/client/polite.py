"""Requests that every server of a protocol replies to, and that change nothing, by its name."""

from __future__ import annotations


def _dns(number: int, name: bytes, kind: int, dns_class: int) -> bytes:
    """Make a query (RFC 1035, 4.1) that asks for no recursion, so the server replies from what it has."""
    header = b"".join(value.to_bytes(2, "big") for value in (number, 0, 1, 0, 0, 0))
    labels = b"".join(bytes((len(label),)) + label for label in name.split(b"."))
    return header + labels + b"\0" + kind.to_bytes(2, "big") + dns_class.to_bytes(2, "big")


_A, _TXT, _AAAA, _IN, _CHAOS = 1, 16, 28, 1, 3

# Their identifiers differ, and come back in the replies, so the order of these is seen.
POLITE_REQUESTS: dict[str, tuple[bytes, ...]] = {
    "dns": (
        _dns(0x1D01, b"localhost", _A, _IN),
        _dns(0x2D02, b"localhost", _AAAA, _IN),
        _dns(0x3D03, b"version.bind", _TXT, _CHAOS),
    ),
}
