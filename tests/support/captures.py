"""Captures of TCP connections: written as if they had been captured, read, and shown by tshark."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from .guard import GUARD_S
from .programs import needs_program

# From a client, or from its server; and what one segment has of the stream.
Segment = tuple[bool, bytes]

_MAGIC = 0xA1B2C3D4
_ETHERNET, _RAW_IP = 1, 101
_FIN, _SYN, _ACK = 1, 2, 16
_CLIENT, _SERVER = b"\x0a\0\0\x01", b"\x0a\0\0\x02"
_FIRST_CLIENT_PORT = 40_000


def write_capture(
    path: Path, connections: Sequence[tuple[int, Sequence[Segment]]], *, kept: int | None = None
) -> None:
    """Write connections, each to a port, one after the other; the n-th one is Wireshark's stream n.

    Of each packet no more than ``kept`` bytes are written, as if only these had been captured.
    """
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, 1 << 18, _RAW_IP))
        at = 0
        for number, (port, segments) in enumerate(connections):
            for packet in _connection(_FIRST_CLIENT_PORT + number, port, segments):
                at += 1
                captured = packet[:kept]
                file.write(struct.pack("<IIII", at // 1000, at % 1000 * 1000, len(captured), len(packet)))
                file.write(captured)


def _connection(client_port: int, port: int, segments: Sequence[Segment]) -> Iterator[bytes]:
    sent = {True: 1000, False: 5000}

    def packet(is_client: bool, flags: int, data: bytes = b"") -> bytes:
        ports = (client_port, port) if is_client else (port, client_port)
        tcp = struct.pack(
            ">HHIIBBHHH", *ports, sent[is_client], sent[not is_client], 5 << 4, flags, 65535, 0, 0
        )
        addresses = (_CLIENT + _SERVER) if is_client else (_SERVER + _CLIENT)
        sent[is_client] += len(data) + bool(flags & (_SYN | _FIN))
        size = 20 + len(tcp) + len(data)
        return struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0x4000, 64, 6, 0) + addresses + tcp + data

    yield packet(True, _SYN)
    yield packet(False, _SYN | _ACK)
    yield packet(True, _ACK)
    for is_client, data in segments:
        yield packet(is_client, _ACK, data)
    for is_client in (True, False):
        yield packet(is_client, _FIN | _ACK)
    yield packet(True, _ACK)


def read_streams(path: Path) -> dict[tuple[int, int], bytes]:
    """Return what was sent from each port to each other one over IPv4; the capture may still go on."""
    begin: dict[tuple[int, int], int] = {}
    segments: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
    for ports, number, flags, payload in _segments(path):
        if flags & _SYN:
            begin[ports] = number + 1
        segments.setdefault(ports, []).append((number, payload))
    streams = {}
    for ports, pieces in segments.items():
        stream = bytearray()
        for number, payload in pieces:
            place = (number - begin[ports]) & 0xFFFFFFFF
            if payload:
                stream[place : place + len(payload)] = payload
        streams[ports] = bytes(stream)
    return streams


def ended_streams(path: Path) -> set[tuple[int, int]]:
    """Return between which ports a FIN was sent so far."""
    return {ports for ports, _, flags, _ in _segments(path) if flags & _FIN}


def _segments(path: Path) -> Iterator[tuple[tuple[int, int], int, int, bytes]]:
    """Yield ports, sequence number, flags and payload of each segment, in the order of the capture."""
    data = path.read_bytes()
    if len(data) < 24:
        return
    magic, link = struct.unpack_from("<I16xI", data)
    assert magic == _MAGIC
    skipped = {_ETHERNET: 14, _RAW_IP: 0}[link]
    at = 24
    while at + 16 <= len(data):
        captured, size = struct.unpack_from("<8xII", data, at)
        assert captured == size
        if at + 16 + size > len(data):
            break
        packet = data[at + 16 + skipped : at + 16 + size]
        at += 16 + size
        if packet[0] >> 4 != 4 or packet[9] != 6:
            continue
        tcp = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
        source, target, number, _, offset, flags = struct.unpack_from(">HHIIBB", tcp)
        yield (source, target), number, flags, tcp[(offset >> 4) * 4 :]


@dataclass
class Shown:
    """What a dissector of ours shows of one direction of a connection.

    Attributes:
      frames: header, payload and trailer of each.
      problems: the last parts of the names of expert infos.
      texts: what these say.
    """

    frames: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def run_tshark(*arguments: str, scripts: Sequence[Path] = ()) -> str:
    """Run tshark and return what it prints; any word of it on stderr is a failure."""
    with_scripts = [word for script in scripts for word in ("-X", f"lua_script:{script}")]
    done = subprocess.run(
        [needs_program("tshark"), *with_scripts, *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=GUARD_S,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if 'as user "root"' not in line]
    assert (done.returncode, complaints) == (0, [])
    return done.stdout


def show(capture: Path, scripts: Sequence[Path], *options: str) -> dict[tuple[int, int], Shown]:
    """Return what dissectors, named as their files, show of each stream, by its number and who sent."""
    names = {script.stem for script in scripts}
    shown: dict[tuple[int, int], Shown] = {}
    words = ("-n", "-r", str(capture), "-Y", " or ".join(sorted(names)), "-T", "pdml", *options)
    document = run_tshark(*words, scripts=scripts)
    for packet in ElementTree.fromstring(document):  # noqa: S314 - it is of tshark, and of our own bytes
        fields = {one.get("name"): one for one in packet.iter("field")}
        for proto in packet.iter("proto"):
            name = proto.get("name")
            if name in names:
                ports = (_number(fields["tcp.stream"]), _number(fields["tcp.srcport"]))
                _add(shown.setdefault(ports, Shown()), name, proto)
    return shown


def _number(one: ElementTree.Element) -> int:
    return int(one.get("show", ""))


def _add(shown: Shown, name: str, proto: ElementTree.Element) -> None:
    fields = {(one.get("name") or "").removeprefix(f"{name}."): one for one in proto.iter("field")}
    problems = fields.keys() & {"malformed", "too_small", "too_large", "bad_trailer", "after", "cut"}
    shown.problems += problems
    shown.texts += [one.get("showname", "") for key, one in fields.items() if key == "_ws.expert"]
    if not problems:
        assert _number(fields["number"]) == len(shown.frames) + 1
        header, payload, trailer = (
            bytes.fromhex(fields[part].get("value", "")) if part in fields else b""
            for part in ("header", "payload", "trailer")
        )
        assert _number(fields["payload_length"]) == len(payload)
        shown.frames.append((header, payload, trailer))
