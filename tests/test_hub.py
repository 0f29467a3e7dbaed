"""The hub: who is resumed when, and what it leaves to others."""

from __future__ import annotations

import contextlib
import math
import socket
import sys
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import trio
import trio.testing

from trioecho.hub import Hub, Ride, open_hub
from trioecho.steps import Steps, Wait

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs epoll")


@contextlib.asynccontextmanager
async def running_hub() -> AsyncIterator[Hub]:
    with Hub() as hub:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.run)
            yield hub
            nursery.cancel_scope.cancel()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    one.setblocking(False)
    with one, other:
        yield one, other


def never(_: Wait) -> float:
    """The deadline of those who have no clock."""
    return math.inf


async def ended(ride: Ride) -> None:
    while not ride.is_over:
        await ride.parked()


def record_bytes(connection: socket.socket, received: list[bytes]) -> Steps:
    """Steps that receive a byte at a time, until the end."""
    while True:
        yield Wait.READABLE
        with contextlib.suppress(BlockingIOError):
            byte = connection.recv(1)
            if not byte:
                raise EOFError
            received.append(byte)


async def test_steps_are_resumed_as_long_as_there_is_something(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    received: list[bytes] = []
    async with running_hub() as hub:
        steps = record_bytes(one, received)
        with hub.riding(one, steps, next(steps), never) as ride:
            other.send(b"abc")
            other.shutdown(socket.SHUT_WR)
            await ended(ride)
    assert received == [b"a", b"b", b"c"]
    assert isinstance(ride.failure, EOFError)
    assert ride.wait is Wait.READABLE


async def test_what_steps_wait_for_may_change(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair

    def fill_then_read() -> Steps:
        try:
            while True:
                one.send(bytes(1 << 16))
        except BlockingIOError:
            yield Wait.WRITABLE
        yield Wait.READABLE
        assert one.recv(10) == b"go on"
        yield Wait.ARRIVED

    async with running_hub() as hub:
        steps = fill_then_read()
        with hub.riding(one, steps, next(steps), never) as ride:
            await trio.testing.wait_all_tasks_blocked()
            assert ride.wait is Wait.WRITABLE
            while ride.wait is Wait.WRITABLE:
                other.recv(1 << 20)
                await trio.testing.wait_all_tasks_blocked()
            assert ride.wait is Wait.READABLE
            other.send(b"go on")
            await ended(ride)
    # What a hub cannot wait for it leaves to the task, with nothing lost.
    assert ride.wait is Wait.ARRIVED
    assert ride.failure is None


async def test_after_a_ride_nothing_is_resumed(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    received: list[bytes] = []
    async with running_hub() as hub:
        steps = record_bytes(one, received)
        with hub.riding(one, steps, next(steps), never):
            pass
        other.send(b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert received == []
        next(steps)
        assert received == [b"a"]


async def test_a_socket_that_was_closed_leaves_its_number_to_the_next() -> None:
    async with running_hub() as hub:
        first, first_peer = socket.socketpair()
        number = first.fileno()
        steps = record_bytes(first, [])
        with contextlib.ExitStack() as first_ride:
            first_ride.enter_context(hub.riding(first, steps, next(steps), never))
            first.close()
            second, second_peer = socket.socketpair()
            second.setblocking(False)
            assert second.fileno() == number
            received: list[bytes] = []
            steps = record_bytes(second, received)
            with hub.riding(second, steps, next(steps), never) as ride:
                first_ride.close()
                second_peer.send(b"a")
                second_peer.shutdown(socket.SHUT_WR)
                await ended(ride)
        assert received == [b"a"]
        for connection in (first_peer, second, second_peer):
            connection.close()


async def test_input_that_never_ends_starves_neither_others_nor_tasks(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    endless, peer = pair
    peer.send(b"x")  # never received, so it is ready for ever
    resumed = 0

    def never_receive() -> Generator[Wait, None, None]:
        nonlocal resumed
        while True:
            yield Wait.READABLE
            resumed += 1

    other, other_peer = socket.socketpair()
    other.setblocking(False)
    received_when: list[int] = []

    def receive_now_and_then() -> Steps:
        while True:
            yield Wait.READABLE
            other.recv(1)
            received_when.append(resumed)

    async with running_hub() as hub:
        busy, polite = never_receive(), receive_now_and_then()
        with hub.riding(endless, busy, next(busy), never), hub.riding(other, polite, next(polite), never):
            for number in range(50):
                other_peer.send(b"a")
                before = resumed
                while len(received_when) <= number:
                    await trio.lowlevel.checkpoint()  # this task has its turns
                assert received_when[number] - before <= 2  # in the next round, or the one after
    other.close()
    other_peer.close()


def test_without_epoll_there_is_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("select.epoll")
    assert open_hub() is None
