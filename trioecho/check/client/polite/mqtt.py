"""MQTT 3.1.1: a session, and an end of subscriptions that it never had."""

from __future__ import annotations

from ..opening import FirstMessage
from .polite_requests import PoliteRequests, behind_length, number

_CONNECT, _CONNACK, _UNSUBSCRIBE = b"\x10", b"\x20", b"\xa2"
_LEVEL, _CLEAN_SESSION, _KEEP_ALIVE_S = 4, 2, 60
_ACCEPTED = b"\0\0"


def _unsubscribe(topic: bytes) -> bytes:
    return _UNSUBSCRIBE + behind_length(number(1, 2) + behind_length(topic, 2), 1)


_HELLO = behind_length(b"MQTT", 2) + bytes((_LEVEL, _CLEAN_SESSION)) + number(_KEEP_ALIVE_S, 2) + bytes(2)

MQTT = PoliteRequests(
    "UNSUBSCRIBE from topics without a subscription, in a clean session of MQTT 3.1.1",
    (_unsubscribe(b"trioecho"), _unsubscribe(b"trioecho/check/of/nothing")),
    correlate="0:2",
    first_messages=(FirstMessage(_CONNECT + behind_length(_HELLO, 1), until=_CONNACK, given=_ACCEPTED),),
)
