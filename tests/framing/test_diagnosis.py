"""What bytes are said to be that cannot be frames, by the first bytes of many protocols."""

from __future__ import annotations

import ssl

import pytest

from trioecho import FrameDecoder, FrameFormat, FrameTooLargeError, IncompleteFrameError
from trioecho.framing import RAISE_LIMIT, diagnose, recognize
from trioecho.framing.diagnosis import in_words

BIG = FrameFormat()
LITTLE = FrameFormat(byte_order="little")
MIB = 1 << 20


def name_of(first_bytes: bytes) -> str | None:
    protocol = recognize(first_bytes)
    return protocol.name if protocol else None


def tls_client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    connection = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


# What programs really send first, and what a person would call it.
PROTOCOLS = [
    (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:21000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n", "HTTP"),
    (b"POST /rpc HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "HTTP"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\4\0\0\0\0\0", "HTTP"),
    (b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n", "HTTP"),
    (b"HTTP/1.0 501 Unsupported method\r\n", "HTTP"),
    (b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x80\0\4\0\1\0\0\0\5\0\xff\xff\xff", "HTTP/2"),
    (tls_client_hello(), "TLS"),
    (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
    (b"\x15\x03\x03\x00\x02\x02\x32", "TLS"),
    (b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5\r\n", "SSH"),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 51234 21000\r\n", "PROXY protocol"),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 51234 21000\r\n", "PROXY protocol"),
    (b"PROXY UNKNOWN\r\n", "PROXY protocol"),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\1\x7f\0\0\1\x9c\x40\x52\x08", "PROXY protocol"),
    (b"*1\r\n$4\r\nPING\r\n", "Redis"),
    (b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "Redis"),
    (b"*12\r\n$4\r\nMSET\r\n", "Redis"),
    (b"-ERR Protocol error: invalid bulk length\r\n", "Redis"),
    (b"+PONG\r\n", "Redis"),
    (b"$5\r\nhello\r\n", "Redis"),
    (b"\0\0\0\x08\x04\xd2\x16\x2f", "PostgreSQL"),  # psql, which asks for TLS
    (b"\0\0\0\x08\x04\xd2\x16\x30", "PostgreSQL"),  # ... for GSSAPI
    (b"\0\0\0\x26\0\3\0\0user\0postgres\0database\0postgres\0\0", "PostgreSQL"),
    (b"E\0\0\0\x8cSFATAL\0VFATAL\0C0A000\0Munsupported frontend protocol 26725.27756\0", "PostgreSQL"),
    (b"J\0\0\0\x0a8.0.36\0\x0b\0\0\0", "MySQL"),
    (b"\x5b\0\0\0\x0a5.5.5-10.11.6-MariaDB\0", "MySQL"),
    (b"\x3a\1\0\0\1\0\0\0\0\0\0\0\xd4\7\0\0\4\0\0\0admin.$cmd\0", "MongoDB"),
    (b"\x10\x12\0\4MQTT\4\2\0\x3c\0\6client", "MQTT"),
    (b"\x20\2\0\1", None),
    (b"\x20\2\0\0", "MQTT"),
    (b"\x30\x0c\2\1\1\x60\7\2\1\3\4\0\x80\0", "LDAP"),
    (b"\0\0\0\x45\xffSMBr\0\0\0\0\x18\1\x28", "SMB"),
    (b"\0\0\0\xe0\xfeSMB\x40\0\1\0\0\0\0\0", "SMB"),
    (b"AMQP\0\0\x09\1", "AMQP"),
    (b"RFB 003.008\n", "VNC"),
    (b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\5", "BitTorrent"),
    (b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27", "telnet"),
    (b"\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\x0b\0\0\0", "RDP"),
    (b"\5\1\0", "SOCKS5"),
    (b"+OK Dovecot ready.\r\n", "POP3"),
    (b"* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot ready.\r\n", "IMAP"),
    (b"220 mail.example.org ESMTP Postfix\r\n", "SMTP or FTP"),
    (b"EHLO client.example.org\r\n", "SMTP"),
    # no protocol with a name
    (b"hello\n", None),
    (b"PING\r\n", None),
    (b'{"id": 1, "method": "echo"}\n', None),
    (b"GETX", None),
    (b"* a star\r\n", None),
    (b"\0\0\0\5hello", None),
    (b"\5\0\0\0hello", None),
    (b"\0\0\0\0", None),
    (bytes(64), None),
    (b"\xff" * 16, None),
    (b"", None),
]


@pytest.mark.parametrize(("first_bytes", "name"), PROTOCOLS)
def test_a_protocol_is_named_by_its_first_bytes(first_bytes: bytes, name: str | None) -> None:
    assert name_of(first_bytes) == name


@pytest.mark.parametrize(
    ("first_bytes", "name"), [each for each in PROTOCOLS if each[1] and len(each[0]) > 4 and each[0][0]]
)
@pytest.mark.parametrize("format", [BIG, LITTLE])
def test_a_refusal_names_it_alone_and_does_not_advise_to_raise_the_limit(
    format: FrameFormat, first_bytes: bytes, name: str
) -> None:
    decoder = FrameDecoder(format=format, max_frame_length=1000)
    decoder.receive_data(first_bytes)
    decoder.end_of_data()
    with pytest.raises((FrameTooLargeError, IncompleteFrameError)) as caught:
        decoder.next_frame()
    text = str(caught.value)
    protocol = recognize(first_bytes)
    assert protocol is not None
    assert f"begin {protocol.what}; {protocol.question}" in text
    for other in ("max_frame_length", "endian", "less likely"):
        assert other not in text


def refused(first_bytes: bytes, format: FrameFormat = BIG, limit: int = MIB, *, before: bytes = b"") -> str:
    decoder = FrameDecoder(format=format, max_frame_length=limit)
    decoder.receive_data(before + first_bytes)
    with pytest.raises(FrameTooLargeError) as caught:
        list(iter(decoder.next_frame, None))
    return str(caught.value)


RAISE, ORDER, STEP = RAISE_LIMIT, "little-endian it would be", "fell out of step"
TEXT, JSON, XML = " are text;", " are JSON;", " are XML or HTML;"


@pytest.mark.parametrize(
    ("first_bytes", "in_order"),
    [
        # a frame that is too large, and nothing else
        ((2 * MIB).to_bytes(4, "big") + b"A" * 65536, [RAISE]),
        ((2 * MIB).to_bytes(4, "big") + b"\1\2\3\4" * 20000, [RAISE]),
        ((MIB + 1).to_bytes(4, "big"), [RAISE]),
        ((100 * MIB).to_bytes(4, "big") + b"\x80" * 65536, [RAISE]),
        # as likely one as the other: which is likelier comes first
        ((2 * MIB).to_bytes(4, "big"), [RAISE, ORDER]),
        ((2 * MIB).to_bytes(4, "big") + bytes(65536), [RAISE, ORDER]),
        ((2 * MIB).to_bytes(4, "big") + b"A" * 100, [RAISE, ORDER]),
        (b"\5\0\0\0", [ORDER, RAISE]),
        (b"\5\0\0\0he", [ORDER, RAISE]),
        ((300 * MIB).to_bytes(4, "big"), [ORDER, RAISE]),
        ((300 * MIB).to_bytes(4, "big") + bytes(100), [ORDER, RAISE]),
        # beyond what anybody means, and not round: a length in the other order
        ((300 * MIB + 0x10000).to_bytes(4, "big"), [ORDER]),
        # the bytes behind the header tell
        (b"\5\0\0\0hello", [ORDER]),
        (b"\5\0\0\0hello\5\0\0\0wo", [ORDER]),
        (b"\0\x20\0\0" + bytes(8192), [ORDER]),
        # text
        (b"hello, world\r\n", [TEXT]),
        (b"ping", [TEXT]),
        ("grüße, Jürgen\n".encode(), [TEXT]),
        (b"12 Gr" + "ü".encode()[:1], [TEXT]),
        (b'{"jsonrpc": "2.0"}\n', [JSON]),
        (b"[1, 2]", [JSON]),
        (b"{\n  ", [JSON]),
        (b"[info] started\n", [TEXT]),
        (b"<?xml version='1.0'?>", [XML]),
        (b"<!DOCTYPE html>", [XML]),
        # nothing that anybody knows: only the last resort
        (b"\xff\xff\xff\xff", [RAISE]),
        (b"\xde\xad\xbe\xef\x80\x81", [RAISE]),
    ],
)  # fmt: skip
def test_what_a_length_over_the_limit_may_mean_the_likelier_first(
    first_bytes: bytes, in_order: list[str]
) -> None:
    text = refused(first_bytes)
    places = [text.find(hint) for hint in in_order]
    assert -1 not in places
    assert places == sorted(places)
    assert text.count("less likely: ") == len(in_order) - 1
    for hint in {RAISE, ORDER, STEP, TEXT, JSON, XML} - set(in_order):
        assert hint not in text


@pytest.mark.parametrize(
    ("first_bytes", "in_order"),
    [
        (b"\0\x80\0\1", [RAISE, STEP]),
        (b"\xca\xfe\xba\xbe", [STEP, RAISE]),
        (b"l\0\x01\x09wor", [STEP, RAISE]),
        (b"world", [TEXT, STEP]),
        (b"\5\0\0\0hello", [ORDER, STEP]),
    ],
)
def test_after_good_frames_an_earlier_length_may_have_been_wrong(
    first_bytes: bytes, in_order: list[str]
) -> None:
    for before, frames in ((b"\0\0\0\0", "a frame"), (b"\0\0\0\0\0\0\0\1x", "2 frames")):
        text = refused(first_bytes, before=before)
        places = [text.find(hint) for hint in in_order]
        assert -1 not in places
        assert places == sorted(places)
        assert f"after {frames} the peer fell out of step" in text
        assert "u32be+header?" in text


FOUR_BYTES_TELL = [
    (each[:4], name)
    for each, name in PROTOCOLS
    if name
    in {"HTTP", "TLS", "SSH", "PROXY protocol", "Redis", "AMQP", "VNC", "telnet", "POP3", "SMTP or FTP"}
]


@pytest.mark.parametrize(("header", "name"), FOUR_BYTES_TELL)
def test_a_header_alone_is_often_enough(header: bytes, name: str) -> None:
    assert name_of(header) == name


def incomplete(first_bytes: bytes, format: FrameFormat = BIG, limit: int = MIB) -> str:
    decoder = FrameDecoder(format=format, max_frame_length=limit)
    decoder.receive_data(first_bytes)
    decoder.end_of_data()
    with pytest.raises(IncompleteFrameError) as caught:
        list(iter(decoder.next_frame, None))
    return str(caught.value)


@pytest.mark.parametrize(
    ("first_bytes", "format", "hint"),
    [
        (b"\0\0\0\x09hello", BIG, "does the peer write u32be+header?"),
        (b"\x09\0\0\0hello", LITTLE, "does the peer write u32le+header?"),
        (b"\0\x07hello", FrameFormat(2), "does the peer write u16be+header?"),
        (b"\0\0\0\x05hell", BIG, None),
        (b"\0\0\0\x0ahello", BIG, None),
        (b"\0\0\0", BIG, None),
        (b"\5\0hello", FrameFormat(2), "it is whole if the length is little-endian;"),
        (b"\0\0\0\x08\x04\xd2\x16\x2f", BIG, "begin a PostgreSQL startup;"),
        (b"GET / HTTP/1.1\r\n\r\n", FrameFormat(2), "begin an HTTP request;"),
        (b"hello", FrameFormat(2), "are text;"),
        (b"\x09hello", FrameFormat(1), None),
        (b"ahello", FrameFormat(1), None),
        (b"\0\0\0\x64" + b"x" * 50, BIG, None),
        (b"\0\x0f\0\0" + b"x" * 500_000, BIG, None),
    ],
)
def test_a_frame_that_ends_early_says_so_where_its_length_counts_something_else(
    first_bytes: bytes, format: FrameFormat, hint: str | None
) -> None:
    text = incomplete(first_bytes, format)
    if hint is None:
        assert text.endswith("the peer stopped early, or its length and its payload do not agree")
    else:
        assert hint in text


def test_the_causes_are_a_list_for_who_shows_them_otherwise() -> None:
    assert diagnose(b"\xff\xff\xff\xff", BIG, MIB) == []
    assert diagnose(b"GET ", BIG, MIB) == [
        "the bytes b'GET ' begin an HTTP request; is the peer an HTTP client?"
    ]
    assert RAISE_LIMIT in diagnose((2 * MIB).to_bytes(4, "big"), BIG, MIB)


def test_causes_in_words() -> None:
    assert in_words([]) is None
    assert in_words(["one"]) == "one"
    assert in_words(["one?", "two", "three"]) == "one? Or, less likely: two; Or, less likely: three"
