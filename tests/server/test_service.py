"""What a function takes decides how it is served."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from tests.support.guard import guarded
from trioecho import ConnectionInfo, FrameChannel, echo, reply_with
from trioecho.server.service import ReplyFunction, Service, ServiceEndError, ServiceStartError


def plain(message: bytes) -> bytes:
    return message.upper()


async def waiting(message: bytes) -> bytes:
    await trio.lowlevel.checkpoint()
    return message.upper()


def returning_an_awaitable(message: bytes) -> Awaitable[bytes]:
    return waiting(message)


async def of_a_channel(channel: FrameChannel) -> None:
    async for message in channel:
        await channel.send(message.upper())


def plain_without_annotations(anything):
    return anything.upper()


async def named_message(message):
    return message.upper()


async def named_channel(channel):
    await of_a_channel(channel)


async def known_by_what_it_returns(anything) -> bytes:  # type: ignore[no-untyped-def]
    return bytes(anything.upper())


async def known_by_returning_nothing(anything) -> None:  # type: ignore[no-untyped-def]
    await of_a_channel(anything)


def with_an_option(message: bytes = b"", times: int = 1) -> bytes:
    return message.upper() * times


class PlainCallable:
    def __call__(self, message: bytes) -> bytes:
        return message.upper()


class AsyncCallable:
    async def __call__(self, channel: FrameChannel) -> None:
        await of_a_channel(channel)


def for_each_connection(connection: ConnectionInfo) -> ReplyFunction:
    return waiting if connection.is_tls else plain


def for_each_by_name(connection):
    return waiting


class Session:
    def __init__(self, connection: ConnectionInfo) -> None:
        self.connection = connection

    def __call__(self, message: bytes) -> bytes:
        return message.upper()


@contextlib.asynccontextmanager
async def giving_a_session() -> AsyncIterator[Callable[[ConnectionInfo], ReplyFunction]]:
    yield Session


@contextlib.asynccontextmanager
async def giving_a_reply() -> AsyncIterator[ReplyFunction]:
    yield plain


@contextlib.asynccontextmanager
async def giving_a_handler() -> AsyncIterator[Callable[[FrameChannel], Awaitable[None]]]:
    yield of_a_channel


class Giving:
    async def __aenter__(self) -> ReplyFunction:
        return waiting

    async def __aexit__(self, *error: object) -> None:
        pass


def returning_a_context_manager() -> contextlib.AbstractAsyncContextManager[ReplyFunction]:
    return Giving()


@pytest.mark.parametrize(
    "function",
    [
        plain,
        waiting,
        returning_an_awaitable,
        of_a_channel,
        plain_without_annotations,
        named_message,
        named_channel,
        known_by_what_it_returns,
        known_by_returning_nothing,
        with_an_option,
        PlainCallable(),
        AsyncCallable(),
        bytes.upper,
        lambda anything: anything.upper(),
        reply_with(plain),
        for_each_connection,
        for_each_by_name,
        Session,
        giving_a_session,
        giving_a_reply,
        giving_a_handler,
        Giving,
        returning_a_context_manager,
    ],
)
async def test_each_kind_of_function_is_served(function: Any) -> None:
    for_client, for_server = trio.testing.memory_stream_pair()
    client, server = FrameChannel(for_client), FrameChannel(for_server)
    with guarded():
        async with Service(function).open() as handler, trio.open_nursery() as nursery:
            nursery.start_soon(handler, server)
            for message in (b"hello", b"", b"again"):
                await client.send(message)
                assert await client.receive() == message.upper()
            await client.send_eof()


async def ambiguous(anything):
    pass


def of_text(message: str) -> str:
    return message


def of_two(message: bytes, other: bytes) -> bytes:
    return message + other


def of_nothing() -> bytes:
    return b""


async def undecorated() -> AsyncIterator[ReplyFunction]:
    yield plain


def not_async(channel: FrameChannel) -> None:
    pass


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (
            ambiguous,
            r"ambiguous\(anything\) does not say whether .* write \(message: bytes\) .* \(channel: Fr",
        ),
        (of_text, r"of_text\(\) takes text, and messages are bytes"),
        (of_two, r"of_two\(message: .* takes more than one argument, and is called with one"),
        (of_nothing, r"of_nothing\(\) takes nothing; write .*@asynccontextmanager above"),
        (
            undecorated,
            r"undecorated\(\) has a yield in it and takes nothing; write @asynccontextmanager above",
        ),
        (not_async, r"not_async\(\) is not async: write async def handler\(channel\)"),
        (None, "nothing cannot be served; write a function"),
        (b"hello", "an object of type bytes cannot be served; write a function"),
        (zlib.compressobj(), "an object of type Compress cannot be served"),
    ],
)
def test_what_cannot_be_served_is_refused_before_anything_is_opened(function: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Service(function)


def test_a_call_in_place_of_a_function_is_refused() -> None:
    with pytest.raises(TypeError, match=r"give .*waiting itself, without calling it"):
        Service(waiting(b""))  # type: ignore[arg-type]


async def test_a_handler_is_served_as_it_is() -> None:
    async with Service(echo).open() as handler:
        assert handler is echo  # around it, every idle connection would hold the memory of one more function


async def test_a_context_manager_is_open_for_as_long_as_the_service() -> None:
    events: list[str] = []

    @contextlib.asynccontextmanager
    async def store() -> AsyncIterator[ReplyFunction]:
        events.append("entered")
        yield plain
        events.append("left")

    service = Service(store)
    assert events == []
    async with service.open():
        assert events == ["entered"]
    assert events == ["entered", "left"]


async def test_whose_error_it_is_is_known() -> None:
    @contextlib.asynccontextmanager
    async def cannot_start() -> AsyncIterator[ReplyFunction]:
        raise OSError("no database")
        yield plain

    @contextlib.asynccontextmanager
    async def cannot_end() -> AsyncIterator[ReplyFunction]:
        yield plain
        raise OSError("the database is gone")

    @contextlib.asynccontextmanager
    async def gives_what_cannot_be_served() -> AsyncIterator[int]:
        yield 1

    @contextlib.asynccontextmanager
    async def gives_itself() -> AsyncIterator[Any]:
        yield gives_itself

    for broken, kind, words in (
        (
            cannot_start,
            ServiceStartError,
            r"cannot_start\(\) failed: OSError: no database \(test_service.py:\d+\)",
        ),
        (
            cannot_end,
            ServiceEndError,
            r"cannot_end\(\) failed: OSError: the database is gone \(test_service.py",
        ),
        (gives_what_cannot_be_served, ServiceStartError, "an object of type int cannot be served"),
        (gives_itself, ServiceStartError, "takes nothing"),
    ):
        with pytest.raises(kind, match=words):
            async with Service(broken).open():
                pass
    with pytest.raises(ValueError, match="ours"):
        async with Service(giving_a_reply).open():
            raise ValueError("ours")


async def test_a_task_of_the_context_manager_that_fails_ends_the_service() -> None:
    @contextlib.asynccontextmanager
    async def with_a_task() -> AsyncIterator[ReplyFunction]:
        async def fail() -> None:
            raise OSError("the connection to the database was lost")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            yield plain

    with pytest.raises(ServiceEndError, match="the connection to the database was lost"):
        async with Service(with_a_task).open():
            await trio.sleep_forever()
