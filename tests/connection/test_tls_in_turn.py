"""TLS in the turns of a reactor: nothing stays behind, and what is sent in part comes first again."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable, Iterator

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.support.guard import guarded
from tests.support.serving import serving
from tests.support.streams import connect, listen
from tests.support.tls import client_context, server_context
from tests.support.tls_by_hand import TlsPeer
from tests.support.tls_flood import writer_after
from tests.support.wire import frame
from trioecho import reply_with
from trioecho.connection.tls_codec import TlsCodec
from trioecho.connection.tls_in_turn import TlsInTurn
from trioecho.connection.tls_transport import TlsTransport
from trioecho.connection.transport import SocketTransport
from trioecho.connection.trio_errors import ConnectionLostError

SHARED = memoryview(bytearray(1 << 18))


def exchange_records(client: TlsCodec, server: TlsCodec) -> None:
    """Make the handshake of both in memory, and leave nothing behind."""
    place = memoryview(bytearray(1 << 16))
    while not (client.is_established and server.is_established):
        for one, other in ((client, server), (server, client)):
            if not one.is_established:
                one.shake_hands()
            if records := one.take_records():
                other.feed(records)
    for each in (client, server):
        each.decrypt(place)


class Ends:
    """A client's codec with its socket, and a server's transport in the turns of a reactor."""

    def __init__(self) -> None:
        self.plain, theirs = socket.socketpair()
        self.plain.setblocking(False)
        for each in (self.plain, theirs):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
        below = SocketTransport(theirs)
        self.transport = TlsTransport(below, server_context(), server_side=True, shared_buffer=SHARED)
        self.client = TlsCodec(client_context(), server_side=False, server_hostname="localhost")
        exchange_records(self.client, self.transport.codec)
        self.woken = 0
        self.server = TlsInTurn(self.transport, below.socket, self)

    def wake(self) -> None:
        self.woken += 1

    def note_cut(self) -> None:
        pass

    def receive_all(self) -> bytes:
        place = memoryview(bytearray(1 << 18))
        try:
            while raw := self.plain.recv(1 << 16):
                self.client.feed(raw)
        except BlockingIOError:
            pass
        received = b""
        while count := self.client.decrypt(place):
            received += place[:count]
        return received

    def close(self) -> None:
        self.plain.close()
        self.transport.below.socket.close()  # type: ignore[attr-defined]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


def test_a_record_and_what_is_no_record_are_the_same_bytes(ends: Ends) -> None:
    source = random.Random(3)
    pieces = [source.randbytes(size) for size in (1, 68, 16384, 16385, 40_000, 5)]
    wire = b"".join(ends.client.encrypt(piece) for piece in pieces)
    received = b""
    while wire:
        sent = ends.plain.send(wire[: source.choice((1, 5, 6, 90, 9000))])
        wire = wire[sent:]
        with contextlib.suppress(BlockingIOError):  # a part of a record
            received += ends.server.receive(1 << 14)
        assert not ends.transport.codec.may_have_more
    assert received == b"".join(pieces)
    assert not ends.woken


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=12),
    st.lists(st.integers(1, 400), min_size=1, max_size=8),
)
def test_however_records_are_cut_all_is_received_at_once(sizes: list[int], cuts: list[int]) -> None:
    client = TlsCodec(client_context(), server_side=False, server_hostname="localhost")
    server = TlsCodec(server_context(), server_side=True)
    exchange_records(client, server)
    payloads = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    wire = b"".join(client.encrypt(payload) for payload in payloads if payload)
    received, number = b"", 0
    while wire:
        piece, wire = wire[: cuts[number % len(cuts)]], wire[cuts[number % len(cuts)] :]
        number += 1
        data = server.decrypt_record(piece)
        if data is None:
            server.feed(piece)
            data = bytes(SHARED[: server.decrypt(SHARED)])
        received += data
        assert not server.may_have_more
    assert received == b"".join(payloads)


def test_what_the_kernel_takes_in_part_comes_first_again(ends: Ends) -> None:
    data = random.Random(5).randbytes(200_000)
    done, received, was_blocked = 0, b"", 0
    while done < len(data):
        accepted = ends.server.send(memoryview(data)[done : done + 50_000])
        done += accepted
        if not accepted:
            was_blocked += 1
            received += ends.receive_all()
            # None of what was not accepted is more than the records that wait.
            assert len(received) <= done + 50_000
    assert received + ends.receive_all() == data
    assert was_blocked > 1


@pytest.mark.parametrize("room", [4096, 60_000, 90_000, 150_000])
def test_of_large_bytes_all_records_that_the_kernel_has_taken_count(ends: Ends, room: int) -> None:
    """However many of them are sent at once."""
    for each in (ends.plain, ends.transport.below.socket):  # type: ignore[attr-defined]
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    data = random.Random(room).randbytes(700_000)
    done, received, was_blocked = 0, b"", 0
    while done < len(data):
        accepted = ends.server.send(memoryview(data)[done:])
        done += accepted
        was_blocked += done < len(data)
        received += ends.receive_all()
        assert len(received) == done
    assert received + ends.receive_all() == data
    assert was_blocked > 1


@pytest.mark.parametrize("size", [1, 100, 16384, 100_000])
def test_large_bytes_are_decrypted_over_what_was_received(ends: Ends, size: int) -> None:
    """None of it is lost by that, wherever it is cut, and whatever the records' lengths."""
    ends.plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    source = random.Random(size)
    data = source.randbytes(400 * size if size < 1000 else 1_500_000)
    wire = b"".join(ends.client.encrypt(data[i : i + size]) for i in range(0, len(data), size))
    received = b""
    while wire:
        with contextlib.suppress(BlockingIOError):
            wire = wire[ends.plain.send(wire[: source.randint(1, 300_000)]) :]
        with contextlib.suppress(BlockingIOError):  # a part of a record
            received += ends.server.receive_large(None)
    while len(received) < len(data):
        received += ends.server.receive_large(None)
    assert received == data
    assert not ends.woken


def test_large_bytes_go_into_a_buffer_that_has_room(ends: Ends) -> None:
    data = bytes(range(256)) * 40
    own = memoryview(bytearray(1 << 17))
    ends.plain.send(ends.client.encrypt(data))
    received = ends.server.receive_large(own)
    assert received == data == own[: len(data)]
    ends.plain.send(ends.client.encrypt(data))
    small = memoryview(bytearray(100))
    assert ends.server.receive_large(small) == data
    assert small == bytes(100)
    with pytest.raises(BlockingIOError):
        ends.server.receive_large(own)


def test_who_sends_the_end_with_the_last_data_is_not_waited_for(ends: Ends) -> None:
    wire = ends.client.encrypt(b"last")
    ends.client.end()
    ends.plain.send(wire + ends.client.take_records())
    assert ends.server.receive(1 << 14) == b"last"
    assert ends.woken == 1
    assert ends.transport.plain_socket is None  # its task moves the bytes from now on
    assert ends.transport.receive_nowait() == b""


def test_an_end_alone_and_an_end_inside_a_record(ends: Ends) -> None:
    ends.client.end()
    ends.plain.send(ends.client.take_records())
    assert ends.server.receive(1 << 14) == b""
    other = Ends()
    other.plain.send(other.client.encrypt(b"cut")[:-1])
    with pytest.raises(BlockingIOError):
        other.server.receive(1 << 14)
    other.plain.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionLostError, match="inside a TLS record"):
        other.server.receive(1 << 14)
    other.close()


def test_a_record_that_was_changed_on_the_way_is_a_loss(ends: Ends) -> None:
    wire = bytearray(ends.client.encrypt(b"hello"))
    wire[-1] ^= 1
    ends.plain.send(wire)
    with pytest.raises(ConnectionLostError, match="bad record mac"):
        ends.server.receive(1 << 14)
    with pytest.raises(ConnectionLostError):
        ends.server.send(b"no more")


@pytest.mark.parametrize("is_behind_handshake", [False, True])
def test_a_pass_takes_only_so_many_records_without_data(is_behind_handshake: bool) -> None:
    server = TlsCodec(server_context(), server_side=True)
    finished = b""

    def shake(peer: TlsPeer) -> None:
        nonlocal finished
        to_server = peer.shake_hands()
        while not peer.is_established:
            server.feed(to_server)
            server.shake_hands()
            to_server = peer.shake_hands(server.take_records())
        finished = to_server

    _, writer = writer_after(shake)
    flood = b"".join(
        b"".join(writer.key_update() for _ in range(30)) + writer.data(bytes([byte])) for byte in range(100)
    )
    server.feed(finished + (flood if is_behind_handshake else b""))
    assert server.shake_hands()
    if not is_behind_handshake:
        server.decrypt(SHARED)
        server.feed(flood)
    received, passes = b"", 0
    while server.may_have_more or not received:
        count = server.decrypt(SHARED)
        assert 0 < count <= 4
        received += SHARED[:count]
        passes += 1
    assert received == bytes(range(100))
    assert passes > 30
    assert server.lost is None


# ---- in a server ----


async def under_tls(stream: trio.SocketStream) -> tuple[TlsCodec, Callable[[bytes], object]]:
    client = TlsCodec(client_context(), server_side=False, server_hostname="localhost")
    while not client.shake_hands():
        await stream.send_all(client.take_records())
        client.feed(await stream.receive_some())
    return client, stream.send_all


async def receive(stream: trio.SocketStream, client: TlsCodec, size: int) -> bytes:
    received = b""
    place = memoryview(bytearray(1 << 16))
    while len(received) < size and not client.has_ended:
        if count := client.decrypt(place):
            received += place[:count]
        elif not client.has_ended:
            client.feed(await stream.receive_some())
    return received


@pytest.mark.parametrize("is_with_finished", [True, False])
async def test_what_comes_with_the_handshake_and_the_end_that_comes_with_data_are_seen(
    is_with_finished: bool,
) -> None:
    """The client says nothing more, and does not end the socket's stream: only TLS says that it has ended."""
    listener = await listen()
    async with serving(reply_with(bytes.upper), [listener], ssl_context=server_context()):
        stream = await connect(listener)
        with guarded():
            client, _ = await under_tls(stream)
            if not is_with_finished:
                await stream.send_all(client.take_records())
                await stream.send_all(client.encrypt(frame(b"one")))
                assert await receive(stream, client, 7) == frame(b"ONE")
            wire = client.take_records() + client.encrypt(frame(b"two"))
            client.end()
            await stream.send_all(wire + client.take_records())
            assert await receive(stream, client, 7) == frame(b"TWO")
            assert await receive(stream, client, 1) == b""
        await stream.aclose()
