"""Handlers of messages: their replies go out in order, together, and never later than need be."""

from __future__ import annotations

import contextlib
import contextvars
import os
import socket
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.guard import guarded
from tests.support.serving import Serving, counted_channel, log_lines, serving
from tests.support.streams import Stream, is_echoed, listen, receive_all, receive_exactly, reset, tcp_pair
from tests.support.wire import frame, frames
from trioecho import FrameChannel, FrameTooLargeError, Handler, PayloadTooLargeError, reply_with
from trioecho.connection.reactor import Reactor
from trioecho.connection.registration import Registration
from trioecho.connection.replies import _with_on_suspend
from trioecho.connection.transport import SocketTransport

Reply = Callable[[bytes], Awaitable[bytes]]


@pytest.fixture(params=["reactor", "tasks", "memory"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Sockets with either driver, and streams in memory."""
    # Or every drain would take half a second.
    monkeypatch.setattr("trioecho.connection.channel.QUIET_S", 0.01)
    name: str = request.param
    if name == "tasks":
        monkeypatch.setattr("trioecho.server.serving.open_reactor", lambda: None)
    return name


sockets_only = pytest.mark.parametrize("kind", ["reactor", "tasks"], indirect=True)


@contextlib.asynccontextmanager
async def talking(
    kind: str, handler: Handler, *, buffer: int | None = None, **limits: Any
) -> AsyncIterator[tuple[Serving, Stream]]:
    """A server with one client; with a buffer in bytes, if that must be small."""
    if kind == "memory":
        open_pair = trio.testing.memory_stream_pair if buffer is None else trio.testing.lockstep_stream_pair
        async with serving(handler, **limits) as running:
            yield running, running.listener.connect(open_pair)
        return
    listener = await listen(buffer=buffer)
    async with serving(handler, [listener], **limits) as running:
        connection = trio.socket.socket()
        if buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        await connection.connect(listener.socket.getsockname())
        client = trio.SocketStream(connection)
        yield running, client
        await client.aclose()


# Makes a function that replies of one that is not async.
Styled = Callable[[Callable[[bytes], Any]], Any]


@pytest.fixture(params=["async", "plain"])
def styled(request: pytest.FixtureRequest) -> Styled:
    """Functions that are async, and functions that are called where bytes are moved."""

    def as_async(function: Callable[[bytes], Any]) -> Any:
        async def reply(message: bytes) -> Any:
            return function(message)

        return reply

    def as_it_is(function: Callable[[bytes], Any]) -> Any:
        return function

    return as_async if request.param == "async" else as_it_is


class Seen:
    """A function that replies, and is not async."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def __call__(self, message: bytes) -> bytes:
        self.messages.append(message)
        if message.startswith(b"fail"):
            raise ValueError(message)
        return b"re: " + message


class Gates:
    """A function that replies; to messages that begin with ``wait`` when told to."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.gate = trio.Event()

    async def __call__(self, message: bytes) -> bytes:
        self.seen.append(message)
        if message.startswith(b"wait"):
            await self.gate.wait()
        if message.startswith(b"fail"):
            raise ValueError(message)
        return b"re: " + message

    async def has_seen(self, count: int) -> None:
        while len(self.seen) < count:
            await trio.lowlevel.checkpoint()


def replies_to(*messages: bytes) -> bytes:
    return frames(*(b"re: " + message for message in messages))


# ---- together, in order, and not later than need be ----


async def test_replies_come_in_order_whoever_was_suspended(kind: str) -> None:
    async def reply(message: bytes) -> bytes:
        for _ in range(message[0] % 3):
            await trio.lowlevel.checkpoint()
        return message * 2

    messages = [bytes([number, number]) for number in range(200)]
    async with talking(kind, reply_with(reply)) as (running, client):
        wire = frames(*messages)
        for piece in (wire[:3], wire[3:500], wire[500:501], wire[501:]):
            await client.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        expected = frames(*(message * 2 for message in messages))
        assert await receive_exactly(client, len(expected)) == expected
        await running.drain()
    assert running.messages == 200


@sockets_only
@pytest.mark.usefixtures("endless_turns")
async def test_replies_to_messages_that_came_together_are_sent_together(
    kind: str, monkeypatch: pytest.MonkeyPatch, styled: Styled
) -> None:
    sends: list[bytes] = []
    send = socket.socket.send

    def noted(self: socket.socket, data: bytes | memoryview, *flags: int) -> int:
        sends.append(bytes(data))
        return send(self, data, *flags)

    monkeypatch.setattr(socket.socket, "send", noted)
    async with talking(kind, reply_with(styled(Seen()))) as (_, client):
        messages = [b"%d" % number for number in range(50)]
        await client.send_all(frames(*messages))
        await receive_exactly(client, len(replies_to(*messages)))
    assert sends == [replies_to(*messages)]


async def test_a_reply_that_is_suspended_does_not_hold_back_those_before(kind: str) -> None:
    gates = Gates()
    async with talking(kind, reply_with(gates)) as (_, client):
        await client.send_all(frames(b"one", b"two", b"wait", b"three"))
        assert await receive_exactly(client, 2 * 11) == replies_to(b"one", b"two")
        assert gates.seen == [b"one", b"two", b"wait"]
        gates.gate.set()
        assert await receive_exactly(client, 12 + 13) == replies_to(b"wait", b"three")


async def test_what_was_received_before_is_answered_first_and_the_rest_goes_through_the_reactor(
    monkeypatch: pytest.MonkeyPatch, styled: Styled
) -> None:
    registrations: list[Registration] = []
    register = Reactor.register

    def noted(*arguments: Any) -> Registration:
        registrations.append(register(*arguments))
        return registrations[-1]

    monkeypatch.setattr(Reactor, "register", noted)

    async def greet_and_answer(channel: FrameChannel) -> None:
        await channel.receive()
        await channel.reply_with(styled(Seen()))

    async with talking("reactor", greet_and_answer) as (_, client):
        await client.send_all(frames(b"hello", b"1", b"2"))
        assert await receive_exactly(client, 14) == replies_to(b"1", b"2")[:14]
        # The socket stays where it was, and the task sleeps.
        await trio.testing.wait_all_tasks_blocked()
        [registration] = registrations
        assert registration.is_parked


async def test_messages_that_come_while_a_reply_is_made_are_answered_after_it(kind: str) -> None:
    gates = Gates()
    async with talking(kind, reply_with(gates)) as (_, client):
        await client.send_all(frame(b"wait"))
        await gates.has_seen(1)
        for message in (b"one", b"two"):
            await client.send_all(frame(message))
        await trio.testing.wait_all_tasks_blocked()
        gates.gate.set()
        expected = replies_to(b"wait", b"one", b"two")
        assert await receive_exactly(client, len(expected)) == expected


async def test_after_the_half_close_every_reply_comes_and_then_the_end(kind: str) -> None:
    gates = Gates()
    async with talking(kind, reply_with(gates)) as (running, client):
        await client.send_all(frames(b"one", b"wait", b"two"))
        assert isinstance(client, trio.abc.HalfCloseableStream)
        await client.send_eof()
        await gates.has_seen(2)
        gates.gate.set()
        assert await receive_all(client) == replies_to(b"one", b"wait", b"two")
        await running.drain()
    assert running.errors == {}
    assert running.messages == 3


@pytest.mark.parametrize("wider_items", [False, True])
async def test_a_buffer_that_replies_are_made_in_may_be_used_again(
    kind: str, wider_items: bool, styled: Styled
) -> None:
    buffer = bytearray(8)

    def reply(message: bytes) -> Any:
        buffer[:] = message
        return memoryview(buffer).cast("I") if wider_items else buffer

    async with talking(kind, reply_with(styled(reply))) as (_, client):
        assert await is_echoed(client, b"12345678", b"abcdefgh", b"ABCDEFGH")


@pytest.mark.usefixtures("endless_turns")
async def test_replies_of_many_connections_are_made_and_then_sent(
    monkeypatch: pytest.MonkeyPatch, styled: Styled
) -> None:
    # One system call after the other takes less time than with replies in between.
    happened: list[str] = []
    send = socket.socket.send

    def noted(self: socket.socket, data: bytes | memoryview) -> int:
        happened.append("sent")
        return send(self, data)

    def reply(message: bytes) -> bytes:
        happened.append("made")
        return message

    monkeypatch.setattr(socket.socket, "send", noted)
    listener = await listen()
    async with serving(reply_with(styled(reply)), [listener]) as running:
        clients = [socket.create_connection(listener.socket.getsockname()) for _ in range(5)]
        while running.server.connections < 5:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        for client in clients:
            client.sendall(frame(b"hello"))
        await trio.testing.wait_all_tasks_blocked()
        for client in clients:
            assert client.recv(100) == frame(b"hello")
            client.close()
    assert happened == ["made"] * 5 + ["sent"] * 5


async def test_nobody_holds_messages_that_were_replied_to(kind: str, styled: Styled) -> None:
    messages: list[bytes] = []

    def reply(message: bytes) -> bytes:
        messages.append(message)
        return b"done"

    async with talking(kind, reply_with(styled(reply))) as (_, client):
        for count in (1, 3):
            await client.send_all(frames(*[b"message"] * count))
            assert await receive_exactly(client, 8 * count) == frames(*[b"done"] * count)
            await trio.testing.wait_all_tasks_blocked()
            while messages:
                message = messages.pop()
                assert sys.getrefcount(message) == 2  # the variable's, and the argument's


async def test_a_message_that_comes_as_its_task_is_woken_for_another_reason_is_replied_to(
    styled: Styled,
) -> None:
    channels: list[FrameChannel] = []

    async def handler(channel: FrameChannel) -> None:
        channels.append(channel)
        await channel.reply_with(styled(Seen()))

    with guarded():
        async with talking("reactor", handler) as (_, client):
            await client.send_all(frame(b"one"))
            assert await receive_exactly(client, 11) == replies_to(b"one")
            for _ in range(20):  # some of the time the reactor comes first, and some of the time the task
                await trio.testing.wait_all_tasks_blocked()
                await client.send_all(frame(b"two"))
                channels[0]._wake()  # as for a clock that has moved on meanwhile
                assert await receive_exactly(client, 11) == replies_to(b"two")


# ---- what fails ----


async def test_when_a_reply_fails_those_before_were_sent_and_none_after(
    kind: str, caplog: pytest.LogCaptureFixture, styled: Styled
) -> None:
    seen = Seen()
    async with talking(kind, reply_with(styled(seen))) as (running, client):
        await client.send_all(frames(b"one", b"two", b"fail", b"three"))
        assert await receive_all(client) == replies_to(b"one", b"two")
        await client.aclose()
        await running.drain()
    assert seen.messages == [b"one", b"two", b"fail"]
    assert running.errors == {"handler_failed": 1}
    assert running.messages == 2
    assert log_lines(caplog)[0].endswith("the handler failed; its connection is closed: ValueError")


@sockets_only
async def test_when_a_reply_fails_those_before_are_sent_also_to_a_slow_reader(kind: str) -> None:
    big = bytes(996)
    gate = trio.Event()

    async def reply(message: bytes) -> bytes:
        if message == b"fail":
            await gate.wait()
            raise ValueError
        return big

    async with talking(kind, reply_with(reply), buffer=4096) as (running, client):
        await client.send_all(frames(*[b"x"] * 60, b"fail"))
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert await receive_all(client) == frames(*[big] * 60)
        await running.drain()
    assert running.errors == {"handler_failed": 1}
    assert running.messages == 60


async def test_an_end_of_channel_that_a_reply_raises_is_not_the_peers(kind: str, styled: Styled) -> None:
    def reply(message: bytes) -> bytes:
        raise trio.EndOfChannel

    async def handler(channel: FrameChannel) -> None:
        for _ in range(2):  # with messages that were received before, and without
            with pytest.raises(trio.EndOfChannel):
                await channel.reply_with(styled(reply))
            await channel.send(b"raised")

    async with talking(kind, handler) as (_, client):
        await client.send_all(frame(b"one"))
        assert await receive_exactly(client, 10) == frame(b"raised")
        await client.send_all(frame(b"two"))
        assert await receive_all(client) == frame(b"raised")


async def test_messages_after_one_that_failed_are_not_lost(kind: str, styled: Styled) -> None:
    received: list[bytes] = []

    async def handler(channel: FrameChannel) -> None:
        with pytest.raises(ValueError, match="fail once"):
            await channel.reply_with(styled(Seen()))
        await channel.send(b"sorry")
        with pytest.raises(ValueError, match="fail again"):
            await channel.reply_with(styled(Seen()))
        received.extend([message async for message in channel])

    async with talking(kind, handler) as (_, client):
        wire = frames(b"one", b"fail once", b"two", b"fail again", b"", b"three", b"torn")
        await client.send_all(wire[:-2])
        await trio.testing.wait_all_tasks_blocked()
        await client.send_all(wire[-2:])
        assert isinstance(client, trio.abc.HalfCloseableStream)
        await client.send_eof()
        assert await receive_all(client) == frames(b"re: one", b"sorry", b"re: two")
    assert received == [b"", b"three", b"torn"]


async def test_a_reply_over_the_limit_fails_after_those_before_it(kind: str, styled: Styled) -> None:
    def reply(message: bytes) -> bytes:
        return message * 10

    async with talking(kind, reply_with(styled(reply)), max_frame_length=20) as (running, client):
        await client.send_all(frames(b"1", b"12", b"123", b"1"))
        assert await receive_all(client) == frames(b"1" * 10, b"12" * 10)
        await running.drain()
    assert running.errors == {"handler_failed": 1}
    [(_, cause)] = running.handler_ends
    assert isinstance(cause, PayloadTooLargeError)
    assert (cause.length, cause.limit) == (30, 20)


async def test_a_message_over_the_limit_is_refused_after_the_replies_before_it(
    kind: str, styled: Styled
) -> None:
    async with talking(kind, reply_with(styled(Seen())), max_frame_length=20) as (running, client):
        await client.send_all(frames(b"one", b"two") + b"\xff" * 4)
        assert await receive_all(client) == replies_to(b"one", b"two")
        await running.drain()
    assert running.errors == {"frame_too_large": 1}


@pytest.mark.parametrize("method", ["echo", "answer"])
async def test_a_refusal_is_told_of_again(kind: str, method: str, styled: Styled) -> None:
    refusals: list[FrameTooLargeError] = []

    async def handler(channel: FrameChannel) -> None:
        for _ in range(2):
            with pytest.raises(FrameTooLargeError) as caught:
                await (channel.echo() if method == "echo" else channel.reply_with(styled(Seen())))
            refusals.append(caught.value)

    async with talking(kind, handler) as (_, client):
        await client.send_all(b"\xff" * 4)
        assert await receive_all(client) == b""
    assert refusals[0] is refusals[1]


async def test_replies_that_cannot_be_sent_are_not_dropped_in_silence(kind: str, styled: Styled) -> None:
    async def handler(channel: FrameChannel) -> None:
        await channel.send_eof()
        with pytest.raises(trio.ClosedResourceError):
            await channel.reply_with(styled(Seen()))

    async with talking(kind, handler) as (running, client):
        await client.send_all(frames(b"one", b"two"))
        assert await receive_all(client) == b""
        await running.drain()
    assert running.handler_ends[0][1] is None
    assert running.messages == 0


@sockets_only
async def test_a_reset_while_a_reply_is_suspended_lets_it_come_to_its_end(kind: str) -> None:
    gates, is_reset = Gates(), trio.Event()
    ended: list[bytes] = []

    async def reply(message: bytes) -> bytes:
        if message == b"after":
            await is_reset.wait()
        if message == b"suspended":
            # A suspended coroutine that is let go with a nursery in it breaks Trio.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(gates.gate.wait)
        ended.append(message)
        return message

    async with talking(kind, reply_with(reply)) as (running, client):
        await client.send_all(frames(b"after", b"suspended", b"never"))
        await trio.testing.wait_all_tasks_blocked()
        reset(client)
        is_reset.set()
        await trio.testing.wait_all_tasks_blocked()
        gates.gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert running.server.connections == 0
        await running.drain()
    assert ended == [b"after", b"suspended"]
    assert running.errors == {"connection_lost": 1}


@pytest.mark.parametrize("method", ["echo", "answer"])
async def test_nothing_follows_what_could_not_be_sent(
    method: str, monkeypatch: pytest.MonkeyPatch, styled: Styled
) -> None:
    def send_nowait(self: SocketTransport, data: bytes | memoryview) -> int:
        raise trio.BrokenResourceError("connection lost")

    stream, peer = await tcp_pair()
    channel = FrameChannel(stream)
    await peer.send_all(frame(b"one"))
    with monkeypatch.context() as patched:
        patched.setattr(SocketTransport, "send_nowait", send_nowait)
        with pytest.raises(trio.BrokenResourceError, match="connection lost"):
            await (channel.echo() if method == "echo" else channel.reply_with(styled(Seen())))
    with pytest.raises(trio.BrokenResourceError, match="nothing may follow"):
        await channel.send(b"two")
    await channel.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await receive_all(peer)
    await peer.aclose()


@sockets_only
async def test_an_error_of_the_handler_is_not_hidden_by_a_lost_connection(kind: str) -> None:
    gate = trio.Event()

    async def reply(message: bytes) -> bytes:
        if message == b"fail":
            raise ValueError
        await gate.wait()
        return message

    async with talking(kind, reply_with(reply)) as (running, client):
        await client.send_all(frames(b"one", b"fail"))
        await trio.testing.wait_all_tasks_blocked()
        reset(client)
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        await running.drain()
    assert running.errors == {"handler_failed": 1}


# ---- cancellation, and whose task it is ----


async def test_replies_are_made_in_the_task_of_the_connection(kind: str) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    tasks: list[trio.lowlevel.Task] = []

    async def reply(message: bytes) -> bytes:
        tasks.append(trio.lowlevel.current_task())
        assert variable.get() == "set by the handler"
        with trio.move_on_after(0):
            await trio.sleep_forever()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                scope.cancel()
        with pytest.raises(trio.TooSlowError), trio.fail_after(0):
            await trio.sleep_forever()
        return message

    async def handler(channel: FrameChannel) -> None:
        tasks.append(trio.lowlevel.current_task())
        variable.set("set by the handler")
        await channel.reply_with(reply)

    async with talking(kind, handler) as (running, client):
        assert await is_echoed(client, b"one", b"two", b"three")
        await running.drain()
    assert len(tasks) == 4
    assert len(set(tasks)) == 1
    assert running.errors == {}


async def test_cancelled_in_a_reply_those_before_were_sent_and_it_ends_at_once(kind: str) -> None:
    gates = Gates()
    scope = trio.CancelScope()

    async def handler(channel: FrameChannel) -> None:
        with scope:
            await channel.reply_with(gates)
        assert await channel.receive() == b"two"

    async with talking(kind, handler) as (running, client):
        await client.send_all(frames(b"one", b"wait", b"two"))
        await gates.has_seen(2)
        scope.cancel()
        assert await receive_all(client) == replies_to(b"one")
        await running.drain()
    assert gates.seen == [b"one", b"wait"]
    assert running.messages == 1
    assert scope.cancelled_caught


async def test_a_message_that_comes_with_a_cancellation_is_not_lost(styled: Styled) -> None:
    scope = trio.CancelScope()

    def reply(message: bytes) -> bytes:
        return message

    async def handler(channel: FrameChannel) -> None:
        nonlocal scope
        while True:
            with trio.CancelScope() as scope:
                await channel.reply_with(styled(reply))

    async with talking("reactor", handler) as (running, client):
        assert isinstance(client, trio.SocketStream)
        for _ in range(20):  # some of the time the reactor comes first, and some of the time the task
            await trio.testing.wait_all_tasks_blocked()
            os.write(client.socket.fileno(), frame(b"hello"))
            await trio.lowlevel.checkpoint()
            scope.cancel()
            assert await receive_exactly(client, 9) == frame(b"hello")
        running.cancel_scope.cancel()


@sockets_only
@pytest.mark.parametrize("before", [[], [b"before"]])
async def test_a_reply_that_was_made_is_sent_although_a_cancellation_follows(
    kind: str, before: list[bytes], styled: Styled
) -> None:
    scope = trio.CancelScope()

    def reply(message: bytes) -> bytes:
        if message == b"last":
            scope.cancel()
        return message

    async def handler(channel: FrameChannel) -> None:
        with scope:
            await channel.reply_with(styled(reply))
        await channel.send(b"after")

    async with talking(kind, handler) as (running, client):
        await client.send_all(frames(*before, b"last"))
        assert await receive_all(client) == frames(*before, b"last", b"after")
        await running.drain()
    assert running.messages == len(before) + 2


@pytest.mark.parametrize("last", [[b"last"], [b"one", b"last"]])
async def test_a_reply_that_a_cancellation_cuts_tears_the_connection(
    last: list[bytes], styled: Styled
) -> None:
    stream, peer = await tcp_pair(send_buffer=4096)
    channel = FrameChannel(stream)
    async with trio.open_nursery() as nursery:

        def reply(message: bytes) -> bytes:
            if message == b"last":
                nursery.cancel_scope.cancel()
                return bytes(1_000_000)
            return message

        nursery.start_soon(channel.reply_with, styled(reply))
        await peer.send_all(frames(*last))
    with pytest.raises(trio.BrokenResourceError, match="nothing may follow"):
        await channel.send(b"after")
    await channel.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await receive_all(peer)
    await peer.aclose()


@sockets_only
async def test_of_replies_that_were_cut_by_a_cancellation_the_whole_ones_are_counted(kind: str) -> None:
    sent: list[tuple[int, int]] = []
    stream, peer = await tcp_pair(send_buffer=4096)
    channel = counted_channel(stream, lambda count, size, *_: sent.append((count, size)))

    async def reply(message: bytes) -> bytes:
        if message == b"wait":
            await trio.sleep_forever()
        return bytes(996)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.reply_with, reply)
        await peer.send_all(frames(*[b"x"] * 60, b"wait"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sent == []
        nursery.cancel_scope.cancel()
    [(count, size)] = sent
    assert 0 < count < 60
    assert size == count * 1000
    with pytest.raises(trio.BrokenResourceError):
        await channel.send(b"nothing may follow")
    await channel.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await receive_all(peer)
    await peer.aclose()


# ---- a drain ----


async def test_a_drain_waits_for_the_reply_and_answers_what_has_arrived(kind: str) -> None:
    gates = Gates()
    async with talking(kind, reply_with(gates)) as (running, client):
        await client.send_all(frames(b"one", b"wait"))
        await gates.has_seen(2)
        await client.send_all(frames(b"two", b"three") + frame(b"half")[:-1])
        running.server.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert running.result is None
        gates.gate.set()
        replies = replies_to(b"one", b"wait", b"two", b"three")
        assert await receive_exactly(client, len(replies)) == replies
        await client.send_all(frame(b"half")[-1:])
        assert await receive_all(client) == replies_to(b"half")
        await client.aclose()
        await running.ended.wait()
    assert running.result is not None
    assert running.result.connections_aborted == 0
    assert running.messages == 5


@pytest.mark.parametrize("messages", [[b"last"], [b"one", b"last"]])
async def test_a_reply_that_is_made_as_a_drain_begins_is_sent(kind: str, messages: list[bytes]) -> None:
    async def reply(message: bytes) -> bytes:
        if message == b"last":
            running.server.drain()
            await trio.testing.wait_all_tasks_blocked()
        return message

    async with talking(kind, reply_with(reply)) as (running, client):
        await client.send_all(frames(*messages))
        assert await receive_all(client) == frames(*messages)
        await client.aclose()
        await running.ended.wait()
    assert running.messages == len(messages)


async def test_an_answer_that_waits_to_be_sent_as_a_drain_begins_is_sent(kind: str, styled: Styled) -> None:
    channels: list[FrameChannel] = []

    def reply(message: bytes) -> bytes:
        channels[0].drain()
        return message

    async def handler(channel: FrameChannel) -> None:
        channels.append(channel)
        await channel.reply_with(styled(reply))

    async with talking(kind, handler) as (running, client):
        await client.send_all(frame(b"one"))
        assert await receive_all(client) == frame(b"one")
        await running.drain()
    assert running.messages == 1


async def test_a_reply_that_takes_longer_than_the_grace_is_cut(kind: str, mock_clock: MockClock) -> None:
    gates = Gates()
    async with talking(kind, reply_with(gates), grace_s=5) as (running, client):
        await client.send_all(frames(b"one", b"wait"))
        assert await receive_exactly(client, 11) == replies_to(b"one")
        running.server.drain()
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(5)
        await running.ended.wait()
        with contextlib.suppress(trio.BrokenResourceError):
            assert await receive_all(client) == b""
    assert running.result is not None
    assert running.result.connections_aborted == 1
    assert running.messages == 1


# ---- much ----


async def test_replies_larger_than_any_buffer_arrive_at_a_slow_reader(kind: str, styled: Styled) -> None:
    big = bytes(range(256)) * 4000

    def reply(message: bytes) -> bytes:
        return message + big

    messages = [b"%d" % number for number in range(6)]
    expected = frames(*(message + big for message in messages))
    async with talking(kind, reply_with(styled(reply)), buffer=16_384, max_frame_length=1 << 21) as (
        running,
        client,
    ):
        await client.send_all(frames(*messages))
        await trio.testing.wait_all_tasks_blocked()
        assert await receive_exactly(client, len(expected)) == expected
        await running.drain()
    assert running.messages == 6
    assert running.reports[-1].blocked_s > 0


async def test_small_replies_of_which_the_kernel_takes_only_a_part_all_arrive(
    kind: str, styled: Styled
) -> None:
    def reply(message: bytes) -> bytes:
        return message * 996

    messages = [bytes([number]) for number in range(50)]
    expected = frames(*(message * 996 for message in messages))
    async with talking(kind, reply_with(styled(reply)), buffer=4096) as (running, client):
        for _ in range(2):
            await client.send_all(frames(*messages))
            await trio.testing.wait_all_tasks_blocked()
            assert await receive_exactly(client, len(expected)) == expected
        await running.drain()
    assert running.messages == 100


async def test_replies_made_after_some_that_wait_for_the_reader_follow_them(kind: str) -> None:
    gate = trio.Event()

    async def reply(message: bytes) -> bytes:
        if message == b"w":
            await gate.wait()
        return message * 996

    messages = [*[b"x"] * 50, b"w", *[b"y"] * 10]
    expected = frames(*(message * 996 for message in messages))
    async with talking(kind, reply_with(reply), buffer=4096) as (running, client):
        await client.send_all(frames(*messages))
        if kind != "memory":
            await trio.testing.wait_all_tasks_blocked()
        gate.set()
        assert await receive_exactly(client, len(expected)) == expected
        await running.drain()
    assert running.messages == 61


async def test_no_more_replies_are_made_than_can_be_sent(kind: str, styled: Styled) -> None:
    made = 0

    def reply(message: bytes) -> bytes:
        nonlocal made
        made += 1
        return bytes(100_000)

    async with talking(kind, reply_with(styled(reply)), buffer=16_384, write_timeout_s=0) as (
        running,
        client,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, frames(*[b"?"] * 1000))
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert 1 <= made <= 40
            running.cancel_scope.cancel()
            await running.ended.wait()
            nursery.cancel_scope.cancel()


async def test_the_write_clock_runs_for_replies(kind: str, mock_clock: MockClock, styled: Styled) -> None:
    def reply(message: bytes) -> bytes:
        return bytes(1 << 20)

    async with talking(kind, reply_with(styled(reply)), buffer=16_384, write_timeout_s=60) as (
        running,
        client,
    ):
        await client.send_all(frames(*[b"?"] * 10))
        while not running.handler_ends or running.handler_ends[-1][0] < 60:
            await trio.testing.wait_all_tasks_blocked(0.001)
            mock_clock.jump(1)
        assert trio.current_time() >= 60


async def test_the_time_that_a_reply_takes_is_on_no_clock(kind: str, mock_clock: MockClock) -> None:
    gates = Gates()
    clocks = {"idle_timeout_s": 10, "frame_timeout_s": 10, "write_timeout_s": 10}
    async with talking(kind, reply_with(gates), **clocks) as (running, client):
        await client.send_all(frame(b"wait") + frame(b"torn")[:3])
        await gates.has_seen(1)
        for _ in range(30):
            await trio.testing.wait_all_tasks_blocked(0.001)
            mock_clock.jump(1)
        gates.gate.set()
        assert await receive_exactly(client, 12) == replies_to(b"wait")
        mock_clock.jump(9)
        await trio.testing.wait_all_tasks_blocked(0.001)
        await client.send_all(frame(b"torn")[3:])
        assert isinstance(client, trio.abc.HalfCloseableStream)
        assert await receive_exactly(client, 12) == replies_to(b"torn")
        await client.send_eof()
        assert await receive_all(client) == b""
    assert running.errors == {}


async def test_thousands_of_messages_leave_turns_to_other_tasks(kind: str) -> None:
    made = 0
    turns: list[int] = []

    async def reply(message: bytes) -> bytes:
        nonlocal made
        made += 1
        return message

    async def other() -> None:
        while made < 5000:
            turns.append(made)
            await trio.lowlevel.checkpoint()
        turns.append(made)

    wire = frame(b"") * 5000
    async with talking(kind, reply_with(reply)) as (_, client), trio.open_nursery() as nursery:
        nursery.start_soon(other)
        nursery.start_soon(client.send_all, wire)
        assert await receive_exactly(client, len(wire)) == wire
    assert max(later - earlier for earlier, later in pairwise(turns)) <= 2 * 64 + 1


@sockets_only
@pytest.mark.parametrize("is_reset", [True, False])
async def test_input_that_nobody_takes_yet_costs_nothing(kind: str, is_reset: bool) -> None:
    gates = Gates()
    async with talking(kind, reply_with(gates)) as (running, client):
        await client.send_all(frame(b"wait"))
        await gates.has_seen(1)
        if is_reset:
            reset(client)
        else:
            await client.send_all(frame(b"more"))
            assert isinstance(client, trio.SocketStream)
            await client.send_eof()
        # All tasks are blocked only if the reactor is not resumed again and again.
        await trio.testing.wait_all_tasks_blocked(0.01)
        if running.server._reactor is not None:
            assert running.server._reactor.epoll.poll(0) == []
        gates.gate.set()
        if not is_reset:
            assert await receive_all(client) == replies_to(b"wait", b"more")
        await running.drain()
    assert running.errors == ({"connection_lost": 1} if is_reset else {})


# ---- what is done when a reply is suspended ----


async def test_on_suspend_is_called_before_every_suspension_and_all_else_is_passed_on() -> None:
    events: list[object] = []

    @types.coroutine
    def trap(name: object) -> Generator[object, object, object]:
        return (yield name)

    async def coroutine() -> None:
        events.append(await trap("first"))
        with pytest.raises(KeyError):
            await trap("second")
        events.append(await trap("third"))

    suspended = _with_on_suspend(coroutine(), lambda: events.append("on_suspend"))
    assert suspended.send(None) == "first"
    assert suspended.send(1) == "second"
    assert suspended.throw(KeyError()) == "third"
    with pytest.raises(StopIteration):
        suspended.send(3)
    assert events == ["on_suspend", 1, "on_suspend", "on_suspend", 3]
