"""A function that cannot be a handler, or a reply, is named when it is given."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.support.serving import serving
from tests.support.streams import MemoryListener, receive_all, receive_exactly
from tests.support.wire import frame
from trioecho import FrameChannel, echo, reply_with, serve_frames


async def good_reply(message: bytes) -> bytes:
    return message


async def good_handler(channel: FrameChannel) -> None:
    await channel.echo()


async def bare_reply(message):
    return message


def plain(message):
    return message


def plain_bytes(message: bytes) -> bytes:
    return message


async def two(one: object, other: object) -> None:
    raise NotImplementedError


async def none() -> None:
    raise NotImplementedError


async def generator(channel: Any) -> AsyncIterator[bytes]:
    yield b""


def annotated(argument: Any) -> Awaitable[Any]:
    return good_reply(argument)


def annotated_either(message: bytes) -> bytes | Awaitable[bytes]:
    return message


class Caller:
    async def __call__(self, message: bytes) -> bytes:
        return message

    async def method(self, message: bytes) -> bytes:
        return message

    def plain_method(self, message: bytes) -> bytes:
        return message


class PlainCallable:
    def __call__(self, message: object) -> object:
        return message


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*arguments: Any) -> Any:
        return function(*arguments)

    return inner


def plain_generator(argument: Any) -> Iterator[bytes]:
    yield b""


WRONG_FOR_BOTH: list[tuple[object, str]] = [
    (None, "and not None"),
    (b"bytes", "and not an object of type bytes"),
    (two, r"two\(one: 'object', other: 'object'\) -> 'None' cannot be a .*: it is called with the"),
    (none, r"none\(\) -> 'None' cannot be a"),
    (generator, r"generator\(\) has a yield in it"),
    (plain_generator, r"plain_generator\(\) has a yield in it"),
    (functools.partial(two, 1, 2), "cannot be a"),
]


@pytest.mark.parametrize(("function", "words"), WRONG_FOR_BOTH)
async def test_what_can_be_neither_is_named_when_it_is_given(function: Any, words: str) -> None:
    listener = MemoryListener()
    with pytest.raises(TypeError, match=words):
        await serve_frames(function, [listener])
    with pytest.raises(TypeError, match=words):
        reply_with(function)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (plain, r"plain\(\) is not async: write async def.* give serve_frames reply_with\(plain\)"),
        (Caller().plain_method, r"takes a message: give serve_frames reply_with\(Caller.plain_method\)"),
        (PlainCallable(), r"PlainCallable\(\) is not async"),
    ],
)
async def test_a_function_that_is_not_async_is_no_handler(function: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        await serve_frames(function, [])


async def test_a_reply_is_no_handler_and_a_handler_no_reply() -> None:
    for reply in (good_reply, plain_bytes):
        with pytest.raises(TypeError, match=rf"give serve_frames reply_with\({reply.__name__}\)"):
            await serve_frames(reply, [])  # type: ignore[arg-type]
    for handler in (good_handler, echo):
        with pytest.raises(TypeError, match=f"give {handler.__name__} to serve_frames itself"):
            reply_with(handler)  # type: ignore[arg-type]


async def test_what_was_called_already_is_not_left_without_an_await() -> None:
    with pytest.raises(TypeError, match="give good_reply itself, without calling it"):
        reply_with(good_reply(b""))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "reply",
    [
        good_reply,
        bare_reply,
        annotated,
        Caller(),
        Caller().method,
        decorated(good_reply),
        functools.partial(good_reply),
        functools.partial(lambda first, message: good_reply(message), 1),
        lambda message: good_reply(bytes(message)),
        plain,
        plain_bytes,
        Caller().plain_method,
        PlainCallable(),
        decorated(plain),
        functools.partial(plain),
        annotated_either,
        lambda message: message,
        memoryview,
        bytes.strip,
    ],
)
async def test_what_can_be_one_is_one(reply: Any, autojump_clock: MockClock) -> None:
    async with serving(reply_with(reply)) as running:
        client = running.listener.connect()
        await client.send_all(frame(b"hello"))
        assert await receive_exactly(client, 9) == frame(b"hello")
    assert running.errors == {}


async def fate_of(handler: Any, caplog: pytest.LogCaptureFixture) -> str:
    """What is logged of a handler that is given one message."""
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_frames, handler, [listener])
        client = listener.connect()
        await client.send_all(frame(b"hello"))
        assert await receive_all(client) == b""
        server.drain()
    [record] = caplog.records
    assert record.exc_info is not None
    return f"{record.getMessage()}: {record.exc_info[1]}"


async def gives_none(message: bytes) -> bytes:
    return None  # type: ignore[return-value]


async def gives_text(message: bytes) -> bytes:
    return "text"  # type: ignore[return-value]


def plain_none(message: bytes) -> bytes:
    return None  # type: ignore[return-value]


def plain_awaitable(message):
    return good_reply(message)


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (reply_with(gives_none), "gives_none() returned None, and a reply is bytes"),
        (reply_with(gives_text), "gives_text() returned an object of type str, and a reply is bytes"),
        (reply_with(plain_none), "plain_none() returned None, and a reply is bytes"),
        (
            reply_with(plain_awaitable),
            "plain_awaitable() returned an object of type coroutine, and a reply is bytes",
        ),
        (reply_with(lambda message: None), "<lambda>() returned None, and a reply is bytes"),  # type: ignore[arg-type,return-value]
        (lambda channel: None, "<lambda>() returned None and is not async: write async def handler(channel)"),
        (bare_reply, "bare_reply() returned an object of type FrameChannel, and nobody sends"),
    ],
)
async def test_what_only_a_message_can_show_is_named_with_the_first(
    handler: Any, words: str, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    assert words in await fate_of(handler, caplog)


async def test_a_reply_that_stumbles_over_its_channel_is_told_so(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async def shout(message):
        return message.upper()

    fate = await fate_of(shout, caplog)
    assert "it was given a channel; a function from message to message goes into reply_with" in fate
