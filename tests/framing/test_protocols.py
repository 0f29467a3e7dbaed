"""Every preset takes frames of its protocol apart: made by a library, or quoted from its specification."""

from __future__ import annotations

import io
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.guard import GUARD_S
from tests.support.programs import needs_program
from tests.support.sockets import receive_all, receive_exactly
from trioecho.framing import PRESETS, ConnectionDecoder, Frame, FrameDecoder, FrameFormat, encode_frame
from trioecho.framing.format_guess import guess_formats

# A frame in hexadecimal, with bars around its payload; and where it stands.
QUOTED: dict[str, tuple[str, str]] = {
    "9p": ("13000000 64 ffff | 00200000 0600 395032303030 |", "Tversion of version(5)"),
    "amqp-1.0": ("00000008 02 00 0000 | |", "an empty frame, part 2, section 2.4.5"),
    "bgp": (f"{'ff' * 16} 0013 04 | |", "KEEPALIVE, RFC 4271, section 4.4"),
    "bitcoin": (
        "f9beb4d9 76657261636b000000000000 00000000 5df6e0e2 | |",
        "verack of the developer reference",
    ),
    "bittorrent": ("00000001 | 02 |", "interested, BEP 3"),
    # The driver has compiled parts, and is too large to be installed for one frame.
    "cassandra": (
        "04 00 0007 07 00000025 | 0000001e 53454c454354206e6f7728292046524f4d2073797374656d2e6c6f63616c "
        "0001 00 |",
        "QUERY by cassandra-driver 3.30.1; CQL v4, sections 2 and 4.1.4",
    ),
    "diameter": ("01 000014 80 000118 00000000 00000001 00000002 | |", "a header alone, RFC 6733, section 3"),
    # That needs pydicom, and both have 26 MB.
    "dicom": (
        "0100 000000ec | "
        "00010000594f55202020202020202020202020204d45202020202020202020202020202000000000"
        "0000000000000000000000000000000000000000000000000000000010000015312e322e3834302e"
        "31303030382e332e312e312e31200000760100000030000011312e322e3834302e31303030382e31"
        "2e3140000011312e322e3834302e31303030382e312e3240000013312e322e3834302e3130303038"
        "2e312e322e3140000016312e322e3834302e31303030382e312e322e312e393940000013312e322e"
        "3834302e31303030382e312e322e32500000115100000400003ffe52000005312e322e33"
        " |",
        "A-ASSOCIATE-RQ by pynetdicom 3.0.4; PS3.8, section 9.3.2",
    ),
    "epmd": ("0001 | 6e |", "NAMES_REQ of the distribution protocol"),
    "erlang-packet-1": ("05 | 68656c6c6f |", "{packet, 1}"),
    "erlang-packet-2": ("0005 | 68656c6c6f |", "{packet, 2}"),
    "erlang-packet-4": ("00000005 | 68656c6c6f |", "{packet, 4}"),
    "fastcgi": ("01 04 0001 0000 00 00 | |", "the end of FCGI_PARAMS, section 6.1"),
    "git": ("30303062 | 666f6f6261720a |", "000bfoobar, gitprotocol-common(5)"),
    "grpc": ("00 00000005 | 0a03616263 |", "Length-Prefixed-Message"),
    "http-chunk": ("340d0a | 57696b69 | 0d0a", "RFC 9112, section 7.1"),
    "iec104": ("68 04 | 07000000 |", "STARTDT act"),
    "iso8583": ("0004 | 30383030 |", "a network management request, 0800"),
    "iso8583-ascii": ("30303034 | 30383030 |", "the same with digits"),
    "kafka": ("0000000a | 0012 0000 00000001 ffff |", "ApiVersions v0 of the protocol guide"),
    "ldp": ("0001 000e 0a000001 0000 | 0201 0004 00000001 |", "KeepAlive, RFC 5036, section 3.5.4"),
    "memcached": (
        "80 00 0005 00 00 0000 00000005 00000000 0000000000000000 | 48656c6c6f |",
        "Get Hello, binary protocol, section 4.2",
    ),
    "modbus": ("0001 0000 0006 11 | 03 006b 0003 |", "Modbus application protocol 1.1b3, section 6.3"),
    "mqtt": ("20 02 | 0000 |", "CONNACK, MQTT 3.1.1, section 3.2"),
    "native-messaging": ("02000000 | 7b7d |", "an empty object"),
    "netbios": ("00 000004 | ff534d42 |", "RFC 1002, section 4.3.6"),
    "netstring": ("31323a | 68656c6c6f20776f726c6421 | 2c", "12:hello world!, of the specification"),
    "onc-rpc": ("80000004 | 00000001 |", "RFC 5531, section 11"),
    "openflow": ("01 00 0008 00000001 | |", "OFPT_HELLO"),
    "pcep": ("20 02 0004 | |", "Keepalive, RFC 5440, section 6.3"),
    "postgres": ("5a 00000005 | 49 |", "ReadyForQuery of Message Formats"),
    "postgres-startup": ("00000008 | 04d2162f |", "SSLRequest of Message Formats"),
    "radius": (
        "01 00 0038 0f403f9473978057bd83d5cb98f4227a | 01066e656d6f 02120dbe708d93d413ce3196e43f782a0aee "
        "0406c0a80110 050600000003 |",
        "RFC 2865, section 7.1",
    ),
    "rtp": ("0004 | 80000001 |", "RFC 4571, section 2"),
    "rtsp-interleaved": ("24 00 0004 | 80000001 |", "RFC 7826, section 14"),
    "smb": ("00 000004 | fe534d42 |", "MS-SMB2, section 2.1"),
    "ssh": ("0000000c | 0a 15 00000000000000000000 |", "SSH_MSG_NEWKEYS, RFC 4253, sections 6 and 7.3"),
    "ssh-agent": ("00000001 | 0b |", "SSH_AGENTC_REQUEST_IDENTITIES"),
    "syslog": ("3820 | 3c33343e312e2e2e |", "RFC 5425, section 4.3"),
    "tls": ("15 0303 0002 | 0100 |", "the alert close_notify, RFC 8446, section 6.1"),
    "tpkt": (
        "03 00 0013 | 0ee00000000000 0100080003000000 |",
        "X.224 connection request, MS-RDPBCGR, 2.2.1.1",
    ),
    "zookeeper": ("00000008 | fffffffe 0000000b |", "a ping"),
}


def dns() -> list[tuple[bytes, bytes]]:
    message = pytest.importorskip("dns.message").make_query("example.com", "A")
    return [(message.to_wire(prepend_length=True), message.to_wire())]


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


def thrift() -> list[tuple[bytes, bytes]]:
    transport: Any = pytest.importorskip("thrift.transport.TTransport")
    memory = transport.TMemoryBuffer()
    framed = transport.TFramedTransport(memory)
    framed.write(b"hello")
    framed.flush()
    return [(memory.getvalue(), b"hello")]


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


LIBRARIES = {
    "dns": dns,
    "http2": http2,
    "amqp": amqp,
    "ldap": ldap,
    "thrift": thrift,
    "protobuf": protobuf,
    "smpp": smpp,
    "mysql": mysql,
    "mongodb": mongodb,
    "stun": stun,
    "someip": someip,
}


def decode_all(name: str, wire: bytes, limit: int) -> list[Frame]:
    frames: list[Frame] = []
    for kind in (FrameDecoder, ConnectionDecoder):
        decoder = kind(format=FrameFormat.parse(name), max_frame_length=limit)
        frames = []
        for at in range(0, len(wire), 1000):
            decoder.receive_data(wire[at : at + 1000])
            frames += list(iter(decoder.next_whole_frame, None))
        decoder.end_of_data()
        assert decoder.next_frame() is None
    return frames


@pytest.mark.parametrize("name", QUOTED)
def test_frames_of_a_specification_are_frames(name: str) -> None:
    header, payload, trailer = map(bytes.fromhex, QUOTED[name][0].split("|"))
    wire = header + payload + trailer
    frame = Frame(header, payload, trailer)
    limit = PRESETS[name].limit or 1 << 20
    assert decode_all(name, wire * 3, limit) == [frame] * 3
    # As this side writes it, with the header's other bytes from the one that came.
    assert encode_frame(payload, format=FrameFormat.parse(name), header=header) == wire


@pytest.mark.parametrize("name", LIBRARIES)
def test_frames_of_a_library_are_frames(name: str) -> None:
    made = LIBRARIES[name]()
    limit = PRESETS[name].limit or 1 << 20
    frames = decode_all(name, b"".join(wire for wire, _ in made), limit)
    assert [frame.payload for frame in frames] == [payload for _, payload in made]
    for frame, (wire, _) in zip(frames, made, strict=True):
        assert b"".join(frame) == wire
        assert encode_frame(frame.payload, format=FrameFormat.parse(name), header=frame.header) == wire


def test_an_agent_of_openssh_speaks_its_frames(tmp_path: Path) -> None:
    address = tmp_path / "agent"
    with subprocess.Popen([needs_program("ssh-agent"), "-D", "-a", address], stdout=subprocess.PIPE) as agent:
        try:
            assert agent.stdout is not None
            assert str(address).encode() in agent.stdout.readline()  # it listens
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(GUARD_S)
                peer.connect(str(address))
                header, payload, _ = map(bytes.fromhex, QUOTED["ssh-agent"][0].split("|"))
                peer.sendall(2 * (header + payload))
                replies = receive_exactly(peer, 18)
        finally:
            agent.kill()
    # SSH_AGENT_IDENTITIES_ANSWER, and none.
    frame = Frame(b"\0\0\0\x05", b"\x0c\0\0\0\0")
    assert decode_all("ssh-agent", replies, 256 << 10) == [frame, frame]


def test_fastcgi_pads_its_records() -> None:
    """An application of FastCGI's own library, libfcgi, takes padded records and makes some."""
    fastcgi = FrameFormat.parse("fastcgi")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        application = subprocess.Popen([needs_program("fcgiwrap")], stdin=listener.fileno())
        try:
            with socket.create_connection(listener.getsockname(), timeout=GUARD_S) as peer:
                begin = encode_frame(
                    b"\0\1" + bytes(6), format=fastcgi, header=bytes.fromhex("0101000100000000")
                )
                name = b"\x0f\x04SCRIPT_FILENAME/no!"
                params = encode_frame(name, format=fastcgi, header=bytes.fromhex("0104000100000300"))
                assert len(params) == 8 + len(name) + 3
                peer.sendall(begin + params + bytes.fromhex("0104000100000000 0105000100000000"))
                replies = receive_all(peer)
        finally:
            application.kill()
            application.wait()
    frames = decode_all("fastcgi", replies, 65_535)
    assert [frame.header[1] for frame in frames] == [6, 6, 3]  # FCGI_STDOUT, its end, FCGI_END_REQUEST
    assert frames[0].payload.startswith(b"Status: 403 ")
    assert len(frames[0].trailer) == frames[0].header[6] == -len(frames[0].payload) % 8 > 0
    assert b"".join(map(b"".join, frames)) == replies
    assert guess_formats(replies)[0].protocols == ("fastcgi",)
    assert [guess.protocols for guess in guess_formats(2 * replies) if guess.is_likely] == [("fastcgi",)]


def test_every_preset_is_tried() -> None:
    assert {*QUOTED, *LIBRARIES} == set(PRESETS)
    assert not set(QUOTED) & set(LIBRARIES)


def test_a_guess_finds_the_format_of_several_frames() -> None:
    bodies = [bytes(range(200, 200 + size)) for size in (5, 12, 40, 7)]
    for text in ("u32be", "u32le+header", "u64be", "netstring", "bgp", "amqp", "dec4"):
        wire = b"".join(encode_frame(body, format=FrameFormat.parse(text)) for body in bodies)
        found = guess_formats(wire)
        assert found[0].format == FrameFormat.parse(text)
        assert found[0].is_likely
        assert found[0].payload_lengths == (5, 12, 40, 7)
        cut = guess_formats(wire[:-2])
        assert cut[0].format == FrameFormat.parse(text)
        assert cut[0].missing_bytes == 2


def test_a_guess_says_when_it_cannot_tell() -> None:
    text = b"The quick brown fox\njumps over the lazy dog\n" * 10
    for data in (b"", b"\0", bytes(1000), text, bytes(range(17, 250)), b"\x2a" * 300):
        assert not any(guess.is_likely for guess in guess_formats(data))
    one_short_frame = guess_formats(b"\0\5hello")
    assert one_short_frame[0].format == FrameFormat(2)
    assert not one_short_frame[0].is_likely
