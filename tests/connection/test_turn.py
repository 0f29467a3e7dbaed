"""A turn for many connections at rest: their echoes go out together, and whoever is different goes alone."""

from __future__ import annotations

import contextlib
import socket
import sys
from typing import Any

import pytest
import trio
import trio.testing

from tests.support.wire import frame, frames, header
from trioecho import FrameFormat, FrameTooLargeError, IncompleteFrameError, Limits
from trioecho.connection.exchange import Exchange
from trioecho.connection.interest import Interest, Use
from trioecho.connection.reactor import Reactor
from trioecho.connection.receiving import SMALL_BYTES
from trioecho.connection.registration import Registration
from trioecho.connection.sending import PipedBytes, Wire
from trioecho.connection.transport import SocketTransport
from trioecho.connection.trio_errors import ConnectionLostError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs epoll")

Report = tuple[int, int, float, "float | None"]


class NotedExchange(Exchange):
    """Notes that it was given something by itself."""

    __slots__ = ("given",)

    given: list[Exchange]

    def receive(self, data: Wire, now: float) -> Wire | None:
        self.given.append(self)
        return super().receive(data, now)


class Connections:
    """Connections of a reactor that nobody runs: a test takes its turns.

    Attributes:
      here: their places in the reactor.
      peers: the other ends of their sockets.
      reports: what was reported of sends.
      alone: which exchanges were given something by themselves.
    """

    def __init__(self, reactor: Reactor, open_sockets: contextlib.ExitStack) -> None:
        self.here: list[Registration] = []
        self.peers: list[socket.socket] = []
        self.reports: list[Report] = []
        self.alone: list[Exchange] = []
        self.reactor = reactor
        self._open_sockets = open_sockets

    def _on_sent(self, *report: Any) -> None:
        self.reports.append(report)

    def add(self, use: Use = Use.ECHO, *, format: FrameFormat | None = None, **limits: Any) -> Registration:
        one, other = socket.socketpair()
        self._open_sockets.enter_context(one)
        self.peers.append(self._open_sockets.enter_context(other))
        other.setblocking(False)
        transport = SocketTransport(one)
        exchange = NotedExchange(
            format=format or FrameFormat(),
            limits=Limits(**{"max_frame_length": 1000, **limits}),
            receive_capacity=transport.receive_capacity,
            now=trio.current_time(),
            on_sent=self._on_sent,
        )
        exchange.given = self.alone
        exchange.start(use, trio.current_time())
        registration = self.reactor.register(transport, exchange)
        self.reactor.rearm(registration)
        self.here.append(registration)
        return registration

    def send(self, *wires: bytes) -> None:
        """Have each peer send something, in order."""
        for peer, wire in zip(self.peers, wires, strict=False):
            if wire:
                peer.sendall(wire)

    def turn(self) -> int:
        """Take a turn; return how many tasks that has woken."""
        return self.reactor._turns.take(self.reactor.epoll.poll(0))

    def received(self) -> list[bytes]:
        """What each peer has received by now."""
        received = []
        for peer in self.peers:
            try:
                received.append(peer.recv(1 << 20))
            except BlockingIOError:
                received.append(b"")
        return received


@pytest.fixture
async def connections() -> Any:
    with Reactor() as reactor, contextlib.ExitStack() as open_sockets:
        connections = Connections(reactor, open_sockets)
        yield connections
        for registration in connections.here:
            registration.leave()


@pytest.fixture
def alone(connections: Connections) -> list[Exchange]:
    """Which exchanges were given something by themselves."""
    return connections.alone


WIRES = [frame(b"one"), frame(b""), frame(b"x" * 1000), frame(b"four")]


async def test_one_frame_each_goes_out_together_and_is_counted_exactly(
    connections: Connections, alone: list[Exchange]
) -> None:
    for _ in WIRES:
        connections.add()
    for turns in range(1, 4):
        connections.send(*WIRES)
        assert connections.turn() == 0
        assert connections.received() == WIRES
        assert [(messages, size) for messages, size, *_ in connections.reports] == [
            (4, sum(map(len, WIRES)))
        ] * turns
    assert alone == []
    assert [registration.exchange.decoder.frames_decoded for registration in connections.here] == [3] * 4


async def test_what_follows_from_a_turn_together_is_what_follows_from_one_alone(
    connections: Connections, autojump_clock: trio.testing.MockClock
) -> None:
    for _ in range(3):
        connections.add(idle_timeout_s=10, frame_timeout_s=5)
    await trio.sleep(7)
    connections.send(frame(b"a"), frame(b"b"), frame(b"c"))
    connections.turn()
    began = trio.current_time()
    assert {each.exchange.deadline for each in connections.here} == {began + 10}
    assert {each.exchange.last_received_at for each in connections.here} == {began}
    assert connections.reports == [(3, 15, 0.0, 0.0)]
    # No frame after the first one of a connection is looked at as its first bytes.
    connections.send(b"GET / HTTP/1.1\r\n", b"\0", b"")
    assert connections.turn() == 1
    assert isinstance(connections.here[0].failure, FrameTooLargeError)
    assert connections.here[0].exchange.decoder.frames_decoded == 1
    assert connections.here[1].exchange.deadline == began + 5


LONGEST_SMALL = frame(bytes(SMALL_BYTES - 5))
DIFFERENT = {
    "two frames": (frames(b"a", b"b"), frames(b"a", b"b"), Interest.READABLE),
    "a part of a header": (b"\0\0", b"", Interest.READABLE),
    "a part of a payload": (frame(b"a")[:-1], b"", Interest.READABLE),
    "a frame and a part": (frame(b"a") + b"\0", frame(b"a"), Interest.READABLE),
    "the longest that is small": (LONGEST_SMALL, LONGEST_SMALL, Interest.READABLE),
    "more than is small": (frame(bytes(SMALL_BYTES)), b"", Interest.READABLE),
    "too large a frame": (header(1 << 20) + b"x", b"", Interest.READABLE),
    "the end": (None, b"", Interest.ENDED),
}  # fmt: skip


@pytest.mark.parametrize("what", DIFFERENT)
@pytest.mark.parametrize("position", range(3))
async def test_whoever_is_different_changes_nothing_for_the_others(
    connections: Connections, what: str, position: int
) -> None:
    wire, echo, interest = DIFFERENT[what]
    for _ in range(3):
        connections.add(max_frame_length=1 << 19)
    expected = [b""] * 3
    for number, peer in enumerate(connections.peers):
        if number == position and wire is None:
            peer.shutdown(socket.SHUT_WR)
        else:
            peer.sendall(wire if number == position and wire is not None else WIRES[number])
        expected[number] = echo if number == position else WIRES[number]
    connections.turn()
    assert connections.received() == expected
    failed = [registration for registration in connections.here if registration.failure is not None]
    assert failed == ([connections.here[position]] if what == "too large a frame" else [])
    assert connections.here[position].exchange.interest is interest
    assert sum(size for _, size, *_ in connections.reports) == sum(map(len, expected))


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("accepted", [0, 3, None], ids=["nothing", "a part", "an error"])
async def test_of_many_sends_one_that_is_not_accepted_concerns_that_connection_alone(
    connections: Connections, position: int, accepted: int | None
) -> None:
    for _ in range(3):
        connections.add()
    different = connections.here[position]
    send = different.send

    def send_a_part(data: Wire) -> int:
        if accepted is None:
            raise ConnectionResetError
        if accepted == 0:
            raise BlockingIOError
        assert not isinstance(data, PipedBytes)
        return send(data[:accepted])

    different.send = send_a_part
    connections.send(*WIRES)
    assert connections.turn() == (1 if accepted is None else 0)
    expected = [
        wire if number != position else wire[: accepted or 0] for number, wire in enumerate(WIRES[:3])
    ]
    assert connections.received() == expected
    counted = [report for report in connections.reports if report[0]]
    assert len(counted) == 2
    if accepted is None:
        assert isinstance(different.failure, ConnectionLostError)
        assert different.exchange.is_unfinished
        assert not different.exchange.is_at_rest
        return
    assert different.failure is None
    assert different.exchange.interest is Interest.WRITABLE
    assert different.watched is Interest.WRITABLE
    different.send = send
    assert connections.turn() == 0
    assert connections.received()[position] == WIRES[position][accepted or 0 :]
    assert sum(messages for messages, *_ in connections.reports) == 3
    assert sum(size for _, size, *_ in connections.reports) == sum(map(len, WIRES[:3]))
    assert different.exchange.interest is Interest.READABLE


@pytest.mark.parametrize("error", [ConnectionResetError(), BlockingIOError(), ZeroDivisionError()])
async def test_of_many_receives_one_that_fails_concerns_that_connection_alone(
    connections: Connections, error: Exception
) -> None:
    for _ in range(3):
        connections.add()

    def fail(_: int) -> bytes:
        raise error

    connections.here[1].receive = fail
    connections.send(*WIRES)
    is_failure = not isinstance(error, BlockingIOError)
    assert connections.turn() == is_failure
    assert connections.received() == [WIRES[0], b"", WIRES[2]]
    assert (connections.here[1].failure is not None) is is_failure
    assert connections.reports[0][0] == 2


async def test_the_end_inside_a_frame_does_not_concern_the_others(connections: Connections) -> None:
    for _ in range(3):
        connections.add()
    connections.send(WIRES[0][:2])
    connections.turn()
    connections.peers[0].shutdown(socket.SHUT_WR)
    connections.send(b"", *WIRES[1:3])
    assert connections.turn() == 1
    assert isinstance(connections.here[0].failure, IncompleteFrameError)
    assert connections.received()[1:] == WIRES[1:3]


async def test_who_is_not_like_the_others_is_not_counted_with_them(
    connections: Connections, alone: list[Exchange]
) -> None:
    usual, other, others_clock, other_limit = (
        connections.add(),
        connections.add(format=FrameFormat(2, "little")),
        connections.add(idle_timeout_s=1),
        connections.add(max_frame_length=4),
    )
    another = connections.add()
    replying = connections.add(Use.REPLY)
    wires = [frame(b"one"), b"\3\0two", frame(b"three"), frame(b"four"), frame(b"five"), frame(b"six")]
    connections.send(*wires)
    assert connections.turn() == 1
    assert connections.received() == [*wires[:5], b""]
    assert usual.exchange not in alone
    assert another.exchange not in alone
    assert {other.exchange, others_clock.exchange, other_limit.exchange, replying.exchange} == set(alone)
    assert others_clock.exchange.deadline < usual.exchange.deadline
    assert sorted(messages for messages, *_ in connections.reports) == [1, 1, 1, 2]


@pytest.mark.parametrize("what", ["taken", "closed", "aborted", "stopped", "draining", "late"])
async def test_who_is_not_at_rest_does_not_send_with_the_others(connections: Connections, what: str) -> None:
    for _ in range(3):
        connections.add()
    exchange = connections.here[1].exchange
    assert exchange.is_at_rest
    if what == "taken":
        exchange.send_for_task((frame(b"by a task"),), 1)
    elif what == "closed":
        exchange.close()
    elif what == "aborted":
        exchange.abort()
    elif what == "stopped":
        exchange.stop(trio.current_time())
    elif what == "draining":
        exchange.drain()
    else:
        exchange.deadline_passed()
    assert not exchange.is_at_rest
    connections.send(*WIRES)
    connections.turn()
    assert connections.received() == [WIRES[0], b"", WIRES[2]]


async def test_who_begins_to_receive_while_a_task_sends_is_not_at_rest(connections: Connections) -> None:
    exchange = connections.add().exchange
    exchange.stop(trio.current_time())
    exchange.send_for_task((frame(b"by a task"),), 1)
    exchange.start(Use.ECHO, trio.current_time())
    assert exchange.interest is Interest.READABLE
    assert not exchange.is_at_rest
