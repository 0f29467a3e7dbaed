"""`serve_frames` with an ``ssl_context``: the handshake and its clock, the drain, the ends of connections."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support import tls_wires
from tests.support.guard import guarded
from tests.support.serving import each_handler, log_lines, serving
from tests.support.stopped import send_now, stopped
from tests.support.streams import (
    MemoryListener,
    connect,
    listen,
    port_of,
    receive_all,
    receive_exactly,
)
from tests.support.tls import authority, client_context, server_context
from tests.support.wire import frame, frames
from trioecho import FrameChannel, FrameFormat, Handler, Limits, reply_per_connection
from trioecho.base.rate_limited_log import RateLimitedLog
from trioecho.connection.connection_info import ConnectionInfo
from trioecho.connection.transport import STREAM_ARRIVED_S
from trioecho.server.handshakes import Handshakes

TlsStream = trio.SSLStream[trio.abc.Stream]


def under_tls(stream: trio.abc.Stream, context: ssl.SSLContext | None = None) -> TlsStream:
    return trio.SSLStream(stream, context or client_context(), server_hostname="localhost")


async def is_echoed(client: trio.abc.Stream, *payloads: bytes) -> bool:
    wire = frames(*payloads)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, wire)
        return await receive_exactly(client, len(wire)) == wire


# ---- over sockets ----


@each_handler
async def test_echoes_replies_and_a_drain_over_sockets(handler: Handler) -> None:
    listener = await listen()
    async with serving(handler, [listener], ssl_context=server_context()) as running:
        client = under_tls(await connect(listener))
        assert await is_echoed(client, b"one", b"", bytes(300_000), *[b"%d" % n for n in range(1000)])
        running.server.drain()
        assert await receive_all(client) == b""  # the end is authentic, or it would be an error
        await client.aclose()
        assert (await running.drain()).connections_aborted == 0
    assert running.messages == 1003
    assert running.errors == {}


async def test_a_peer_that_reads_slowly_gets_all_echoes(mock_clock: MockClock) -> None:
    listener = await listen(buffer=4096)
    wire = frames(bytes(range(250)) * 2000, b"", b"end")
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        client = under_tls(await connect(listener))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, wire)
            received = b""
            while len(received) < len(wire):
                received += await client.receive_some(1000)
        assert received == wire
        await client.aclose()
    assert running.messages == 3
    assert running.errors == {}


async def test_a_client_that_ends_its_half_gets_every_echo_and_then_the_end() -> None:
    listener = await listen()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        wire = frames(b"one", bytes(200_000), b"three")

        def ask() -> bytes:
            """Speak TLS by hand: a `trio.SSLStream` cannot end its half."""
            to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = client_context().wrap_bio(to_client, to_server, server_hostname="localhost")
            received = b""
            with socket.create_connection(("127.0.0.1", port_of(listener)), timeout=60) as below:
                steps: list[Callable[[], object]] = [client.do_handshake, lambda: client.write(wire)]
                for step in [*steps, client.unwrap]:
                    while True:
                        try:
                            step()
                        except ssl.SSLWantReadError:
                            below.sendall(to_server.read())
                            if step == client.unwrap:
                                break
                            to_client.write(below.recv(1 << 16))
                        else:
                            break
                while True:
                    try:
                        data = client.read(1 << 16)
                    except ssl.SSLWantReadError:
                        to_client.write(below.recv(1 << 16))
                    except ssl.SSLZeroReturnError:  # both halves have ended
                        return received
                    else:
                        assert data
                        received += data

        assert await trio.to_thread.run_sync(ask) == wire
    assert running.messages == 3
    assert running.errors == {}


@pytest.mark.parametrize(("sent", "errors"), [(7, {}), (9, {"incomplete_frame": 1})])
async def test_an_end_without_close_notify_is_an_end_between_frames_and_a_loss_inside_one(
    sent: int, errors: dict[str, int]
) -> None:
    listener = await listen()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        client = under_tls(await connect(listener))
        await client.send_all(frames(b"one", b"two")[:sent])
        assert await receive_exactly(client, 7) == frame(b"one")
        stream = client.transport_stream
        assert isinstance(stream, trio.SocketStream)
        await stream.send_eof()
        assert await receive_all(client) == b""
        await stream.aclose()
    assert running.messages == 1
    assert running.errors == errors


async def test_a_frame_that_is_too_large_is_refused_after_the_echoes_before_it() -> None:
    listener = await listen()
    async with serving(listeners=[listener], ssl_context=server_context(), max_frame_length=1000) as running:
        client = under_tls(await connect(listener))
        await client.send_all(frame(b"one") + (1001).to_bytes(4, "big") + bytes(1001))
        assert await receive_all(client) == frame(b"one")
        await client.aclose()
    assert running.errors == {"frame_too_large": 1}


async def test_what_is_known_of_the_connection() -> None:
    known: list[ConnectionInfo] = []

    def make_reply(connection: ConnectionInfo) -> Callable[[bytes], bytes]:
        known.append(connection)
        return bytes.upper

    listener = await listen()
    async with serving(reply_per_connection(make_reply), [listener], ssl_context=server_context()):
        stream = await connect(listener)
        client = under_tls(stream)
        await client.send_all(frame(b"hello"))
        assert await receive_exactly(client, 9) == frame(b"HELLO")
        address = stream.socket.getsockname()
        await client.aclose()
    assert known == [ConnectionInfo(f"127.0.0.1:{address[1]}", address, is_tls=True)]


async def test_a_new_context_is_for_new_connections_and_old_ones_live_on() -> None:
    listener = await listen()
    newer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("newer.example.org").configure_cert(newer)
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        old = under_tls(await connect(listener))
        assert await is_echoed(old, b"one")
        running.server.ssl_context = newer
        new = trio.SSLStream(await connect(listener), client_context(), server_hostname="newer.example.org")
        assert await is_echoed(new, b"two")
        assert await is_echoed(old, b"three")
        await old.aclose()
        await new.aclose()
    assert running.messages == 3
    assert running.errors == {}


async def test_what_has_arrived_counts_when_the_clock_of_the_handshake_has_run_out(
    mock_clock: MockClock,
) -> None:
    listener = await listen()
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(to_client, to_server, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        peer = await connect(listener)
        await peer.send_all(to_server.read())
        while True:  # the server's answer may come in pieces
            to_client.write(await peer.receive_some())
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                continue
            break
        client.write(frame(b"hello"))
        rest = to_server.read()
        await stopped(mock_clock, lambda: send_now(peer, rest), seconds=60)
        echo = b""
        while len(echo) < 9:
            to_client.write(await peer.receive_some())
            with contextlib.suppress(ssl.SSLWantReadError):
                echo += client.read()
        assert echo == frame(b"hello")
        await peer.aclose()
        await running.drain()
    assert running.messages == 1
    assert running.errors == {}


# ---- in memory ----


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"", "did not begin within 60 s"),
        (b"\x16\x03\x01\x02\x00\x01", "did not come to its end within 60 s"),
    ],
)
async def test_a_peer_that_does_not_shake_hands_is_dropped_by_a_clock_of_its_own(
    sent: bytes, words: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context(), max_connections=1) as running:
        client = listener.connect()
        if sent:
            await client.send_all(sent)
        other = under_tls(listener.connect())  # who waits for the place
        assert await receive_all(client) == b""
        assert 60 <= trio.current_time() <= 61
        assert await is_echoed(other, b"hello")
    assert running.errors == {"tls_handshake_timeout": 1}
    assert log_lines(caplog) == [f"a StapledStream: the TLS handshake {words}"]


async def test_the_clock_of_the_handshake_can_be_off(autojump_clock: MockClock) -> None:
    listener = MemoryListener()
    async with serving(
        listeners=[listener], ssl_context=server_context(), tls_handshake_timeout_s=0, idle_timeout_s=0
    ) as running:
        client = under_tls(listener.connect())
        await trio.sleep(80_000)
        assert await is_echoed(client, b"hello")
    assert running.errors == {}


async def test_a_slow_handshake_takes_nothing_of_the_idle_clock(autojump_clock: MockClock) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context(), idle_timeout_s=30) as running:
        client = under_tls(listener.connect())
        await trio.sleep(50)
        await client.do_handshake()
        await trio.sleep(20)
        assert await is_echoed(client, b"hello")
    assert running.errors == {}


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "it begins an HTTP request; is the peer an HTTP client?"),
        (
            b"\0\0\0\5hello",
            r"b'\x00\x00\x00\x05hello' is no TLS; does the peer send frames without TLS?",
        ),
        (b"hello, is anybody there?", "b'hello, is anybody there?' is text"),
        (
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "it begins a PROXY protocol header; does a load balancer in front send it? "
            "Then serve with --proxy-protocol, or switch it off there",
        ),
    ],
)
async def test_a_peer_without_tls_is_one_line_that_says_so(
    sent: bytes, words: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        client = listener.connect()
        await client.send_all(sent)
        await client.send_eof()
        await receive_all(client)
        await running.drain()
    assert running.errors == {"tls_handshake_failed": 1}
    line = f"a StapledStream: the TLS handshake failed: the peer speaks no TLS: {words}"
    assert log_lines(caplog) == [line]


async def test_a_peer_that_looks_only_whether_somebody_is_here_is_no_error(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        client = listener.connect()
        await client.send_eof()
        assert await receive_all(client) == b""
        await running.drain()
    assert running.errors == {}
    assert log_lines(caplog) == []


async def test_a_peer_that_ends_inside_the_handshake_is_an_error(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        client = listener.connect()
        await client.send_all(b"\x16\x03\x01\x02\x00\x01")
        await client.send_eof()
        await receive_all(client)
    assert running.errors == {"tls_handshake_failed": 1}
    assert log_lines(caplog) == [
        "a StapledStream: the TLS handshake failed: the peer ended in the middle of it"
    ]


async def test_a_connection_that_is_lost_in_the_handshake_is_an_error(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        to_server = ssl.MemoryBIO()
        hello = client_context().wrap_bio(ssl.MemoryBIO(), to_server, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        listener.connect_with(LostWhenSending(to_server.read()))
        await trio.testing.wait_all_tasks_blocked()
        await running.drain()
    assert running.errors == {"tls_handshake_failed": 1}
    assert log_lines(caplog) == ["a LostWhenSending: the TLS handshake failed: connection lost: it is gone"]


class LostWhenSending(trio.abc.Stream):
    def __init__(self, data: bytes) -> None:
        self.data = data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError("it is gone")

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


# ---- the drain ----


async def test_a_drain_ends_idle_connections_and_those_that_have_not_said_hello(
    autojump_clock: MockClock,
) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context()) as running:
        silent = listener.connect()
        client = under_tls(listener.connect())
        assert await is_echoed(client, b"one")
        late = listener.connect()
        assert (await running.drain()).connections_aborted == 0
        assert running.ended_at is not None
        assert running.ended_at < 1
        assert await receive_all(client) == b""
        for peer in (silent, late):
            assert await receive_all(peer) == b""
    assert running.errors == {}


async def test_a_drain_lets_a_handshake_come_to_its_end_that_has_begun(autojump_clock: MockClock) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context(), grace_s=30) as running:
        client = listener.connect(trio.testing.memory_stream_pair)
        held = trio.testing.memory_stream_pair()
        stream = under_tls(trio.StapledStream(held[0].send_stream, client.receive_stream))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.do_handshake)
            hello = await held[1].receive_some()
            await client.send_all(hello[:100])
            await trio.testing.wait_all_tasks_blocked()
            running.server.drain()
            await trio.sleep(10)
            await client.send_all(hello[100:])
            await client.send_all(await held[1].receive_some())
        assert await receive_all(stream) == b""
        await running.ended.wait()
        assert running.ended_at is not None
        assert 10 <= running.ended_at < 11
    assert running.errors == {}
    assert running.result is not None
    assert running.result.connections_aborted == 0


async def test_connections_that_the_kernel_has_queued_do_not_hold_up_a_drain_if_they_are_silent() -> None:
    listener = await listen()
    async with serving(
        listeners=[listener], ssl_context=server_context(), max_connections=1, grace_s=0
    ) as running:
        client = under_tls(await connect(listener))
        assert await is_echoed(client, b"one")
        silent = [await connect(listener) for _ in range(3)]
        assert (await running.drain()).connections_aborted == 0
        for peer in silent:
            assert await receive_all(peer) == b""
            await peer.aclose()
        await client.aclose()
    assert running.errors == {}


@pytest.mark.parametrize("is_silent", [True, False])
async def test_in_a_drain_who_has_said_hello_is_served_and_who_has_not_is_not(is_silent: bool) -> None:
    served: list[FrameChannel] = []

    async def handler(channel: FrameChannel) -> None:
        await trio.lowlevel.checkpoint()
        served.append(channel)

    errors: list[str] = []
    logger = logging.getLogger(__name__)
    handshakes = Handshakes(
        handler,
        timeout_s=60,
        count=errors.append,
        log=RateLimitedLog(logger),
        logger=logger,
    )
    handshakes.drain()
    client, server = tls_wires.under_tls(*tls_wires.wires())
    channel = FrameChannel._of_server(
        server, FrameFormat(), Limits(), "the peer", reactor=None, pool=None, on_sent=None
    )
    with guarded():
        async with trio.open_nursery() as nursery:
            if not is_silent:
                assert not await client.shake_hands(only_arrived=True)  # this says hello
                nursery.start_soon(client.shake_hands)
            await handshakes.serve(channel, server)
    assert served == ([] if is_silent else [channel])
    assert errors == []


async def test_past_the_grace_a_handshake_is_aborted(autojump_clock: MockClock) -> None:
    listener = MemoryListener()
    async with serving(listeners=[listener], ssl_context=server_context(), grace_s=5) as running:
        client = listener.connect()
        await client.send_all(b"\x16\x03\x01\x02\x00\x01")
        await trio.testing.wait_all_tasks_blocked()
        assert (await running.drain()).connections_aborted == 1
        assert running.ended_at == 5
    assert running.errors == {"aborted": 1}


@pytest.mark.parametrize("cut", [1, 5, 60])
async def test_a_drain_finishes_a_frame_whose_first_record_had_come_in_part(
    cut: int, autojump_clock: MockClock
) -> None:
    listener = MemoryListener()
    wire = frames(bytes(1000), b"and one more")
    async with serving(listeners=[listener], ssl_context=server_context(), grace_s=30) as running:
        below = listener.connect()
        tapped = trio.testing.memory_stream_pair()
        client = under_tls(below)
        assert await is_echoed(client, b"one")
        client.transport_stream = trio.StapledStream(tapped[0].send_stream, below.receive_stream)
        await client.send_all(wire)
        records = await tapped[1].receive_some()
        await below.send_all(records[:cut])
        await trio.testing.wait_all_tasks_blocked()
        running.server.drain()
        await trio.sleep(20)
        await below.send_all(records[cut:])
        assert await receive_all(client) == wire
        await running.ended.wait()
        assert running.ended_at is not None
        assert 20 <= running.ended_at < 20 + 20 * STREAM_ARRIVED_S
    assert running.errors == {}
    assert running.messages == 3


async def refuse(channel: FrameChannel) -> None:
    """A handler that ends its connection without a word."""


async def test_a_handler_that_ends_at_once_ends_its_connection_in_order(autojump_clock: MockClock) -> None:
    listener = MemoryListener()
    async with serving(refuse, [listener], ssl_context=server_context()) as running:
        client = under_tls(listener.connect())
        assert await receive_all(client) == b""
        await client.aclose()
    assert running.errors == {}


async def test_a_client_needs_a_certificate_where_one_is_demanded(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = MemoryListener()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert("localhost").configure_cert(context)
    authority().configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with serving(listeners=[listener], ssl_context=context) as running:
        known = under_tls(listener.connect(), client_context(with_certificate=True))
        assert await is_echoed(known, b"hello")
        stranger = under_tls(listener.connect())
        with pytest.raises(trio.BrokenResourceError) as caught:
            await receive_all(stranger)
        assert "certificate required" in str(caught.value.__cause__)
    assert running.errors == {"tls_handshake_failed": 1}
    assert log_lines(caplog) == [
        "a StapledStream: the TLS handshake failed: the peer has sent no certificate, and needs one here"
    ]
