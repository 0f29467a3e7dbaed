"""Protocols whose formats are known, and that nobody can be asked in politely: why."""

from __future__ import annotations

from collections.abc import Mapping

_NO_REPLIES = "its messages have no replies"
_SPEAKS_FIRST = "its server speaks first, unasked, and says something else each time"
_LOGIN = "it replies to nothing before a login"
_NO_CONTENT = "it says how messages are framed, and not what is in them"
_INSIDE = "it is spoken inside another protocol"

# What is asked with a file of one's own needs replies in frames, too.
UNFRAMED_REPLIES = frozenset({"epmd"})

WHY_NOT_ASKED: Mapping[str, str] = {
    "amqp": "a connection begins with 8 bytes that are no frame, and " + _LOGIN,
    "amqp-1.0": "a connection begins with 8 bytes that are no frame, and no frame has a reply of its own",
    "bgp": "its messages are not replied to one by one, and a neighbour has one connection (RFC 4271, 6.8)",
    "bitcoin": "a checksum in the header would have to be made anew for every identifier",
    "bittorrent": "a connection begins with a handshake that is no frame, and " + _NO_REPLIES,
    "dicom": "an association is made for one application, whose name only its administrator knows",
    "epmd": "its replies are not framed: each ends with the connection (Erlang distribution protocol, EPMD)",
    "erlang-packet-1": _NO_CONTENT,
    "erlang-packet-2": _NO_CONTENT,
    "erlang-packet-4": _NO_CONTENT,
    "fastcgi": "every request runs a program, and its reply has several records",
    "git": "a reply has several lines, and its end is a special one that is no frame",
    "grpc": _INSIDE + ", HTTP/2",
    "http-chunk": _INSIDE + ", HTTP/1.1",
    "http2": "a connection begins with 24 bytes that are no frame, and " + _SPEAKS_FIRST,
    "iec104": "what a station is asked for is real, and it acknowledges several frames at once",
    "iso8583": "what is in a message, an echo test too, every network specifies for itself",
    "iso8583-ascii": "what is in a message, an echo test too, every network specifies for itself",
    "ldp": _NO_REPLIES + ", and a peer has one connection (RFC 5036, 2.5.2)",
    "mysql": _SPEAKS_FIRST,
    "native-messaging": "it goes over stdin and stdout, and not over TCP",
    "netbios": "a connection has one session request, and then what is spoken inside",
    "netstring": _NO_CONTENT,
    "openflow": _SPEAKS_FIRST,
    "pcep": "a peer has one session (RFC 5440, 4.2.1)",
    "postgres-startup": "it is the first message of a connection; --preset postgres asks in the session",
    "protobuf": _NO_CONTENT,
    "radius": "a server replies only to clients with which it has a secret (RFC 2865, 3)",
    "rtp": _NO_REPLIES,
    "rtsp-interleaved": _INSIDE + ", RTSP",
    "smb": "a connection is negotiated once, and " + _LOGIN,
    "ssh": "a connection begins with a line of text, and its packets are soon encrypted",
    "syslog": _NO_REPLIES,
    "tls": "what is inside its records is encrypted; TLS itself is not what is asked",
    "tpkt": _NO_CONTENT,
}
