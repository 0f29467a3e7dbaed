"""What another service's first bytes, or its answers, say of it: this is no echo of frames.

The bytes of services that are commonly met on an open port, as their own
documents have them. An answer that an echo of frames could give is never taken
for one of theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ..client.wire import Wire

# What services say first, or answer to anything that they do not understand.
_BEGINNINGS = (
    (b"HTTP/", "an HTTP server"),
    (b"<!DOCTYPE", "an HTTP server"),
    (b"<html", "an HTTP server"),
    (b"RTSP/", "an RTSP server"),
    (b"SIP/2.0", "a SIP server"),
    (b"SSH-", "an SSH server"),
    (b"* OK", "an IMAP server"),
    (b"+OK", "a POP3 server"),
    (b"RFB 0", "a VNC server"),
    (b"AMQP", "an AMQP server"),
    (b"@RSYNCD:", "an rsync server"),
    (b"INFO {", "a NATS server"),
    (b"Zookeeper version:", "a ZooKeeper server"),
    (b"imok", "a ZooKeeper server"),
    (b"\xff\xfb", "a Telnet server"),
    (b"\xff\xfd", "a Telnet server"),
    (b"\x83\x00\x00\x01", "an SMB server"),
)
TLS_SERVER = "a TLS server"
_SMTP_OR_FTP = re.compile(rb"(220|421|500|554)[ -]")
_RESP = re.compile(rb"-[A-Z]{2,} |\+(PONG|OK)\r\n|\$-1\r\n|-(NOAUTH|DENIED)")
_MEMCACHED = re.compile(rb"(CLIENT_|SERVER_)?ERROR\b[^\n]{0,80}\r\n")
_POSTGRESQL = re.compile(rb"[EN]\x00\x00.{2}[SVC][A-Z0-9]", re.DOTALL)
_MYSQL = re.compile(rb".{2}\x00\x00(\x0a[0-9]+\.[0-9]+[^\x00]*\x00|\xff..)", re.DOTALL)
# A request for TLS: nothing but yes and no is answered to it.
POSTGRESQL_QUESTION = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
_CIPHERS = bytes.fromhex("c02bc02fc02cc030009c009d002f0035")
_GROUPS_AND_SIGNATURES = bytes.fromhex("000a00080006001d00170018000d000a00080401040304030804")
_ZOOKEEPER_QUESTION = b"srvr"
_MQTT_QUESTION = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04echo"
_LDAP_QUESTION = bytes.fromhex("300c020101600702010304008000")
_SMB_QUESTION = b"\x00\x00\x00\x2f\xffSMB\x72" + bytes(27) + b"\x00\x0c\x00\x02NT LM 0.12\x00"


def _client_hello() -> bytes:
    """Make the first message of TLS 1.2, with nothing in it that a server does not need."""
    body = b"\x03\x03" + bytes(range(32)) + b"\x00"
    body += len(_CIPHERS).to_bytes(2, "big") + _CIPHERS + b"\x01\x00"
    body += len(_GROUPS_AND_SIGNATURES).to_bytes(2, "big") + _GROUPS_AND_SIGNATURES
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello


QUESTIONS = (
    b"GET / HTTP/1.0\r\n\r\n",
    _client_hello(),
    POSTGRESQL_QUESTION,
    _ZOOKEEPER_QUESTION,
    _MQTT_QUESTION,
    _LDAP_QUESTION,
    _SMB_QUESTION,
)
"""What to ask, each on a connection of its own, where frames get no answer: many services speak only then."""


def service_of(answer: bytes, sent: bytes, wire: Wire) -> str | None:
    """Say which other service an answer is of: ``"a DNS server"``; None if none is known by it.

    Args:
      answer: the first bytes that came on a connection.
      sent: what had been sent on it; empty if they came unasked.
      wire: how headers are written.
    """
    if not answer or (sent and sent.lower().startswith(answer[: len(sent)].lower())):
        return None  # whatever it is, this is what was sent
    who: str | None
    for beginning, who in _BEGINNINGS:
        if answer.startswith(beginning):
            return who
    payloads, rest = wire.split(answer)
    if payloads and (who := _of_payload(payloads[0], _payload_of(sent, wire))) is not None:
        return who
    if (who := _of_first_bytes(answer, sent)) is not None:
        return who
    # A server that answers whole frames is no server of lines, whatever is in them.
    return None if payloads and not rest else _of_text(answer, sent)


def _payload_of(sent: bytes, wire: Wire) -> bytes:
    payloads, _ = wire.split(sent)
    return payloads[0] if payloads else b""


def _of_payload(reply: bytes, asked: bytes) -> str | None:
    """Name services that have headers as frames have, by what is in the frame."""
    if _is_dns(reply, asked):
        return "a DNS server"
    if reply.startswith((b"\x80\x01\x00\x02", b"\x80\x01\x00\x03")):
        return "a Thrift server"
    if reply.startswith((b"\xffSMB", b"\xfeSMB")):
        return "an SMB server"
    if len(reply) in (36, 37) and reply.startswith(bytes(4)) and reply[16:20] == b"\x00\x00\x00\x10":
        return "a ZooKeeper server"  # protocol 0, a timeout, a session, and its password of 16 bytes
    return None


def _is_dns(reply: bytes, asked: bytes) -> bool:
    """Return whether this is a response with the identifier of the supposed query (RFC 1035, 4.1.1)."""
    if len(reply) < 12 or len(asked) < 2 or reply[:2] != asked[:2] or reply[:12] == asked[:12]:
        return False
    is_response, has_failed, reserved = reply[2] & 0x80, reply[3] & 0x0F, reply[3] & 0x40
    counts = [int.from_bytes(reply[at : at + 2], "big") for at in (4, 6, 8, 10)]
    return bool(is_response and has_failed and not reserved) and max(counts) < 100


def _of_first_bytes(answer: bytes, sent: bytes) -> str | None:
    """Name services with headers of their own, and those whose words have a pattern."""
    checks: tuple[tuple[Callable[[bytes], object], str], ...] = (
        (_is_tls, TLS_SERVER),
        (_SMTP_OR_FTP.match, "an SMTP or FTP server"),
        (_RESP.match, "a Redis server"),
        (_MEMCACHED.match, "a memcached server"),
        (_POSTGRESQL.match, "a PostgreSQL server"),
        (_MYSQL.match, "a MySQL server"),
        (_is_http2, "an HTTP/2 server"),
        (_is_mqtt, "an MQTT server"),
        (_is_ldap, "an LDAP server"),
    )
    if sent == POSTGRESQL_QUESTION and answer in (b"S", b"N"):
        return "a PostgreSQL server"
    return next((who for check, who in checks if check(answer)), None)


def _is_tls(answer: bytes) -> bool:
    """Return whether this is an alert, or the beginning of a handshake (RFC 8446, 5.1)."""
    if len(answer) < 3 or answer[1] != 3 or answer[2] > 4:
        return False
    length = int.from_bytes(answer[3:5], "big")
    return (
        answer[0] == 0x15 and length == 2
        if len(answer) >= 5 and answer[0] != 0x16
        else answer[0] in (0x15, 0x16)
    )


def _is_http2(answer: bytes) -> bool:
    """Return whether this is a SETTINGS frame, which comes first (RFC 9113, 3.4)."""
    length = int.from_bytes(answer[:3], "big")
    return len(answer) >= 9 and answer[3:9] == b"\x04\x00\x00\x00\x00\x00" and length % 6 == 0


def _is_mqtt(answer: bytes) -> bool:
    """Return whether this is CONNACK or DISCONNECT, whole (MQTT 5.0, 3.2 and 3.14)."""
    is_one = len(answer) >= 4 and answer[0] == 0x20 and answer[2] < 2
    return (is_one or answer[:1] == b"\xe0") and len(answer) >= 2 and answer[1] == len(answer) - 2


def _is_ldap(answer: bytes) -> bool:
    """Return whether this answers a bind, or is a notice of disconnection (RFC 4511, 4.1.1)."""
    return bool(re.match(rb"\x30(.|\x84....|\x81.)\x02\x01[\x00\x01][\x61\x78]", answer, re.DOTALL))


def _of_text(answer: bytes, sent: bytes) -> str | None:
    """Describe services of lines that are not known by name; never an answer with our own bytes in it."""
    first = answer.split(b"\n")[0].rstrip(b"\r")
    if sent[-5:] and sent[-5:].lower() in answer.lower():
        return None
    try:
        text = first.decode("ascii")
    except UnicodeDecodeError:
        return None
    if _is_json(answer):
        return "a server of JSON texts"
    return "a server of text lines" if b"\n" in answer and len(text) > 1 and text.isprintable() else None


def _is_json(answer: bytes) -> bool:
    if answer[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(answer)
    except ValueError:
        return False
    return True
