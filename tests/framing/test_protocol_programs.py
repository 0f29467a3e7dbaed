"""Programs of other people make frames of a preset, and understand those that are put together again."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests.framing.examples import decode_all
from tests.support.guard import GUARD_S
from tests.support.programs import needs_program
from tests.support.sockets import receive_all, receive_exactly
from trioecho.framing import PRESETS, Frame, FrameDecoder, FrameFormat, encode_frame
from trioecho.framing.format_guess import guess_formats


def test_an_agent_of_openssh_speaks_its_frames(tmp_path: Path) -> None:
    address = tmp_path / "agent"
    with subprocess.Popen([needs_program("ssh-agent"), "-D", "-a", address], stdout=subprocess.PIPE) as agent:
        try:
            assert agent.stdout is not None
            assert str(address).encode() in agent.stdout.readline()  # it listens
            with socket.socket(socket.AF_UNIX) as peer:
                peer.settimeout(GUARD_S)
                peer.connect(str(address))
                peer.sendall(2 * encode_frame(b"\x0b", format=FrameFormat.parse("ssh-agent")))
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


SSH_MSG_KEXINIT, SSH_MSG_KEX_ECDH_INIT = 20, 30


def test_a_client_of_openssh_speaks_its_frames() -> None:
    """It takes its own offer of algorithms as the server's, and goes on."""
    command = [
        needs_program("ssh"),
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "UserKnownHostsFile=/dev/null",
    ]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD_S)
        port = str(listener.getsockname()[1])
        client = subprocess.Popen(
            [*command, "-p", port, "127.0.0.1"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(GUARD_S)
                greeting = receive_greeting(peer)
                peer.sendall(b"SSH-2.0-trioecho\r\n")
                offer = receive_packet(peer)
                peer.sendall(encode_frame(offer.payload, format=FrameFormat.parse("ssh")))
                exchange = receive_packet(peer)
        finally:
            client.kill()
            client.wait()
    assert greeting.startswith(b"SSH-2.0-")
    for packet, message in ((offer, SSH_MSG_KEXINIT), (exchange, SSH_MSG_KEX_ECDH_INIT)):
        padding, kind = packet.payload[:2]
        assert kind == message
        assert padding >= 4
        assert (4 + len(packet.payload)) % 8 == 0
    assert len(offer.payload) != len(exchange.payload)
    # Behind the cookie the offer has ten lists of names, a boolean, and four bytes for later.
    rest = offer.payload[2 + 16 : -offer.payload[0]]
    names = []
    for _ in range(10):
        size = int.from_bytes(rest[:4], "big")
        names.append(rest[4 : 4 + size].split(b","))
        rest = rest[4 + size :]
    assert b"ssh-ed25519" in names[1]
    assert rest == bytes(1 + 4)


def receive_greeting(peer: socket.socket) -> bytes:
    greeting = b""
    while not greeting.endswith(b"\n") and len(greeting) < 255:
        piece = peer.recv(1)
        assert piece, "the client went away"
        greeting += piece
    return greeting


def receive_packet(peer: socket.socket) -> Frame:
    decoder = FrameDecoder(format=FrameFormat.parse("ssh"), max_frame_length=PRESETS["ssh"].limit or 0)
    while (packet := decoder.next_whole_frame()) is None:
        data = peer.recv(65_536)
        assert data, "the client went away"
        decoder.receive_data(data)
    decoder.end_of_data()  # nothing follows it yet
    return packet


@pytest.mark.skipif(
    sys.platform != "linux", reason="the logger of util-linux counts octets, not the one of BSD"
)
def test_a_logger_counts_octets() -> None:
    messages = [b"short", b"x" * 3000, "zwölf".encode()]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD_S)
        where = ["--server", "127.0.0.1", "--port", str(listener.getsockname()[1])]
        how = ["--tcp", "--octet-count", "--rfc5424", "--size", "4KiB", "--tag", "words"]
        subprocess.run(
            [needs_program("logger"), *where, *how], input=b"\n".join(messages), check=True, timeout=GUARD_S
        )
        peer, _ = listener.accept()
        with peer:
            peer.settimeout(GUARD_S)
            wire = receive_all(peer)
    syslog = FrameFormat.parse("syslog")
    frames = decode_all("syslog", wire, PRESETS["syslog"].limit or 0)
    for frame, message in zip(frames, messages, strict=True):
        assert frame.payload.startswith(b"<13>1 ")  # user.notice, and the version
        assert b" words " in frame.payload
        assert frame.payload.endswith(message)
    assert b"".join(encode_frame(frame.payload, format=syslog) for frame in frames) == wire


HANDSHAKE, APPLICATION_DATA = 22, 23


def test_openssl_speaks_its_records() -> None:
    """Two ends of TLS 1.3 understand each other through records that were taken apart."""
    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("example.com").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    client_context.minimum_version = ssl.TLSVersion.TLSv1_3
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    from_client, from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, from_client, server_hostname="example.com")
    server = server_context.wrap_bio(to_server, from_server, server_side=True)

    def pass_on(source: ssl.MemoryBIO, target: ssl.MemoryBIO) -> list[Frame]:
        records = decode_all("tls", source.read(), PRESETS["tls"].limit or 0)
        for record in records:
            target.write(encode_frame(record.payload, format=FrameFormat.parse("tls"), header=record.header))
        return records

    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    (hello,) = pass_on(from_client, to_server)
    assert hello.header[0] == HANDSHAKE
    # The handshake has a length of its own, behind the kind of its message.
    assert hello.payload[:1] == b"\x01"
    assert int.from_bytes(hello.payload[1:4], "big") == len(hello.payload) - 4
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    assert len(pass_on(from_server, to_client)) > 1
    client.do_handshake()
    pass_on(from_client, to_server)
    server.do_handshake()
    sizes = [1, 300, 16_384]
    for size in sizes:
        client.write(b"x" * size)
    records = pass_on(from_client, to_server)
    assert {record.header[0] for record in records} == {APPLICATION_DATA}
    # Encrypted, with the kind of what it is, and a tag of 16 bytes.
    assert [len(record.payload) for record in records] == [size + 1 + 16 for size in sizes]
    for size in sizes:
        assert server.read(20_000) == b"x" * size
