"""`serve_frames` on real sockets, for what streams in memory cannot show."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.guard import GUARD_S
from tests.support.serving import log_lines, serving
from tests.support.sockets import LOOPBACK
from tests.support.streams import MemoryListener, connect, is_echoed, listen, port_of, receive_all, reset
from tests.support.wire import frame, frames, header
from trioecho import FrameChannel
from trioecho.connection.transport import SocketTransport
from trioecho.server.accepting import keep_alive

pytestmark = pytest.mark.usefixtures("driver")


def connect_and_send(listener: trio.SocketListener, data: bytes) -> socket.socket:
    """A blocking socket; the kernel connects it, whether or not the server accepts."""
    peer = socket.create_connection((LOOPBACK, port_of(listener)), timeout=GUARD_S)
    peer.sendall(data)
    return peer


async def receive_all_of(peer: socket.socket) -> bytes:
    """Everything until the end; a reset is a ConnectionResetError."""

    def receive() -> bytes:
        received = bytearray()
        while piece := peer.recv(1 << 16):
            received += piece
        return bytes(received)

    with peer:
        return await trio.to_thread.run_sync(receive)


# ---- draining ----


async def test_connections_that_the_kernel_has_queued_are_served_in_a_drain() -> None:
    listener = await listen()
    async with serving(listeners=[listener], max_connections=1) as running:
        first = await connect(listener)
        assert await is_echoed(first, b"has the only place")
        wires = [frames(b"queued", b"", bytes([number]) * number * 500) for number in range(8)]
        queued = [connect_and_send(listener, wire + b"\0\0") for wire in wires]
        await trio.testing.wait_all_tasks_blocked()
        assert running.server.connections == 1
        running.server.drain()
        assert await receive_all(first) == b""
        for peer, wire in zip(queued, wires, strict=True):
            peer.sendall(b"\0\4last")  # the rest of a frame that had begun
            assert await receive_all_of(peer) == wire + frame(b"last")
        assert (await running.drain()).connections_aborted == 0
        await first.aclose()
    assert running.messages == 1 + 8 * 4
    assert running.errors == {}


@pytest.mark.parametrize("grace_s", [0, 10])
async def test_clients_that_connect_during_a_drain_do_not_hold_it_up(grace_s: float) -> None:
    listener = await listen()
    clients: list[socket.socket] = []
    handled = 0

    async def handler(channel: FrameChannel) -> None:
        nonlocal handled
        handled += 1
        if 1 < handled < 100:  # in the drain, another client for each
            clients.append(connect_and_send(listener, b""))
        async for message in channel:
            await channel.send(message)

    async with serving(handler, [listener], max_connections=1, grace_s=grace_s) as running:
        first = await connect(listener)
        assert await is_echoed(first, b"has the only place")
        clients += [connect_and_send(listener, b"") for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked()
        assert handled == 1
        assert (await running.drain()).connections_aborted == 0
        assert handled == 1 + 3
        await first.aclose()
    for client in clients:
        client.close()


async def test_frames_that_lie_in_the_kernel_are_echoed_in_a_drain(mock_clock: MockClock) -> None:
    # The handler does not read before the drain has begun.
    may_begin = trio.Event()

    async def handler(channel: FrameChannel) -> None:
        await may_begin.wait()
        async for message in channel:
            await channel.send(message)

    listener = await listen()
    wire = frames(*(bytes([number]) * 3000 for number in range(20)))
    async with serving(handler, [listener]) as running:
        peer = connect_and_send(listener, wire + b"\0\0\0")
        mock_clock.jump(100)
        while not running.server.connections:
            await trio.lowlevel.checkpoint()
        running.server.drain()
        await trio.testing.wait_all_tasks_blocked()
        may_begin.set()
        peer.shutdown(socket.SHUT_WR)
        echoes = await receive_all_of(peer)
        # The clock stands still: the partial frame may be seen as the peer's end, or be dropped.
        assert echoes == wire
    assert running.messages == 20


def let_accepts_fail(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
    """Let the next calls of accept(2) fail in these ways, one after the other."""
    accept = socket.socket.accept
    left = list(numbers)

    def failing(listener: socket.socket) -> tuple[socket.socket, object]:
        if left:
            raise OSError(left.pop(0), "an accept failed")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", failing)


async def test_short_of_resources_in_a_drain_it_waits_and_serves_the_queue(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await listen()
    async with serving(listeners=[listener], max_connections=1) as running:
        first = await connect(listener)
        assert await is_echoed(first, b"has the only place")
        queued = connect_and_send(listener, frame(b"queued"))
        let_accepts_fail(monkeypatch, errno.EMFILE, errno.ENOBUFS)
        running.server.drain()
        assert await receive_all(first) == b""
        assert await receive_all_of(queued) == frame(b"queued")
        await first.aclose()
    assert running.errors == {"accept_failed": 2}
    assert [line[:29] for line in log_lines(caplog)] == ["cannot accept: an accept fail"] * 2


@pytest.mark.parametrize(
    ("family", "counted", "words"),
    [
        (socket.AF_INET, 3, "3 queued connections"),
        (socket.AF_UNIX, 1, "1 queued connection"),  # whose kernel does not say how many
    ],
)
async def test_what_the_grace_leaves_in_the_queue_is_aborted(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    family: socket.AddressFamily,
    counted: int,
    words: str,
) -> None:
    listening = trio.socket.socket(family)
    await listening.bind((LOOPBACK, 0) if family == socket.AF_INET else str(tmp_path / "echo.sock"))
    listening.listen()
    with contextlib.ExitStack() as peers:
        async with serving(listeners=[trio.SocketListener(listening)], grace_s=0.01) as running:
            for _ in range(3):
                peer = peers.enter_context(socket.socket(family))
                peer.connect(listening.getsockname())
            let_accepts_fail(monkeypatch, *[errno.EMFILE] * 1000)
            assert (await running.drain()).connections_aborted == counted
    assert running.errors["aborted"] == counted
    assert f"{words} could not be accepted within the grace" in log_lines(caplog)


async def test_a_connection_that_failed_before_it_was_accepted_is_nobodys_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_accepts_fail(monkeypatch, errno.ECONNABORTED, errno.EPROTO, errno.ENETUNREACH)
    listener = await listen()
    async with serving(listeners=[listener]) as running:
        client = await connect(listener)
        assert await is_echoed(client, b"one")
        await client.aclose()
    assert running.errors == {}
    assert log_lines(caplog) == []


@pytest.mark.parametrize("is_connected", [False, True])
async def test_a_port_is_free_after_the_stop(is_connected: bool) -> None:
    port = 0
    for _ in range(3):
        listener = await listen(port=port)
        port = port_of(listener)
        async with serving(listeners=[listener]) as running:
            if is_connected:  # the server ends it, so its port is the one that waits
                client = await connect(listener)
                assert await is_echoed(client, b"one")
                running.server.drain()
                assert await receive_all(client) == b""
                await client.aclose()
            assert (await running.drain()).connections_aborted == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, port), timeout=GUARD_S)


# ---- ends without a reset ----


async def test_over_the_limit_the_echoes_before_arrive_although_the_peer_sends_on() -> None:
    listener = await listen()
    async with serving(listeners=[listener], max_frame_length=1000) as running:
        peer = connect_and_send(listener, frames(b"one", b"two") + header(4_000_000))

        def send_the_payload() -> None:
            peer.sendall(bytes(4_000_000))
            peer.shutdown(socket.SHUT_WR)

        await trio.to_thread.run_sync(send_the_payload)
        assert await receive_all_of(peer) == frames(b"one", b"two")
        await running.drain()
    assert running.errors == {"frame_too_large": 1}


async def test_after_the_half_close_every_frame_is_echoed_and_then_the_end_comes() -> None:
    listener = await listen()
    wire = frames(*(bytes([number % 256]) * 700 for number in range(1000)))
    async with serving(listeners=[listener]) as running, trio.open_nursery() as nursery:
        client = await connect(listener)

        async def send() -> None:
            await client.send_all(wire)
            await client.send_eof()

        nursery.start_soon(send)
        assert await receive_all(client) == wire
        await client.aclose()
    assert running.messages == 1000


async def test_a_reset_ends_only_its_own_connection(caplog: pytest.LogCaptureFixture) -> None:
    listener = await listen()
    async with serving(listeners=[listener]) as running:
        bystander, client = await connect(listener), await connect(listener)
        assert await is_echoed(bystander, b"before")
        assert await is_echoed(client, b"before")
        host, port = client.socket.getsockname()
        reset(client)
        while running.server.connections == 2:
            await trio.lowlevel.checkpoint()
        assert await is_echoed(bystander, b"after")
        await bystander.aclose()
    assert running.errors == {"connection_lost": 1}
    assert log_lines(caplog) == [f"{host}:{port}: connection lost: Connection reset by peer"]


# ---- places and turns ----


async def test_two_listeners_never_exceed_the_limit() -> None:
    most = []

    async def handler(channel: FrameChannel) -> None:
        most.append(running.server.connections)
        async for message in channel:
            await channel.send(message)

    listeners = [await listen(), await listen()]
    peers = [connect_and_send(listener, frame(b"one")) for listener in listeners for _ in range(5)]
    for peer in peers:
        peer.shutdown(socket.SHUT_WR)
    async with serving(handler, listeners, max_connections=1) as running:
        for peer in peers:
            assert await receive_all_of(peer) == frame(b"one")
    assert most == [1] * 10


async def test_input_without_end_on_one_connection_leaves_turns_to_the_others() -> None:
    listener = await listen()
    turns = 0

    async def handler(channel: FrameChannel) -> None:
        nonlocal turns
        while True:
            batch = await channel.receive_batch()
            if bytes(batch.data[4:5]) == b"g":
                turns += 1
            else:
                await channel.send_batch(batch)

    async with serving(handler, [listener]) as running:
        greedy = connect_and_send(listener, b"")
        is_over = False

        def send_without_end() -> None:
            with greedy:
                while not is_over:
                    greedy.sendall(frame(b"greedy") * 10_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, send_without_end)
            modest = await connect(listener)
            try:
                for _ in range(50):
                    turns_before = turns
                    assert await is_echoed(modest, b"modest")
                    while turns == turns_before:  # the greedy one has its turns as well
                        await trio.lowlevel.checkpoint()
            finally:
                is_over = True
        await modest.aclose()
        await running.drain()
    assert turns >= 50


# ---- other kinds of sockets ----


async def test_ipv6() -> None:
    try:
        listener = await listen(host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    names = []

    async def handler(channel: FrameChannel) -> None:
        names.append(channel.peer)
        async for message in channel:
            await channel.send(message)

    async with serving(handler, [listener]):
        client = await trio.open_tcp_stream("::1", port_of(listener))
        assert await is_echoed(client, b"one")
        assert names == [f"[::1]:{client.socket.getsockname()[1]}"]
        await client.aclose()


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    unix = trio.socket.socket(trio.socket.AF_UNIX)
    await unix.bind(path)
    unix.listen()
    async with serving(listeners=[trio.SocketListener(unix)]) as running:
        client = await trio.open_unix_socket(path)
        assert await is_echoed(client, b"one")
        running.server.drain()
        assert await receive_all(client) == b""
        await client.aclose()


@pytest.mark.parametrize("how_off", [0, math.inf])
@pytest.mark.parametrize("off", ["idle_timeout_s", "frame_timeout_s", None])
async def test_where_no_clock_finds_a_dead_peer_tcp_keepalive_does(off: str | None, how_off: float) -> None:
    settings: list[int] = []

    async def handler(channel: FrameChannel) -> None:
        transport = channel._transport
        assert isinstance(transport, SocketTransport)
        settings.append(transport.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"):
            settings.append(transport.socket.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)))

    listener = await listen()
    limits: dict[str, Any] = {off: how_off} if off else {}
    async with serving(handler, [listener], **limits):
        async with await connect(listener) as peer:
            assert await receive_all(peer) == b""
    if off is None:
        assert settings[0] == 0
    else:
        assert settings == [1, 60, 15, 4]


async def test_keepalive_reaches_below_tls_and_leaves_what_is_no_socket() -> None:
    listener = await listen()
    keep_alive(trio.SSLListener(listener, ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)))
    assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    await listener.aclose()
    keep_alive(MemoryListener())
