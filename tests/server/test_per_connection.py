"""`reply_per_connection`: a function of its own for each connection, which knows the peer and remembers."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trustme

from tests.support.serving import log_lines, serving
from tests.support.streams import connect, listen, receive_all
from tests.support.wire import frame, frames
from trioecho import ConnectionInfo, reply_per_connection

Reply = Callable[[bytes], "bytes | Awaitable[bytes]"]


def numbering(connection: ConnectionInfo) -> Reply:
    count = 0

    def reply(message: bytes) -> bytes:
        nonlocal count
        count += 1
        return b"%d %s" % (count, message)

    return reply


class AsyncNumbering:
    def __init__(self, connection: ConnectionInfo) -> None:
        self.count = 0

    async def __call__(self, message: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        self.count += 1
        return b"%d %s" % (self.count, message)


async def asks(stream: trio.abc.Stream, message: bytes, reply: bytes) -> bool:
    await stream.send_all(frame(message))
    received = b""
    while len(received) < len(frame(reply)):
        received += await stream.receive_some()
    return received == frame(reply)


@pytest.mark.parametrize("make_reply", [numbering, AsyncNumbering])
async def test_each_connection_has_its_own_state(make_reply: Any) -> None:
    listener = await listen()
    async with serving(reply_per_connection(make_reply), [listener]):
        one, other = await connect(listener), await connect(listener)
        for count in (1, 2, 3):
            assert await asks(one, b"one", b"%d one" % count)
        assert await asks(other, b"other", b"1 other")
        await one.send_all(frames(*[b"m"] * 100))
        await one.send_eof()
        assert await receive_all(one) == frames(*[b"%d m" % count for count in range(4, 104)])
        await one.aclose()
        await other.aclose()


async def test_a_plain_function_still_replies_in_the_task_that_receives() -> None:
    made_in: list[trio.lowlevel.Task] = []
    replied_in: list[trio.lowlevel.Task] = []

    def make_reply(connection: ConnectionInfo) -> Reply:
        made_in.append(trio.lowlevel.current_task())

        def reply(message: bytes) -> bytes:
            replied_in.append(trio.lowlevel.current_task())
            return message

        return reply

    listener = await listen()
    async with serving(reply_per_connection(make_reply), [listener]) as running:
        if running.server._reactor is None:
            pytest.skip("without a reactor all is done in the connection's own task")
        streams = [await connect(listener) for _ in range(2)]
        for stream in (*streams, *streams):
            assert await asks(stream, b"who", b"who")
        for stream in streams:
            await stream.aclose()
    assert len(set(made_in)) == 2
    assert len(set(replied_in)) == 1
    assert not set(replied_in) & set(made_in)


async def test_what_is_known_of_a_peer_on_a_socket() -> None:
    known: list[ConnectionInfo] = []

    def make_reply(connection: ConnectionInfo) -> Reply:
        known.append(connection)
        return lambda message: repr(connection.address).encode()

    listener = await listen()
    async with serving(reply_per_connection(make_reply), [listener]):
        stream = await connect(listener)
        host, port = stream.socket.getsockname()
        assert await asks(stream, b"who am I?", f"('{host}', {port})".encode())
        await stream.aclose()
    assert known == [ConnectionInfo(peer=f"{host}:{port}", address=(host, port), is_tls=False)]


async def test_what_is_known_of_a_peer_over_tls_and_in_memory() -> None:
    known: list[ConnectionInfo] = []

    def make_reply(connection: ConnectionInfo) -> Reply:
        known.append(connection)
        return lambda message: message

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    for_client = ssl.create_default_context()
    authority.configure_trust(for_client)
    listener = await listen()
    async with serving(reply_per_connection(make_reply), [trio.SSLListener(listener, context)]):
        plain = await trio.open_tcp_stream(*listener.socket.getsockname())
        stream = trio.SSLStream(plain, for_client, server_hostname="localhost")
        address = plain.socket.getsockname()
        assert await asks(stream, b"hello", b"hello")
        await stream.aclose()
    assert known.pop() == ConnectionInfo(f"127.0.0.1:{address[1]}", address, is_tls=True)

    async with serving(reply_per_connection(make_reply)) as running:
        in_memory = running.listener.connect()
        assert await asks(in_memory, b"hello", b"hello")
        await in_memory.aclose()
    assert known == [ConnectionInfo("a StapledStream", None, is_tls=False)]


def fails_for_every_peer(connection: ConnectionInfo) -> Reply:
    raise PermissionError(f"{connection.peer} is not known")


def makes_no_function(connection: ConnectionInfo) -> Any:
    return b"hello"


@pytest.mark.parametrize(
    ("make_reply", "kind"), [(fails_for_every_peer, "PermissionError"), (makes_no_function, "TypeError")]
)
async def test_what_cannot_be_made_ends_its_own_connection(
    make_reply: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    is_first = True

    def make_once(connection: ConnectionInfo) -> Reply:
        nonlocal is_first
        if is_first:
            is_first = False
            made: Reply = make_reply(connection)
            return made
        return numbering(connection)

    async with serving(reply_per_connection(make_once)) as running:
        refused = running.listener.connect()
        await refused.send_all(frame(b"hello"))
        assert await receive_all(refused) == b""
        other = running.listener.connect()
        assert await asks(other, b"hello", b"1 hello")
        await other.aclose()
    assert running.errors == {"handler_failed": 1}
    assert log_lines(caplog) == [f"a StapledStream: the handler failed; its connection is closed: {kind}"]


async def async_maker(connection: ConnectionInfo) -> Reply:
    return lambda message: message


def maker_of_two(connection: ConnectionInfo, other: int) -> Reply:
    return lambda message: message


@pytest.mark.parametrize(
    ("make_reply", "words"),
    [
        (b"hello", "what makes a reply is a function"),
        (
            async_maker,
            r"async_maker\(\) is async, and it has to return the reply function at once: write def",
        ),
        (maker_of_two, r"maker_of_two\(\) is called with the connection, and nothing else"),
    ],
)
def test_what_makes_no_replies_is_refused_at_once(make_reply: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        reply_per_connection(make_reply)
