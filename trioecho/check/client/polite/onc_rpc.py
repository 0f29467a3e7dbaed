"""ONC RPC (RFC 5531): the procedure 0, which every program has, and which does nothing."""

from __future__ import annotations

from .polite_requests import PoliteRequests, number

_LAST_FRAGMENT = 1 << 31
_CALL, _RPC_VERSION, _NULL = 0, 2, 0
_PORT_MAPPER, _NFS = (100_000, 2), (100_003, 3)
_NO_AUTHENTICATION = bytes(16)


def _null(program: int, version: int) -> bytes:
    words = (1, _CALL, _RPC_VERSION, program, version, _NULL)
    call = b"".join(number(word, 4) for word in words) + _NO_AUTHENTICATION
    return number(_LAST_FRAGMENT | len(call), 4) + call


ONC_RPC = PoliteRequests(
    "the procedure 0 of the port mapper and of NFS; a server without one of these says so",
    (_null(*_PORT_MAPPER), _null(*_NFS)),
    correlate="0:4",
)
