"""`FrameClient` under any order of requests, replies, cancellations, cuts and time.

The oracle is the service's own record. It knows which requests have come on which connection, and
to which it has replied; what a request may have come to follows from that alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.service import Connection, Service, open_service
from trioecho import (
    Frame,
    FrameClient,
    NoReplyError,
    NotConnectedError,
    RequestTimeoutError,
    UnexpectedReplyError,
)

TIMEOUT_S = 60.0
MAX_IN_FLIGHT = 3
CANCELLED = "cancelled"
# More than one piece of wire may have.
LONG = 100_000

small = st.integers(0, 5)
step = st.one_of(
    st.tuples(st.just("request"), st.sampled_from([0, 0, 0, LONG])),
    st.tuples(st.just("request"), st.just(0)),
    st.tuples(st.just("reply"), small),
    st.tuples(st.just("reply"), small),
    st.tuples(st.just("cancel"), small),
    st.tuples(st.just("settle"), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([1, 40])),
    st.tuples(st.just("cut"), st.just(0)),
    st.tuples(st.just("surplus"), st.just(0)),
    st.tuples(st.just("refuse"), small),
)


def key_of(frame: Frame) -> bytes:
    return frame.payload[:4]


def reply_to(payload: bytes) -> bytes:
    return payload[:4] + b" is replied to"


@dataclass
class World:
    """A client, its requests, and the service's record.

    Attributes:
      unreplied: what has come on each connection and has no reply.
      replied: what has a reply.
      at_fault: the connections that the service has ended, or broken.
      ended: these, and those that the client has ended.
      began: when each request was made.
      outcomes: what each has come to.
    """

    client: FrameClient
    service: Service
    nursery: trio.Nursery
    has_key: bool
    unreplied: dict[Connection, list[bytes]] = field(default_factory=dict)
    replied: set[bytes] = field(default_factory=set)
    at_fault: set[Connection] = field(default_factory=set)
    ended: set[Connection] = field(default_factory=set)
    began: dict[bytes, float] = field(default_factory=dict)
    outcomes: dict[bytes, bytes | Exception | str] = field(default_factory=dict)
    scopes: dict[bytes, trio.CancelScope] = field(default_factory=dict)

    @property
    def live(self) -> Connection | None:
        """The connection that is open, as far as the service knows."""
        return next((each for each in reversed(self.service.connections) if each not in self.ended), None)

    async def request(self, payload: bytes) -> None:
        self.began[payload] = trio.current_time()
        with self.scopes[payload]:
            try:
                self.outcomes[payload] = await self.client.request(payload)
            except (NoReplyError, NotConnectedError) as error:
                self.outcomes[payload] = error
            except RequestTimeoutError as error:
                self.outcomes[payload] = error
                assert trio.current_time() - self.began[payload] == TIMEOUT_S
            return
        self.outcomes[payload] = CANCELLED

    async def do(self, what: str, number: int) -> None:
        if what == "request":
            payload = b"%04d" % len(self.scopes) + bytes(number)
            self.scopes[payload] = trio.CancelScope()
            self.nursery.start_soon(self.request, payload)
        elif what == "settle":
            await trio.testing.wait_all_tasks_blocked()
        elif what == "wait":
            await trio.sleep(number)
        elif what == "refuse":
            self.service.refusals = number
        elif what == "cancel" and (waiting := [each for each in self.scopes if each not in self.outcomes]):
            self.scopes[waiting[number % len(waiting)]].cancel()
        elif (connection := self.live) is not None:
            if what == "reply" and (unreplied := self.unreplied.get(connection)):
                request = unreplied.pop(number % len(unreplied) if self.has_key else 0)
                self.replied.add(request)
                await self.send(connection, reply_to(request))
            elif what == "cut":
                self.at_fault.add(connection)
                self.ended.add(connection)
                await connection.end()
            elif what == "surplus" and self.has_key:
                self.at_fault.add(connection)
                self.ended.add(connection)
                await self.send(connection, b"????")

    async def send(self, connection: Connection, payload: bytes) -> None:
        try:
            await connection.reply(payload)
        except trio.BrokenResourceError:  # the client has ended it
            self.ended.add(connection)

    async def serve(self, connection: Connection) -> None:
        while payload := await connection.receive():
            self.unreplied.setdefault(connection, []).append(payload)
            assert len(self.unreplied[connection]) <= MAX_IN_FLIGHT
        self.ended.add(connection)

    async def finish(self) -> None:
        """Reply to everything, until no request waits."""
        self.service.refusals = 0
        while len(self.outcomes) < len(self.scopes):
            await trio.testing.wait_all_tasks_blocked()
            if self.live is not None and self.unreplied.get(self.live):
                await self.do("reply", 0)
            else:
                await trio.sleep(1)
        await trio.testing.wait_all_tasks_blocked()
        while self.live is not None and self.unreplied.get(self.live):
            await self.do("reply", 0)
        await trio.testing.wait_all_tasks_blocked()

    def check(self) -> None:
        received = [payload for each in self.service.connections for payload in each.received]
        assert len(received) == len(set(received)), "a request was repeated"
        home = {payload: each for each in self.service.connections for payload in each.received}
        for connection in self.service.connections:
            assert connection.received == [
                payload for payload in self.began if home.get(payload) is connection
            ]
        for payload, outcome in self.outcomes.items():
            if isinstance(outcome, bytes):
                assert outcome == reply_to(payload)
                assert payload in self.replied
            elif isinstance(outcome, NoReplyError):
                assert home[payload] in self.at_fault if payload in home else self.at_fault
                assert outcome.ahead < outcome.in_flight <= MAX_IN_FLIGHT
                assert outcome.request_bytes == 4 + len(payload)
                if isinstance(outcome.__cause__, UnexpectedReplyError):
                    assert outcome.__cause__.key == b"????"
            elif isinstance(outcome, NotConnectedError):
                assert payload not in home
            elif isinstance(outcome, RequestTimeoutError):
                assert outcome.was_sent or payload not in home
        assert self.client.in_flight == 0 or self.live is None


@given(st.lists(step, min_size=12, max_size=40), st.booleans())
@examples(600)
def test_each_request_has_its_own_reply_or_says_what_became_of_it(
    steps: Sequence[tuple[str, int]], has_key: bool
) -> None:
    async def play() -> None:
        async def serve(connection: Connection) -> None:
            await world.serve(connection)

        async with open_service(serve) as service:
            key = key_of if has_key else None
            client = FrameClient(
                service.connect, key=key, max_in_flight=MAX_IN_FLIGHT, request_timeout_s=TIMEOUT_S
            )
            async with trio.open_nursery() as nursery:
                world = World(client, service, nursery, has_key)
                async with client:
                    for what, number in steps:
                        await world.do(what, number)
                    await world.finish()
                    world.check()

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))
