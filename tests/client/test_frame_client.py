"""`FrameClient`: whose reply is whose, and what becomes of requests when something goes wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.support.service import Connection, Service, echo, open_service, stay_silent
from trioecho import (
    ConnectionEndedError,
    ConnectionLostError,
    DuplicateKeyError,
    EndOfMessagesError,
    Frame,
    FrameClient,
    FrameFormat,
    FrameTooLargeError,
    NoReplyError,
    NotConnectedError,
    PayloadTooLargeError,
    RequestTimeoutError,
    UnexpectedReplyError,
)
from trioecho.client.connecting import Backoff


class Requests:
    """Requests that tasks have made, and what each of them came to."""

    def __init__(self, client: FrameClient, nursery: trio.Nursery) -> None:
        self._client = client
        self._nursery = nursery
        self.outcomes: dict[bytes, bytes | BaseException] = {}
        self._scopes: dict[bytes, trio.CancelScope] = {}

    async def start(self, *payloads: bytes) -> None:
        """Make requests, and wait until nothing more happens."""
        for payload in payloads:
            self._nursery.start_soon(self._request, payload)
            await trio.testing.wait_all_tasks_blocked()

    async def cancel(self, payload: bytes) -> None:
        self._scopes[payload].cancel()
        await trio.testing.wait_all_tasks_blocked()

    async def _request(self, payload: bytes) -> None:
        with trio.CancelScope() as self._scopes[payload]:
            try:
                self.outcomes[payload] = await self._client.request(payload)
            except (ConnectionEndedError, trio.TooSlowError, trio.ClosedResourceError) as error:
                self.outcomes[payload] = error


def by_first_byte(frame: Frame) -> bytes:
    return frame.payload[:1]


async def test_requests_go_out_together_and_replies_come_in_their_order() -> None:
    async with open_service(stay_silent) as service, FrameClient(service.connect) as client:
        async with trio.open_nursery() as nursery:
            requests = Requests(client, nursery)
            await requests.start(b"one", b"two", b"three")
            [connection] = service.connections
            assert connection.received == [b"one", b"two", b"three"]
            assert client.in_flight == 3
            await connection.reply(b"1", b"2", b"3")
        assert requests.outcomes == {b"one": b"1", b"two": b"2", b"three": b"3"}
        assert client.in_flight == 0


async def test_with_a_key_replies_come_in_any_order() -> None:
    async with (
        open_service(stay_silent) as service,
        FrameClient(service.connect, key=by_first_byte) as client,
    ):
        async with trio.open_nursery() as nursery:
            requests = Requests(client, nursery)
            await requests.start(b"a one", b"b two")
            await service.connections[0].reply(b"b 2", b"a 1")
        assert requests.outcomes == {b"a one": b"a 1", b"b two": b"b 2"}


async def test_a_request_with_a_header_of_its_own_has_the_reply_with_its_header() -> None:
    received = []

    async def serve(connection: Connection) -> None:
        received.append(await connection.stream.receive_some())
        await connection.stream.send_all(b"\x07\x02ok")

    typed = FrameFormat.parse("any1,u8")
    async with open_service(serve) as service, FrameClient(service.connect, format=typed) as client:
        assert await client.request_frame(Frame(b"\x05\x00", b"abc")) == Frame(b"\x07\x02", b"ok")
        with pytest.raises(ValueError, match="header"):
            await client.request_frame(Frame(b"\x05\x00\x00", b"abc"))
        assert client.in_flight == 0
    assert received == [b"\x05\x03abc"]


@pytest.mark.parametrize("payload", [b"", b"x" * 100_000, bytearray(b"abc"), memoryview(b"abc")])
async def test_any_payload(payload: Any) -> None:
    async def reverse(connection: Connection) -> None:
        await connection.reply((await connection.receive())[::-1])

    async with open_service(reverse) as service, FrameClient(service.connect) as client:
        assert await client.request(payload) == bytes(payload)[::-1]


async def test_a_payload_that_is_too_large_is_not_sent() -> None:
    async with open_service(echo) as service, FrameClient(service.connect, max_frame_length=3) as client:
        with pytest.raises(PayloadTooLargeError) as caught:
            await client.request(b"four")
        assert (caught.value.length, caught.value.limit) == (4, 3)
        assert await client.request(b"abc") == b"abc"


@pytest.mark.parametrize("key", [None, by_first_byte], ids=["in order", "with a key"])
async def test_the_reply_to_a_cancelled_request_is_dropped(key: Callable[[Frame], bytes] | None) -> None:
    async with open_service(stay_silent) as service, FrameClient(service.connect, key=key) as client:
        async with trio.open_nursery() as nursery:
            requests = Requests(client, nursery)
            await requests.start(b"a", b"b")
            await requests.cancel(b"a")
            assert client.in_flight == 2
            await service.connections[0].reply(b"a 1", b"b 2")
        assert requests.outcomes == {b"b": b"b 2"}
        assert len(service.connections) == 1


async def test_a_request_that_waits_for_its_place_is_withdrawn_when_it_is_cancelled() -> None:
    async with open_service(stay_silent) as service, FrameClient(service.connect, max_in_flight=2) as client:
        async with trio.open_nursery() as nursery:
            requests = Requests(client, nursery)
            await requests.start(b"a", b"b", b"c", b"d")
            [connection] = service.connections
            assert connection.received == [b"a", b"b"]
            await requests.cancel(b"c")
            await connection.reply(b"1")
            await trio.testing.wait_all_tasks_blocked()
            assert connection.received == [b"a", b"b", b"d"]
            await connection.reply(b"2", b"4")
        assert requests.outcomes == {b"a": b"1", b"b": b"2", b"d": b"4"}


async def test_a_frame_whose_request_is_cancelled_while_it_is_sent_is_sent_to_its_end() -> None:
    proceed = trio.Event()
    ours, theirs = trio.testing.lockstep_stream_pair()
    connection = Connection(theirs)

    async def connect() -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return ours

    async def serve() -> None:
        await connection.stream.receive_some(2)
        await proceed.wait()
        await connection.stream.receive_some(2 + 5)
        await connection.reply(b"dropped", (await connection.receive()))

    async with FrameClient(connect) as client, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        requests = Requests(client, nursery)
        await requests.start(b"large", b"later")
        await requests.cancel(b"large")
        proceed.set()
        await trio.testing.wait_all_tasks_blocked()
        assert requests.outcomes == {b"later": b"later"}


async def test_a_timeout_gives_up_its_request_alone(autojump_clock: MockClock) -> None:
    async with open_service(stay_silent) as service:
        async with FrameClient(service.connect, request_timeout_s=30, max_in_flight=1) as client:
            async with trio.open_nursery() as nursery:
                requests = Requests(client, nursery)
                nursery.start_soon(requests.start, b"sent", b"queued")
                await trio.sleep(29)
                assert requests.outcomes == {}
            one, other = requests.outcomes[b"sent"], requests.outcomes[b"queued"]
            assert isinstance(one, RequestTimeoutError)
            assert isinstance(other, RequestTimeoutError)
            assert (one.seconds, one.in_flight, one.was_sent) == (30, 1, True)
            assert (other.seconds, other.in_flight, other.was_sent) == (30, 1, False)
            await service.connections[0].reply(b"late")
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as nursery:
                requests = Requests(client, nursery)
                await requests.start(b"next")
                await service.connections[0].reply(b"in time")
            assert requests.outcomes == {b"next": b"in time"}
        assert service.connections[0].received == [b"sent", b"next"]


async def test_a_connection_full_of_requests_that_nobody_waits_for_is_replaced(
    autojump_clock: MockClock,
) -> None:
    async def hang_once(connection: Connection) -> None:
        await (stay_silent if connection is service.connections[0] else echo)(connection)

    async with open_service(hang_once) as service:
        async with FrameClient(service.connect, request_timeout_s=1, max_in_flight=2) as client:
            for payload in (b"a", b"b"):
                with pytest.raises(RequestTimeoutError):
                    await client.request(payload)
            assert await client.request(b"c") == b"c"
        assert [each.received for each in service.connections] == [[b"a", b"b"], [b"c"]]


async def test_a_key_that_is_in_use_is_refused_until_its_reply_has_come() -> None:
    async with (
        open_service(stay_silent) as service,
        FrameClient(service.connect, key=by_first_byte) as client,
    ):
        async with trio.open_nursery() as nursery:
            requests = Requests(client, nursery)
            await requests.start(b"a", b"b")
            await requests.cancel(b"a")
            with pytest.raises(DuplicateKeyError) as caught:
                await client.request(b"a again")
            assert (caught.value.key, caught.value.in_flight) == (b"a", 2)
            await service.connections[0].reply(b"a", b"b")
            await trio.testing.wait_all_tasks_blocked()
            await requests.start(b"a again")
            await service.connections[0].reply(b"a at last")
        assert requests.outcomes[b"a again"] == b"a at last"


@pytest.mark.parametrize("key", [None, by_first_byte], ids=["in order", "with a key"])
async def test_a_reply_to_no_request_ends_the_connection(key: Callable[[Frame], bytes] | None) -> None:
    async with open_service(stay_silent) as service, FrameClient(service.connect, key=key) as client:
        async with trio.open_nursery() as nursery:
            requests = Requests(client, nursery)
            await requests.start(b"a", b"b")
            await service.connections[0].reply(b"a", b"x", b"surplus")
            await trio.testing.wait_all_tasks_blocked()
            await requests.start(b"c")
            await service.connections[1].reply(b"c")
        outcomes = requests.outcomes
        assert (outcomes[b"a"], outcomes[b"c"]) == (b"a", b"c")
        if key is None:
            assert outcomes[b"b"] == b"x"
        else:
            lost = outcomes[b"b"]
            assert isinstance(lost, NoReplyError)
            assert isinstance(lost.__cause__, UnexpectedReplyError)
            cause = lost.__cause__
            assert (cause.key, cause.length, cause.in_flight) == (b"x", 1, 1)


async def test_requests_in_flight_raise_when_the_connection_ends_and_the_others_go_on() -> None:
    async def serve(connection: Connection) -> None:
        await (stay_silent if connection is service.connections[0] else echo)(connection)

    async with open_service(serve) as service, FrameClient(service.connect, max_in_flight=2) as client:
        async with trio.open_nursery() as nursery:
            requests = Requests(client, nursery)
            await requests.start(b"a", b"bcd", b"e")
            await service.connections[0].end()
        for payload, ahead in ((b"a", 0), (b"bcd", 1)):
            error = requests.outcomes[payload]
            assert isinstance(error, NoReplyError)
            assert (error.request_bytes, error.ahead, error.in_flight) == (4 + len(payload), ahead, 2)
            assert isinstance(error.__cause__, EndOfMessagesError)
        assert requests.outcomes[b"a"] is not requests.outcomes[b"bcd"]
        assert requests.outcomes[b"e"] == b"e"
        assert [each.received for each in service.connections] == [[b"a", b"bcd"], [b"e"]]


async def test_what_is_no_frame_ends_the_connection_and_says_what_it_is() -> None:
    async def serve_http(connection: Connection) -> None:
        await connection.receive()
        await connection.stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with open_service(serve_http) as service, FrameClient(service.connect) as client:
        with pytest.raises(NoReplyError, match="HTTP") as caught:
            await client.request(b"hello")
        assert isinstance(caught.value.__cause__, FrameTooLargeError)


async def test_replies_that_have_come_when_a_send_fails_are_given_out() -> None:
    async def send_then_fail() -> None:
        if client.in_flight == 3:
            await service.connections[0].reply(b"1", b"2")
            raise trio.BrokenResourceError("the third send")

    async def connect() -> trio.abc.Stream:
        stream = await service.connect()
        assert isinstance(stream, trio.StapledStream)
        stream.send_stream.send_all_hook = send_then_fail
        return stream

    async with open_service(stay_silent) as service, FrameClient(connect, max_failures=0) as client:
        async with trio.open_nursery() as nursery:
            requests = Requests(client, nursery)
            await requests.start(b"a", b"b", b"c")
        assert (requests.outcomes[b"a"], requests.outcomes[b"b"]) == (b"1", b"2")
        error = requests.outcomes[b"c"]
        assert isinstance(error, NoReplyError)
        assert isinstance(error.__cause__, ConnectionLostError)
        assert error.in_flight == 1


async def test_the_next_connection_is_tried_a_few_times_with_waits(autojump_clock: MockClock) -> None:
    async with open_service(echo) as service, FrameClient(service.connect, max_failures=4) as client:
        assert await client.request(b"a") == b"a"
        await service.connections[0].end()
        await trio.sleep(1)
        assert len(service.attempts) == 1  # nobody needs a connection
        service.refusals = 100
        for _ in range(2):
            began, before = trio.current_time(), len(service.attempts)
            with pytest.raises(NotConnectedError, match="not now") as caught:
                await client.request(b"b")
            assert caught.value.failures == 4
            assert isinstance(caught.value.__cause__, ConnectionRefusedError)
            waits = [moment - began for moment in service.attempts[before:]]
            assert waits[0] == 0
            assert len(waits) == 4
            assert 0 < waits[-1] <= 0.1 + 0.2 + 0.4
        service.refusals = 3
        assert await client.request(b"c") == b"c"


async def test_connections_that_end_without_a_reply_are_not_opened_for_ever(
    autojump_clock: MockClock,
) -> None:
    async def take_one(connection: Connection) -> None:
        await connection.receive()
        await connection.end()

    async with open_service(take_one) as service, FrameClient(service.connect, max_failures=3) as client:
        for _ in range(2):
            for _ in range(3):
                with pytest.raises(NoReplyError):
                    await client.request(b"a")
            with pytest.raises(NotConnectedError) as caught:
                await client.request(b"b")
            assert caught.value.failures == 3
            assert isinstance(caught.value.__cause__, EndOfMessagesError)
        assert len(service.attempts) == 6
        assert {request for each in service.connections for request in each.received} == {b"a"}


async def test_a_client_that_must_not_open_another_connection_does_not() -> None:
    async with open_service(echo) as service, FrameClient(service.connect, max_failures=0) as client:
        assert await client.request(b"a") == b"a"
        await service.connections[0].end()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(NotConnectedError) as caught:
            await client.request(b"b")
        assert caught.value.failures == 0
        assert isinstance(caught.value.__cause__, EndOfMessagesError)
        assert len(service.attempts) == 1


async def test_the_first_connection_is_tried_once(autojump_clock: MockClock) -> None:
    async with open_service(echo) as service:
        service.refusals = 1
        with pytest.raises(ConnectionRefusedError):
            async with FrameClient(service.connect):
                pytest.fail("it has no connection")
        with pytest.raises(TimeoutError, match="within 10 s"):
            async with FrameClient(trio.sleep_forever):
                pytest.fail("it has no connection")


async def test_the_end_of_the_block_ends_requests_of_other_tasks() -> None:
    async with open_service(stay_silent) as service, trio.open_nursery() as nursery:
        async with FrameClient(service.connect, max_in_flight=1) as client:
            requests = Requests(client, nursery)
            await requests.start(b"a", b"b")
        await trio.testing.wait_all_tasks_blocked()
        assert {type(each) for each in requests.outcomes.values()} == {trio.ClosedResourceError}
        assert len(requests.outcomes) == 2
        with pytest.raises(trio.ClosedResourceError):
            await client.request(b"c")
        with pytest.raises(RuntimeError, match="once"):
            await client.__aenter__()


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    async with open_service(echo) as service:
        with pytest.raises(ZeroDivisionError):
            async with FrameClient(service.connect):
                raise ZeroDivisionError


async def test_a_mistake_in_the_key_is_loud() -> None:
    def broken(frame: Frame) -> int:
        return {b"request": 1}[frame.payload]

    async with open_service(stay_silent) as service:
        with pytest.raises(BaseException) as caught:  # noqa: PT011, PT012 - a group, of which Python 3.10 has no name
            async with FrameClient(service.connect, key=broken) as client, trio.open_nursery() as nursery:
                await Requests(client, nursery).start(b"request")
                await service.connections[0].reply(b"reply")
        assert "KeyError(b'reply')" in repr(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_in_flight": 0},
        {"request_timeout_s": -1},
        {"connect_timeout_s": float("nan")},
        {"max_failures": -1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FrameClient(Service(echo, None).connect, **wrong)  # type: ignore[arg-type]


def test_waits_are_random_and_bounded() -> None:
    backoff = Backoff(random.Random(0))
    assert backoff.next_wait_s() == 0
    for backoff.failures, most in ((1, 0.1), (2, 0.2), (3, 0.4), (6, 3.2), (7, 5.0), (10_000, 5.0)):
        waits = [backoff.next_wait_s() for _ in range(1000)]
        assert 0 <= min(waits) < 0.01 * most
        assert 0.99 * most < max(waits) <= most
