"""Turns of the reactor in a server: receive for all, look at all, send for all, whatever comes."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from tests.support.guard import guarded
from tests.support.serving import Serving, serving
from tests.support.streams import listen
from tests.support.wire import frame, frames
from trioecho import FrameChannel, Handler, echo, reply_with
from trioecho.connection import connection_task
from trioecho.connection import reactor as reactor_module
from trioecho.connection.exchange import Exchange
from trioecho.connection.reactor import Reactor
from trioecho.connection.receiving import SMALL_BYTES
from trioecho.connection.turn_limits import TURN_MESSAGES

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs epoll")

RESET = struct.pack("ii", 1, 0)


async def same(message: bytes) -> bytes:
    return message


both = pytest.mark.parametrize("handler", [echo, reply_with(same)], ids=["echo", "reply"])


def noted_calls(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Exchange]:
    """Of which exchanges a method was called."""
    calls: list[Exchange] = []
    kind: type[Exchange] = vars(connection_task)["Exchange"]  # perhaps one of these already

    def noted(self: Exchange, *arguments: Any) -> Any:
        calls.append(self)
        return getattr(kind, name)(self, *arguments)

    # A method of a compiled class cannot be replaced, but overridden.
    noting = type("NotingExchange", (kind,), {"__slots__": (), name: noted})
    monkeypatch.setattr(connection_task, "Exchange", noting)
    return calls


@pytest.fixture
def long_ways(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """What found its connection not at rest."""
    return noted_calls(monkeypatch, "_receive_any")


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[Exchange]:
    """Whose sends were not accepted at once."""
    return noted_calls(monkeypatch, "begin_block")


@contextlib.asynccontextmanager
async def talking(
    handler: Handler, clients: int = 1, *, buffer: int | None = None, **limits: Any
) -> AsyncIterator[tuple[Serving, list[socket.socket]]]:
    """A server with so many clients, which are blocking sockets."""
    listener = await listen(buffer=buffer)
    async with serving(handler, [listener], **limits) as running:
        with contextlib.ExitStack() as open_sockets, guarded():
            connected = []
            for _ in range(clients):
                client = open_sockets.enter_context(socket.socket())
                if buffer is not None:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
                client.connect(listener.socket.getsockname())
                client.settimeout(5)
                connected.append(client)
            while running.server.connections < clients:
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
            yield running, connected
            await trio.testing.wait_all_tasks_blocked()


async def received_of(client: socket.socket, size: int) -> bytes:
    """So many bytes, while the server runs."""
    received = b""
    client.setblocking(False)
    while len(received) < size:
        try:
            piece = client.recv(size - len(received))
        except BlockingIOError:
            await trio.lowlevel.wait_readable(client)
        else:
            assert piece, f"the stream ended after {received!r}"
            received += piece
    return received


@both
async def test_small_frames_that_come_whole_go_the_short_way(
    handler: Handler, long_ways: list[Exchange]
) -> None:
    async with talking(handler) as (running, [client]):
        client.sendall(frame(b"first"))
        assert await received_of(client, 9) == frame(b"first")
        long_ways.clear()
        for wire in (frame(b"one"), frame(b""), frames(*[b"together"] * 100), frame(bytes(SMALL_BYTES - 5))):
            client.sendall(wire)
            assert await received_of(client, len(wire)) == wire
        assert long_ways == []
    assert running.messages == 104


@both
@pytest.mark.parametrize(
    "wire",
    [frame(b"one") + b"\0\0", frame(b"one") + frame(b"two")[:-1], frame(b"x" * SMALL_BYTES)],
    ids=["header", "payload", "large"],
)
async def test_others_go_the_long_way_and_what_follows_does_not(
    wire: bytes, handler: Handler, long_ways: list[Exchange]
) -> None:
    missing = {b"\0\0": b"\0\1x", b"tw": b"o"}.get(wire[-2:], b"")
    async with talking(handler) as (running, [client]):
        client.sendall(wire)
        await trio.testing.wait_all_tasks_blocked()
        client.sendall(missing)
        assert await received_of(client, len(wire + missing)) == wire + missing
        assert long_ways
        await trio.testing.wait_all_tasks_blocked()
        client.sendall(frame(b"still"))  # after a large receive, this goes the long way, too
        assert await received_of(client, 9) == frame(b"still")
        long_ways.clear()
        client.sendall(frame(b"small"))
        assert await received_of(client, 9) == frame(b"small")
        assert long_ways == []
    assert running.messages == (4 if missing else 3)
    assert running.errors == {}


@both
async def test_all_that_is_ready_is_received_before_any_is_sent(
    handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    send, recv = socket.socket.send, socket.socket.recv

    def noted_send(self: socket.socket, data: bytes) -> int:
        happened.append("sent")
        return send(self, data)

    def noted_recv(self: socket.socket, size: int) -> bytes:
        happened.append("received")
        return recv(self, size)

    # Before the connections are made, which keep what they need of their sockets.
    monkeypatch.setattr(socket.socket, "send", noted_send)
    monkeypatch.setattr(socket.socket, "recv", noted_recv)
    async with talking(handler, clients=5) as (_, clients):
        for client in clients:
            client.sendall(frame(b"hello"))
        await trio.testing.wait_all_tasks_blocked()
        assert happened == ["received"] * 5 + ["sent"] * 5
        for client in clients:
            assert await received_of(client, 9) == frame(b"hello")


@both
async def test_what_is_not_accepted_at_once_is_sent_when_the_client_reads(
    handler: Handler, blocks: list[Exchange], long_ways: list[Exchange]
) -> None:
    wire = frame(bytes(range(250)) * 40)
    count = 0
    async with talking(handler, buffer=4096) as (running, [client]):
        while not blocks:
            client.sendall(wire)
            count += 1
            await trio.testing.wait_all_tasks_blocked()
        client.sendall(frame(b"behind it"))  # is not received meanwhile
        assert await received_of(client, count * len(wire)) == wire * count
        assert await received_of(client, 13) == frame(b"behind it")
        long_ways.clear()
        await trio.testing.wait_all_tasks_blocked()
        client.sendall(frame(b"small"))
        assert await received_of(client, 9) == frame(b"small")
        assert long_ways == []
    assert running.messages == count + 2
    assert running.reports[-1].blocked_s > 0


@both
async def test_the_rest_of_a_frame_has_the_write_clock(handler: Handler) -> None:
    async with talking(handler, buffer=4096, write_timeout_s=0.05) as (running, [client]):
        while running.server.connections:
            with contextlib.suppress(OSError):
                client.sendall(frame(bytes(10_000)))
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(0.01)
    assert running.errors == {"write_timeout": 1}


@both
async def test_who_resets_or_fails_ends_no_other(handler: Handler) -> None:
    async with talking(handler, clients=4) as (running, [one, lost, refused, other]):
        lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        lost.close()
        refused.sendall(frame(b"before") + b"\xff\xff\xff\xff")
        for client in (one, other):
            client.sendall(frame(b"hello"))
        for client in (one, other):
            assert await received_of(client, 9) == frame(b"hello")
        assert await received_of(refused, 10) == frame(b"before")
        await trio.lowlevel.wait_readable(refused)
        assert refused.recv(1) == b""
    assert running.errors == {"connection_lost": 1, "frame_too_large": 1}
    assert running.messages == 3


@both
@pytest.mark.parametrize("first", [b"", frame(b"hello")], ids=["at once", "later"])
async def test_a_reset_is_not_taken_for_the_end(handler: Handler, first: bytes) -> None:
    ends: list[BaseException | None] = []

    async def watched(channel: FrameChannel) -> None:
        try:
            await handler(channel)
        except BaseException as error:
            ends.append(error)
            raise
        ends.append(None)

    async with talking(watched) as (_, [client]):
        client.sendall(first)
        assert await received_of(client, len(first)) == first
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        client.close()
        await trio.testing.wait_all_tasks_blocked()
        [end] = ends
        assert isinstance(end, trio.BrokenResourceError)
        assert isinstance(end.__cause__, ConnectionResetError)


async def test_nothing_is_sent_while_another_task_sends() -> None:
    """What comes meanwhile cannot be echoed, which the handler raises."""
    sent = trio.Event()

    async def echo_and_send(channel: FrameChannel) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.send, bytes(1 << 20))
            sent.set()
            await channel.echo()

    async with talking(echo_and_send, buffer=4096) as (running, [client]):
        await sent.wait()
        await trio.testing.wait_all_tasks_blocked()
        client.sendall(frame(b"hello"))
        await trio.testing.wait_all_tasks_blocked()
        causes = [cause for _, cause in running.handler_ends]
        assert [type(each) for cause in causes for each in getattr(cause, "exceptions", ())] == [
            trio.BusyResourceError
        ]


async def test_nobody_sends_between_the_parts_of_a_frame(blocks: list[Exchange]) -> None:
    channels: list[FrameChannel] = []

    async def handle(channel: FrameChannel) -> None:
        channels.append(channel)
        await channel.echo()

    wire = frame(b"x" * 10_000)
    count = 0
    async with talking(handle, buffer=4096) as (_, [client]):
        while not blocks:
            client.sendall(wire)
            count += 1
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await channels[0].send(b"between")
        assert await received_of(client, count * len(wire)) == wire * count
        await trio.testing.wait_all_tasks_blocked()
        await channels[0].send(b"behind")
        assert await received_of(client, 10) == frame(b"behind")


async def test_a_reply_does_not_go_into_the_middle_of_what_another_task_sends() -> None:
    big = bytes(1 << 20)
    refused = trio.Event()

    async def handle(channel: FrameChannel) -> None:
        async def reply(message: bytes) -> bytes:
            nursery.start_soon(channel.send, big)
            await trio.testing.wait_all_tasks_blocked()
            return message

        async with trio.open_nursery() as nursery:
            with pytest.raises(trio.BusyResourceError):
                await channel.reply_with(reply)
            refused.set()

    async with talking(handle, buffer=4096) as (running, [client]):
        client.sendall(frame(b"hello"))
        await refused.wait()
        assert await received_of(client, 4 + len(big)) == frame(big)
        await trio.lowlevel.wait_readable(client)
        assert client.recv(100) == b""
    assert running.messages == 1


async def test_a_handler_that_sends_by_itself_keeps_the_order() -> None:
    channels: list[FrameChannel] = []

    async def twice(message: bytes) -> bytes:
        await channels[-1].send(b"first " + message)
        return b"then " + message

    async def handle(channel: FrameChannel) -> None:
        channels.append(channel)
        await channel.reply_with(twice)

    async with talking(handle) as (running, [client]):
        for message in (b"1", b"2"):
            client.sendall(frame(message))
            expected = frames(b"first " + message, b"then " + message)
            assert await received_of(client, len(expected)) == expected
    assert running.messages == 4


async def test_messages_that_come_while_one_is_replied_to_wait_for_their_turn(
    long_ways: list[Exchange],
) -> None:
    gate = trio.Event()
    seen: list[bytes] = []

    async def reply(message: bytes) -> bytes:
        seen.append(message)
        await gate.wait()
        return message

    async with talking(reply_with(reply)) as (running, [client]):
        client.sendall(frame(b"one"))
        await trio.testing.wait_all_tasks_blocked()
        client.sendall(frame(b"two"))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [b"one"]
        assert running.server._reactor is not None
        assert running.server._reactor.epoll.poll(0) == []  # it looks away
        gate.set()
        assert await received_of(client, 14) == frames(b"one", b"two")
        assert long_ways == []


@pytest.mark.parametrize("when", ["before the reply", "with the reply"])
async def test_a_drain_while_one_is_replied_to_sends_the_reply(when: str) -> None:
    gate = trio.Event()

    async def reply(message: bytes) -> bytes:
        await gate.wait()
        if when == "with the reply":
            running.server.drain()
        return message

    async with talking(reply_with(reply)) as (running, [client]):
        client.sendall(frame(b"one"))
        await trio.testing.wait_all_tasks_blocked()
        client.sendall(frame(b"two") + b"\0\0")
        if when == "before the reply":
            running.server.drain()
            await trio.testing.wait_all_tasks_blocked()
        gate.set()
        assert await received_of(client, 14) == frames(b"one", b"two")
        client.shutdown(socket.SHUT_WR)
    assert running.messages == 2


async def test_a_reply_that_was_left_can_be_gone_on_with() -> None:
    """When a reply is cancelled its message is lost, and no other."""
    started = trio.Event()

    async def never(message: bytes) -> bytes:
        started.set()
        await trio.sleep_forever()
        raise AssertionError

    async def handle(channel: FrameChannel) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.reply_with, never)
                await started.wait()
                scope.cancel()
        await channel.reply_with(same)

    async with talking(handle) as (running, [client]):
        client.sendall(frame(b"lost"))
        await started.wait()
        client.sendall(frame(b"kept"))
        assert await received_of(client, 8) == frame(b"kept")
    assert running.messages == 1


async def test_the_reactor_does_not_wait_by_itself_while_a_task_still_has_replies_to_make(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 5 * TURN_MESSAGES
    replies = 0
    waits: list[int] = []  # after how many replies

    async def counted(message: bytes) -> bytes:
        nonlocal replies
        replies += 1
        return message

    class NotingReactor(Reactor):
        def _wait(self, wait_s: float) -> list[tuple[int, int]]:
            if wait_s:
                waits.append(replies)
            return super()._wait(wait_s)

    class Patience(reactor_module._Patience):
        def note_pass(self, rounds: int) -> None:
            self.wait_s = self._full_wait_s  # always

    monkeypatch.setattr(reactor_module, "Reactor", NotingReactor)
    monkeypatch.setattr(reactor_module, "_Patience", Patience)
    async with talking(reply_with(counted)) as (_, [client]):
        client.sendall(frame(b"first"))
        await received_of(client, len(frame(b"first")))
        client.sendall(frame(b"") * count)
        await received_of(client, len(frame(b"")) * count)
    assert replies == 1 + count
    assert waits
    assert set(waits) <= {0, 1, replies}
