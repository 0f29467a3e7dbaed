"""Apache ZooKeeper: a session, and questions about nodes that every server has."""

from __future__ import annotations

from ..opening import FirstMessage
from .polite_requests import PoliteRequests, behind_length, number

_VERSION, _SEEN_NOTHING, _TIMEOUT_MS, _NO_SESSION, _NOT_READ_ONLY = 0, 0, 10_000, 0, b"\0"
_EXISTS, _GET_ACL = 3, 6
_NO_WATCH = b"\0"


def _request(kind: int, path: bytes, more: bytes = b"") -> bytes:
    return behind_length(number(1, 4) + number(kind, 4) + behind_length(path, 4) + more, 4)


_CONNECT = (
    number(_VERSION, 4)
    + number(_SEEN_NOTHING, 8)
    + number(_TIMEOUT_MS, 4)
    + number(_NO_SESSION, 8)
    + behind_length(bytes(16), 4)
    + _NOT_READ_ONLY
)

ZOOKEEPER = PoliteRequests(
    "exists and getACL of / and /zookeeper, in a session of 10 s",
    (
        _request(_EXISTS, b"/", _NO_WATCH),
        _request(_EXISTS, b"/zookeeper", _NO_WATCH),
        _request(_GET_ACL, b"/"),
    ),
    correlate="0:4",
    first_messages=(FirstMessage(behind_length(_CONNECT, 4)),),
)
