"""`open_frame_client` on real sockets and over TLS, against services that are not ours."""

from __future__ import annotations

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trustme

from tests.support.guard import guarded
from tests.support.service import Connection, echo
from tests.support.streams import listen, port_of, reset
from trioecho import ConnectionLostError, NoReplyError, open_frame_client


@contextlib.asynccontextmanager
async def service(
    serve: Callable[[Connection], Any], context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve on any port, which is given."""

    async def handle(stream: trio.SocketStream) -> None:
        await serve(Connection(trio.SSLStream(stream, context, server_side=True) if context else stream))

    with guarded():
        async with trio.open_nursery() as nursery:
            listener = await listen()
            nursery.start_soon(functools.partial(trio.serve_listeners, handle, [listener]))
            yield port_of(listener)
            nursery.cancel_scope.cancel()


async def test_many_tasks_over_one_connection() -> None:
    connections = []

    async def serve(connection: Connection) -> None:
        connections.append(connection)
        await echo(connection)

    payloads = [b"%d" % number * (1 + number * 37 % 2000) for number in range(500)]
    replies: dict[bytes, bytes] = {}

    async with service(serve) as port, open_frame_client("127.0.0.1", port) as client:

        async def request(payload: bytes) -> None:
            replies[payload] = await client.request(payload)

        async with trio.open_nursery() as nursery:
            for payload in payloads:
                nursery.start_soon(request, payload)
    assert replies == {payload: payload for payload in payloads}
    assert len(connections) == 1


async def test_a_connection_that_was_reset_is_replaced_for_the_next_request() -> None:
    connections = []

    async def serve(connection: Connection) -> None:
        connections.append(connection)
        if len(connections) > 1:
            await echo(connection)
        elif await connection.receive():
            reset(connection.stream)

    async with service(serve) as port, open_frame_client("127.0.0.1", port) as client:
        with pytest.raises(NoReplyError) as caught:
            await client.request(b"first")
        assert isinstance(caught.value.__cause__, ConnectionLostError)
        assert await client.request(b"second") == b"second"
    assert [each.received for each in connections] == [[b"first"], [b"second"]]


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_tls(authority: trustme.CA, server_context: ssl.SSLContext) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with service(echo, server_context) as port:
        async with open_frame_client("localhost", port, ssl_context=context) as client:
            assert await client.request(b"hello") == b"hello"


async def test_a_certificate_that_is_not_trusted_is_an_os_error(server_context: ssl.SSLContext) -> None:
    async def expect_a_failure(connection: Connection) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await connection.stream.receive_some()

    async with service(expect_a_failure, server_context) as port:
        with pytest.raises(OSError, match="certificate is not trusted"):
            async with open_frame_client("localhost", port, ssl_context=ssl.create_default_context()):
                pytest.fail("it must not be trusted")
