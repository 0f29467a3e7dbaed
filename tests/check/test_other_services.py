"""The services that are known by their first bytes, and the echoes that must not be taken for one of them."""

from __future__ import annotations

import pytest

from trioecho.check.client.wire import Wire
from trioecho.check.preflight.other_services import POSTGRESQL_QUESTION, QUESTIONS, service_of

WIRE, DNS_WIRE = Wire(), Wire(2)
HELLO = WIRE.frame(b"hello")
DIGITS = b"0123456789" * 6


@pytest.mark.parametrize(
    ("who", "answer", "sent"),
    [
        ("an HTTP server", b"HTTP/1.1 400 Bad Request\r\n\r\n", HELLO),
        ("an HTTP server", b"<html><body>400</body></html>", HELLO),
        ("an HTTP/2 server", b"\0\0\6\4\0\0\0\0\0\0\3\0\0\0\x64", HELLO),
        ("an SSH server", b"SSH-2.0-OpenSSH_9.6\r\n", b""),
        ("an SMTP or FTP server", b"220 mail.example ESMTP\r\n", b""),
        ("an SMTP or FTP server", b"220-welcome\r\n", b""),
        ("an SMTP or FTP server", b"500 5.5.1 command unrecognized\r\n", HELLO),
        ("a POP3 server", b"+OK ready\r\n", b""),
        ("an IMAP server", b"* OK IMAP4rev1\r\n", b""),
        ("a Redis server", b"-ERR wrong number of arguments for 'get' command\r\n", QUESTIONS[0]),
        ("a Redis server", b"-NOAUTH Authentication required.\r\n", QUESTIONS[0]),
        ("a Redis server", b"-DENIED Redis is running in protected mode\r\n", b""),
        ("a memcached server", b"ERROR\r\n", HELLO),
        ("a MySQL server", b"\x4a\0\0\0\x0a8.0.35\0\x08\0\0\0", b""),
        ("a MySQL server", b"\x45\0\0\0\xffj\x04Host '10.0.0.7' is not allowed", b""),
        ("a PostgreSQL server", b"E\0\0\0\x8dSFATAL\0VFATAL\0C0A000\0", HELLO),
        ("a PostgreSQL server", b"S", POSTGRESQL_QUESTION),
        ("a PostgreSQL server", b"N", POSTGRESQL_QUESTION),
        ("a TLS server", b"\x15\3\1\0\2\2\x46", HELLO),
        ("a TLS server", b"\x15\3\3\0\2\2\x0a", HELLO),
        ("a TLS server", b"\x16\3\3\0\x5b\2\0\0\x57\3\3", QUESTIONS[1]),
        ("an MQTT server", b"\x20\2\0\0", HELLO),
        ("an MQTT server", b"\x20\2\0\1", HELLO),
        ("an LDAP server", bytes.fromhex("300c02010161070a010004000400"), HELLO),
        (
            "an LDAP server",
            bytes.fromhex("30240201007820 0a0102 0400 0400 8a16") + b"1.3.6.1.4.1.1466.20036",
            HELLO,
        ),
        ("an SMB server", b"\x83\0\0\1\x8f", HELLO),
        ("an SMB server", WIRE.frame(b"\xffSMB\x72" + bytes(28)), QUESTIONS[-1]),
        ("an SMB server", WIRE.frame(b"\xfeSMB\x40" + bytes(60)), QUESTIONS[-1]),
        ("a ZooKeeper server", b"Zookeeper version: 3.9.2\nLatency\n", b"srvr"),
        (
            "a ZooKeeper server",
            WIRE.frame(bytes(4) + b"\0\0\x27\x10" + bytes(8) + b"\0\0\0\x10" + bytes(16)),
            HELLO,
        ),
        ("a Thrift server", WIRE.frame(b"\x80\1\0\3\0\0\0\5hello\0\0\0\0\x0b\0\1"), HELLO),
        ("an AMQP server", b"AMQP\0\0\x09\x01", HELLO),
        ("a VNC server", b"RFB 003.008\n", b""),
        ("a NATS server", b'INFO {"server_id":"x"}\r\n', b""),
        ("a Telnet server", b"\xff\xfd\x18\xff\xfd\x20", b""),
        ("a server of text lines", b"unknown command\n", HELLO),
        ("a server of JSON texts", b'{"error": "no method"}', HELLO),
    ],
)
def test_other_services_are_named_by_their_bytes(who: str, answer: bytes, sent: bytes) -> None:
    assert service_of(answer, sent, WIRE) == who


@pytest.mark.parametrize(
    "reply",
    [
        b"01\xb2\x81\0\0\0\0\0\0\0\0",
        b"01\xb2\x84" + bytes(8),
        b"01\x80\x05\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1",
    ],
)
def test_a_dns_server_answers_frames_and_does_not_echo(reply: bytes) -> None:
    sent = DNS_WIRE.frame(DIGITS)
    assert service_of(DNS_WIRE.frame(reply), sent, DNS_WIRE) == "a DNS server"


# What servers of frames answer, right or wrong: none of it says that they are something else.
ANSWERS_OF_ECHOES = [
    b"",
    HELLO,
    b"hello",
    b"hello\n",
    b"\5\0\0\0hello",
    b"\0\5hello",
    b"\0\0\0\x0ahello",
    b"5\nhello\n",
    b"HELLO\n",
    b'"hello"',
    b'{"echo": "hello"}',
    b"echo: hello\r\n",
    WIRE.frame(b"HELLO"),
    WIRE.frame(b"ok"),
    WIRE.frame(b"ok\n"),
    WIRE.frame(b"ERR unknown\n"),
    WIRE.frame(b'{"status": "ok"}'),
    WIRE.frame(b"echo:hello"),
    WIRE.frame(b"2026-11-29T06:15:54 hello"),
    WIRE.frame(b"hello" * 10),
    b"\0\0",
    b"\x8f\x90\x91\x92\x93",
]


@pytest.mark.parametrize("answer", ANSWERS_OF_ECHOES)
def test_an_echo_however_wrong_is_taken_for_no_other_service(answer: bytes) -> None:
    assert service_of(answer, HELLO, WIRE) is None


@pytest.mark.parametrize("question", QUESTIONS)
def test_who_sends_the_questions_back_is_no_other_service(question: bytes) -> None:
    for answer in (question, question[:4], question[:1], question.upper()):
        assert service_of(answer, question, WIRE) is None


@pytest.mark.parametrize("wire", [WIRE, DNS_WIRE, Wire(4, "little"), Wire(8)])
def test_a_right_echo_of_any_frame_is_taken_for_no_other_service(wire: Wire) -> None:
    for payload in (b"", b"x", b"HTTP/1.1 200 OK\r\n", b"\x80\1\0\3" + bytes(40), b"ab\x80\x81" + bytes(30)):
        assert service_of(wire.frame(payload), wire.frame(payload), wire) is None
