"""A socket under TLS behaves as the engine expects of a plain one."""

from __future__ import annotations

import random
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.support.tls import Files, server_context, write_files
from trioecho.base.client_tls import ClientTls
from trioecho.connection.tls_codec import TlsCodec
from trioecho.load.engine.tls import TlsConnector, TlsSocket

BUFFER = memoryview(bytearray(1 << 18))


class ServerEnd:
    """The server's end of a connection, which takes one step when it is told to."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext | None = None) -> None:
        self.plain = plain
        self.codec = TlsCodec(context or server_context(), server_side=True)
        self.received = b""

    def step(self) -> None:
        """Take what has arrived, and send what OpenSSL wants to be sent."""
        try:
            while raw := self.plain.recv(1 << 16):
                self.codec.feed(raw)
        except BlockingIOError:
            pass
        if not self.codec.is_established:
            self.codec.shake_hands()
        if self.codec.is_established:
            while count := self.codec.decrypt(BUFFER):
                self.received += BUFFER[:count]
        if records := self.codec.take_records():
            self.plain.sendall(records)

    def send(self, data: bytes) -> None:
        self.plain.setblocking(True)
        self.plain.sendall(self.codec.encrypt(data))
        self.plain.setblocking(False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture
def connector(files: Files) -> TlsConnector:
    return TlsConnector(ClientTls(cacert=files.client_ca, resume=True), "localhost")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    with ours, theirs:
        yield ours, theirs


def established(
    connector: TlsConnector, pair: tuple[socket.socket, socket.socket]
) -> tuple[TlsSocket, ServerEnd]:
    client, server = connector.wrap(pair[0]), ServerEnd(pair[1])
    while not client.shake_hands():
        server.step()
    server.step()
    return client, server


def receive(client: TlsSocket, most: int = 1 << 16) -> bytes:
    """What comes next, behind tickets and parts of records."""
    while True:
        try:
            return client.recv(most)
        except BlockingIOError:
            continue


def test_what_it_counts_as_sent_is_what_the_server_gets_however_little_room_there_is(
    connector: TlsConnector, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = established(connector, pair)
    data = random.Random(7).randbytes(300_000)
    done, was_blocked = 0, 0
    while done < len(data):
        try:
            done += client.send(memoryview(data)[done:])
        except BlockingIOError:
            assert client.is_blocked
            was_blocked += 1
            server.step()
            # The server never has more than what was counted, and the byte that was held back.
            assert len(server.received) <= done + 1
    server.step()
    assert was_blocked > 3
    assert not client.is_blocked
    assert server.received == data


@pytest.mark.parametrize("size", [1, 16384, 16385, 49_000, 65536])
def test_nothing_that_has_arrived_stays_behind_where_no_poller_could_see_it(
    size: int, connector: TlsConnector, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = established(connector, pair)
    data = random.Random(7).randbytes(size)
    pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    server.send(data)
    received = b""
    while len(received) < size:
        # As the engine: it receives once, and again only if the socket is readable.
        assert pair[0].recv(1, socket.MSG_PEEK)
        try:
            received += client.recv(1 << 16)
        except BlockingIOError:  # tickets, or a part of a record
            continue
    assert received == data


def test_pieces_that_a_login_wants_are_given_one_by_one(
    connector: TlsConnector, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = established(connector, pair)
    server.send(b"abcdef")
    assert [receive(client, 2) for _ in range(3)] == [b"ab", b"cd", b"ef"]
    with pytest.raises(BlockingIOError):
        client.recv(2)


def test_the_end_of_the_stream_of_tls_is_the_end(
    connector: TlsConnector, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = established(connector, pair)
    server.send(b"last")
    server.codec.end()
    server.step()
    pair[1].shutdown(socket.SHUT_WR)
    assert receive(client) == b"last"
    assert client.recv_into(BUFFER) == 0


def test_an_end_inside_a_record_is_a_loss(
    connector: TlsConnector, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = established(connector, pair)
    pair[1].sendall(server.codec.encrypt(b"cut off")[:-1])
    pair[1].shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionAbortedError, match="the peer ended inside a TLS record"):
        receive(client)


def test_its_half_close_ends_only_what_it_sends(
    connector: TlsConnector, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = established(connector, pair)
    client.shutdown(socket.SHUT_WR)
    server.step()
    assert server.codec.has_ended
    server.send(b"still here")
    assert client.recv(1 << 16) == b"still here"


def test_a_session_is_resumed_when_the_server_has_given_a_ticket(
    connector: TlsConnector, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = established(connector, pair)
    server.send(b"tickets came before this")
    assert receive(client) == b"tickets came before this"
    client.shutdown(socket.SHUT_WR)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        established(connector, (ours, theirs))
    assert connector.result.handshake_ns.count == 2
    assert connector.result.resumed == 1
    [(agreement, count)] = connector.result.agreements.items()
    assert (agreement.version, agreement.alpn, count) == ("TLSv1.3", None, 2)
