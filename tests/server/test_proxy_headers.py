"""`serve_frames` with a `ProxyProtocol`: headers before frames and before TLS, and who may send them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tests.support import sockets
from tests.support.examples import examples
from tests.support.serving import each_handler, log_lines, serving
from tests.support.stopped import send_now, stopped
from tests.support.streams import connect, is_echoed, listen, port_of, receive_all, receive_exactly, reset
from tests.support.tls import client_context, server_context
from tests.support.wire import frame, frames
from trioecho import ConnectionInfo, FrameChannel, Handler, ProxyProtocol, reply_per_connection, serve_frames
from trioecho.base.proxy_header import encode_proxy_header

CLIENT, SERVICE = ("203.0.113.7", 4242), ("192.0.2.1", 26066)
V1 = encode_proxy_header("v1", CLIENT, SERVICE)
V2 = encode_proxy_header("v2", CLIENT, SERVICE)
LOCAL = encode_proxy_header("v2", None, None)
AUTO = ProxyProtocol()
each_header = pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])


@reply_per_connection
def name_peer(connection: ConnectionInfo) -> Callable[[bytes], bytes]:
    def reply(message: bytes) -> bytes:
        return f"{connection.peer} {connection.address} {connection.proxy_address}".encode()

    return reply


async def name_peer_of_channel(channel: FrameChannel) -> None:
    async for _ in channel:
        await channel.send(f"{channel.peer} {channel.info.address} {channel.info.proxy_address}".encode())


async def ask(stream: trio.abc.Stream, message: bytes = b"") -> str:
    await stream.send_all(frame(message))
    length = int.from_bytes(await receive_exactly(stream, 4), "big")
    return (await receive_exactly(stream, length)).decode()


# ---- who the client is ----


@each_header
@pytest.mark.parametrize("handler", [name_peer, name_peer_of_channel])
async def test_a_handler_learns_of_the_client_and_of_the_balancer(header: bytes, handler: Handler) -> None:
    listener = await listen()
    async with serving(handler, [listener], proxy_protocol=AUTO) as running:
        balancer = await connect(listener)
        await balancer.send_all(header)
        own = balancer.socket.getsockname()
        assert await ask(balancer) == f"203.0.113.7:4242 {CLIENT} {own}"
        await balancer.aclose()
    assert running.errors == {}


async def test_a_balancer_at_a_unix_socket(tmp_path: Path) -> None:
    with trio.socket.socket(socket.AF_UNIX) as listening:
        await listening.bind(str(tmp_path / "s"))
        listening.listen()
        async with serving(name_peer, [trio.SocketListener(listening)], proxy_protocol=AUTO) as running:
            balancer = await trio.open_unix_socket(tmp_path / "s")
            await balancer.send_all(V2)
            assert await ask(balancer) == f"203.0.113.7:4242 {CLIENT} "
            await balancer.aclose()
    assert running.errors == {}


@pytest.mark.parametrize("header", [LOCAL, b"PROXY UNKNOWN\r\n"])
async def test_a_connection_of_the_balancers_own_has_its_address(header: bytes) -> None:
    listener = await listen()
    async with serving(name_peer, [listener], proxy_protocol=AUTO):
        balancer = await connect(listener)
        await balancer.send_all(header)
        host, port = balancer.socket.getsockname()
        assert await ask(balancer) == f"{host}:{port} {(host, port)} None"
        await balancer.aclose()


async def test_without_the_option_nothing_is_known_of_a_balancer() -> None:
    listener = await listen()
    async with serving(name_peer_of_channel, [listener]):
        client = await connect(listener)
        host, port = client.socket.getsockname()
        assert await ask(client) == f"{host}:{port} {(host, port)} None"
        await client.aclose()


async def test_the_log_names_the_client(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(proxy_protocol=AUTO, max_frame_length=10) as running:
        balancer = running.listener.connect()
        await balancer.send_all(V2 + (1 << 20).to_bytes(4, "big"))
        assert await receive_all(balancer) == b""
    [line] = log_lines(caplog)
    assert line.startswith("203.0.113.7:4242: a frame of 1048576 bytes is over the limit of 10: ")
    assert running.errors == {"frame_too_large": 1}


async def test_a_path_of_a_unix_socket_cannot_control_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    path = b"/run/\x1b[2J\n\xff"
    header = V2[:12] + b"\x21\x31\0\xd8" + path.ljust(108, b"\0") + bytes(108)
    async with serving(proxy_protocol=AUTO, max_frame_length=10) as running:
        balancer = running.listener.connect()
        await balancer.send_all(header + (1 << 20).to_bytes(4, "big"))
        assert await receive_all(balancer) == b""
    [line] = log_lines(caplog)
    assert line.startswith(r"unix:/run/\x1b[2J\n\xff: a frame of")


# ---- what comes with the header and behind it ----


@each_header
@each_handler
async def test_frames_in_the_same_segment_are_served_at_once(header: bytes, handler: Handler) -> None:
    wire = frames(b"one", b"", bytes(100_000))
    listener = await listen()
    async with serving(handler, [listener], proxy_protocol=AUTO) as running:
        balancer = await connect(listener)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(balancer.send_all, header + wire)
            assert await receive_exactly(balancer, len(wire)) == wire
        assert await is_echoed(balancer, b"more")
        await balancer.aclose()
    assert (running.messages, running.errors) == (4, {})


@each_header
@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_a_header_that_comes_byte_by_byte(header: bytes, kind: str) -> None:
    listener = await listen()
    async with serving(name_peer, [listener] if kind == "tcp" else (), proxy_protocol=AUTO) as running:
        balancer = await connect(listener) if kind == "tcp" else running.listener.connect()
        for byte in header[:-1]:
            await balancer.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        await balancer.send_all(header[-1:])
        assert (await ask(balancer)).startswith("203.0.113.7:4242 ")
        await balancer.aclose()
    await listener.aclose()
    assert running.errors == {}


@each_header
async def test_tls_begins_behind_the_header(header: bytes) -> None:
    listener = await listen()
    async with serving(
        name_peer_of_channel, [listener], ssl_context=server_context(), proxy_protocol=AUTO
    ) as running:
        balancer = await connect(listener)
        await balancer.send_all(header)
        client = trio.SSLStream(balancer, client_context(), server_hostname="localhost")
        assert (await ask(client)).startswith(f"203.0.113.7:4242 {CLIENT} ('127.0.0.1', ")
        await client.aclose()
    assert running.errors == {}


async def test_a_failed_handshake_names_the_client(caplog: pytest.LogCaptureFixture) -> None:
    listener = await listen()
    async with serving(listeners=[listener], ssl_context=server_context(), proxy_protocol=AUTO) as running:
        balancer = await connect(listener)
        await balancer.send_all(V2 + b"GET / HTTP/1.1\r\n\r\n")
        await receive_all(balancer)
        await balancer.aclose()
    assert running.errors == {"tls_handshake_failed": 1}
    [line] = log_lines(caplog)
    assert line.startswith("203.0.113.7:4242: the TLS handshake failed: ")


async def test_a_listener_that_is_under_tls_by_itself_is_refused() -> None:
    listener = trio.SSLListener(await listen(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with pytest.raises(ValueError, match="PROXY headers come before TLS"):
        await serve_frames(name_peer, [listener], proxy_protocol=AUTO)
    await listener.aclose()


# ---- who may send headers ----


@pytest.mark.parametrize(
    ("host", "allow_from", "is_allowed"),
    [
        ("127.0.0.1", ("127.0.0.1", "::1"), True),
        ("127.0.0.1", ("10.0.0.0/8", "127.0.0.0/8"), True),
        ("127.0.0.1", ("10.0.0.0/8", "::1"), False),
        ("::1", ("127.0.0.1", "::1"), True),
        ("::1", ("127.0.0.1",), False),
    ],
)
async def test_a_peer_that_is_not_allowed_is_closed_in_one_line(
    host: str, allow_from: tuple[str, ...], is_allowed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await listen(host=host)
    async with serving(listeners=[listener], proxy_protocol=ProxyProtocol("v2", allow_from)) as running:
        balancer = await trio.open_tcp_stream(host, port_of(listener))
        if is_allowed:
            await balancer.send_all(V2)
            assert await is_echoed(balancer, b"one")
        else:
            assert await receive_all(balancer) == b""
        await balancer.aclose()
    assert running.errors == ({} if is_allowed else {"proxy_not_allowed": 1})
    words = "this peer is not among the balancers that may connect (proxy_allow_from)"
    assert [line.rpartition(": ")[2] for line in log_lines(caplog)] == ([] if is_allowed else [words])


async def test_a_peer_that_is_not_allowed_holds_no_place(autojump_clock: MockClock) -> None:
    strict = ProxyProtocol(allow_from=("10.0.0.0/8",))
    async with serving(proxy_protocol=strict, max_connections=1) as running:
        strangers = [running.listener.connect() for _ in range(5)]
        for stranger in strangers:  # they do not end their connections, and nobody waits for that
            assert await receive_all(stranger) == b""
        assert trio.current_time() == 0
    assert running.errors == {"proxy_not_allowed": 5}


@pytest.mark.parametrize(
    ("peer", "allow_from", "is_allowed"),
    [
        ("", ("127.0.0.1",), True),
        (b"\0abstract", ("127.0.0.0/8",), True),
        ("/run/client", ("10.0.0.0/8", "::1"), False),
        (("::ffff:10.1.2.3", 1, 0, 0), ("10.0.0.0/8",), True),
        (("::ffff:11.1.2.3", 1, 0, 0), ("10.0.0.0/8", "::1"), False),
        (("fe80::1%lo", 1, 0, 1), ("fe80::/10",), True),
        (("10.1.2.3", 1), ("10.0.0.1/8",), True),
    ],
)
def test_the_peers_that_are_allowed(peer: object, allow_from: tuple[str, ...], is_allowed: bool) -> None:
    assert ProxyProtocol(allow_from=allow_from)._is_allowed(peer) is is_allowed


@pytest.mark.parametrize(
    ("accepts", "allow_from", "words"),
    [
        ("v3", ("::1",), "accepts is one of v1, v2, auto, not 'v3'"),
        ("v1", ("localhost",), "'localhost' is no IP address and no network; write one as 10.0.0.7 or"),
        ("v1", ("10.0.0.0/33",), "'10.0.0.0/33' is no IP address and no network"),
        ("v1", (), "allow_from is empty, so nobody could connect"),
    ],
)
def test_settings_that_cannot_be(accepts: Literal["v1"], allow_from: tuple[str, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ProxyProtocol(accepts, allow_from)


# ---- what is no header ----


@pytest.mark.parametrize(
    ("accepts", "sent", "words"),
    [
        ("auto", b"GET / HTTP/1.1\r\n\r\n", "and not with a PROXY header: that begins an HTTP request; does"),
        ("auto", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03", ": that begins a TLS handshake; does the balancer"),
        (
            "auto",
            frame(b"hello"),
            r"the connection begins with b'\x00\x00\x00\x05hello', and not with a PROXY",
        ),
        ("v1", V2, "a PROXY header of version 2 came, and only version 1 is accepted"),
        ("v2", V1, "a PROXY header of version 1 came, and only version 2 is accepted"),
        (
            "auto",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 x\r\n",
            "the PROXY header of version 1 is not as its line has",
        ),
        ("auto", V2[:14] + b"\xff\xff", "the PROXY header has 65551 bytes or more, over the limit of 4112"),
    ],
)
@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_what_is_no_header_is_one_line(
    accepts: Literal["v1", "v2", "auto"],
    sent: bytes,
    words: str,
    kind: str,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = await listen()
    listeners = [listener] if kind == "tcp" else ()
    async with serving(listeners=listeners, proxy_protocol=ProxyProtocol(accepts)) as running:
        balancer = await connect(listener) if kind == "tcp" else running.listener.connect()
        await balancer.send_all(sent)
        await balancer.send_eof()
        assert await receive_all(balancer) == b""
        await balancer.aclose()
    await listener.aclose()
    [line] = log_lines(caplog)
    assert words in line
    assert running.errors == {"proxy_header_invalid": 1}
    assert running.messages == 0


async def test_an_end_inside_a_header(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(proxy_protocol=AUTO) as running:
        balancer = running.listener.connect()
        await balancer.send_all(V2[:20])
        await balancer.send_eof()
        assert await receive_all(balancer) == b""
    assert running.errors == {"proxy_header_invalid": 1}
    words = "the connection ended inside the PROXY header, after 20 bytes and 8 or more before its end"
    assert words in log_lines(caplog)[0]


@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_look_whether_a_server_is_there_is_no_error(
    is_reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await listen()
    async with serving(listeners=[listener], proxy_protocol=AUTO) as running:
        balancer = await connect(listener)
        if is_reset:
            reset(balancer)
        else:
            await balancer.send_eof()
            assert await receive_all(balancer) == b""
            await balancer.aclose()
        client = await connect(listener)
        await client.send_all(V1)
        assert await is_echoed(client, b"one")
        await client.aclose()
    assert running.errors == {}
    assert log_lines(caplog) == []


# ---- the clock ----


@pytest.mark.parametrize(("sent", "words"), [(b"", "did not come"), (V1[:9], "did not come to its end")])
async def test_a_header_that_does_not_come(
    sent: bytes, words: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(proxy_protocol=AUTO, proxy_header_timeout_s=7) as running:
        balancer = running.listener.connect()
        if sent:
            await balancer.send_all(sent)
        began = trio.current_time()
        assert await receive_all(balancer) == b""
        assert trio.current_time() - began == pytest.approx(7, abs=0.1)
    assert running.errors == {"proxy_header_timeout": 1}
    assert f": the PROXY header {words} within 7 s; does the balancer send one" in log_lines(caplog)[0]


async def test_a_byte_now_and_then_does_not_reset_the_clock(autojump_clock: MockClock) -> None:
    async with serving(proxy_protocol=AUTO, proxy_header_timeout_s=7) as running:
        balancer = running.listener.connect()
        for byte in V2[:7]:
            await balancer.send_all(bytes([byte]))
            await trio.sleep(0.9)
        assert running.server.connections == 1
        assert await receive_all(balancer) == b""
        assert trio.current_time() < 8
    assert running.errors == {"proxy_header_timeout": 1}


async def test_what_has_arrived_by_the_end_of_the_clock_counts(mock_clock: MockClock) -> None:
    listener = await listen()
    async with serving(listeners=[listener], proxy_protocol=AUTO, proxy_header_timeout_s=7) as running:
        balancer = await connect(listener)
        while not running.server.connections:
            await trio.testing.wait_all_tasks_blocked()
        await stopped(mock_clock, lambda: send_now(balancer, V2 + frame(b"one")))
        assert await receive_exactly(balancer, 7) == frame(b"one")
        await balancer.aclose()
    assert running.errors == {}


async def test_the_other_clocks_begin_behind_the_header(autojump_clock: MockClock) -> None:
    async with serving(proxy_protocol=AUTO, idle_timeout_s=5) as running:
        balancer = running.listener.connect()
        await trio.sleep(20)
        await balancer.send_all(V2)
        await trio.sleep(4)
        assert await is_echoed(balancer, b"one")
        await balancer.aclose()
    assert running.errors == {}


# ---- the drain ----


@pytest.mark.parametrize("sent", [b"", V1[:9], V1[:20], V2[:14], V2[:20]])
@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_a_connection_in_its_header_ends_at_once(
    sent: bytes, kind: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = await listen()
    async with serving(listeners=[listener] if kind == "tcp" else (), proxy_protocol=AUTO) as running:
        balancer = await connect(listener) if kind == "tcp" else running.listener.connect()
        if sent:
            await balancer.send_all(sent)
        while not running.server.connections:
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.drain)
            assert await receive_all(balancer) == b""
        await balancer.aclose()
    await listener.aclose()
    assert running.result is not None
    assert running.result.connections_aborted == 0
    assert running.errors == {}
    assert log_lines(caplog) == []


@each_header
async def test_a_frame_that_has_arrived_with_its_header_is_echoed_in_a_drain(header: bytes) -> None:
    listener = await listen()
    # The others wait in the queue, until a drain accepts them.
    async with serving(listeners=[listener], proxy_protocol=AUTO, max_connections=1) as running:
        waiting = await connect(listener)
        await waiting.send_all(header[:10])
        while not running.server.connections:
            await trio.testing.wait_all_tasks_blocked()
        # No task of the server runs from here on, until the drain has begun.
        send_now(waiting, header[10:] + frame(b"one"))
        queued = socket.create_connection(("127.0.0.1", port_of(listener)))  # in no turn of the server's
        queued.sendall(header + frame(b"two"))
        silent = socket.create_connection(("127.0.0.1", port_of(listener)))  # and nothing comes on it
        running.server.drain()
        assert await receive_all(waiting) == frame(b"one")
        await waiting.aclose()
        with queued, silent:
            assert await trio.to_thread.run_sync(sockets.receive_all, queued) == frame(b"two")
            assert await trio.to_thread.run_sync(sockets.receive_all, silent) == b""
        assert (await running.drain()).connections_aborted == 0
    assert (running.messages, running.errors) == (2, {})


# ---- whatever comes ----

headers = st.sampled_from([V1, V2, LOCAL, b"PROXY UNKNOWN\r\n"])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    header = bytearray(draw(headers))
    for _ in range(draw(st.integers(0, 3))):
        header[draw(st.integers(0, len(header) - 1))] = draw(st.integers(0, 255))
    return bytes(header[: draw(st.integers(0, len(header)))])


@examples(100)
@given(st.lists(st.binary(max_size=300) | damaged(), min_size=1, max_size=5), headers)
def test_whatever_comes_harms_only_its_own_connection(sent: list[bytes], header: bytes) -> None:
    async def serve() -> None:
        async with serving(proxy_protocol=AUTO) as running:
            for data in sent:
                stranger = running.listener.connect()
                await stranger.send_all(data)
                await stranger.send_eof()
                await receive_all(stranger)
            client = running.listener.connect()
            await client.send_all(header)
            assert await is_echoed(client, b"one")
            await client.aclose()
        assert "handler_failed" not in running.errors

    trio.run(serve, clock=MockClock(autojump_threshold=0))
