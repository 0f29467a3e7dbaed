"""Formats of protocols, by name, each with where it is specified and what limit is usual."""

from __future__ import annotations

from typing import NamedTuple


class Preset(NamedTuple):
    """The frames of a protocol.

    Attributes:
      format: as `FrameFormat.parse` reads it.
      about: what the protocol is, and what is to be known of its frames.
      source: where its frames are specified.
      limit: payload bytes that a frame has at most, where the specification or the usual
        implementation says so; None where it does not.
    """

    format: str
    about: str
    source: str
    limit: int | None = None


_ERLANG = "Erlang/OTP, inet:setopts/2, option packet"

PRESETS: dict[str, Preset] = {
    "9p": Preset(
        "u32le+header,any3",
        "Plan 9 file protocol; type and tag behind the length; the limit (msize) is negotiated",
        "9P2000, intro(5) of the Plan 9 manual",
    ),
    "amqp": Preset(
        "any3,u32be,payload,xce",
        "AMQP 0-9-1 (RabbitMQ), after the 8 bytes of the protocol header; type and channel in front",
        "AMQP 0-9-1 specification, section 4.2.3",
        131_064,
    ),
    "amqp-1.0": Preset(
        "u32be+header,any4",
        "AMQP 1.0, after the 8 bytes of the protocol header; an extended header is part of the payload",
        "OASIS AMQP 1.0, part 2, section 2.3.1",
    ),
    "bgp": Preset(
        f"x{'ff' * 16},u16be+header,any1",
        "Border Gateway Protocol; the type behind the length",
        "RFC 4271, section 4.1",
        4077,
    ),
    "bitcoin": Preset(
        "any16,u32le,any4",
        "Bitcoin's peer-to-peer protocol; magic and command in front, checksum behind",
        "Bitcoin developer reference, Message Headers",
        4_000_000,
    ),
    "bittorrent": Preset(
        "u32be", "BitTorrent peers, after the handshake; length 0 keeps alive", "BEP 3, peer protocol"
    ),
    "cassandra": Preset(
        "any5,i32be",
        "Cassandra's CQL, versions 3 and 4, and 5 until STARTUP; version, flags, stream and opcode in front",
        "CQL binary protocol v4, sections 2 and 2.5",
        256 << 20,
    ),
    "diameter": Preset(
        "x01,u24be+header,any16",
        "Diameter; flags, command, application and two identifiers behind the length",
        "RFC 6733, section 3",
    ),
    "dicom": Preset(
        "any2,u32be",
        "DICOM upper layer; PDU type and a reserved byte in front; the limit is negotiated",
        "DICOM PS3.8, section 9.3.1",
    ),
    "dns": Preset("u16be", "DNS over TCP, or over TLS", "RFC 1035, section 4.2.2; RFC 7858", 65_535),
    "epmd": Preset("u16be", "requests to Erlang's port mapper", "Erlang distribution protocol, EPMD", 65_535),
    "erlang-packet-1": Preset("u8", "Erlang's {packet, 1}", _ERLANG, 255),
    "erlang-packet-2": Preset("u16be", "Erlang's {packet, 2}", _ERLANG, 65_535),
    "erlang-packet-4": Preset("u32be", "Erlang's {packet, 4}", _ERLANG, (1 << 31) - 1),
    "fastcgi": Preset(
        "x01,any3,u16be,pad8,any1",
        "FastCGI records; type and request in front of the length, that of the padding behind it",
        "FastCGI specification 1.0, section 3.3",
        65_535,
    ),
    "git": Preset(
        "hex4+header",
        "git's pkt-line; its special packets 0000, 0001 and 0002 are no frames, and are refused",
        "gitprotocol-common(5), pkt-line Format",
        65_516,
    ),
    "grpc": Preset(
        "any1,u32be",
        "gRPC messages, inside HTTP/2 data; the compressed-flag in front",
        "gRPC over HTTP/2, Length-Prefixed-Message",
        4 << 20,
    ),
    "http-chunk": Preset(
        "hex1-8,x0d0a,payload,x0d0a",
        "chunks of HTTP/1.1 without extensions; the last one is empty, and trailer fields are no chunks",
        "RFC 9112, section 7.1",
    ),
    "http2": Preset(
        "u24be,any6",
        "HTTP/2 frames, after the client's preface; type, flags and stream behind the length",
        "RFC 9113, section 4.1",
        16_384,
    ),
    "iec104": Preset(
        "x68,u8",
        "IEC 60870-5-104, telecontrol; the payload begins with 4 control bytes",
        "IEC 60870-5-104, 5",
        253,
    ),
    "iso8583": Preset(
        "u16be",
        "ISO 8583 card messages with 2 bytes of length; the standard leaves it to the network",
        "usual in payment networks; jPOS, NACChannel",
        65_535,
    ),
    "iso8583-ascii": Preset(
        "dec4",
        "the same with 4 decimal digits of length",
        "usual in payment networks; jPOS, ASCIIChannel",
        9999,
    ),
    "kafka": Preset(
        "i32be",
        "Apache Kafka requests and responses",
        "Kafka protocol guide, Common Request and Response",
        100 << 20,
    ),
    "ldap": Preset(
        "x30,ber",
        "LDAP messages, each a BER sequence; also SNMP over TCP (RFC 3430)",
        "RFC 4511, sections 4.1.1 and 5.1; ITU-T X.690, section 8.1.3",
    ),
    "ldp": Preset(
        "x0001,u16be+rest,any6",
        "MPLS label distribution; the LDP identifier behind the length, which counts it",
        "RFC 5036, sections 3.1 and 3.5.3",
        4090,
    ),
    "memcached": Preset(
        "any8,u32be,any12",
        "memcached's binary protocol; opcode and lengths of key and extras in front, opaque and CAS behind",
        "memcached binary protocol, section 2",
        1 << 20,
    ),
    "modbus": Preset(
        "any2,x0000,u16be+rest,any1",
        "Modbus/TCP; transaction and protocol in front, the unit behind the length, which counts it",
        "Modbus Messaging on TCP/IP Implementation Guide 1.0b, section 3.1.3",
        253,
    ),
    "mongodb": Preset(
        "i32le+header,any12",
        "MongoDB's wire protocol; two identifiers and the opcode behind the length",
        "MongoDB wire protocol, Standard Message Header",
        48_000_000 - 16,
    ),
    "mqtt": Preset(
        "any1,varint4",
        "MQTT 3.1.1 and 5; packet type and flags in front",
        "OASIS MQTT 5.0, sections 1.5.5 and 2.1",
        268_435_455,
    ),
    "mysql": Preset(
        "u24le,any1",
        "MySQL and MariaDB packets; the sequence number behind the length",
        "MySQL source code documentation, MySQL Packets",
        16_777_215,
    ),
    "native-messaging": Preset(
        "u32le",
        "browser extensions and programs, over stdin and stdout; the machine's own byte order, "
        "mostly this one",
        "Chrome for developers, Native messaging protocol",
        1 << 20,
    ),
    "netbios": Preset(
        "any1,u17be",
        "NetBIOS session service; type in front; the length's highest bit is in the byte of the flags",
        "RFC 1002, section 4.3.1",
        (1 << 17) - 1,
    ),
    "netstring": Preset(
        "dec1-9,x3a,payload,x2c",
        "netstrings: digits, a colon, the string, a comma",
        "D. J. Bernstein, Netstrings (1997)",
    ),
    "onc-rpc": Preset(
        "u31be:1",
        "ONC RPC (NFS) over TCP; a frame is a fragment, the highest bit says that it is a record's last",
        "RFC 5531, section 11",
        (1 << 31) - 1,
    ),
    "openflow": Preset(
        "any2,u16be+header,any4",
        "OpenFlow; version and type in front, xid behind",
        "OpenFlow 1.3, section 7.1",
        65_527,
    ),
    "pcep": Preset(
        "any2,u16be+header",
        "Path Computation Element protocol; version and type in front",
        "RFC 5440, section 6.1",
        65_531,
    ),
    "postgres": Preset(
        "any1,i32be+itself",
        "PostgreSQL messages; type in front; the length counts itself and not the type",
        "PostgreSQL documentation, Message Formats; source, PQ_LARGE_MESSAGE_LIMIT",
        (1 << 30) - 6,
    ),
    "postgres-startup": Preset(
        "i32be+header",
        "PostgreSQL's first message of a client, which has no type",
        "PostgreSQL documentation, Message Formats, StartupMessage; source, MAX_STARTUP_PACKET_LENGTH",
        10_000,
    ),
    "protobuf": Preset(
        "varint5",
        "delimited Protocol Buffers (writeDelimitedTo); at most 5 bytes of length, as Netty reads it",
        "Protocol Buffers documentation, Encoding; Java API, writeDelimitedTo",
        (1 << 31) - 1,
    ),
    "radius": Preset(
        "any2,u16be+header,any16",
        "RADIUS over TCP or TLS; code and identifier in front, authenticator behind",
        "RFC 2865, section 3; RFC 6613",
        4076,
    ),
    "rtp": Preset("u16be", "RTP and RTCP over TCP", "RFC 4571, section 2", 65_535),
    "rtsp-interleaved": Preset(
        "x24,any1,u16be",
        "RTP inside an RTSP connection; a dollar and the channel in front",
        "RFC 7826, section 14",
        65_535,
    ),
    "smb": Preset(
        "x00,u24be", "SMB over TCP, port 445", "Microsoft MS-SMB2, section 2.1, Transport", 16_777_215
    ),
    "smpp": Preset(
        "u32be+header,any12",
        "SMPP, short messages; command, status and sequence number behind the length",
        "SMPP 3.4, section 3.2",
    ),
    "someip": Preset(
        "any4,u32be+rest,any8",
        "SOME/IP in cars; message identifier in front, the rest of the header behind, counted",
        "AUTOSAR PRS_SOMEIPProtocol, section 4.2",
    ),
    "ssh": Preset(
        "u32be",
        "SSH packets after the two greetings, until they are encrypted",
        "RFC 4253, sections 6 and 6.1",
        34_996,
    ),
    "ssh-agent": Preset(
        "u32be", "an SSH agent and its clients", "draft-miller-ssh-agent, section 3", 256 << 10
    ),
    "stun": Preset(
        "any2,u16be,x2112a442,any12",
        "STUN and TURN over TCP; type in front, magic cookie and transaction behind",
        "RFC 8489, section 5",
        65_532,
    ),
    "syslog": Preset(
        "dec1-10,x20",
        "syslog over TLS or TCP, octet counting",
        "RFC 5425, section 4.3; RFC 6587, section 3.4.1",
        8192,
    ),
    "thrift": Preset(
        "i32be", "Apache Thrift's framed transport", "Apache Thrift, TFramedTransport", 16_384_000
    ),
    "tls": Preset(
        "any3,u16be",
        "TLS records, as they are on the wire; type and version in front",
        "RFC 8446, section 5.1",
        16_640,
    ),
    "tpkt": Preset(
        "x03,any1,u16be+header",
        "TPKT (RDP, S7, H.323); version and a reserved byte in front",
        "RFC 1006, section 6",
        65_531,
    ),
    "zookeeper": Preset(
        "i32be", "Apache ZooKeeper", "ZooKeeper source, ClientCnxnSocketNIO; jute.maxbuffer", (1 << 20) - 1
    ),
}
