"""PostgreSQL: a session of the user postgres, and the end of an extended query that never began."""

from __future__ import annotations

from ..opening import FirstMessage
from .polite_requests import PoliteRequests, number

_VERSION_3 = number(3 << 16, 4)
_ERROR, _READY = b"E", b"Z"
# An AuthenticationRequest that is not AuthenticationOk: in clear, MD5, SASL.
_ASKS_FOR_PASSWORD = (b"R\0\0\0\x08\0\0\0\x03", b"R\0\0\0\x0c", b"R\0\0\0\x17", b"R\0\0\0\x2a")


def _startup() -> bytes:
    words = (b"user", b"postgres", b"database", b"postgres", b"application_name", b"trioecho check", b"")
    parameters = _VERSION_3 + b"".join(word + b"\0" for word in words)
    return number(len(parameters) + 4, 4) + parameters


POSTGRES = PoliteRequests(
    "Sync, in a session of the user and the database postgres that needs no password",
    (b"S" + number(4, 4),),
    first_messages=(FirstMessage(_startup(), until=_READY, unless=(_ERROR, *_ASKS_FOR_PASSWORD)),),
)
