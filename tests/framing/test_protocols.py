"""Every preset takes frames of its protocol apart: made by libraries, or quoted from its specification."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trioecho
from tests.framing.examples import decode_all
from tests.framing.frames_of_libraries import OF_LIBRARIES
from tests.framing.frames_of_scapy import OF_SCAPY
from tests.framing.frames_of_stores import OF_STORES
from trioecho.framing import PRESETS, Frame, FrameFormat, encode_frame
from trioecho.framing.format_guess import guess_formats

MADE = OF_LIBRARIES | OF_STORES | OF_SCAPY

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


@pytest.mark.parametrize("name", QUOTED)
def test_frames_of_a_specification_are_frames(name: str) -> None:
    header, payload, trailer = map(bytes.fromhex, QUOTED[name][0].split("|"))
    wire = header + payload + trailer
    frame = Frame(header, payload, trailer)
    limit = PRESETS[name].limit or 1 << 20
    assert decode_all(name, wire * 3, limit) == [frame] * 3
    # As this side writes it, with the header's other bytes from the one that came.
    assert encode_frame(payload, format=FrameFormat.parse(name), header=header) == wire


@pytest.mark.parametrize("name", MADE)
def test_frames_of_a_library_are_frames(name: str) -> None:
    made = MADE[name]()
    assert len({len(wire) for wire, _ in made}) > 1
    limit = PRESETS[name].limit or 1 << 20
    frames = decode_all(name, b"".join(wire for wire, _ in made), limit)
    assert [frame.payload for frame in frames] == [payload for _, payload in made]
    for frame, (wire, _) in zip(frames, made, strict=True):
        assert b"".join(frame) == wire
        assert encode_frame(frame.payload, format=FrameFormat.parse(name), header=frame.header) == wire


def test_every_preset_is_tried() -> None:
    assert {*QUOTED, *MADE} == set(PRESETS)
    assert len(MADE) == len(OF_LIBRARIES) + len(OF_STORES) + len(OF_SCAPY)


def test_the_guide_says_who_made_the_frames() -> None:
    guide = (Path(trioecho.__file__).parent / "guide" / "formats.md").read_text(encoding="utf-8")
    listed = guide.partition("Who made them differs:")[2].partition("\n|")[0].split("\n- ")[1:]
    named = [set(re.findall(r"`([^`]+)`", names)) for names in listed]
    libraries, programs, scapy, once, servers, nobody = named
    assert libraries == {*OF_LIBRARIES, *OF_STORES}
    assert scapy == set(OF_SCAPY)
    assert nobody == set(PRESETS) - libraries - programs - scapy - once - servers


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
