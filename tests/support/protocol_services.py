"""Little servers that speak real protocols as far as a polite client asks, and refuse what is none of it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping

from trioecho import ProtocolError
from trioecho.framing import Frame, FrameDecoder, FrameFormat

from .asked_services import Service, refuse

# Returns the reply to a frame, the first of a connection or a later one; None at what is no request.
Reply = Callable[[Frame, bool], "bytes | None"]
_LIMIT = 1 << 16


def speaking(name: str, reply: Reply, first_bytes: Callable[[bytes], int] = lambda _: 0) -> Service:
    """A service of a protocol's frames.

    Args:
      name: of the format.
      reply: what is to come for a frame.
      first_bytes: returns how many bytes the first message has, if it is no frame of that format.
    """
    frame_format = FrameFormat.parse(name)
    limit = min(_LIMIT, frame_format.max_payload_length)

    def serve(peer: socket.socket) -> None:
        decoder = FrameDecoder(format=frame_format, max_frame_length=limit)
        is_first, held = True, b""
        while data := peer.recv(1 << 16):
            held += data
            if is_first and (size := first_bytes(held)):
                if len(held) < size:
                    continue
                peer.sendall(reply(Frame(b"", held[:size]), True) or b"")
                is_first, held = False, held[size:]
            with contextlib.suppress(ProtocolError):
                decoder.receive_data(held)
                held = b""
                while (frame := decoder.next_whole_frame()) is not None:
                    if (answer := reply(frame, is_first)) is None:
                        refuse(peer)
                        return
                    is_first = False
                    peer.sendall(answer)
                continue
            refuse(peer)
            return

    return serve


def _sized(width: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(width, "big") + payload


def _9p(frame: Frame, is_first: bool) -> bytes | None:
    kind, tag = frame.header[4], frame.header[5:7]
    if is_first:
        version = b"\0\x20\0\0\x08\x009P2000.L"
        return b"\x15\0\0\0\x65\xff\xff" + version if (kind, frame.payload) == (100, version) else None
    if kind == 108 and len(frame.payload) == 2:
        return b"\x07\0\0\0\x6d" + tag
    if kind == 120 and len(frame.payload) == 4:
        return b"\x0b\0\0\0\x07" + tag + b"\x09\0\0\0"  # EBADF
    return None


def _diameter(frame: Frame, is_first: bool) -> bytes | None:
    flags, command, identifiers = frame.header[4], frame.header[5:8], frame.header[12:]
    origin = b"\0\0\x01\x08\x40\0\0\x0da.net\0\0\0" + b"\0\0\x01\x28\x40\0\0\x0bnet\0"
    expected = b"\0\x01\x01" if is_first else b"\0\x01\x18"
    if flags != 0x80 or command != expected or not frame.payload.startswith(b"\0\0\x01\x08\x40"):
        return None
    body = b"\0\0\x01\x0c\x40\0\0\x0c\0\0\x07\xd1" + origin
    return b"\x01" + (20 + len(body)).to_bytes(3, "big") + b"\0" + command + bytes(4) + identifiers + body


def _dns(frame: Frame, _: bool) -> bytes | None:
    query = frame.payload
    if len(query) < 17 or query[2:12] != bytes((0, 0, 0, 1, 0, 0, 0, 0, 0, 0)):
        return None
    return _sized(2, query[:2] + b"\x80\x05" + query[4:])  # REFUSED


def _kafka(frame: Frame, _: bool) -> bytes | None:
    if frame.payload[:4] != b"\0\x12\0\0":  # ApiVersions, version 0
        return None
    apis = (b"\0\0\0\3\0\7", b"\0\1\0\4\0\x0b", b"\0\x12\0\0\0\3")
    return _sized(4, frame.payload[4:8] + b"\0\0" + len(apis).to_bytes(4, "big") + b"".join(apis))


def _ldap(frame: Frame, _: bool) -> bytes | None:
    message = frame.payload
    if message[:2] != b"\2\4" or message[6:7] != b"\x77" or len(message) != 8 + message[7]:
        return None
    is_known = message.endswith(b"1.3.6.1.4.1.4203.1.11.3")
    result = b"\x0a\1" + (b"\0" if is_known else b"\2") + b"\4\0\4\0"
    return b"\x30" + _sized(1, message[:6] + b"\x78" + _sized(1, result))


def _memcached(frame: Frame, _: bool) -> bytes | None:
    opcode, key_bytes = frame.header[1], int.from_bytes(frame.header[2:4], "big")
    if frame.header[0] != 0x80 or key_bytes != len(frame.payload):
        return None
    body = {0x0A: b"", 0x0B: b"1.6.18"}.get(opcode, b"Not found")
    status = b"\0\0" if opcode else b"\0\1"
    front = bytes((0x81, opcode)) + bytes(4) + status
    return front + len(body).to_bytes(4, "big") + frame.header[12:16] + bytes(8) + body


def _modbus(frame: Frame, _: bool) -> bytes | None:
    if len(frame.payload) != 5:
        return None
    illegal_address = bytes((frame.header[6], 0x80 | frame.payload[0], 2))
    return frame.header[:4] + _sized(2, illegal_address)


def _mqtt(frame: Frame, is_first: bool) -> bytes | None:
    if is_first:
        is_connect = frame.header[:1] == b"\x10" and frame.payload.startswith(b"\0\4MQTT\4\2")
        return b"\x20\2\0\0" if is_connect else None
    topics = frame.payload[2:]
    if frame.header[:1] != b"\xa2" or int.from_bytes(topics[:2], "big") != len(topics) - 2:
        return None
    return b"\xb0\2" + frame.payload[:2]


def _onc_rpc(frame: Frame, _: bool) -> bytes | None:
    words = [int.from_bytes(frame.payload[at : at + 4], "big") for at in range(0, len(frame.payload), 4)]
    if len(words) != 10 or words[1:3] != [0, 2] or any(words[5:]):
        return None
    accepted = 0 if words[3] == 100_000 else 1  # or the program is not there
    reply = [words[0], 1, 0, 0, 0, accepted]
    return (0x8000_0000 | 4 * len(reply)).to_bytes(4, "big") + b"".join(
        word.to_bytes(4, "big") for word in reply
    )


def _postgres(frame: Frame, is_first: bool) -> bytes | None:
    ready = b"Z\0\0\0\5I"
    if is_first:
        is_startup = frame.payload[4:].startswith(b"\0\3\0\0user\0postgres\0")
        return b"R\0\0\0\x08\0\0\0\0" + b"S\0\0\0\x0cname\0ok\0" + ready if is_startup else None
    return ready if frame == Frame(b"S\0\0\0\4", b"") else None


def _smpp(frame: Frame, _: bool) -> bytes | None:
    if frame.header[4:12] != b"\0\0\0\x15\0\0\0\0" or frame.payload:
        return None
    return b"\0\0\0\x10\x80\0\0\x15\0\0\0\0" + frame.header[12:]


def _thrift(frame: Frame, _: bool) -> bytes | None:
    message = frame.payload
    if not message.startswith(b"\x80\1\0\1\0\0\0\4ping") or not message.endswith(b"\0"):
        return None
    return _sized(4, b"\x80\1\0\2" + message[4:16] + b"\0")


def _zookeeper(frame: Frame, is_first: bool) -> bytes | None:
    if is_first:
        timeout = frame.payload[12:16]
        session = bytes(4) + timeout + bytes(8) + _sized(4, bytes(16)) + b"\0"
        return _sized(4, session) if len(frame.payload) == 45 else None
    kind, path = frame.payload[4:8], frame.payload[8:]
    if kind not in (b"\0\0\0\3", b"\0\0\0\6") or int.from_bytes(path[:4], "big") > len(path) - 4:
        return None
    return _sized(4, frame.payload[:4] + bytes(12) + kind + path)


SERVICES: Mapping[str, Service] = {
    "9p": speaking("9p", _9p),
    "diameter": speaking("diameter", _diameter),
    "dns": speaking("dns", _dns),
    "kafka": speaking("kafka", _kafka),
    "ldap": speaking("ldap", _ldap),
    "memcached": speaking("memcached", _memcached),
    "modbus": speaking("modbus", _modbus),
    "mqtt": speaking("mqtt", _mqtt),
    "onc-rpc": speaking("onc-rpc", _onc_rpc),
    "postgres": speaking("postgres", _postgres, lambda data: int.from_bytes(data[:4], "big") or 4),
    "smpp": speaking("smpp", _smpp),
    "thrift": speaking("thrift", _thrift),
    "zookeeper": speaking("zookeeper", _zookeeper),
}
