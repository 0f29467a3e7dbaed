"""The protocol that bytes begin, from the first of them: HTTP, TLS, Redis, text, ..."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

# The beginning of a longer sign counts when at least this many bytes are there.
_ENOUGH_BYTES = 4
# How much of a text is looked at, and shown.
_LOOKED_AT_BYTES, _SHOWN_BYTES = 256, 24

_HTTP_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ")
_PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_POSTGRESQL_CODES = {0x30000, 0x30002, 80877102, 80877103, 80877104}


class ForeignProtocol(NamedTuple):
    """A protocol that is not this one.

    Attributes:
      article, name: what it is called: "an", "HTTP".
      what: what the bytes begin: "an HTTP request".
      question: what to ask the operator of the peer.
    """

    article: str
    name: str
    what: str
    question: str


def _client(article: str, name: str, what: str) -> ForeignProtocol:
    return ForeignProtocol(article, name, what, f"is the peer {article} {name} client?")


def _server(article: str, name: str, what: str) -> ForeignProtocol:
    return ForeignProtocol(article, name, what, f"is the peer {article} {name} server?")


_PROXY = ForeignProtocol(
    "a",
    "PROXY protocol",
    "a PROXY protocol header",
    "does a load balancer in front send it? Then serve with --proxy-protocol, or switch it off there",
)
_TLS = ForeignProtocol("a", "TLS", "a TLS handshake", "does the peer expect TLS here?")
_TLS_ALERT = ForeignProtocol("a", "TLS", "a TLS alert", "does the peer expect TLS?")
_SSH = ForeignProtocol("an", "SSH", "an SSH greeting", "is the peer an SSH program?")
_REDIS = ForeignProtocol("a", "Redis", "a Redis message (RESP)", "is the peer a Redis program?")
_SMB = ForeignProtocol("an", "SMB", "an SMB message", "is the peer an SMB program?")
_VNC = ForeignProtocol("a", "VNC", "a VNC greeting", "is the peer a VNC program?")

# The likelier first, where two begin alike.
_SIGNS: tuple[tuple[tuple[bytes, ...], ForeignProtocol], ...] = (
    ((*_HTTP_METHODS, b"TRACE ", b"PRI * HTTP/2"), _client("an", "HTTP", "an HTTP request")),
    ((b"HTTP/",), _server("an", "HTTP", "an HTTP response")),
    ((b"\x16\x03\x00", b"\x16\x03\x01", b"\x16\x03\x02", b"\x16\x03\x03"), _TLS),
    ((b"\x15\x03\x00", b"\x15\x03\x01", b"\x15\x03\x02", b"\x15\x03\x03"), _TLS_ALERT),
    ((b"SSH-",), _SSH),
    ((b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN", _PROXY_V2), _PROXY),
    ((b"+OK ",), _server("a", "POP3", "a POP3 greeting")),
    ((b"* OK ", b"* PREAUTH ", b"* BYE "), _server("an", "IMAP", "an IMAP greeting")),
    ((b"220 ", b"220-", b"554 "), _server("an", "SMTP or FTP", "an SMTP or FTP greeting")),
    ((b"EHLO ", b"HELO "), _client("an", "SMTP", "an SMTP command")),
    ((b"AMQP\0", b"AMQP\3"), ForeignProtocol("an", "AMQP", "an AMQP header", "is the peer an AMQP program?")),
    ((b"RFB 00",), _VNC),
    ((b"\x13BitTorrent protocol",), _client("a", "BitTorrent", "a BitTorrent handshake")),
    ((b"\xff\xfb", b"\xff\xfc", b"\xff\xfd", b"\xff\xfe"), _client("a", "telnet", "a telnet negotiation")),
    ((b"\x03\x00\x00\x13\x0e\xe0", b"\x03\x00\x00\x2b\x26\xe0"), _client("an", "RDP", "an RDP request")),
    ((b"\x05\x01\x00", b"\x05\x02\x00", b"\x05\x01\x02"), _client("a", "SOCKS5", "a SOCKS5 greeting")),
    ((b"\x20\x02\x00\x00", b"\x20\x02\x00\x05"), _server("an", "MQTT", "an MQTT reply")),
)


def _is_redis(data: bytes) -> bool:
    if re.match(rb"[*$:][0-9]{1,9}(\r\n|\r?$)|[*$]-1\r\n|\+(OK\r|PON)", data):
        return True
    return data.startswith((b"-ERR", b"-NOAUTH", b"-WRONG", b"-DENIED", b"-MOVED"))


def _is_postgresql_request(data: bytes) -> bool:
    length, code = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
    return len(data) >= 8 and 8 <= length <= 10_000 and code in _POSTGRESQL_CODES


def _is_postgresql_reply(data: bytes) -> bool:
    return bool(re.match(rb"E\0\0..S(FATAL|ERROR|PANIC)\0|R\0\0\0.\0\0\0", data, re.DOTALL))


def _is_mysql_greeting(data: bytes) -> bool:
    return bool(re.match(rb"..\0\0(\x0a[0-9]+\.[0-9]+|\xff..(#|Host|Too))", data, re.DOTALL))


def _is_mongodb(data: bytes) -> bool:
    length, code = int.from_bytes(data[:4], "little"), int.from_bytes(data[12:16], "little")
    return len(data) >= 16 and 16 < length <= 48_000_000 and code in {1, 2004, 2010, 2011, 2012, 2013}


def _is_mqtt_connect(data: bytes) -> bool:
    return bool(re.match(rb"\x10[\x80-\xff]{0,3}[\0-\x7f]\0(\x04MQTT|\x06MQIsdp)", data, re.DOTALL))


def _is_http2_settings(data: bytes) -> bool:
    return len(data) >= 9 and data[:1] == b"\0" and data[3:9] in {b"\4\0\0\0\0\0", b"\4\1\0\0\0\0"}


def _is_ldap(data: bytes) -> bool:
    return bool(re.match(rb"\x30(\x84....|[\x05-\x7f])\x02\x01.[\x60-\x7f]", data, re.DOTALL))


def _is_smb(data: bytes) -> bool:
    return data[:1] == b"\0" and data[4:8] in {b"\xffSMB", b"\xfeSMB", b"\xfdSMB"}


_LOOKS: tuple[tuple[Callable[[bytes], bool], ForeignProtocol], ...] = (
    (_is_redis, _REDIS),
    (_is_postgresql_request, _client("a", "PostgreSQL", "a PostgreSQL startup")),
    (_is_postgresql_reply, _server("a", "PostgreSQL", "a PostgreSQL reply")),
    (_is_mysql_greeting, _server("a", "MySQL", "a MySQL greeting")),
    (_is_mongodb, ForeignProtocol("a", "MongoDB", "a MongoDB message", "is the peer a MongoDB program?")),
    (_is_mqtt_connect, _client("an", "MQTT", "an MQTT connect")),
    (_is_http2_settings, _server("an", "HTTP/2", "HTTP/2 settings")),
    (_is_ldap, _client("an", "LDAP", "an LDAP message")),
    (_is_smb, _SMB),
)


def recognize(first_bytes: bytes) -> ForeignProtocol | None:
    """Return the protocol that a connection's first bytes begin, in one direction; None if unknown.

    A header's worth of bytes is often enough, and more make it surer. Text of no
    known protocol is none; see `describe_text`.
    """
    data = bytes(first_bytes[:_LOOKED_AT_BYTES])
    for signs, protocol in _SIGNS:
        if data.startswith(signs):
            return protocol
    for looks, protocol in _LOOKS:
        if looks(data):
            return protocol
    if len(data) >= _ENOUGH_BYTES:
        for signs, protocol in _SIGNS:
            if any(sign.startswith(data) for sign in signs):
                return protocol
    return None


def describe_text(first_bytes: bytes) -> str | None:
    """Return what kind of text these bytes are, "JSON" or "text" for example; None if they are not text."""
    data = bytes(first_bytes[:_LOOKED_AT_BYTES])
    if len(data) < _ENOUGH_BYTES:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or error.start < _ENOUGH_BYTES:
            return None
        text = data[: error.start].decode()  # a character that was cut off
    if not all(character.isprintable() or character in "\t\r\n" for character in text):
        return None
    if re.match(r"\s*(\{\s*(\"|\}|$)|\[\s*[\[\]{\"0-9tfn-])", text):
        return "JSON"
    if re.match(r"\s*<[?!/a-zA-Z]", text):
        return "XML or HTML"
    return "text"


def shown(first_bytes: bytes) -> str:
    """Return the first few of these bytes as a person reads them, in a line."""
    data = bytes(first_bytes)
    return repr(data[:_SHOWN_BYTES]) + (" ..." if len(data) > _SHOWN_BYTES else "")
