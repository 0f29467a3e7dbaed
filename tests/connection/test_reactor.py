"""The reactor: whose bytes it moves when, what it leaves to tasks, and whose clock wakes a task."""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import select
import socket
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.guard import GUARD_S, guarded
from tests.support.serving import serving
from tests.support.streams import connect, is_echoed, listen
from tests.support.wire import frame, frames
from trioecho import FrameFormat, IncompleteFrameError, Limits
from trioecho.connection import reactor as reactor_module
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Interest, Use
from trioecho.connection.reactor import _MOMENT_S, Reactor, _Patience, open_reactor
from trioecho.connection.registration import Registration
from trioecho.connection.sending import Wire
from trioecho.connection.transport import SocketTransport
from trioecho.connection.trio_errors import ConnectionLostError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs epoll")

Ends = tuple[socket.socket, socket.socket]
NO_CLOCKS = Limits(idle_timeout_s=0, frame_timeout_s=0, write_timeout_s=0)


@contextlib.asynccontextmanager
async def running_reactor() -> AsyncIterator[Reactor]:
    with Reactor() as reactor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reactor.run)
            yield reactor
            nursery.cancel_scope.cancel()


@pytest.fixture
def pairs() -> Iterator[Callable[[], Ends]]:
    with contextlib.ExitStack() as open_sockets:

        def open_pair() -> Ends:
            one, other = socket.socketpair()
            other.setblocking(False)
            return open_sockets.enter_context(one), open_sockets.enter_context(other)

        yield open_pair


class WatchedExchange(Exchange):
    """An exchange that calls a function before it looks at what came."""

    __slots__ = ("on_receive",)

    on_receive: Callable[[], object]

    def receive(self, data: Wire, now: float) -> Wire | None:
        self.on_receive()
        return super().receive(data, now)


@contextlib.contextmanager
def registered(
    reactor: Reactor,
    connection: socket.socket,
    use: Use = Use.ECHO,
    *,
    limits: Limits = NO_CLOCKS,
    on_receive: Callable[[], object] = lambda: None,
) -> Iterator[Registration]:
    """Within the block, the reactor moves the bytes of this socket; this task may sleep there."""
    transport = SocketTransport(connection)
    exchange = WatchedExchange(
        format=FrameFormat(),
        limits=limits,
        receive_capacity=transport.receive_capacity,
        now=trio.current_time(),
    )
    exchange.on_receive = on_receive
    exchange.start(use, trio.current_time())
    registration = reactor.register(transport, exchange)
    reactor.rearm(registration)
    try:
        yield registration
    finally:
        registration.leave()


def take(registration: Registration) -> list[bytes]:
    assert registration.exchange.interest is Interest.MESSAGES
    return list(registration.exchange.take_messages())


async def ended(registration: Registration) -> None:
    while registration.exchange.interest is not Interest.ENDED:
        await registration.parked()


# ---- whose bytes are moved ----


async def test_what_comes_is_echoed_until_the_peer_ends(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    wire = frames(b"abc", b"", b"d" * 100_000)
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one) as registration:
            for byte in frame(b"cut"):
                other.send(bytes([byte]))
                await trio.testing.wait_all_tasks_blocked()
            other.send(wire)
            other.shutdown(socket.SHUT_WR)
            await ended(registration)
    received = b""
    while len(received) < 7 + len(wire):
        received += other.recv(1 << 20)
    assert received == frame(b"cut") + wire
    assert registration.failure is None


async def test_what_an_exchange_waits_for_may_change(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    wire = frame(bytes(range(256)) * 100)
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one) as registration:
            sent = 0
            while registration.exchange.interest is Interest.READABLE:
                other.send(wire)
                sent += 1
                await trio.testing.wait_all_tasks_blocked()
            assert registration.exchange.interest is Interest.WRITABLE
            received = b""
            while len(received) < sent * len(wire):
                received += other.recv(1 << 20)
                await trio.testing.wait_all_tasks_blocked()
            assert received == wire * sent
            assert registration.exchange.interest is Interest.READABLE
            other.send(frame(b"on"))
            await trio.testing.wait_all_tasks_blocked()
            assert other.recv(100) == frame(b"on")
            # What a reactor cannot wait for it leaves to the task, with nothing lost.
            other.shutdown(socket.SHUT_WR)
            await registration.parked()
            assert registration.exchange.interest is Interest.ENDED


async def test_after_it_has_left_nothing_is_received(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with registered(reactor, one):
            pass
        other.send(b"a")
        await trio.testing.wait_all_tasks_blocked()
        assert one.recv(10) == b"a"


async def test_a_socket_that_was_closed_leaves_its_number_to_the_next() -> None:
    async with running_reactor() as reactor:
        first, first_peer = socket.socketpair()
        number = first.fileno()
        with contextlib.ExitStack() as first_registration:
            first_registration.enter_context(registered(reactor, first))
            first.close()
            second, second_peer = socket.socketpair()
            assert second.fileno() == number
            with guarded(), registered(reactor, second) as registration:
                first_registration.close()
                second_peer.send(frame(b"a"))
                second_peer.shutdown(socket.SHUT_WR)
                await ended(registration)
        assert second_peer.recv(100) == frame(b"a")
        for connection in (first_peer, second, second_peer):
            connection.close()


async def test_a_failure_is_kept_for_the_task_and_ends_no_other(pairs: Callable[[], Ends]) -> None:
    (one, other), (second, second_other) = pairs(), pairs()
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one) as registration, registered(reactor, second):
            other.send(frame(b"never whole")[:-1])
            other.shutdown(socket.SHUT_WR)
            while registration.failure is None:
                await registration.parked()
            second_other.send(frame(b"hello"))
            await trio.testing.wait_all_tasks_blocked()
            assert second_other.recv(100) == frame(b"hello")
    assert isinstance(registration.failure, IncompleteFrameError)


async def test_a_send_that_fails_tears_the_connection(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one) as registration:
            registration.send = lambda _: one.send(b"x") // 0
            other.send(frame(b"at rest"))
            while registration.failure is None:
                await registration.parked()
            assert isinstance(registration.failure, ZeroDivisionError)
            assert registration.exchange.is_unfinished


async def test_a_reset_is_an_error_of_the_connection(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one) as registration:
            registration.send = lambda _: (_ for _ in ()).throw(ConnectionResetError)
            other.send(frame(b"at rest"))
            while registration.failure is None:
                await registration.parked()
            assert isinstance(registration.failure, ConnectionLostError)


async def test_input_that_never_ends_starves_neither_others_nor_tasks(pairs: Callable[[], Ends]) -> None:
    (endless, peer), (other, other_peer) = pairs(), pairs()
    receives = 0

    def send_more() -> None:
        nonlocal receives
        receives += 1
        peer.send(b"x")

    received_when: list[int] = []
    async with running_reactor() as reactor:
        # The endless one is in the middle of a frame of 16 MiB.
        with (
            registered(reactor, endless, limits=Limits(max_frame_length=1 << 30), on_receive=send_more),
            registered(reactor, other, on_receive=lambda: received_when.append(receives)),
        ):
            peer.send((1 << 29).to_bytes(4, "big"))
            for number in range(50):
                before = receives
                other_peer.send(frame(b"a"))
                while len(received_when) <= number:
                    await trio.lowlevel.checkpoint()  # this task has its turns
                assert received_when[number] - before <= 2  # in the next turn, or the one after


def test_without_epoll_there_is_no_reactor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("select.epoll")
    assert open_reactor() is None


# ---- messages for a task ----


async def test_messages_are_taken_before_more_is_received(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one, Use.REPLY) as registration:
            for _ in range(3):
                other.send(frame(b"first"))
                await registration.parked()
                other.send(frame(b"second"))
                await trio.testing.wait_all_tasks_blocked()  # it is not looked at again and again
                assert take(registration) == [b"first"]
                assert reactor.epoll.poll(0) == []
                reactor.resume(registration)
                await registration.parked()
                assert take(registration) == [b"second"]
                reactor.resume(registration)
            other.close()
            await ended(registration)


async def test_more_messages_can_come_of_what_was_received_before(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    large = [bytes([number]) * 300_000 for number in range(3)]
    async with running_reactor() as reactor, trio.open_nursery() as nursery:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(other.dup()))
        nursery.start_soon(stream.send_all, frames(*large))
        with guarded(), registered(reactor, one, Use.REPLY) as registration:
            for payload in large:  # a large one comes alone
                await registration.parked()
                assert take(registration) == [payload]
                await trio.testing.wait_all_tasks_blocked()  # by now nothing waits for the reactor's turn
                reactor.resume(registration)
        await stream.aclose()


async def test_while_a_task_has_messages_the_others_are_served(pairs: Callable[[], Ends]) -> None:
    (one, other), (second, second_other) = pairs(), pairs()
    async with running_reactor() as reactor:
        with (
            guarded(),
            registered(reactor, one, Use.REPLY) as busy,
            registered(reactor, second, Use.REPLY) as free,
        ):
            other.send(frame(b"a"))
            await busy.parked()
            take(busy)
            other.send(frame(b"b"))
            for _ in range(10):
                second_other.send(frame(b"c"))
                await free.parked()
                assert take(free) == [b"c"]
                reactor.resume(free)


async def test_a_peer_that_is_gone_while_a_task_has_messages_wakes_nobody(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one, Use.REPLY) as registration:
            other.send(frame(b"a"))
            await registration.parked()
            take(registration)
            other.close()  # which an epoll reports, whatever it was asked for
            await trio.testing.wait_all_tasks_blocked()
            assert reactor.epoll.poll(0) == []
            assert registration.failure is None
            reactor.resume(registration)
            await ended(registration)


async def test_what_goes_wrong_when_a_task_resumes_is_the_tasks(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one, Use.REPLY) as registration:
            other.send(frame(b"before") + b"\xff\xff\xff\xff")
            await registration.parked()
            assert take(registration) == [b"before"]
            await trio.testing.wait_all_tasks_blocked()  # by now the reactor does not give way
            reactor.resume(registration)
            assert registration.failure is not None
        second, second_other = pairs()
        with (
            guarded(),
            registered(reactor, second, Use.REPLY) as registration,
        ):  # nothing is left of the first
            second_other.send(frame(b"a"))
            await registration.parked()
            assert take(registration) == [b"a"]


class Full:
    """A reactor's epoll, into which no more sockets fit (`/proc/sys/fs/epoll/max_user_watches`)."""

    def __init__(self, epoll: Any) -> None:
        self._epoll = epoll

    def register(self, descriptor: int, events: int) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


async def test_a_socket_that_does_not_fit_into_the_epoll_again_ends_only_its_own_connection(
    pairs: Callable[[], Ends],
) -> None:
    (one, other), (second, second_other) = pairs(), pairs()
    async with running_reactor() as reactor:
        with (
            guarded(),
            registered(reactor, one, Use.REPLY) as registration,
            registered(reactor, second, Use.REPLY) as free,
        ):
            other.send(frame(b"a"))
            await registration.parked()
            take(registration)
            other.send(frame(b"b"))
            await trio.testing.wait_all_tasks_blocked()  # by now the reactor looks away
            reactor.epoll = Full(reactor.epoll)  # type: ignore[assignment]
            reactor.resume(registration)
            while registration.failure is None:
                await registration.parked()
            assert isinstance(registration.failure.__cause__ or registration.failure, OSError)
            for _ in range(2):
                second_other.send(frame(b"c"))
                await free.parked()
                assert take(free) == [b"c"]
                reactor.resume(free)


async def what_happens_to_three(pairs: Callable[[], Ends]) -> list[str]:
    """What happens, and when, to connections that are ready at the same time."""
    happened: list[str] = []

    async def reply_to_all(connection: socket.socket) -> None:
        with registered(reactor, connection, Use.REPLY) as registration:
            send = registration.send

            def noted_send(data: Wire) -> int:
                happened.append("sent")
                return send(data)

            registration.send = noted_send
            while True:
                await registration.parked()
                [message] = take(registration)
                happened.append("taken")
                registration.exchange.reply(frame(message), 1)
                reactor.resume(registration)

    ends = [pairs() for _ in range(3)]
    async with running_reactor() as reactor, trio.open_nursery() as nursery:
        for one, _ in ends:
            nursery.start_soon(reply_to_all, one)
        await trio.testing.wait_all_tasks_blocked()
        for one, other in ends:
            other.send(frame(b"a"))
            # A kernel may deliver it later, and then the next turn would not find all three.
            select.select([one], [], [], GUARD_S)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    for _, other in ends:
        assert other.recv(100) == frame(b"a")
    return happened


@pytest.mark.usefixtures("endless_turns")
async def test_replies_are_sent_after_all_tasks_have_replied(pairs: Callable[[], Ends]) -> None:
    assert await what_happens_to_three(pairs) == ["taken"] * 3 + ["sent"] * 3


async def test_replies_do_not_wait_for_tasks_that_take_long(
    pairs: Callable[[], Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock by which every look at it takes a millisecond.
    looks = itertools.count()
    slow_clock = types.SimpleNamespace(perf_counter=lambda: next(looks) * 0.001)
    monkeypatch.setattr(reactor_module, "time", slow_clock)
    happened = await what_happens_to_three(pairs)
    assert happened == ["taken", "taken", "sent", "sent", "taken", "sent"]


@pytest.mark.usefixtures("endless_turns")
async def test_a_task_that_leaves_before_it_was_gone_on_with_keeps_its_reply(
    pairs: Callable[[], Ends],
) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with registered(reactor, one, Use.REPLY) as registration:
            exchange = registration.exchange
            other.send(frame(b"first"))
            await registration.parked()  # within the turn of the reactor
            take(registration)
            exchange.reply(frame(b"reply"), 1)
            reactor.resume(registration)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(BlockingIOError):
            other.recv(100)
        assert exchange.has_reply_to_send


# ---- a task that receives by itself ----


async def test_a_task_waits_for_input_again_and_again(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with registered(reactor, one, Use.TAKE) as registration:
            exchange = registration.exchange
            for number in range(5):
                other.send(frame(b"%d" % number))
                with trio.testing.assert_checkpoints():
                    await registration.parked()
                assert exchange.interest is Interest.MESSAGES
                assert exchange.decoder.next_frame() == b"%d" % number
                exchange.stop(trio.current_time())
                exchange.start(Use.TAKE, trio.current_time())
                reactor.rearm(registration)
            with trio.move_on_after(0) as scope:
                await registration.parked()
            assert scope.cancelled_caught
        assert reactor.epoll.poll(0) == []


async def test_while_no_task_wants_to_receive_the_reactor_looks_away(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with registered(reactor, one, Use.TAKE) as registration:
            exchange = registration.exchange
            for _ in range(3):
                exchange.stop(trio.current_time())
                other.send(frame(b"a"))
                await trio.testing.wait_all_tasks_blocked()  # or the reactor would never sleep
                assert reactor.epoll.poll(0) == []
                exchange.start(Use.TAKE, trio.current_time())
                reactor.rearm(registration)
                await registration.parked()
                assert exchange.decoder.next_frame() == b"a"


async def test_a_peer_that_is_gone_is_input(pairs: Callable[[], Ends]) -> None:
    one, other = pairs()
    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one, Use.TAKE) as registration:
            other.close()
            await registration.parked()
            assert registration.exchange.has_received_eof


# ---- sleeping ----


async def test_a_task_that_is_woken_before_it_sleeps_sleeps_once_less(pairs: Callable[[], Ends]) -> None:
    one, _ = pairs()
    async with running_reactor() as reactor:
        with registered(reactor, one) as registration:
            registration.wake()
            registration.wake()
            with trio.testing.assert_checkpoints():
                await registration.parked()
            with trio.move_on_after(0) as scope:
                await registration.parked()
            assert scope.cancelled_caught
            registration.wake()  # the task does not sleep; it is not lost
            await registration.parked()


async def test_what_trio_is_given_to_wake_a_task_is_none_again_and_again(pairs: Callable[[], Ends]) -> None:
    one, _ = pairs()
    async with running_reactor() as reactor, trio.open_nursery() as nursery:
        with registered(reactor, one) as registration:
            for _ in range(3):
                nursery.start_soon(trio.lowlevel.checkpoint)
                trio.lowlevel.current_trio_token().run_sync_soon(registration.wake)
                assert await registration.parked() is None


async def test_when_the_reactor_ends_all_tasks_are_woken(pairs: Callable[[], Ends]) -> None:
    one, _ = pairs()
    with Reactor() as reactor, trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            with registered(reactor, one) as registration:
                scope.cancel()
                nursery.start_soon(reactor.run)
                with guarded(), trio.CancelScope(shield=True):
                    await registration.parked()
                assert reactor.has_ended


# ---- clocks ----


SHORTEST_S = 10.0
PRECISION_S = 0.01 * SHORTEST_S


@contextlib.asynccontextmanager
async def reactor_with_clocks(shortest_s: float = SHORTEST_S) -> AsyncIterator[Reactor]:
    async with running_reactor() as reactor, trio.open_nursery() as nursery:
        nursery.start_soon(reactor.run_clocks, shortest_s)
        await trio.testing.wait_all_tasks_blocked()
        yield reactor
        nursery.cancel_scope.cancel()


class Deadline(Exchange):
    """An exchange of which only the deadline matters."""

    __slots__ = ("_deadline",)

    def __init__(self, deadline: Callable[[], float]) -> None:
        super().__init__(format=FrameFormat(), limits=NO_CLOCKS, receive_capacity=lambda: 0, now=0.0)
        self.interest = Interest.READABLE
        self._deadline = deadline

    @property
    def deadline(self) -> float:
        return self._deadline()

    def deadline_of_rest(self, now: float) -> float:
        return math.inf


async def woken_at(reactor: Reactor, connection: socket.socket, deadline: Callable[[], float]) -> float:
    registration = reactor.register(SocketTransport(connection), Deadline(deadline))
    try:
        await registration.parked()
        return trio.current_time()
    finally:
        registration.leave()


async def test_a_clock_that_has_run_out_wakes_its_task_in_time(
    pairs: Callable[[], Ends], autojump_clock: MockClock
) -> None:
    async with reactor_with_clocks() as reactor, trio.open_nursery() as nursery:

        async def sleep_there(start_s: float, clock_s: float) -> None:
            await trio.sleep(start_s)
            deadline = trio.current_time() + clock_s
            late = await woken_at(reactor, pairs()[0], lambda: deadline) - deadline
            assert 0 <= late <= PRECISION_S

        for start_s in (0, 0.01, 3, 9.99, 10, 55, 200):
            for clock_s in (SHORTEST_S, 10.05, 17.3, 300):
                nursery.start_soon(sleep_there, start_s, clock_s)


async def test_a_clock_that_moves_on_wakes_nobody_and_is_seldom_looked_at(
    pairs: Callable[[], Ends], autojump_clock: MockClock
) -> None:
    looks = 0

    def moving() -> float:
        nonlocal looks
        looks += 1
        now = trio.current_time()
        return now + SHORTEST_S if now < 1000 else 1005

    async with reactor_with_clocks() as reactor:
        assert 1005 <= await woken_at(reactor, pairs()[0], moving) <= 1005 + PRECISION_S
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

    async with reactor_with_clocks() as reactor:
        assert 10 <= await woken_at(reactor, pairs()[0], soon) <= 10 + PRECISION_S
    assert looks <= 10 / PRECISION_S + 2


async def test_a_clock_wakes_a_task_only_while_that_sleeps(
    pairs: Callable[[], Ends], autojump_clock: MockClock
) -> None:
    async with reactor_with_clocks() as reactor:
        registration = reactor.register(SocketTransport(pairs()[0]), Deadline(lambda: 15.0))
        await trio.sleep(50)
        assert not registration.is_woken
        await registration.parked()
        assert 50 <= trio.current_time() <= 50 + SHORTEST_S
        registration.leave()


@pytest.mark.parametrize("away_s", [1.5, 3.0, 10.0])
async def test_a_task_that_comes_back_with_the_rest_of_a_frame_clock_is_woken_in_time(
    away_s: float, pairs: Callable[[], Ends], autojump_clock: MockClock
) -> None:
    one, _ = pairs()
    limits = Limits(idle_timeout_s=SHORTEST_S, frame_timeout_s=SHORTEST_S, write_timeout_s=SHORTEST_S)
    async with reactor_with_clocks() as reactor:
        with registered(reactor, one, Use.TAKE, limits=limits) as registration:
            exchange = registration.exchange
            exchange.receive(frame(b"hello")[:3], trio.current_time())
            await trio.sleep(SHORTEST_S - 1)
            exchange.stop(trio.current_time())
            await trio.sleep(away_s)  # and the clocks are looked at meanwhile
            exchange.start(Use.TAKE, trio.current_time())
            deadline = trio.current_time() + 1
            assert exchange.deadline == pytest.approx(deadline)
            await registration.parked()
            assert 0 <= trio.current_time() - exchange.deadline <= PRECISION_S


async def test_without_clocks_nobody_is_woken(pairs: Callable[[], Ends], autojump_clock: MockClock) -> None:
    async with reactor_with_clocks(math.inf) as reactor:
        with trio.move_on_after(1e9) as scope:
            await woken_at(reactor, pairs()[0], lambda: math.inf)
    assert scope.cancelled_caught


async def send_until_dropped(client: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        await client.send_all(frame(bytes(996)) * 10_000)


@pytest.mark.parametrize(
    ("kind", "clock_s"), [("idle_timeout", 300), ("frame_timeout", 80), ("write_timeout", 90)]
)
async def test_the_clocks_of_connections_in_the_reactor(
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


@contextlib.contextmanager
def always_ready(reactor: Reactor, ends: Ends, then: Callable[[], object]) -> Iterator[Registration]:
    """A connection that is always ready; after some turns it does something."""
    turns = 0

    def send_more() -> None:
        nonlocal turns
        turns += 1
        if turns == 100:
            then()
        if turns > 100_000:
            raise AssertionError("nobody else had a turn")
        ends[1].send(b"x")

    with registered(
        reactor, ends[0], limits=Limits(max_frame_length=1 << 30), on_receive=send_more
    ) as registration:
        ends[1].send((1 << 29).to_bytes(4, "big"))
        yield registration


@pytest.mark.usefixtures("endless_turns")
async def test_a_client_that_connects_does_not_wait_until_the_turn_of_the_reactor_is_over(
    pairs: Callable[[], Ends],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as clients:
        address = listener.getsockname()

        async with running_reactor() as reactor:
            reactor.add_listener(listener)
            with (
                guarded(),
                always_ready(
                    reactor, pairs(), lambda: clients.enter_context(socket.create_connection(address))
                ) as registration,
            ):
                await trio.lowlevel.wait_readable(listener)
                assert registration.failure is None
            reactor.remove_listener(listener)


@pytest.mark.usefixtures("endless_turns")
@pytest.mark.parametrize("what", ["messages", "its end", "an error"])
async def test_a_task_that_has_something_to_do_does_not_wait_until_the_turn_is_over(
    what: str, pairs: Callable[[], Ends]
) -> None:
    busy, (one, other) = pairs(), pairs()

    def give_it_something() -> None:
        if what == "messages":
            other.send(frame(b"a"))
        elif what == "its end":
            other.shutdown(socket.SHUT_WR)
        else:
            other.send(b"\xff\xff\xff\xff")

    async with running_reactor() as reactor:
        with (
            guarded(),
            registered(reactor, one, Use.REPLY) as registration,
            always_ready(reactor, busy, give_it_something) as busy_registration,
        ):
            await registration.parked()
            assert busy_registration.failure is None
            assert (registration.exchange.interest is Interest.MESSAGES) is (what == "messages")
            assert (registration.failure is not None) is (what == "an error")


async def test_while_the_reactor_is_hot_other_tasks_have_their_turns(
    pairs: Callable[[], Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock by which every look at it takes half a millisecond.
    looks = itertools.count()
    slow_clock = types.SimpleNamespace(perf_counter=lambda: next(looks) * 0.0005)
    monkeypatch.setattr(reactor_module, "time", slow_clock)
    one, other = pairs()
    turns_at: list[int] = []
    rounds = 0

    def ping_pong() -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 1:
            other.recv(100)
        if rounds < 500:
            other.send(frame(b"x"))

    async def tick() -> None:
        while rounds < 500:
            await trio.lowlevel.checkpoint()
            turns_at.append(rounds)

    async with running_reactor() as reactor:
        with guarded(), registered(reactor, one, on_receive=ping_pong):
            other.send(frame(b"x"))
            await tick()
    # Every 2 ms, also when the reactor waits by itself, as it does after 16 rounds.
    assert max(later - earlier for earlier, later in itertools.pairwise([0, *turns_at])) <= 6


# ---- patience ----


def passes_until_it_waits(patience: _Patience) -> int:
    passes = 0
    while not patience.wait_s:
        patience.note_pass(1)
        passes += 1
    return passes


def test_a_wait_that_was_not_worth_it_is_tried_ever_more_seldom() -> None:
    patience = _Patience(_MOMENT_S, 64)
    waited = []
    for _ in range(13):
        waited.append(passes_until_it_waits(patience))
        patience.note_pass(63)
    assert waited == [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 16384, 16384]
    passes_until_it_waits(patience)
    patience.note_pass(64)
    assert passes_until_it_waits(patience) == 16


class Watched:
    """A reactor's epoll, and how long it was let wait."""

    def __init__(self, epoll: Any) -> None:
        self._epoll = epoll
        self.waited_s: list[float] = []

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        self.waited_s.append(timeout)
        ready: list[tuple[int, int]] = self._epoll.poll(timeout, most)
        return ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)


@pytest.mark.usefixtures("endless_turns")
async def test_beside_a_quick_client_the_reactor_waits_by_itself_and_not_where_nothing_comes_of_it(
    pairs: Callable[[], Ends],
) -> None:
    with Reactor() as reactor:
        watched = Watched(reactor.epoll)
        reactor.epoll = watched  # type: ignore[assignment]
        one, other = pairs()
        rounds = 0

        def count_messages() -> None:
            nonlocal rounds
            rounds += 1
            if rounds > 1:
                other.recv(100)
            if 17 <= rounds < 200:  # from then on the next comes with every one
                other.send(frame(b"x"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reactor.run)
            with guarded(), registered(reactor, one, on_receive=count_messages):
                for sent in range(1, 18):
                    other.send(frame(b"x"))
                    while rounds < sent:
                        await trio.lowlevel.checkpoint()
                while rounds < 200:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert set(watched.waited_s[:16]) == {0.0}
    assert set(watched.waited_s[-150:]) == {_MOMENT_S}


# ---- spinning ----


class Scripted:
    """An epoll that has something ready when the script says so, and a clock that moves with every look.

    Attributes:
      finds: for each look without a wait, whether it finds something.
      waited_s: how long each poll could wait.
    """

    def __init__(self) -> None:
        self.finds: Iterator[bool] = iter(())
        self.waited_s: list[float] = []
        self.now = 0.0

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        self.waited_s.append(timeout)
        return [(0, 0)] if timeout or next(self.finds) else []

    def perf_counter(self) -> float:
        self.now += 10e-6
        return self.now

    def close(self) -> None:
        pass


@pytest.fixture
async def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    scripted = Scripted()
    monkeypatch.setattr(reactor_module, "time", scripted)
    return scripted


async def reactor_of(scripted: Scripted, spin_s: float) -> Reactor:
    """A reactor that has begun to run, and waits by itself no longer."""
    reactor = Reactor()
    with trio.CancelScope() as scope:
        scope.cancel()
        await reactor.run(spin_s)
    reactor.epoll.close()
    reactor.epoll = scripted  # type: ignore[assignment]
    return reactor


def waits_until_it_spins(reactor: Reactor, scripted: Scripted) -> int:
    """How often it sleeps at once before the first wait in which it looks before."""
    for waits in range(100_000):
        if reactor._spinning.wait_s:
            return waits
        scripted.waited_s.clear()
        reactor._wait(_MOMENT_S)
        assert scripted.waited_s == [_MOMENT_S]
    raise AssertionError("it never spins")


async def test_it_looks_again_and_again_before_it_sleeps(scripted: Scripted) -> None:
    reactor = await reactor_of(scripted, 50e-6)
    assert waits_until_it_spins(reactor, scripted) == 16
    scripted.waited_s.clear()
    scripted.finds = iter([False, False, True])
    assert reactor._wait(_MOMENT_S) == [(0, 0)]
    assert scripted.waited_s == [0, 0, 0]
    scripted.waited_s.clear()
    scripted.finds = iter([False] * 100)
    began = scripted.now
    assert reactor._wait(_MOMENT_S) == [(0, 0)]
    assert scripted.waited_s == [*[0] * (len(scripted.waited_s) - 1), _MOMENT_S]
    assert len(scripted.waited_s) > 2
    assert scripted.now - began <= 80e-6  # the spin, and a look at the clock before and after it


async def test_it_spins_ever_more_seldom_where_that_finds_nothing_and_again_where_it_does(
    scripted: Scripted,
) -> None:
    reactor = await reactor_of(scripted, 50e-6)
    paused = []
    for found in (0, 15, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 16):
        paused.append(waits_until_it_spins(reactor, scripted))
        # What is there at the first look counts neither way.
        scripted.finds = itertools.chain([True] * 20, [False, True] * found, itertools.repeat(False))
        for _ in range(20 + found + 1):
            reactor._wait(_MOMENT_S)
    assert paused == [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 16384, 16384]
    assert waits_until_it_spins(reactor, scripted) == 16


async def test_it_never_spins_where_it_is_not_to_wait_or_spinning_is_off(scripted: Scripted) -> None:
    reactor = await reactor_of(scripted, 50e-6)
    waits_until_it_spins(reactor, scripted)
    scripted.waited_s.clear()
    scripted.finds = iter([False])
    assert reactor._wait(0) == []
    assert scripted.waited_s == [0]
    off = await reactor_of(scripted, 0)
    for _ in range(100):
        off._wait(_MOMENT_S)
    assert scripted.waited_s == [0, *[_MOMENT_S] * 100]


async def test_a_spin_takes_a_millisecond_at_most(scripted: Scripted) -> None:
    reactor = await reactor_of(scripted, math.inf)
    waits_until_it_spins(reactor, scripted)
    scripted.finds = iter([False] * 1000)
    began = scripted.now
    reactor._wait(_MOMENT_S)
    assert scripted.now - began <= 1.03e-3
