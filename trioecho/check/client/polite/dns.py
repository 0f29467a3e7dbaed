"""DNS over TCP (RFC 1035, RFC 7766): a server may reply in any order."""

from __future__ import annotations

from .polite_requests import PoliteRequests, behind_length, number

_A, _TXT, _AAAA, _IN, _CHAOS = 1, 16, 28, 1, 3


def _query(name: bytes, kind: int, dns_class: int) -> bytes:
    """Make a query (RFC 1035, 4.1) that asks for no recursion, so the server replies from what it has."""
    header = b"".join(number(value, 2) for value in (0x1D01, 0, 1, 0, 0, 0))
    labels = b"".join(behind_length(label, 1) for label in name.split(b"."))
    return behind_length(header + labels + b"\0" + number(kind, 2) + number(dns_class, 2), 2)


DNS = PoliteRequests(
    "queries for localhost, which ask for no recursion, and for version.bind",
    (
        _query(b"localhost", _A, _IN),
        _query(b"localhost", _AAAA, _IN),
        _query(b"version.bind", _TXT, _CHAOS),
    ),
    correlate="0:2",
)
