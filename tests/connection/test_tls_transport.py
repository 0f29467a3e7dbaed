"""TLS over a transport: any cuts, what was accepted, ends of every kind. No sockets."""

from __future__ import annotations

import itertools
import ssl
import tracemalloc

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.support.examples import examples
from tests.support.guard import guarded
from tests.support.tls import authority, client_context, other_authority
from tests.support.tls_wires import EVER, Wire, pair, under_tls, wire_of, wires
from tests.support.wire import frame
from trioecho import ConnectionLostError, FrameChannel, FrameFormat, Limits
from trioecho.connection.tls_errors import TlsHandshakeError
from trioecho.connection.tls_transport import TlsTransport
from trioecho.connection.transport import STREAM_SEND_BYTES


def receive_all_that_is_here(end: TlsTransport) -> bytes:
    received = b""
    while data := end.receive_nowait():
        received += data
    return received


# Bytes, and how much of their records is accepted and given at a time.
sends = st.lists(
    st.one_of(st.binary(min_size=1, max_size=60), st.just(bytes(range(250)) * 400)), min_size=1, max_size=5
)
cuts = st.lists(st.integers(0, 40_000) | st.integers(0, 30), max_size=30)


@examples(60)
@given(sends, cuts, cuts.map(lambda sizes: [max(1, size) for size in sizes]))
def test_bytes_arrive_as_they_were_sent_and_are_accepted_only_when_all_of_their_records_are(
    payloads: list[bytes], accepts: list[int], gives: list[int]
) -> None:
    async def run() -> None:
        client, server = await pair()
        wire_of(client).accepts = itertools.chain(accepts, itertools.repeat(EVER))
        wire_of(server).gives = itertools.chain(gives, itertools.repeat(EVER))
        received, accepted = b"", 0
        for payload in payloads:
            rest = memoryview(payload)
            while rest:
                count = client.send_nowait(rest)
                rest, accepted = rest[count:], accepted + count
                received += receive_all_that_is_here(server)
                assert accepted <= len(received) <= accepted + STREAM_SEND_BYTES
        assert received == b"".join(payloads)

    trio.run(run)


async def test_each_record_that_is_accepted_counts_and_no_part_of_one() -> None:
    client, server = await pair()
    data = bytes(range(256)) * 200  # of four records
    sizes = [1 << 14, 1 << 14, 1 << 14, len(data) - 3 * (1 << 14)]
    wire_of(client).accepts = iter([sizes[0] + 30, 0, sizes[1] + 20, EVER])
    accepted = client.send_nowait(data)
    assert accepted == sizes[0] == len(receive_all_that_is_here(server))
    assert client.send_nowait(data[accepted:]) == 0
    accepted += await client.send(data[accepted:])
    assert accepted == sizes[0] + sizes[1]
    assert len(receive_all_that_is_here(server)) == sizes[1]
    assert client.send_nowait(data[accepted:]) == sizes[2] + sizes[3]
    assert receive_all_that_is_here(server) == data[accepted:]


class Full(Wire):
    """A wire on which a send that has to wait waits for ever."""

    async def send(self, data: bytes | memoryview) -> int:
        await trio.sleep_forever()


@pytest.mark.parametrize("accepted", [0, 21, 16_405, 16_406, 40_000, 65_624])
async def test_what_was_accepted_before_a_connection_is_aborted_is_what_its_peer_can_read(
    accepted: int,
) -> None:
    reports: list[tuple[int, int]] = []
    client, server = await pair()
    channel = FrameChannel._of_server(
        server,
        FrameFormat(),
        Limits(),
        "the peer",
        reactor=None,
        pool=None,
        on_sent=lambda frames, size, *_: reports.append((frames, size)),
    )
    receive_all_that_is_here(client)
    wire = frame(bytes(96)) * 800  # 80,000 bytes
    client.send_nowait(wire)
    full = Full([accepted, *itertools.repeat(0, 100)])
    full.peer, full.arrived = wire_of(client), wire_of(server).arrived
    server.below = full
    with guarded():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.echo)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await channel.abort()
    received = receive_all_that_is_here(client)
    assert wire.startswith(received)
    frames = len(received) // 100
    assert [sum(numbers) for numbers in zip(*reports, strict=True)] == [frames, frames * 100]


async def test_a_send_that_waits_reports_what_it_completes() -> None:
    client, server = await pair()
    wire_of(client).accepts = iter([10, 10, EVER])
    assert client.send_nowait(b"hello") == 0
    assert await client.send(b"hello") == 0
    assert server.receive_nowait() is None
    assert await client.send(b"hello") == 5
    assert server.receive_nowait() == b"hello"


async def test_all_records_that_have_come_are_given_in_one_piece_of_the_shared_buffer() -> None:
    buffer = memoryview(bytearray(1 << 17))
    client, server = await pair(buffer)
    for number in range(100):
        assert client.send_nowait(b"%02d" % number)
    data = await server.receive()
    assert data == b"".join(b"%02d" % number for number in range(100))
    assert isinstance(data, memoryview)
    assert data.obj is buffer.obj


async def test_what_fits_no_buffer_is_given_by_the_next_receives() -> None:
    client, server = await pair()
    client.send_nowait(b"hello")
    client.send_nowait(b"world")
    own = memoryview(bytearray(4))
    data = server.receive_nowait(own)
    assert isinstance(data, memoryview)
    assert data.obj is own.obj
    assert data == b"hell"
    assert await server.receive(own) == b"owor"
    assert await server.look(own) == b"ld"
    assert await server.look(own) is None


async def test_connections_that_share_a_buffer_receive_only_their_own_bytes() -> None:
    shared = memoryview(bytearray(1 << 18))
    received: dict[int, bytes] = {}
    pairs = {number: await pair(shared) for number in range(3)}
    for number, (client, server) in pairs.items():
        assert client.send_nowait(bytes([number]) * 1000) == 1000
        assert await server.receive(memoryview(bytearray(10))) == bytes([number]) * 10  # the rest is left

    async def receive(number: int, server: TlsTransport) -> None:
        received[number] = bytes(await server.receive() or b"")

    async with trio.open_nursery() as nursery:
        for number, (_, server) in pairs.items():
            nursery.start_soon(receive, number, server)
    assert received == {number: bytes([number]) * 990 for number in pairs}


async def test_an_idle_connection_keeps_nothing_of_what_it_has_sent_and_received() -> None:
    client, server = await pair(memoryview(bytearray(1 << 18)))
    payload = bytes(200_000)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for sender, receiver in ((client, server), (server, client)):
            rest = memoryview(payload)
            while rest:
                rest = rest[sender.send_nowait(rest) :]
                while receiver.receive_nowait():
                    pass
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 4000


async def test_records_without_data_come_to_an_end() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    context.num_tickets = 500  # each is a record that the server sends behind its handshake
    for_client, for_server = wires()
    client = TlsTransport(for_client, client_context(), server_side=False, server_hostname="localhost")
    server = TlsTransport(for_server, context, server_side=True)
    with guarded():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.shake_hands)
            assert await client.shake_hands()
    with pytest.raises(ConnectionLostError, match=r"connection lost: \d+ TLS records had no data"):
        await client.receive()


async def test_after_a_loss_a_send_raises_the_loss() -> None:
    _, server = await pair()
    wire_of(server).arrived += b"\x17\x03\x03\x00\x20" + bytes(32)
    with pytest.raises(ConnectionLostError) as first:
        await server.receive()
    with pytest.raises(ConnectionLostError) as second:
        server.send_nowait(b"reply")
    assert str(second.value) == str(first.value)


async def test_a_receive_that_is_cancelled_loses_nothing() -> None:
    client, server = await pair()
    client.send_nowait(b"hello")
    with trio.CancelScope() as scope:
        scope.cancel()
        await server.receive()
    assert scope.cancelled_caught
    assert server.receive_nowait() == b"hello"
    with trio.CancelScope() as scope:
        scope.cancel()
        await server.receive()
    client.send_nowait(b"again")
    own = memoryview(bytearray(2))
    assert await server.receive(own) == b"ag"
    with trio.CancelScope() as scope:  # when the rest is decrypted already
        scope.cancel()
        await server.receive(own)
    assert scope.cancelled_caught
    assert await server.receive() == b"ain"


# ---- the handshake ----


async def test_a_handshake_goes_on_where_it_was_cancelled() -> None:
    client, server = under_tls(*wires())
    with guarded():
        async with trio.open_nursery() as nursery:

            async def shake_hands_step_by_step() -> None:
                for _ in range(4):
                    with trio.CancelScope() as scope:
                        nursery.start_soon(cancel_soon, scope)
                        await client.shake_hands()
                assert await client.shake_hands()

            async def cancel_soon(scope: trio.CancelScope) -> None:
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()

            nursery.start_soon(shake_hands_step_by_step)
            assert await server.shake_hands()
    client.send_nowait(b"hello")
    assert server.receive_nowait() == b"hello"


async def test_only_what_has_arrived_is_used_when_there_is_no_time() -> None:
    client, server = under_tls(*wires())
    assert not await server.shake_hands(only_arrived=True)
    assert not server.has_received
    assert not await client.shake_hands(only_arrived=True)
    assert not await server.shake_hands(only_arrived=True)
    assert server.has_received
    assert await client.shake_hands(only_arrived=True)
    assert await server.shake_hands(only_arrived=True)


async def test_a_peer_that_ends_before_it_has_sent_anything_is_no_error() -> None:
    for_client, for_server = wires()
    _, server = under_tls(for_client, for_server)
    await for_client.send_eof()
    assert not await server.shake_hands()
    assert server.receive_nowait() == b""


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\5hello", b"\x16\x03\x01\0\5aaaaa"])
async def test_after_a_handshake_that_has_failed_bytes_can_be_discarded(garbage: bytes) -> None:
    for_client, for_server = wires()
    _, server = under_tls(for_client, for_server)
    for_client.send_nowait(garbage)
    with pytest.raises(TlsHandshakeError):
        await server.shake_hands()
    for_client.send_nowait(b"and so on")
    assert server.receive_nowait() == b"and so on"
    for_client.send_nowait(b"and on")
    assert await server.receive() == b"and on"
    await server.send_eof()
    assert for_client.has_ended


async def test_each_side_is_told_why_the_handshake_has_failed() -> None:
    client, server = under_tls(*wires(), context=client_context(trusts=other_authority()))
    errors = []

    async def shake_hands(end: TlsTransport) -> None:
        with pytest.raises(TlsHandshakeError) as caught:
            await end.shake_hands()
        errors.append(str(caught.value))

    with guarded():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shake_hands, client)
            nursery.start_soon(shake_hands, server)
    assert errors == [
        "the peer's certificate is not trusted: unable to get local issuer certificate",
        "the peer does not trust the certificate of this side (unknown CA)",
    ]


# ---- ends ----


async def test_each_side_can_end_its_half_and_receives_on() -> None:
    client, server = await pair()
    client.send_nowait(b"request")
    await client.send_eof()
    assert await server.receive() == b"request"
    assert await server.receive() == b""
    server.send_nowait(b"reply")
    assert await client.receive() == b"reply"
    await server.send_eof()
    assert await client.receive() == b""
    assert client.receive_nowait() == b""
    assert wire_of(client).has_ended
    assert wire_of(server).has_ended


async def test_what_has_come_before_an_end_of_this_side_is_received_after_it() -> None:
    client, server = await pair()
    client.send_nowait(b"early")
    own = memoryview(bytearray(2))
    assert server.receive_nowait(own) == b"ea"
    client.send_nowait(b" and late")
    await server.send_eof()
    client.send_nowait(b"r")
    assert receive_all_that_is_here(server) == b"rly and later"


async def test_an_end_without_a_word_is_an_end() -> None:
    client, server = await pair()
    client.send_nowait(b"hello")
    await wire_of(client).send_eof()
    assert await server.receive() == b"hello"
    for _ in range(2):
        assert await server.receive() == b""
        assert server.receive_nowait() == b""
        assert await server.receive_arrived() == b""


async def test_after_an_end_without_a_word_this_side_can_send_on() -> None:
    client, server = await pair()
    await wire_of(client).send_eof()
    assert await server.receive() == b""
    assert server.send_nowait(b"reply") == 5
    await server.send_eof()
    assert await client.receive() == b"reply"
    assert await client.receive() == b""


async def test_an_end_inside_a_record_is_a_loss() -> None:
    client, server = await pair()
    client.send_nowait(b"hello")
    wire_of(client).accepts = iter([9])
    client.send_nowait(b"world")
    await wire_of(client).send_eof()
    assert await server.receive() == b"hello"
    for _ in range(2):
        with pytest.raises(ConnectionLostError, match="connection lost: the peer ended inside a TLS record"):
            await server.receive()


@pytest.mark.parametrize("way", ["send_eof", "aclose"])
async def test_the_end_is_said_in_tls(way: str) -> None:
    client, server = await pair()
    await (server.send_eof() if way == "send_eof" else server.aclose())
    said = len(wire_of(client).arrived)
    assert said
    assert await client.receive() == b""
    await server.aclose()
    assert not wire_of(client).arrived


async def test_an_end_that_finds_no_room_is_waited_for_as_long_as_a_linger(autojump_clock: MockClock) -> None:
    client, server = await pair()
    server.below = full = Full([0, 0, 0])
    full.peer = wire_of(client)
    channel = FrameChannel._of_server(
        server, FrameFormat(), Limits(), "the peer", reactor=None, pool=None, on_sent=None
    )
    began = trio.current_time()
    with guarded():
        assert not await channel.finish(linger_s=5)
    assert trio.current_time() == began + 5


async def test_a_connection_that_is_aborted_says_no_end() -> None:
    client, server = await pair()
    receive_all_that_is_here(client)
    await server.abort()
    assert wire_of(server).was_aborted
    assert not wire_of(client).arrived


async def test_a_record_that_was_changed_on_its_way_is_a_loss_after_what_came_before() -> None:
    client, server = await pair()
    client.send_nowait(b"hello")
    good = len(wire_of(server).arrived)
    client.send_nowait(b"world")
    wire_of(server).arrived[good + 10] ^= 1
    assert server.receive_nowait() == b"hello"
    for _ in range(2):
        with pytest.raises(ConnectionLostError, match=r"connection lost: TLS: .*bad record mac"):
            server.receive_nowait()


# ---- what has arrived ----


async def test_whether_a_record_has_come_in_part_is_known_and_nobody_waits_for_its_rest() -> None:
    client, server = await pair()
    assert await server.receive_arrived() is None
    assert not server.is_inside_record
    wire_of(client).accepts = iter([3, 9, EVER])
    for receive in (server.look, server.receive_arrived):
        client.send_nowait(b"hello")
        assert await receive() is None
        assert server.is_inside_record
    client.send_nowait(b"hello")
    assert await server.receive_arrived() == b"hello"
    assert not server.is_inside_record
    assert await server.receive_arrived() is None
