"""Strangers at the HTTP server: what they can take of the process is bounded, whatever they do."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.guard import guarded
from tests.support.sockets import reset
from trioecho.admin.application import AdminApplication, Page, PageReply, text_reply
from trioecho.admin.http_connection import HttpLimits
from trioecho.admin.http_server import serve_http

GET = b"GET /here HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST_GET = b"GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PAGES: Mapping[str, Page] = {
    "/here": lambda _: text_reply("here"),
    "/large": lambda _: PageReply(bytes(1 << 20)),
}
Connect = Callable[[], Awaitable[trio.SocketStream]]


@contextlib.asynccontextmanager
async def http_server(
    pages: Mapping[str, Page] = PAGES, limits: HttpLimits | None = None
) -> AsyncIterator[Connect]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    opened: list[trio.SocketStream] = []

    async def connect() -> trio.SocketStream:
        opened.append(await trio.testing.open_stream_to_socket_listener(listeners[0]))
        return opened[-1]

    with guarded():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_http, AdminApplication(pages), listeners, limits)
            yield connect
            nursery.cancel_scope.cancel()
        for each in (*listeners, *opened):
            await each.aclose()


async def receive_all(stream: trio.SocketStream) -> bytes:
    received = bytearray()
    with contextlib.suppress(trio.BrokenResourceError):
        async for part in stream:
            received += part
    return bytes(received)


async def is_served(connect: Connect) -> bool:
    stream = await connect()
    await stream.send_all(LAST_GET)
    return (await receive_all(stream)).endswith(b"\r\n\r\nhere\n")


async def test_a_client_may_end_its_half_behind_its_request() -> None:
    async with http_server() as connect:
        stream = await connect()
        await stream.send_all(b"GET /here HTTP/1.0\r\n\r\n")
        await stream.send_eof()
        assert (await receive_all(stream)).endswith(b"\r\n\r\nhere\n")


async def test_a_client_that_is_gone_before_its_reply_is_no_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with http_server() as connect:
        for count in (1, 2, 3):
            for path in (b"here", b"large"):
                stream = await connect()
                await stream.send_all(count * GET.replace(b"here", path))
                reset(stream.socket)
        assert await is_served(connect)
        await trio.testing.wait_all_tasks_blocked(0.01)
    assert [record.getMessage() for record in caplog.records] == []


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with http_server() as connect:
        stream = await connect()
        await stream.send_all(3 * GET + LAST_GET)
        assert (await receive_all(stream)).count(b"\r\n\r\nhere\n") == 4


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /here HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000),
        b"GET /here HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /here HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\nx\r\n" * 10_000,
    ],
    ids=["a body", "a body that is announced", "many chunks"],
)
async def test_a_body_is_not_waited_for(request_: bytes) -> None:
    async with http_server() as connect:
        stream = await connect()
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                with contextlib.suppress(trio.BrokenResourceError):
                    await stream.send_all(request_)

            nursery.start_soon(send)
            reply = await receive_all(stream)
        assert reply.startswith((b"HTTP/1.1 405", b"HTTP/1.1 200"))
        assert await is_served(connect)


async def test_http_2_is_not_spoken_to_who_begins_with_it() -> None:
    async with http_server() as connect:
        stream = await connect()
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000"))
        assert await receive_all(stream) == b""
        assert await is_served(connect)


async def test_who_offers_http_2_is_served_by_http_1_and_may_go_on() -> None:
    async with http_server() as connect:
        stream = await connect()
        await stream.send_all(
            b"GET /here HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n"
            b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + LAST_GET
        )
        received = await receive_all(stream)
        assert received.startswith(b"HTTP/1.1 200")
        assert received.count(b"\r\n\r\nhere\n") == 2


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://localhost/here", b"200"),
        (b"HTTP://127.0.0.1:80/here?a=/b", b"200"),
        (b"http://[::1]:80/%68ere", b"200"),
        (b"http://localhost", b"404"),  # its path is /
        (b"http://localhost?/here", b"404"),
        (b"http://evil.example/here", b"421"),
        (b"https://localhost/here", b"421"),
        (b"http://localhost@evil.example/here", b"421"),
        (b"/http://localhost/here", b"404"),
        (b"*", b"404"),
    ],
)
async def test_the_target_of_a_request_may_be_absolute(target: bytes, status: bytes) -> None:
    async with http_server() as connect:
        stream = await connect()
        # Its Host is the target's, whatever the field says (RFC 9112, 3.2.2).
        host = b"evil.example" if b"//localhost/here" in target and target[:1] != b"/" else b"localhost"
        await stream.send_all(
            b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        )
        assert (await receive_all(stream)).startswith(b"HTTP/1.1 " + status)


async def test_a_websocket_is_refused() -> None:
    async with http_server() as connect:
        stream = await connect()
        await stream.send_all(
            b"GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert (await receive_all(stream)).startswith(b"HTTP/1.1 403")


async def test_a_head_that_is_too_long_is_refused() -> None:
    async with http_server() as connect:
        stream = await connect()
        await stream.send_all(b"GET /here HTTP/1.1\r\n" + b"x: y\r\n" * 2000)
        assert (await receive_all(stream)).startswith(b"HTTP/1.1 431")


async def test_who_says_nothing_is_closed() -> None:
    async with http_server(limits=HttpLimits(head_s=0.05)) as connect:
        stream = await connect()
        await stream.send_all(b"GET /here")
        assert await receive_all(stream) == b""


async def test_who_does_not_read_is_closed_and_holds_up_no_end() -> None:
    async with http_server(limits=HttpLimits(request_s=0.05, send_s=3600)) as connect:
        stream = await connect()
        await stream.send_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        with contextlib.suppress(trio.BrokenResourceError):
            while True:  # until it is closed, which this finds out
                await stream.send_all(b"x")
                await trio.sleep(0.01)
    async with http_server() as connect:  # with its ordinary clocks, it ends at once all the same
        stream = await connect()
        await stream.send_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
        assert await is_served(connect)


async def test_a_crowd_holds_only_so_many_connections_and_newcomers_are_served() -> None:
    limits = HttpLimits(connections=20, accepts=10_000, receives=10_000, head_s=3600)
    async with http_server(limits=limits) as connect:
        crowd = [await connect() for _ in range(200)]
        for each in crowd:
            await each.send_all(b"GET /here HTTP/1.1\r\n")
        assert await is_served(connect)
        ends, enough = 0, trio.Event()

        async def wait_for_end(stream: trio.SocketStream) -> None:
            nonlocal ends
            await receive_all(stream)
            ends += 1
            if ends == 180:
                enough.set()

        async with trio.open_nursery() as nursery:
            for each in crowd:
                nursery.start_soon(wait_for_end, each)
            await enough.wait()
            nursery.cancel_scope.cancel()


def stream_page() -> tuple[trio.MemorySendChannel[bytes], Page]:
    """A page with a stream, and where its parts come from."""
    to_client, parts = trio.open_memory_channel[bytes](0)

    async def stream_of_parts() -> AsyncGenerator[bytes, None]:
        async with parts:
            async for part in parts:
                yield part

    return to_client, lambda _: PageReply(stream_of_parts(), "text/event-stream")


async def test_streams_stay_when_a_crowd_comes() -> None:
    to_client, page = stream_page()
    pages: dict[str, Page] = {**PAGES, "/stream": page}
    async with http_server(pages, HttpLimits(connections=4, accepts=10_000)) as connect:
        stream = await connect()
        await stream.send_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await to_client.send(b"one")
        _crowd = [await connect() for _ in range(20)]
        assert await is_served(connect)
        await to_client.send(b"two")
        await to_client.aclose()
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += await stream.receive_some()
        assert b"one" in received
        assert b"two" in received


async def test_a_stream_may_take_longer_than_a_request() -> None:
    to_client, page = stream_page()
    async with http_server({"/stream": page}, HttpLimits(request_s=0.5)) as connect:
        stream = await connect()
        await stream.send_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await to_client.send(b"one")
        await trio.sleep(0.6)  # the clock that must not run is the system's
        await to_client.send(b"two")
        await to_client.aclose()
        assert b"two" in await receive_all(stream)


async def test_a_stream_ends_when_its_client_is_gone() -> None:
    ended = trio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        yield b"one"
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with http_server({"/stream": lambda _: PageReply(endless(), "text/event-stream")}) as connect:
        stream = await connect()
        await stream.send_all(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await stream.receive_some()
        await stream.aclose()
        await ended.wait()


@examples(30)
@given(
    st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([GET, b"\r\n", b"GET ", b" HTTP/1.1\r\n"])))
)
def test_garbage_ends_only_its_own_connection(parts: list[bytes]) -> None:
    async def play() -> None:
        async with http_server(limits=HttpLimits(accepts=1e5, receives=1e5, requests=1e5)) as connect:
            stream = await connect()
            with contextlib.suppress(trio.BrokenResourceError):
                for part in parts:
                    await stream.send_all(part)
                await stream.send_eof()
            await receive_all(stream)
            assert await is_served(connect)

    trio.run(play)
