"""Frames of databases and the like, made by their clients: each on the wire, and its payload."""

from __future__ import annotations

import logging
import socket
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.guard import GUARD_S
from trioecho.framing import FrameFormat, encode_frame


def ldap() -> list[tuple[bytes, bytes]]:
    encoder: Any = pytest.importorskip("pyasn1.codec.ber.encoder")
    univ: Any = pytest.importorskip("pyasn1.type.univ")
    messages = []
    for size in (1, 100, 200, 300, 70_000):
        parts = [univ.Integer(1), univ.OctetString(b"y" * size)]
        message = univ.Sequence()
        for place, part in enumerate(parts):
            message[place] = part
        messages.append((encoder.encode(message), b"".join(map(encoder.encode, parts))))
    return messages


def mysql() -> list[tuple[bytes, bytes]]:
    connections: Any = pytest.importorskip("pymysql.connections")
    connection = connections.Connection.__new__(connections.Connection)
    sent: list[bytes] = []
    connection._next_seq_id, connection._write_bytes = 0, sent.append
    connection.write_packet(b"\x03SELECT 1")
    connection.write_packet(b"y" * 70_000)
    connection._force_close()
    return [(sent[0], b"\x03SELECT 1"), (sent[1], b"y" * 70_000)]


def mongodb() -> list[tuple[bytes, bytes]]:
    op_msg: Any = pytest.importorskip("pymongo.message")._op_msg
    primary: Any = pytest.importorskip("pymongo.read_preferences").ReadPreference.PRIMARY
    bson: Any = pytest.importorskip("bson")
    made = []
    for command in ({"ping": 1}, {"find": "words", "filter": {"word": "x" * 20_000}}):
        wire = op_msg(0, dict(command), "admin", primary, bson.CodecOptions())[1]
        body = bson.encode({**command, "$db": "admin"})
        made.append((wire, b"\0\0\0\0\0" + body))
    return made


def kafka() -> list[tuple[bytes, bytes]]:
    with warnings.catch_warnings():
        # It reads its own schemas by functions that Python 3.11 and 3.12 call deprecated.
        warnings.filterwarnings("ignore", r"(read|open)_text is deprecated", DeprecationWarning)
        metadata: Any = pytest.importorskip("kafka.protocol.metadata")
        protocol = pytest.importorskip("kafka.protocol.parser").KafkaProtocol(client_id="me")
        made = []
        for request in (metadata.ApiVersionsRequest[0](), metadata.FindCoordinatorRequest[0]("g" * 300)):
            protocol.send_request(request)
            made.append((protocol.send_bytes(), request.encode(framed=False, header=True)))
    return made


def memcached() -> list[tuple[bytes, bytes]]:
    client = pytest.importorskip("bmemcached.protocol").Protocol("127.0.0.1:1")
    sent: list[bytes] = []
    client._send = sent.append
    client._get_response = lambda: (0x81, 0, 0, 4, 0, 0, 4, 0, 0, bytes(4))  # found, and empty
    client.get("Hello")
    client.set("Hello", b"x" * 70_000, 60, compress_level=0)
    client.noop()
    binary_for_a_minute = b"\0\0\0\x10\0\0\0\x3c"
    return list(zip(sent, (b"Hello", binary_for_a_minute + b"Hello" + b"x" * 70_000, b""), strict=True))


def postgres_session() -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]]]:
    """Return what a client sends to begin with, and what it sends later; it reads our frames."""
    core: Any = pytest.importorskip("pg8000.core")

    def reply(kind: bytes, payload: bytes) -> bytes:
        return encode_frame(payload, format=FrameFormat.parse("postgres"), header=kind)

    ready = reply(b"Z", b"I")
    first, second = socket.socketpair()
    with first, second:
        first.settimeout(GUARD_S)
        second.settimeout(GUARD_S)
        second.sendall(b"N" + reply(b"R", bytes(4)) + ready)  # no TLS, no password
        connection = core.CoreConnection("me", database="words", sock=first)
        sent = second.recv(65_536)
        # SSLRequest, whose whole length is in the specification, and StartupMessage.
        parameters = b"\0\3\0\0user\0me\0database\0words\0\0"
        startup = [(sent[:8], b"\x04\xd2\x16\x2f"), (sent[8:], parameters)]
        messages = []
        for query in ("SELECT 1", f"SELECT '{'x' * 3000}'"):
            second.sendall(reply(b"C", b"SELECT 0\0") + ready)
            connection.execute_simple(query)
            messages.append((second.recv(65_536), query.encode() + b"\0"))
        connection.close()
        messages.append((second.recv(65_536), b""))
    return startup, messages


def postgres() -> list[tuple[bytes, bytes]]:
    return postgres_session()[1]


def postgres_startup() -> list[tuple[bytes, bytes]]:
    return postgres_session()[0]


def zookeeper() -> list[tuple[bytes, bytes]]:
    handler: Any = pytest.importorskip("kazoo.protocol.connection").ConnectionHandler
    requests: Any = pytest.importorskip("kazoo.protocol.serialization")
    connection = handler.__new__(handler)
    sent: list[bytes] = []
    connection.logger, connection._write = (
        logging.getLogger(__name__),
        lambda data, _: sent.append(bytes(data)),
    )
    create = requests.Create("/words", b"x" * 70_000, [], 0)
    connection._submit(create, None, 7)
    connection._submit(requests.Ping(), None, -2)
    return [
        (sent[0], b"\0\0\0\7\0\0\0\1" + create.serialize()),
        (sent[1], b"\xff\xff\xff\xfe\0\0\0\x0b"),
    ]


OF_STORES: dict[str, Callable[[], list[tuple[bytes, bytes]]]] = {
    "kafka": kafka,
    "ldap": ldap,
    "memcached": memcached,
    "mongodb": mongodb,
    "mysql": mysql,
    "postgres": postgres,
    "postgres-startup": postgres_startup,
    "zookeeper": zookeeper,
}
