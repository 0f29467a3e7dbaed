"""Diameter (RFC 6733): an exchange of capabilities (5.3), and then watchdogs (5.5)."""

from __future__ import annotations

from ..opening import FirstMessage
from .polite_requests import PoliteRequests, number

_REQUEST, _MANDATORY = 0x80, 0x40
_CAPABILITIES, _WATCHDOG = 257, 280
_HOST_IP, _AUTH_APPLICATION, _ORIGIN_HOST, _VENDOR, _PRODUCT = 257, 258, 264, 266, 269
_RESULT, _ORIGIN_REALM = 268, 296
# A relay has all applications in common with everybody (2.4).
_RELAY, _SUCCESS = 0xFFFFFFFF, number(2001, 4)
_REALM = b"trioecho.invalid"
_NAME = b"connection-00000000"
_IPV4_LOOPBACK = b"\0\1\x7f\0\0\1"


def _avp(code: int, data: bytes, flags: int = _MANDATORY) -> bytes:
    return number(code, 4) + bytes((flags,)) + number(8 + len(data), 3) + data + bytes(-len(data) % 4)


def _request(command: int, *avps: bytes) -> bytes:
    body = b"".join(avps)
    ids = number(1, 4) + number(1, 4)
    return b"\1" + number(20 + len(body), 3) + bytes((_REQUEST,)) + number(command, 3) + bytes(4) + ids + body


_CAPABILITIES_EXCHANGE = _request(
    _CAPABILITIES,
    _avp(_ORIGIN_HOST, _NAME + b"." + _REALM),
    _avp(_ORIGIN_REALM, _REALM),
    _avp(_HOST_IP, _IPV4_LOOPBACK),
    _avp(_VENDOR, bytes(4)),
    _avp(_PRODUCT, b"trioecho check", flags=0),
    _avp(_AUTH_APPLICATION, number(_RELAY, 4)),
)

DIAMETER = PoliteRequests(
    "Device-Watchdog-Request; every connection is a peer of its own of the realm trioecho.invalid, which the "
    "server has to know",
    (_request(_WATCHDOG, _avp(_ORIGIN_HOST, b"check." + _REALM), _avp(_ORIGIN_REALM, _REALM)),),
    correlate="header+12:4",
    first_messages=(FirstMessage(_CAPABILITIES_EXCHANGE, accepted=_avp(_RESULT, _SUCCESS), name=_NAME),),
)
