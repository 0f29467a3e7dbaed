"""When a conversation is over, and what it then says; in memory, with a virtual clock."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import trio
from trio.testing import MockClock

from tests.support.service import Connection, echo, open_service, stay_silent
from trioecho import Frame, FrameChannel, FrameTooLargeError, PayloadTooLargeError
from trioecho.send.conversation import Conversation, Ending, TooFewRepliesError

WAIT = Ending(at_last_reply=False, silence_s=3, needs_replies=False)
NO_REPLY = Ending(at_last_reply=False, silence_s=0, needs_replies=False)
PROMPT = Ending(at_last_reply=True, silence_s=1, needs_replies=False)


async def messages(*payloads: bytes, pause_s: float = 0) -> AsyncGenerator[Frame, None]:
    for payload in payloads:
        await trio.sleep(pause_s)
        yield Frame(b"", payload)


async def converse(
    serve: object, ending: Ending, sent: AsyncGenerator[Frame, None], *, half_close: bool = False
) -> tuple[list[bytes], list[bytes], float]:
    """What the service has received, what has come back, and how long it took."""
    replies: list[bytes] = []
    began = trio.current_time()
    async with open_service(serve) as service:  # type: ignore[arg-type]
        async with FrameChannel(await service.connect(), max_frame_length=100_000) as channel:
            conversation = Conversation(channel, ending, lambda reply: replies.append(reply.payload))
            await conversation.run(sent, half_close=half_close)
            took = trio.current_time() - began
            assert conversation.received == len(replies)
        await trio.testing.wait_all_tasks_blocked()
        return service.connections[0].received, replies, took


async def reply_twice_late(connection: Connection) -> None:
    while payload := await connection.receive():
        for number in (b"1", b"2"):
            await trio.sleep(2)
            await connection.reply(payload + number)


async def test_it_ends_at_the_last_reply(autojump_clock: MockClock) -> None:
    assert await converse(echo, Ending(), messages(b"a", b"b")) == ([b"a", b"b"], [b"a", b"b"], 0)
    assert await converse(echo, Ending(), messages()) == ([], [], 0)


async def test_it_goes_on_while_messages_come(autojump_clock: MockClock) -> None:
    received, replies, took = await converse(echo, Ending(silence_s=10), messages(b"a", b"b", pause_s=60))
    assert (received, replies, took) == ([b"a", b"b"], [b"a", b"b"], 120)


async def test_a_reply_that_does_not_come_in_time_is_an_error(autojump_clock: MockClock) -> None:
    with pytest.raises(TooFewRepliesError, match=r"^nothing came for 10 s, after 0 replies to 1 message$"):
        await converse(stay_silent, Ending(silence_s=10), messages(b"a"))
    assert trio.current_time() == 10


async def test_so_is_one_before_the_last_message_was_sent(autojump_clock: MockClock) -> None:
    with pytest.raises(TooFewRepliesError) as caught:
        await converse(stay_silent, Ending(silence_s=10), messages(*[b"a"] * 9, pause_s=4))
    assert (caught.value.sent, caught.value.received) == (3, 0)
    assert trio.current_time() == 4 + 10  # from when the first reply was due


async def test_each_reply_has_its_own_time(autojump_clock: MockClock) -> None:
    _, replies, took = await converse(reply_twice_late, Ending(silence_s=3), messages(b"a", b"b"))
    assert (replies, took) == ([b"a1", b"a2"], 4)


async def test_with_a_wait_it_ends_when_nothing_comes(autojump_clock: MockClock) -> None:
    _, replies, took = await converse(reply_twice_late, WAIT, messages(b"a", b"b"))
    assert (replies, took) == ([b"a1", b"a2", b"b1", b"b2"], 8 + 3)
    assert await converse(stay_silent, WAIT, messages(b"a", pause_s=60)) == ([b"a"], [], 63)


async def test_at_a_prompt_replies_that_are_missing_are_waited_for_a_little(
    autojump_clock: MockClock,
) -> None:
    assert await converse(stay_silent, PROMPT, messages(b"a")) == ([b"a"], [], 1)
    assert await converse(echo, PROMPT, messages(b"a")) == ([b"a"], [b"a"], 0)


async def test_without_replies_it_ends_when_all_is_sent(autojump_clock: MockClock) -> None:
    received, _, took = await converse(stay_silent, NO_REPLY, messages(b"a", b"b"))
    assert (received, took) == ([b"a", b"b"], 0)


async def test_the_end_of_the_stream_comes_behind_the_last_message(autojump_clock: MockClock) -> None:
    async def reply_at_the_end(connection: Connection) -> None:
        while await connection.receive():
            pass
        await connection.reply(b"%d messages" % len(connection.received))
        await connection.end()

    _, replies, took = await converse(reply_at_the_end, WAIT, messages(b"a", b"b"), half_close=True)
    assert (replies, took) == ([b"2 messages"], 0)


async def test_a_service_that_closes_early_is_an_error(autojump_clock: MockClock) -> None:
    async def reply_once(connection: Connection) -> None:
        await connection.reply(await connection.receive())
        await connection.end()

    with pytest.raises(TooFewRepliesError, match="closed the connection, after 1 reply to 2 messages"):
        await converse(reply_once, Ending(), messages(b"a", b"b"))
    with pytest.raises(TooFewRepliesError, match="closed the connection"):
        await converse(reply_once, WAIT, messages(b"a", b"b", pause_s=1))  # the second was not sent
    assert (await converse(reply_once, WAIT, messages(b"a")))[1] == [b"a"]


async def test_what_is_no_frame_is_an_error(autojump_clock: MockClock) -> None:
    async def send_text(connection: Connection) -> None:
        await connection.stream.send_all(b"HTTP/1.1 400 Bad Request")

    with pytest.raises(FrameTooLargeError, match="HTTP"):
        await converse(send_text, Ending(), messages(b"a"))


async def test_errors_of_the_messages_come_out_as_they_are(autojump_clock: MockClock) -> None:
    async def broken() -> AsyncGenerator[Frame, None]:
        yield Frame(b"", b"a")
        raise ValueError("cannot be read")

    with pytest.raises(ValueError, match="cannot be read"):
        await converse(stay_silent, Ending(), broken())
    with pytest.raises(PayloadTooLargeError):
        await converse(echo, Ending(), messages(bytes(100_001)))
