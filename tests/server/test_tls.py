"""`serve_frames` behind a `trio.SSLListener`; in memory where time matters."""

from __future__ import annotations

import ssl

import pytest
import trio
import trio.testing
import trustme
from trio.testing import MockClock

from tests.support.serving import log_lines, serving
from tests.support.stopped import send_now, stopped
from tests.support.streams import MemoryListener, port_of, receive_all, receive_exactly
from tests.support.wire import frames
from trioecho import FrameChannel
from trioecho.connection.transport import STREAM_ARRIVED_S


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture
def contexts(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> Contexts:
    return server_context, client_context


async def is_echoed(client: trio.abc.Stream, *payloads: bytes) -> bool:
    wire = frames(*payloads)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, wire)
        return await receive_exactly(client, len(wire)) == wire


async def test_echoes_and_a_drain_over_tls_on_sockets(contexts: Contexts) -> None:
    [below] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = trio.SSLListener(below, contexts[0])
    async with serving(listeners=[listener]) as running:
        stream = await trio.open_tcp_stream("127.0.0.1", port_of(below))
        client = trio.SSLStream(stream, contexts[1], server_hostname="localhost")
        assert await is_echoed(client, b"one", b"", bytes(200_000))
        running.server.drain()
        assert await receive_all(client) == b""  # the end is authentic, or it would be an error
        await client.aclose()
        assert (await running.drain()).connections_aborted == 0
    assert running.messages == 3
    assert running.errors == {}


async def test_connections_that_the_kernel_has_queued_are_taken_in_a_drain_over_tls(
    contexts: Contexts,
) -> None:
    [below] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = trio.SSLListener(below, contexts[0])
    async with serving(listeners=[listener], max_connections=1) as running:
        port = port_of(below)
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(4)]
        clients = [trio.SSLStream(stream, contexts[1], server_hostname="localhost") for stream in streams]
        assert await is_echoed(clients[0], b"one")
        assert running.server.connections == 1
        assert (await running.drain()).connections_aborted == 0
        assert len(running.handler_ends) == 4
        assert await receive_all(clients[0]) == b""
        for client in clients:
            await trio.aclose_forcefully(client)


def memory_tls(contexts: Contexts) -> tuple[MemoryListener, trio.SSLListener[trio.abc.Stream]]:
    below = MemoryListener()
    return below, trio.SSLListener(below, contexts[0])


async def test_the_clocks_over_tls(contexts: Contexts, autojump_clock: MockClock) -> None:
    below, listener = memory_tls(contexts)
    async with serving(listeners=[listener], idle_timeout_s=300) as running:
        client = trio.SSLStream(below.connect(), contexts[1], server_hostname="localhost")
        assert await is_echoed(client, b"one")
        assert await receive_all(client) == b""
        assert trio.current_time() == 300
        await client.aclose()
    assert running.errors == {"idle_timeout": 1}


async def test_a_drain_over_tls_ends_idle_connections(contexts: Contexts, autojump_clock: MockClock) -> None:
    below, listener = memory_tls(contexts)
    async with serving(listeners=[listener]) as running:
        client = trio.SSLStream(below.connect(), contexts[1], server_hostname="localhost")
        assert await is_echoed(client, b"one")
        await running.drain()
        assert running.ended_at == STREAM_ARRIVED_S
        assert await receive_all(client) == b""


async def test_a_peer_that_never_shakes_hands_is_dropped_by_the_idle_clock(
    contexts: Contexts, autojump_clock: MockClock
) -> None:
    below, listener = memory_tls(contexts)
    async with serving(listeners=[listener], idle_timeout_s=300) as running:
        client = below.connect()
        assert await receive_all(client) == b""
        assert trio.current_time() == 300
        await trio.testing.wait_all_tasks_blocked()
        assert running.server.connections == 0
    assert running.errors == {"idle_timeout": 1}


async def test_a_peer_that_never_shakes_hands_does_not_hold_up_a_drain(
    contexts: Contexts, autojump_clock: MockClock
) -> None:
    below, listener = memory_tls(contexts)
    async with serving(listeners=[listener], grace_s=10) as running:
        below.connect()
        await trio.sleep(100)
        assert (await running.drain()).connections_aborted == 0
        assert 100 <= trio.current_time() <= 100 + STREAM_ARRIVED_S


async def test_a_peer_that_does_not_speak_tls_is_one_line(
    contexts: Contexts, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    below, listener = memory_tls(contexts)
    async with serving(listeners=[listener]) as running:
        client = below.connect()
        await client.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await receive_all(client)
        await running.drain()
    assert running.errors == {"connection_lost": 1}
    assert log_lines(caplog) == ["a SSLStream: connection lost: TLS: http request"]


async def test_a_drain_over_tls_finishes_a_frame_that_had_begun(
    contexts: Contexts, autojump_clock: MockClock
) -> None:
    below, listener = memory_tls(contexts)
    wire = frames(bytes(100_000))
    async with serving(listeners=[listener], grace_s=30) as running:
        clients = [
            trio.SSLStream(below.connect(), contexts[1], server_hostname="localhost") for _ in range(2)
        ]
        for client in clients:
            assert await is_echoed(client, b"one")
            await client.send_all(wire[:50_000])
        running.server.drain()
        await trio.sleep(20)
        await clients[0].send_all(wire[50_000:])
        assert await receive_all(clients[0]) == wire
        await running.ended.wait()
        assert running.ended_at == 30
    assert running.result is not None
    assert running.result.connections_aborted == 1
    assert running.errors == {"aborted": 1}
    assert running.messages == 3


class Held(trio.abc.Stream):
    """A stream that does not send, but keeps what it was to send, when it is told to."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.held: bytearray | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.held is None:
            await self.stream.send_all(data)
        else:
            self.held += data

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.stream.aclose()


@pytest.mark.parametrize("cut", [0, 50])
async def test_over_tls_what_has_arrived_counts_when_a_clock_has_run_out(
    cut: int, contexts: Contexts, mock_clock: MockClock
) -> None:
    [below] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    wire = frames(bytes(50_000))  # several records of TLS
    async with serving(listeners=[trio.SSLListener(below, contexts[0])]) as running:
        held = Held(await trio.open_tcp_stream("127.0.0.1", port_of(below)))
        client = trio.SSLStream(held, contexts[1], server_hostname="localhost")
        assert await is_echoed(client, b"one")
        await client.send_all(wire[:cut])
        held.held = bytearray()
        await client.send_all(wire[cut:])
        records = held.held
        await stopped(mock_clock, lambda: send_now(held.stream, bytes(records)), seconds=1000)
        held.held = None
        assert await receive_exactly(client, len(wire)) == wire
        await client.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert running.server.connections == 0
        running.cancel_scope.cancel()
    assert running.errors == {}


async def refuse(channel: FrameChannel) -> None:
    """A handler that ends its connection without a word, before the handshake."""


async def test_a_silent_peer_that_is_refused_before_the_handshake_is_closed(
    contexts: Contexts, autojump_clock: MockClock
) -> None:
    below, listener = memory_tls(contexts)
    async with serving(refuse, [listener], idle_timeout_s=1, frame_timeout_s=1, write_timeout_s=1) as running:
        client = below.connect()
        await trio.sleep(3600)
        assert running.server.connections == 0
        assert await receive_all(client) == b""


async def test_a_peer_without_tls_that_is_refused_before_the_handshake_harms_nobody(
    contexts: Contexts, autojump_clock: MockClock
) -> None:
    below, listener = memory_tls(contexts)
    async with serving(refuse, [listener]) as running:
        client = below.connect()
        await client.send_all(b"GET / HTTP/1.1\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert running.server.connections == 0
        assert (await running.drain()).connections_aborted == 0
