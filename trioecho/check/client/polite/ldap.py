"""LDAP (RFC 4511, RFC 4532): a server may reply in any order."""

from __future__ import annotations

from .polite_requests import PoliteRequests, behind_length

_SEQUENCE, _INTEGER, _EXTENDED_REQUEST, _REQUEST_NAME = b"\x30", b"\x02", b"\x77", b"\x80"
_WHO_AM_I = b"1.3.6.1.4.1.4203.1.11.3"
# Of the documentation's own arc, so that no server has it (RFC 5612).
_NOBODY_S = b"1.3.6.1.4.1.32473.1"


def _extended(name: bytes) -> bytes:
    # A number of 4 bytes, since BER has no leading zeros, and replies are as long as they need.
    identifier = _INTEGER + behind_length(b"\x01\0\0\1", 1)
    operation = _EXTENDED_REQUEST + behind_length(_REQUEST_NAME + behind_length(name, 1), 1)
    return _SEQUENCE + behind_length(identifier + operation, 1)


LDAP = PoliteRequests(
    "who-am-I, and an extended operation that no server has; without a bind before them",
    (_extended(_WHO_AM_I), _extended(_NOBODY_S)),
    correlate="2:4",
)
