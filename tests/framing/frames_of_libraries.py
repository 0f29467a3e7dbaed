"""Frames that libraries of the protocols make, by the names of presets: each on the wire, and its payload."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio


def dns() -> list[tuple[bytes, bytes]]:
    made = []
    for name in ("example.com", "much.longer.example.com"):
        message = pytest.importorskip("dns.message").make_query(name, "A")
        made.append((message.to_wire(prepend_length=True), message.to_wire()))
    return made


def http2() -> list[tuple[bytes, bytes]]:
    frames: Any = pytest.importorskip("hyperframe.frame")
    ping = frames.PingFrame(0, b"12345678", flags=["ACK"])
    return [(frames.DataFrame(3, b"x" * 300).serialize(), b"x" * 300), (ping.serialize(), b"12345678")]


def amqp() -> list[tuple[bytes, bytes]]:
    pamqp: Any = pytest.importorskip("pamqp.frame")
    commands: Any = pytest.importorskip("pamqp.commands")
    body = pytest.importorskip("pamqp.body").ContentBody(b"\xce" * 700)
    method = commands.Channel.Open()
    return [
        (pamqp.marshal(method, 1), b"\0\x14\0\x0a" + method.marshal()),
        (pamqp.marshal(body, 1), b"\xce" * 700),
    ]


def thrift() -> list[tuple[bytes, bytes]]:
    transport: Any = pytest.importorskip("thrift.transport.TTransport")
    made = []
    for payload in (b"hello", b"x" * 70_000):
        memory = transport.TMemoryBuffer()
        framed = transport.TFramedTransport(memory)
        framed.write(payload)
        framed.flush()
        made.append((memory.getvalue(), payload))
    return made


def protobuf() -> list[tuple[bytes, bytes]]:
    proto: Any = pytest.importorskip("google.protobuf.proto")
    wrappers: Any = pytest.importorskip("google.protobuf.wrappers_pb2")
    made = []
    for size in (0, 5, 127, 128, 300, 20_000, 3 << 20):
        message = wrappers.StringValue(value="z" * size)
        out = io.BytesIO()
        proto.serialize_length_prefixed(message, out)
        made.append((out.getvalue(), message.SerializeToString()))
    return made


def smpp() -> list[tuple[bytes, bytes]]:
    smpplib: Any = pytest.importorskip("smpplib.smpp")
    client = pytest.importorskip("smpplib.client").Client("localhost", 1, allow_unknown_opt_params=True)
    link = smpplib.make_pdu("enquire_link", client=client).generate()
    bind = smpplib.make_pdu("bind_transceiver", client=client, system_id="me", password="x").generate()  # noqa: S106 - no secret
    return [(link, b""), (bind, bind[16:])]


def stun() -> list[tuple[bytes, bytes]]:
    stun: Any = pytest.importorskip("aioice.stun")
    made = []
    for transaction in (b"0123456789ab", b"\x21\x12\xa4\x42" * 3):
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, transaction_id=transaction)
        plain = bytes(request)
        request.attributes["SOFTWARE"] = "one"  # 4 bytes of attribute, 3 of value, and a byte to align it
        made += [(plain, b""), (bytes(request), b"\x80\x22\0\x03one\0")]
    return made


def someip() -> list[tuple[bytes, bytes]]:
    header: Any = pytest.importorskip("someip.header")
    made = []
    for payload in (b"", b"hello", b"x" * 70_000):
        message = header.SOMEIPHeader(
            service_id=0x1234,
            method_id=0x8001,
            client_id=1,
            session_id=2,
            interface_version=1,
            message_type=header.SOMEIPMessageType.REQUEST,
            payload=payload,
        )
        made.append((message.build(), payload))
    return made


def plan_9() -> list[tuple[bytes, bytes]]:
    plan9: Any = pytest.importorskip("pyroute2.plan9")

    def encoded(message: Any, tag: int, **fields: Any) -> bytes:
        message["header"]["tag"] = tag
        for field, value in fields.items():
            message[field] = value
        message.encode()
        return bytes(message.data)

    version = encoded(plan9.msg_tversion(), 0xFFFF, msize=8192, version="9P2000")
    write = encoded(plan9.msg_twrite(), 1, fid=7, offset=9, data=b"x" * 300)
    place = b"\x07\0\0\0" + b"\x09" + bytes(7)
    return [(version, b"\0\x20\0\0\x06\x009P2000"), (write, place + b"\x2c\x01\0\0" + b"x" * 300)]


def amqp_1() -> list[tuple[bytes, bytes]]:
    amqp = "azure.eventhub._pyamqp"
    encode: Any = pytest.importorskip(f"{amqp}._encode")
    performatives: Any = pytest.importorskip(f"{amqp}.performatives")
    transports: Any = pytest.importorskip(f"{amqp}._transport")
    transport = transports.SSLTransport.__new__(transports.SSLTransport)
    sent: list[bytes] = []
    transport.write = sent.append
    opening = performatives.OpenFrame("me", "example.com", 65_536, 5, *[None] * 6)
    payloads = []
    for channel, frame in ((0, opening), (3, performatives.CloseFrame(error=None))):
        transport.send_frame(channel, frame)
        payload = bytearray()
        encode.encode_value(payload, encode.describe_performative(frame))
        payloads.append(bytes(payload))
    keepalive = pytest.importorskip(f"{amqp}.constants").EMPTY_FRAME
    return [*zip(sent, payloads, strict=True), (keepalive, b"")]


def bitcoin() -> list[tuple[bytes, bytes]]:
    messages: Any = pytest.importorskip("bitcoin.messages")
    made = []
    for message in (messages.msg_verack(), messages.msg_ping(nonce=7), messages.msg_version()):
        body = io.BytesIO()
        message.msg_ser(body)
        made.append((message.to_bytes(), body.getvalue()))
    return made


def git() -> list[tuple[bytes, bytes]]:
    pkt_line: Any = pytest.importorskip("dulwich.protocol").pkt_line
    return [(pkt_line(line), line) for line in (b"want 0123\n", b"", b"x" * 65_516)]


def grpc() -> list[tuple[bytes, bytes]]:
    send_message: Any = pytest.importorskip("grpclib.stream").send_message
    codec: Any = pytest.importorskip("grpclib.encoding.proto").ProtoCodec()
    wrappers: Any = pytest.importorskip("google.protobuf.wrappers_pb2")
    sent: list[bytes] = []

    class Stream:
        async def send_data(self, data: bytes, *, end_stream: bool) -> None:
            sent.append(data)

    messages = [wrappers.StringValue(value="z" * size) for size in (0, 5, 70_000)]
    for message in messages:
        trio.run(send_message, Stream(), codec, message, wrappers.StringValue)
    return [(wire, message.SerializeToString()) for wire, message in zip(sent, messages, strict=True)]


def http_chunk() -> list[tuple[bytes, bytes]]:
    h11: Any = pytest.importorskip("h11")
    client = h11.Connection(h11.CLIENT)
    headers = [("Host", "example.com"), ("Transfer-Encoding", "chunked")]
    client.send(h11.Request(method="POST", target="/", headers=headers))
    made = [(client.send(h11.Data(data=data)), data) for data in (b"Wiki", b"x" * 70_000)]
    return [*made, (client.send(h11.EndOfMessage()), b"")]


def netstring() -> list[tuple[bytes, bytes]]:
    encode: Any = pytest.importorskip("pynetstring").encode
    return [(encode(data), data) for data in (b"hello world!", b"", b"x" * 70_000)]


def rtsp_interleaved() -> list[tuple[bytes, bytes]]:
    kind: Any = pytest.importorskip("aiortsp.rtsp.connection").RTSPConnection
    connection = kind.__new__(kind)
    out = io.BytesIO()
    connection.logger, connection._transport = logging.getLogger(__name__), out
    made = []
    for channel, data in ((0, b"\x80\0\0\1"), (1, b""), (255, b"x" * 65_535)):
        before = out.tell()
        connection.send_binary(channel, data)
        made.append((out.getvalue()[before:], data))
    return made


def tpkt() -> list[tuple[bytes, bytes]]:
    connection = pytest.importorskip("snap7.connection").ISOTCPConnection("127.0.0.1")
    request = connection._build_cotp_cr()
    return [(connection._build_tpkt(data), data) for data in (request, b"\x02\xf0\x80" + b"x" * 60_000)]


OF_LIBRARIES: dict[str, Callable[[], list[tuple[bytes, bytes]]]] = {
    "9p": plan_9,
    "amqp": amqp,
    "amqp-1.0": amqp_1,
    "bitcoin": bitcoin,
    "dns": dns,
    "git": git,
    "grpc": grpc,
    "http-chunk": http_chunk,
    "http2": http2,
    "netstring": netstring,
    "protobuf": protobuf,
    "rtsp-interleaved": rtsp_interleaved,
    "smpp": smpp,
    "someip": someip,
    "stun": stun,
    "thrift": thrift,
    "tpkt": tpkt,
}
