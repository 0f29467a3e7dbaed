"""Rides in the hub: what is given to a task, when a clock wakes it, and who gets a turn."""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import socket
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support import connect, frame, guarded, is_echoed, listen, serving
from tests.test_hub import ended, never, running_hub
from trioecho import hub as hub_module
from trioecho.hub import _MOMENT_S, Hub, _Patience
from trioecho.steps import Steps, Wait

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs epoll")

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def pairs() -> Iterator[Callable[[], Ends]]:
    with contextlib.ExitStack() as open_sockets:

        def open_pair() -> Ends:
            one, other = socket.socketpair()
            one.setblocking(False)
            return open_sockets.enter_context(one), open_sockets.enter_context(other)

        yield open_pair


def give_bytes(connection: socket.socket, given: list[bytes]) -> Steps:
    """Steps that give what they receive, until the end."""
    while True:
        yield Wait.READABLE
        data = connection.recv(100)
        if not data:
            raise EOFError
        given.append(data)
        yield Wait.TAKEN


def wait_for_ever(wait: Wait = Wait.READABLE) -> Steps:
    while True:
        yield wait


# ---- giving ----


async def test_what_was_given_is_taken_before_the_steps_go_on(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    given: list[bytes] = []
    async with running_hub() as hub:
        steps = give_bytes(one, given)
        with hub.riding(one, steps, next(steps), never) as ride:
            for number in range(3):
                other.send(b"first")
                await ride.parked()
                assert ride.wait is Wait.TAKEN
                other.send(b"second")
                await trio.testing.wait_all_tasks_blocked()  # it is not resumed again and again
                assert given == [b"first", b"second"] * number + [b"first"]
                assert hub.epoll.poll(0) == []
                hub.go_on(ride)
                await ride.parked()
                assert given == [b"first", b"second"] * (number + 1)
                hub.go_on(ride)
            other.close()
            await ended(ride)
    assert isinstance(ride.failure, EOFError)


async def test_more_can_be_given_at_once(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()

    def give_thrice() -> Steps:
        yield Wait.READABLE
        for _ in range(3):
            yield Wait.TAKEN
        yield Wait.READABLE

    async with running_hub() as hub:
        steps = give_thrice()
        with guarded(), hub.riding(one, steps, next(steps), never) as ride:
            other.send(b"a")
            for _ in range(3):
                await ride.parked()
                ride.is_woken = False
                assert ride.wait is Wait.TAKEN
                await trio.testing.wait_all_tasks_blocked()  # by now nothing waits for the turn of the hub
                hub.go_on(ride)
            assert ride.wait is Wait.READABLE


async def test_while_something_is_taken_the_others_are_resumed(pairs: Callable[[], Ends]) -> None:
    (one, other), (second, second_other) = pairs(), pairs()
    async with running_hub() as hub:
        taken: list[bytes] = []
        busy, free = give_bytes(one, []), give_bytes(second, taken)
        with (
            hub.riding(one, busy, next(busy), never) as busy_ride,
            hub.riding(second, free, next(free), never) as free_ride,
        ):
            other.send(b"a")
            await busy_ride.parked()
            other.send(b"b")
            for _ in range(10):
                second_other.send(b"c")
                await free_ride.parked()
                hub.go_on(free_ride)
    assert taken == [b"c"] * 10


async def test_a_peer_that_is_gone_while_something_is_taken_wakes_nobody(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_hub() as hub:
        steps = give_bytes(one, [])
        with hub.riding(one, steps, next(steps), never) as ride:
            other.send(b"a")
            await ride.parked()
            other.close()  # which an epoll reports, whatever it was asked for
            await trio.testing.wait_all_tasks_blocked()
            assert hub.epoll.poll(0) == []
            assert not ride.is_over
            hub.go_on(ride)
            await ended(ride)
    assert isinstance(ride.failure, EOFError)


async def test_what_steps_raise_when_they_go_on_is_the_tasks(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()

    def give_and_fail() -> Steps:
        yield Wait.READABLE
        yield Wait.TAKEN
        raise EOFError

    async with running_hub() as hub:
        steps = give_and_fail()
        with hub.riding(one, steps, next(steps), never) as ride:
            other.send(b"a")
            await ride.parked()
            await trio.testing.wait_all_tasks_blocked()  # by now the hub looks away
            hub.go_on(ride)
            assert ride.is_over
            assert isinstance(ride.failure, EOFError)
        steps = give_bytes(one, [])
        with hub.riding(one, steps, next(steps), never) as ride:  # nothing is left of the first
            await ride.parked()
            assert ride.wait is Wait.TAKEN


class Full:
    """A hub's epoll, into which no more sockets fit (`/proc/sys/fs/epoll/max_user_watches`)."""

    def __init__(self, epoll: Any) -> None:
        self._epoll = epoll

    def register(self, descriptor: int, events: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


async def test_a_socket_that_does_not_fit_into_the_epoll_again_ends_only_its_own_ride(
    pairs: Callable[[], Ends],
) -> None:
    (one, other), (second, second_other) = pairs(), pairs()
    taken: list[bytes] = []
    async with running_hub() as hub:
        crowded, free = give_bytes(one, []), give_bytes(second, taken)
        with (
            hub.riding(one, crowded, next(crowded), never) as ride,
            hub.riding(second, free, next(free), never) as free_ride,
        ):
            other.send(b"a")
            await ride.parked()
            other.send(b"b")
            await trio.testing.wait_all_tasks_blocked()  # by now the hub looks away
            hub.epoll = Full(hub.epoll)
            hub.go_on(ride)
            await ended(ride)
            assert isinstance(ride.failure, OSError)
            for _ in range(2):
                second_other.send(b"c")
                await free_ride.parked()
                hub.go_on(free_ride)
    assert taken == [b"c"] * 2


async def what_happens_to_three(pairs: Callable[[], Ends]) -> list[str]:
    """What happens, and when, to connections that are ready at the same time."""
    happened: list[str] = []

    def give_and_note(connection: socket.socket) -> Steps:
        while True:
            yield Wait.READABLE
            connection.recv(100)
            yield Wait.TAKEN
            happened.append("resumed")

    async def ride(connection: socket.socket) -> None:
        steps = give_and_note(connection)
        with hub.riding(connection, steps, next(steps), never) as ride:
            while True:
                await ride.parked()
                happened.append("taken")
                hub.go_on(ride)

    ends = [pairs() for _ in range(3)]
    async with running_hub() as hub, trio.open_nursery() as nursery:
        for one, _ in ends:
            nursery.start_soon(ride, one)
        await trio.testing.wait_all_tasks_blocked()
        for _, other in ends:
            other.send(b"a")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return happened


async def test_steps_go_on_after_all_tasks_that_have_something_to_do(pairs: Callable[[], Ends]) -> None:
    assert await what_happens_to_three(pairs) == ["taken"] * 3 + ["resumed"] * 3


async def test_steps_do_not_wait_for_tasks_that_take_long(
    pairs: Callable[[], Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock by which every look at it takes a millisecond.
    looks = itertools.count()
    slow_clock = types.SimpleNamespace(perf_counter=lambda: next(looks) * 0.001)
    monkeypatch.setattr(hub_module, "time", slow_clock)
    happened = await what_happens_to_three(pairs)
    assert happened == ["taken", "taken", "resumed", "resumed", "taken", "resumed"]


async def test_who_leaves_before_its_steps_were_resumed_keeps_them(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    given: list[bytes] = []
    async with running_hub() as hub:
        steps = give_bytes(one, given)
        with hub.riding(one, steps, next(steps), never) as ride:
            other.send(b"first")
            await ride.parked()  # within the turn of the hub
            other.send(b"second")
            hub.go_on(ride)
        await trio.testing.wait_all_tasks_blocked()
        assert given == [b"first"]
        assert next(steps) is Wait.READABLE
        assert next(steps) is Wait.TAKEN
    assert given == [b"first", b"second"]


# ---- seats ----


async def test_a_seat_waits_for_input_again_and_again(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_hub() as hub:
        seat = hub.seat(one, never)
        for number in range(5):
            other.send(b"%d" % number)
            with trio.testing.assert_checkpoints():
                await seat.readable()
            assert one.recv(10) == b"%d" % number
            assert not seat.is_woken
        with trio.move_on_after(0) as scope:
            await seat.readable()
        assert scope.cancelled_caught
        seat.leave()
        assert hub.epoll.poll(0) == []


async def test_while_nobody_sits_the_hub_looks_away(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_hub() as hub:
        seat = hub.seat(one, never)
        for _ in range(3):
            other.send(b"a")
            await trio.testing.wait_all_tasks_blocked()  # or the hub would never sleep
            assert hub.epoll.poll(0) == []
            await seat.readable()
            assert one.recv(10) == b"a"
            seat.wake()
            seat.wake()
            await seat.readable()
            assert seat.is_woken
            seat.is_woken = False
            with trio.move_on_after(0):
                await seat.readable()


async def test_a_peer_that_is_gone_is_input(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_hub() as hub:
        seat = hub.seat(one, never)
        other.close()
        await trio.testing.wait_all_tasks_blocked()
        await seat.readable()
        assert one.recv(10) == b""


# ---- parking ----


async def test_who_is_woken_before_it_parks_sleeps_once_less(pairs: Callable[[], Ends]) -> None:
    one, _ = pairs()
    async with running_hub() as hub:
        steps = wait_for_ever()
        with hub.riding(one, steps, next(steps), never) as ride:
            ride.wake()
            ride.wake()
            with trio.testing.assert_checkpoints():
                await ride.parked()
            ride.is_woken = False
            with trio.move_on_after(0) as scope:
                await ride.parked()
            assert scope.cancelled_caught
            ride.wake()  # nobody is there; it is not lost
            await ride.parked()


# ---- clocks ----


SHORTEST_S = 10.0
PRECISION_S = 0.01 * SHORTEST_S


@contextlib.asynccontextmanager
async def hub_with_clocks(shortest_s: float = SHORTEST_S) -> AsyncIterator[Hub]:
    async with running_hub() as hub, trio.open_nursery() as nursery:
        nursery.start_soon(hub.run_clocks, shortest_s)
        await trio.testing.wait_all_tasks_blocked()
        yield hub
        nursery.cancel_scope.cancel()


async def woken_at(hub: Hub, connection: socket.socket, wait: Wait, deadline: Callable[[], float]) -> float:
    asked: list[Wait] = []

    def noted(wait: Wait) -> float:
        asked.append(wait)
        return deadline()

    steps = wait_for_ever(wait)
    with hub.riding(connection, steps, next(steps), noted) as ride:
        await ride.parked()
        assert not ride.is_over
        assert set(asked) == {wait}
        return trio.current_time()


async def test_a_clock_that_has_run_out_wakes_its_task_in_time(
    pairs: Callable[[], Ends], autojump_clock: MockClock
) -> None:
    async with hub_with_clocks() as hub, trio.open_nursery() as nursery:

        async def ride(start_s: float, clock_s: float) -> None:
            await trio.sleep(start_s)
            deadline = trio.current_time() + clock_s
            late = await woken_at(hub, pairs()[0], Wait.READABLE, lambda: deadline) - deadline
            assert 0 <= late <= PRECISION_S

        for start_s in (0, 0.01, 3, 9.99, 10, 55, 200):
            for clock_s in (SHORTEST_S, 10.05, 17.3, 300):
                nursery.start_soon(ride, start_s, clock_s)


async def test_a_clock_that_moves_on_wakes_nobody_and_is_seldom_looked_at(
    pairs: Callable[[], Ends], autojump_clock: MockClock
) -> None:
    looks = 0

    def moving() -> float:
        nonlocal looks
        looks += 1
        now = trio.current_time()
        return now + SHORTEST_S if now < 1000 else 1005

    async with hub_with_clocks() as hub:
        assert 1005 <= await woken_at(hub, pairs()[0], Wait.READABLE, moving) <= 1005 + PRECISION_S
    assert looks < 1000 / SHORTEST_S + 100


async def test_clocks_that_run_out_one_after_the_other_are_looked_at_together(
    pairs: Callable[[], Ends], autojump_clock: MockClock
) -> None:
    looks = 0

    def soon() -> float:
        nonlocal looks
        looks += 1
        now = trio.current_time()
        return now + PRECISION_S / 100 if now < 10 else now

    async with hub_with_clocks() as hub:
        assert 10 <= await woken_at(hub, pairs()[0], Wait.READABLE, soon) <= 10 + PRECISION_S
    assert looks <= 10 / PRECISION_S + 2


async def test_the_clock_of_a_seat_runs_only_while_somebody_sits_there(
    pairs: Callable[[], Ends], autojump_clock: MockClock
) -> None:
    async with hub_with_clocks() as hub:
        seat = hub.seat(pairs()[0], lambda _: 15.0)
        await trio.sleep(50)
        assert not seat.is_woken
        await seat.readable()
        assert seat.is_woken
        assert 50 <= trio.current_time() <= 50 + SHORTEST_S


async def test_without_clocks_nobody_is_woken(pairs: Callable[[], Ends], autojump_clock: MockClock) -> None:
    async with hub_with_clocks(math.inf) as hub:
        with trio.move_on_after(1e9) as scope:
            await woken_at(hub, pairs()[0], Wait.READABLE, lambda: math.inf)
    assert scope.cancelled_caught


async def send_until_dropped(client: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        await client.send_all(frame(bytes(996)) * 10_000)


@pytest.mark.parametrize(
    ("kind", "clock_s"), [("idle_timeout", 300), ("frame_timeout", 80), ("write_timeout", 90)]
)
async def test_the_clocks_of_connections_that_ride(
    kind: str, clock_s: float, autojump_clock: MockClock
) -> None:
    listener = await listen(buffer=16_384)
    async with (
        serving(listeners=[listener], idle_timeout_s=300, frame_timeout_s=80, write_timeout_s=90) as running,
        trio.open_nursery() as nursery,
    ):
        client = await connect(listener)
        assert await is_echoed(client, b"hello")
        await trio.sleep(10)
        began = trio.current_time()
        if kind == "idle_timeout":
            assert await is_echoed(client, b"hello")
        elif kind == "frame_timeout":
            await client.send_all(frame(b"never whole")[:-1])
        else:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            nursery.start_soon(send_until_dropped, client)
        while not running.handler_ends:  # noqa: ASYNC110 - in virtual time
            await trio.sleep(0.1)
        [(at, _)] = running.handler_ends
        assert clock_s <= at - began <= clock_s + 0.8 + 0.5
        nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(client)
    assert running.errors == {kind: 1}


# ---- turns ----


@pytest.fixture
def endless_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub gives way only where it has a reason."""
    monkeypatch.setattr(hub_module, "_TURN_S", 1e9)


def always_ready(then: Callable[[], None]) -> Steps:
    """Steps of a socket that is always ready; after some turns they do something."""
    for _ in range(100):
        yield Wait.READABLE
    then()
    for _ in range(100_000):
        yield Wait.READABLE
    raise AssertionError("nobody else had a turn")


@pytest.mark.usefixtures("endless_turns")
async def test_who_connects_does_not_wait_until_the_turn_of_the_hub_is_over(
    pairs: Callable[[], Ends],
) -> None:
    one, other = pairs()
    other.send(b"never received")
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as clients:
        address = listener.getsockname()

        async with running_hub() as hub:
            hub.watch(listener)
            steps = always_ready(lambda: _ignore(clients.enter_context(socket.create_connection(address))))
            with guarded(), hub.riding(one, steps, next(steps), never) as ride:
                await trio.lowlevel.wait_readable(listener)
                assert ride.failure is None
            hub.unwatch(listener)


def _ignore(_: object) -> None:
    pass


@pytest.mark.usefixtures("endless_turns")
@pytest.mark.parametrize("end", [Wait.TAKEN, Wait.ARRIVED, EOFError])
async def test_a_task_that_has_something_to_do_does_not_wait_until_the_turn_is_over(
    end: Wait | type[Exception], pairs: Callable[[], Ends]
) -> None:
    (one, other), (second, second_other) = pairs(), pairs()
    other.send(b"never received")

    def ends() -> Steps:
        yield Wait.READABLE
        if isinstance(end, Wait):
            yield end
        else:
            raise end

    async with running_hub() as hub:
        busy, steps = always_ready(lambda: _ignore(second_other.send(b"a"))), ends()
        with (
            guarded(),
            hub.riding(one, busy, next(busy), never) as busy_ride,
            hub.riding(second, steps, next(steps), never) as ride,
        ):
            await ride.parked()
            assert busy_ride.failure is None
            assert ride.is_over is (end is not Wait.TAKEN)


async def test_while_the_hub_is_hot_other_tasks_have_their_turns(
    pairs: Callable[[], Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock by which every look at it takes half a millisecond.
    looks = itertools.count()
    slow_clock = types.SimpleNamespace(perf_counter=lambda: next(looks) * 0.0005)
    monkeypatch.setattr(hub_module, "time", slow_clock)
    one, other = pairs()
    turns_at: list[int] = []
    rounds = 0

    def ping_pong() -> Steps:
        nonlocal rounds
        while rounds < 500:
            yield Wait.READABLE
            one.recv(1)
            other.send(b"x")
            rounds += 1
        raise EOFError

    async def tick() -> None:
        while rounds < 500:
            await trio.lowlevel.checkpoint()
            turns_at.append(rounds)

    async with running_hub() as hub, trio.open_nursery() as nursery:
        steps = ping_pong()
        with guarded(), hub.riding(one, steps, next(steps), never) as ride:
            other.send(b"x")
            nursery.start_soon(tick)
            await ended(ride)
    # Every 2 ms, also when the hub waits by itself, as it does after 16 rounds.
    assert max(later - earlier for earlier, later in itertools.pairwise([0, *turns_at])) <= 6


# ---- patience ----


def passes_until_it_waits(patience: _Patience) -> int:
    passes = 0
    while not patience.wait_s:
        patience.note_pass(1)
        passes += 1
    return passes


def test_a_wait_that_was_not_worth_it_is_tried_ever_more_seldom() -> None:
    patience = _Patience()
    waited = []
    for _ in range(13):
        waited.append(passes_until_it_waits(patience))
        patience.note_pass(63)
    assert waited == [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 16384, 16384]
    passes_until_it_waits(patience)
    patience.note_pass(64)
    assert passes_until_it_waits(patience) == 16


class Watched:
    """A hub's epoll, and how long it was let wait."""

    def __init__(self, epoll: Any) -> None:
        self._epoll = epoll
        self.waited_s: list[float] = []

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        self.waited_s.append(timeout)
        ready: list[tuple[int, int]] = self._epoll.poll(timeout, most)
        return ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


async def test_beside_a_quick_client_the_hub_waits_by_itself_and_not_where_that_is_in_vain(
    pairs: Callable[[], Ends],
) -> None:
    with Hub() as hub:
        watched = Watched(hub.epoll)
        hub.epoll = watched
        one, other = pairs()
        rounds = 0

        def count_bytes() -> Steps:
            nonlocal rounds
            while True:
                yield Wait.READABLE
                one.recv(1)
                rounds += 1
                if rounds >= 17:  # from then on the next comes with every one
                    other.send(b"x")
                if rounds == 200:
                    raise EOFError

        steps = count_bytes()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hub.run)
            with guarded(), hub.riding(one, steps, next(steps), never) as ride:
                for sent in range(1, 18):
                    other.send(b"x")
                    while rounds < sent:
                        await trio.lowlevel.checkpoint()
                await ended(ride)
            nursery.cancel_scope.cancel()
    assert set(watched.waited_s[:16]) == {0.0}
    assert set(watched.waited_s[-150:]) == {_MOMENT_S}
