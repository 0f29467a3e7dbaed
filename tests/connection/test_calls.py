"""Replies by a function that is not async: how many it makes in a turn, what is slow, what fails."""

from __future__ import annotations

import logging
import math
import os
import socket
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.serving import log_lines, serving
from tests.support.streams import MemoryListener, listen, receive_all, receive_exactly
from tests.support.wire import frame, frames
from trioecho import FrameChannel, FrameFormat, Limits, PayloadTooLargeError, reply_with
from trioecho.connection.calls import SLOW_S, Calls
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Interest, Use
from trioecho.connection.turn_limits import ENOUGH_BYTES, TURN_MESSAGES, TURN_S


class Clock:
    """A clock that a function moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("trioecho.connection.calls.perf_counter", clock)
    return clock


def calls_of(function: Any, slow: list[tuple[str, float, int]] | None = None, most: int = 1 << 20) -> Calls:
    def on_slow(*call: Any) -> None:
        assert slow is not None
        slow.append(call)

    return Calls(function, format=FrameFormat(), max_frame_length=most, on_slow=on_slow)


async def connect(listener: MemoryListener | trio.SocketListener, *, buffer: int | None = None) -> Any:
    if isinstance(listener, MemoryListener):
        return listener.connect()
    connection = trio.socket.socket()
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    await connection.connect(listener.socket.getsockname())
    return trio.SocketStream(connection)


# ---- how many in a turn ----


@pytest.mark.parametrize("count", [1, 2, 16, 17, TURN_MESSAGES])
def test_all_that_came_together_is_replied_to_in_order(count: int, clock: Clock) -> None:
    messages = [b"%d" % number for number in range(count)]
    assert calls_of(lambda message: message * 2).make(messages) == (
        frames(*(message * 2 for message in messages)),
        count,
    )


def test_a_turn_has_no_more_messages_than_that(clock: Clock) -> None:
    seen: list[bytes] = []

    def reply(message: bytes) -> bytes:
        seen.append(message)
        return message

    messages = [b"%d" % number for number in range(TURN_MESSAGES + 1)]
    assert calls_of(reply).make(messages) == (frames(*messages[:-1]), TURN_MESSAGES)
    assert seen == messages[:-1]


@pytest.mark.parametrize("size", [1025, 10_000, ENOUGH_BYTES, 1 << 20])
def test_a_turn_has_hardly_more_bytes_than_that(size: int, clock: Clock) -> None:
    wire, count = calls_of(lambda _: bytes(size)).make([b""] * TURN_MESSAGES)
    assert wire == frames(*[bytes(size)] * count)
    assert count == -(-ENOUGH_BYTES // size)


def test_a_turn_lasts_hardly_longer_than_that(clock: Clock) -> None:
    def reply(message: bytes) -> bytes:
        clock.now += TURN_S / 20
        return message

    _, count = calls_of(reply, []).make([b""] * TURN_MESSAGES)
    assert count == 32  # it looks at the clock after 16


# ---- what is slow ----


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2)])
def test_a_slow_call_is_reported_with_its_name_and_time(count: int, expected: int, clock: Clock) -> None:
    def slow_one(message: bytes) -> bytes:
        clock.now += SLOW_S * 1.01
        return message

    slow: list[tuple[str, float, int]] = []
    calls_of(slow_one, slow).make([b""] * count)
    [(name, seconds, messages)] = slow
    assert name.endswith("slow_one")
    assert seconds == pytest.approx(count * SLOW_S * 1.01)
    assert messages == expected


def test_what_is_as_fast_as_that_is_not_reported(clock: Clock) -> None:
    def reply(message: bytes) -> bytes:
        clock.now += SLOW_S * 0.49
        return message

    slow: list[tuple[str, float, int]] = []
    for count in (1, 2):
        calls_of(reply, slow).make([b""] * count)
    assert slow == []


async def test_a_server_logs_the_first_slow_call_and_no_other(
    clock: Clock, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    def dawdle(message: bytes) -> bytes:
        clock.now += 0.25
        return message

    async with serving(reply_with(dawdle)) as running:
        for _ in range(2):
            client = running.listener.connect()
            await client.send_all(frame(b"hello"))
            assert await receive_exactly(client, 9) == frame(b"hello")
    [line] = log_lines(caplog)
    assert "dawdle() took 250 ms for 1 message, and all connections waited for it: make it async" in line
    assert caplog.records[0].levelno == logging.WARNING


# ---- what fails ----


@pytest.mark.parametrize("count", [1, 3, 20, 40])
def test_a_failure_is_kept_and_the_replies_before_it_are_returned(count: int, clock: Clock) -> None:
    for failing in range(count):
        messages = [b"%d" % number for number in range(count)]

        def reply(message: bytes, fails: bytes = messages[failing]) -> bytes:
            if message == fails:
                raise KeyError(message)
            return message

        calls = calls_of(reply)
        assert calls.make(messages) == (frames(*messages[:failing]), failing)
        assert isinstance(calls.failure, KeyError)
        assert calls.failure.args == (messages[failing],)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (None, "returned None, and a reply is bytes"),
        ("text", "returned an object of type str, and a reply is bytes"),
        (5, "returned an object of type int, and a reply is bytes"),
    ],
)
def test_a_reply_that_is_not_bytes_is_a_failure(reply: Any, words: str, count: int, clock: Clock) -> None:
    calls = calls_of(lambda _: reply)
    assert calls.make([b""] * count) == (b"", 0)
    with pytest.raises(TypeError, match=words):
        raise calls.failure or AssertionError


@pytest.mark.parametrize("most", [10, 5000])
def test_a_reply_may_have_as_many_bytes_as_a_frame_and_no_more(most: int, clock: Clock) -> None:
    for count in (1, 2):
        calls = calls_of(lambda message: bytes(int(message)), most=most)
        assert calls.make([b"%d" % most] * count)[1] == count
        assert calls.make([b"%d" % (most + 1)] * count)[1] == 0
        assert isinstance(calls.failure, PayloadTooLargeError)
        assert (calls.failure.length, calls.failure.limit) == (most + 1, most)


async def test_a_coroutine_that_nobody_expected_is_named_and_leaves_no_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    async def good(message: bytes) -> bytes:
        return message

    def forwards(message):
        return good(message)

    calls = calls_of(forwards)
    assert calls.make([b""]) == (b"", 0)
    with pytest.raises(
        TypeError, match=r"forwards\(\) returned an object of type coroutine.*write async def"
    ):
        raise calls.failure or AssertionError
    assert list(recwarn) == []


class StopNow(BaseException):
    """As KeyboardInterrupt, which the test runner would take for its own."""


@pytest.mark.parametrize("has_reactor", [True, False])
async def test_an_exception_that_is_no_error_is_not_kept_waiting_by_the_replies_before_it(
    has_reactor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_reactor:
        monkeypatch.setattr("trioecho.server.serving.open_reactor", lambda: None)

    def reply(message: bytes) -> bytes:
        if message == b"stop":
            raise StopNow
        return message

    def reply_at_length(message: bytes) -> bytes:
        if message == b"stop":
            raise StopNow
        return bytes(3996)

    async def handler(channel: FrameChannel) -> None:
        with pytest.raises(StopNow):
            await channel.reply_with(reply)
        assert await channel.receive() == b"two"
        await channel.send(b"raised")
        with pytest.raises(StopNow):
            await channel.reply_with(reply_at_length)
        with pytest.raises(trio.BrokenResourceError, match="nothing may follow"):
            await channel.send(b"the client has read only a part of the reply")

    listener = await listen(buffer=4096)
    async with serving(handler, [listener]) as running, await connect(listener, buffer=4096) as client:
        await client.send_all(frames(b"one", b"stop", b"two"))
        assert await receive_exactly(client, 7 + 10) == frames(b"one", b"raised")
        # After 16 messages others may have their turn, if those have taken long on a busy machine.
        await client.send_all(frames(*[b"x"] * 15, b"stop"))
        while not running.handler_ends:
            await trio.lowlevel.checkpoint()
    assert running.handler_ends[0][1] is None


async def test_the_error_of_a_function_is_raised_as_it_is_with_where_it_came_from() -> None:
    def reply(message: bytes) -> bytes:
        raise ConnectionRefusedError("of a back end")  # an OSError, but not of this connection

    raised: list[BaseException] = []

    async def handler(channel: FrameChannel) -> None:
        try:
            await channel.reply_with(reply)
        except BaseException as error:
            raised.append(error)
            raise

    listener = await listen()
    async with serving(handler, [listener]) as running:
        async with await connect(listener) as client:
            await client.send_all(frame(b"one"))
            assert await receive_all(client) == b""
        await running.drain()
    [error] = raised
    assert type(error) is ConnectionRefusedError
    assert error.__traceback__ is not None
    names = []
    traceback = error.__traceback__
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next  # type: ignore[assignment]
    assert names[-1] == "reply"
    assert running.errors == {"handler_failed": 1}


# ---- others have their turn ----


def test_what_is_more_than_a_turns_work_waits_for_the_next(clock: Clock) -> None:
    messages = [b"%d" % number for number in range(2 * TURN_MESSAGES + 1)]
    seen: list[bytes] = []

    def reply(message: bytes) -> bytes:
        seen.append(message)
        return message

    exchange = Exchange(format=FrameFormat(), limits=Limits(), receive_capacity=lambda: 0, now=0.0)
    exchange.start(Use.REPLY, 0.0, calls_of(reply))
    sendable = exchange.receive(frames(*messages), 0.0)
    gone = b""
    for turns in (1, 2, 3):
        assert seen == messages[: turns * TURN_MESSAGES]
        assert sendable is not None
        gone += bytes(exchange.unsent_bytes)
        assert exchange.sent(len(sendable), 0.0) is None
        if turns < 3:
            assert exchange.interest is Interest.TURN
            assert exchange.deadline == math.inf
            sendable = exchange.resume(0.0)
    assert exchange.interest is Interest.READABLE
    assert gone == frames(*messages)


async def test_a_peer_that_sends_thousands_of_messages_does_not_hold_up_another(clock: Clock) -> None:
    seen: list[bytes] = []
    tasks: set[trio.lowlevel.Task] = set()

    def reply(message: bytes) -> bytes:
        seen.append(message)
        tasks.add(trio.lowlevel.current_task())
        return message

    listener = await listen()
    async with (
        serving(reply_with(reply), [listener]),
        await connect(listener) as greedy,
        await connect(listener) as polite,
    ):
        for client in (greedy, polite):
            await client.send_all(frame(b"x"))
            assert await receive_exactly(client, 5) == frame(b"x")
        seen.clear()
        # Without a checkpoint in between: both are there before the server looks.
        os.write(greedy.socket.fileno(), frame(b"g") * 3000)
        os.write(polite.socket.fileno(), frame(b"p"))
        assert await receive_exactly(greedy, 15_000) == frame(b"g") * 3000
        assert await receive_exactly(polite, 5) == frame(b"p")
    # At most what a turn has, before or after it.
    assert seen.index(b"p") <= 2 * TURN_MESSAGES
    assert len(seen) == 3001
    assert len(tasks) == 1  # no connection's own was woken for the rest


@pytest.mark.parametrize("where", ["tasks", "memory"])
async def test_other_tasks_have_their_turn_between_thousands_of_messages(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trioecho.server.serving.open_reactor", lambda: None)
    count = 0
    turns: list[int] = []

    def reply(message: bytes) -> bytes:
        nonlocal count
        count += 1
        return message

    async def other() -> None:
        while count < 5000:
            turns.append(count)
            await trio.lowlevel.checkpoint()
        turns.append(count)

    wire = frame(b"") * 5000
    listener = await listen() if where == "tasks" else MemoryListener()
    async with (
        serving(reply_with(reply), [listener]),
        await connect(listener) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(other)
        nursery.start_soon(client.send_all, wire)
        assert await receive_exactly(client, len(wire)) == wire
    assert max(later - earlier for earlier, later in pairwise(turns)) <= 2 * TURN_MESSAGES
