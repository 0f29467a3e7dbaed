"""Conversations: a generator function makes the messages of a connection, and gets the replies."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Generator
from typing import Any

import pytest

from tests.support.load_world import (
    MS,
    Server,
    World,
    WorldSocket,
    driven_in_world,
    errors_of,
    run_in_world,
)
from tests.support.wire import frame
from trioecho.base.functions_by_name import FunctionNotFoundError
from trioecho.base.message import Message
from trioecho.framing import Frame, FrameFormat
from trioecho.guide import read_topic
from trioecho.load import Churn, LoadPlan, LoadResult, MessageList, ReplyRule, ServiceTraits, Span
from trioecho.load.engine.conversation import conversations_of, is_conversation
from trioecho.load.engine.engine import Engine
from trioecho.load.engine.making import ConnectionMaker
from trioecho.load.engine.payload import reply_of
from trioecho.load.engine.reply_check import check_of
from trioecho.load.engine.tally import LoadTally

Talk = Generator[Any, bytes, Any]


class Bank(Server):
    """Gives a token to who logs in, and replies to nobody else but with the bytes that it got."""

    def __init__(self) -> None:
        self.seen: defaultdict[int, list[bytes]] = defaultdict(list)

    def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
        payload = frame_[4:]
        self.seen[connection.number].append(payload)
        reply = payload
        if payload.startswith(b"LOGIN "):
            reply = b"TOKEN %d" % len(self.seen[connection.number])
        connection.deliver(frame(reply), connection.world.now + MS)


def log_in(connection: int) -> Talk:
    reply = yield b"LOGIN user%d" % connection
    word, token = reply.split()
    assert word == b"TOKEN"
    for number in range(2):
        reply = yield b"PAY %d " % number + token
        assert reply.endswith(token)


def say_nothing_of_itself() -> Talk:
    reply = yield bytearray(b"hello")
    assert reply == b"hello"


def judge_by_its_end(connection: int) -> Talk:
    number = 0
    while True:
        number += 1
        yield memoryview(b"%d" % number)
        if number == 3:
            return connection != 1


def return_a_number(connection: int) -> Talk:
    yield b"a"
    return 1


def fail_at_the_second(connection: int) -> Talk:
    yield b"a"
    reply = yield b"b"
    raise LookupError(f"no {reply!r}\nhere")


def fail_at_once(connection: int) -> Talk:
    if connection == 1:
        raise LookupError("not on this one")
    yield b"a"


def end_at_once(connection: int) -> Talk:
    if connection == 0:
        return
    yield b"a"


def yield_text(connection: int) -> Talk:
    yield b"a"
    yield "b" if connection == 0 else b"b"


def await_what_was_not_asked_for(connection: int) -> Talk:
    if connection == 0:
        yield None
    yield b"a"


def yield_too_much(connection: int) -> Talk:
    yield bytes(300)


def fail_when_it_is_closed() -> Talk:
    try:
        while True:
            yield b"a"
    except GeneratorExit:
        raise LookupError("too late") from None


def two(first: bytes, second: bytes) -> Talk:
    yield first + second


def no_conversation(connection: int) -> bytes:
    return b"a"


def rule_of(function: Callable[..., object]) -> ReplyRule:
    return ReplyRule(f"{__name__}:{function.__name__}")


def run(function: Callable[..., object], server: Server | None = None, **plan: Any) -> LoadResult:
    settings = {"connections": 2, "messages": 7, "service": ServiceTraits(conversation=True), **plan}
    made = LoadPlan("h", 1, reply=rule_of(function), **settings)
    return run_in_world(made, server or Bank(), is_cautious=True)


def test_each_connection_has_its_own_conversation_and_begins_it_again() -> None:
    service = Bank()
    result = run(log_in, service)
    assert (result.sent, result.messages, result.errors) == (14, 14, {})
    assert (result.latency_ns.count, result.latency_ns.max) == (14, MS)
    for connection, seen in service.seen.items():
        login = b"LOGIN user%d" % connection
        assert seen == [
            login, b"PAY 0 1", b"PAY 1 1", login, b"PAY 0 4", b"PAY 1 4", login,
        ]  # fmt: skip


def test_the_conversation_of_the_guide() -> None:
    snippets = re.findall(r"```python\n(.*?)```", read_topic("load"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(next(snippet for snippet in snippets if "yield" in snippet), names)  # noqa: S102 - it is the guide's
    buy: Callable[[int], Talk] = names["buy"]
    talk = buy(3)
    assert next(talk) == b"LOGIN user3"
    assert [talk.send(b"OK token") for _ in range(10)] == [b"BUY token"] * 10
    with pytest.raises(StopIteration) as end:
        talk.send(b"OK token")
    assert end.value.value is None
    refused = buy(3)
    next(refused)
    with pytest.raises(StopIteration) as end:
        refused.send(b"NO")
    assert end.value.value is False


def test_the_conversation_of_the_guide_with_several_replies() -> None:
    snippets = re.findall(r"```python\n(.*?)```", read_topic("load"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(next(snippet for snippet in snippets if "yield None" in snippet), names)  # noqa: S102 - it is the guide's
    select: Callable[[int], Talk] = names["select"]

    def reply(kind: bytes, payload: bytes) -> bytes:
        return reply_of(payload, kind + (4 + len(payload)).to_bytes(4, "big"), FrameFormat.parse("postgres"))

    for row, is_right in ((b"42", True), (b"41", False)):
        talk = select(0)
        assert next(talk) == Frame(b"Q", b"SELECT 6 * 7\0")
        for kind, payload in ((b"T", b"?column?"), (b"D", b"\0\1\0\0\0\2" + row), (b"C", b"SELECT 1")):
            assert talk.send(reply(kind, payload)) is None
        with pytest.raises(StopIteration) as end:
            talk.send(reply(b"Z", b"I"))
        assert end.value.value is is_right


def test_a_conversation_needs_no_number() -> None:
    assert run(say_nothing_of_itself).messages == 14


def test_think_times_are_between_its_messages() -> None:
    result = run(log_in, think_s=0.5)
    assert (result.messages, result.errors) == (14, {})
    assert result.elapsed_s > 3


def test_a_duration_ends_it_in_its_middle() -> None:
    result = run(log_in, messages=None, duration_s=0.01)
    assert result.errors == {}
    assert result.sent == result.messages > 10


WHOLE = ServiceTraits(conversation=True, ends_whole=True)


@pytest.mark.parametrize("think_s", [0.0, 0.5])
@pytest.mark.parametrize("cautious", [True, False])
@pytest.mark.parametrize(("messages", "sent"), [(2, 3), (3, 3), (4, 6), (7, 9)])
def test_without_a_number_of_the_user_the_last_one_ends_whole(
    messages: int, sent: int, cautious: bool, think_s: float
) -> None:
    plan = LoadPlan("h", 1, messages=messages, reply=rule_of(log_in), service=WHOLE, think_s=think_s)
    result = run_in_world(plan, Bank(), is_cautious=cautious)
    assert (result.sent, result.messages, result.errors) == (5 * sent, 5 * sent, {})


def forever() -> Talk:
    while True:
        yield b"more"


def test_one_that_never_ends_does_not_keep_the_load_from_ending() -> None:
    assert run(forever, service=WHOLE).messages == 2 * (7 + 7)


def test_a_load_that_is_stopped_begins_no_further_message() -> None:
    stopped_at: list[int] = []

    def stop(engine: Engine, _: World) -> None:
        if engine.tally.sent > 7 and not stopped_at:
            stopped_at.append(engine.tally.sent)
            engine.stop()

    plan = LoadPlan("h", 1, connections=1, messages=7, reply=rule_of(forever), service=WHOLE)
    result = driven_in_world(plan, Bank(), on_turn=stop).result()
    assert [result.sent] == stopped_at


def test_with_connections_that_come_and_go_the_number_holds() -> None:
    churn = Churn(per_connection=Span(4, 4))
    assert run(log_in, service=WHOLE, churn=churn, messages=7).messages == 14


@pytest.mark.parametrize("think_s", [0.0, 0.5])
@pytest.mark.parametrize(("most", "sent"), [(1, 3), (2, 3), (3, 3), (4, 6)])
def test_a_connection_ends_behind_a_conversation(most: int, sent: int, think_s: float) -> None:
    service = Bank()
    churn = Churn(per_connection=Span(most, most))
    result = run(log_in, service, churn=churn, messages=4 * sent, think_s=think_s)
    assert (result.sent, result.messages, result.errors) == (8 * sent, 8 * sent, {})
    assert (result.churn.ended, result.churn.conversations_cut, result.notes) == (6, 0, [])
    assert all(len(seen) == sent and seen[0].startswith(b"LOGIN") for seen in service.seen.values())


@pytest.mark.parametrize("think_s", [0.0, 0.002])
def test_the_time_of_a_connection_ends_behind_a_conversation(think_s: float) -> None:
    service = Bank()
    churn = Churn(lifetime_s=Span(0.0145, 0.0145))
    result = run(log_in, service, churn=churn, messages=30, think_s=think_s)
    assert (result.messages, result.errors, result.churn.conversations_cut) == (60, {}, 0)
    assert len(service.seen) > 2
    assert all(len(seen) % 3 == 0 for seen in service.seen.values())


def test_one_that_never_ends_is_cut_and_counted() -> None:
    churn = Churn(per_connection=Span(10, 10))
    result = run(forever, churn=churn, messages=420)
    assert (result.messages, result.churn.ended, result.churn.conversations_cut) == (840, 2, 4)
    assert result.churn.cut_in_words.startswith("4 conversations cut in the middle")


@pytest.mark.parametrize(("messages", "cut"), [(6, 0), (7, 2)])
def test_those_that_a_number_of_messages_cuts_are_counted(messages: int, cut: int) -> None:
    assert run(log_in, messages=messages).churn.conversations_cut == cut


def test_those_that_the_server_cuts_are_no_more_than_its_errors() -> None:
    assert run(log_in, Bank(), messages=6, churn=Churn(reconnect=True)).churn.conversations_cut == 0


def test_what_it_returns_judges_the_last_reply() -> None:
    result = run(judge_by_its_end)
    assert errors_of(result) == [("wrong", 1, 3), ("wrong", 1, 6)]
    assert result.discrepancies[0].detail == f"{rule_of(judge_by_its_end)} returned False for b'3'"
    assert (result.sent, result.messages) == (14, 12)
    result = run(return_a_number)
    assert result.errors == {"unchecked": 14}
    assert result.discrepancies[0].detail.endswith("returned neither True nor False nor None, but int")


def test_one_that_raises_is_named_with_its_place_and_the_next_one_begins() -> None:
    result = run(fail_at_the_second)
    assert (
        errors_of(result)
        == [("unchecked", connection, number) for connection in (0, 1) for number in (2, 4, 6)][:5]
    )
    assert result.errors == {"unchecked": 6}
    assert (result.sent, result.messages) == (14, 8)
    line = fail_at_the_second.__code__.co_firstlineno + 3
    assert result.discrepancies[0].detail == (
        f"{rule_of(fail_at_the_second)} raised LookupError: no b'b' here (test_conversations.py:{line})"
    )


@pytest.mark.parametrize(
    ("function", "connection", "sent", "reason"),
    [
        (fail_at_once, 1, 0, "raised LookupError: not on this one (test_conversations.py:"),
        (end_at_once, 0, 0, "ended without a message"),
        (yield_text, 0, 1, "yielded str, and no bytes"),
        (await_what_was_not_asked_for, 0, 0, "yielded None, to await another reply, and had sent nothing"),
    ],
)
def test_a_conversation_without_a_message_ends_its_connection_alone(
    function: Callable[..., object], connection: int, sent: int, reason: str
) -> None:
    result = run(function)
    assert result.errors == {"no_message": 1, "unsent": 7 - sent}
    [found] = [found for found in result.discrepancies if found.kind == "no_message"]
    assert (found.connection, found.number) == (connection, sent + 1)
    assert found.detail.startswith(f"{rule_of(function)} {reason}")
    assert (result.sent, result.messages) == (7 + sent, 7 + sent)
    assert result.elapsed_s < 0.5  # no other connection has waited for it


class Shop(Server):
    """Has a row for each digit of a message, a millisecond apart, and then says that there are no more."""

    def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
        rows = [*(bytes([digit]) for digit in frame_[4:]), b"end"]
        for place, row in enumerate(rows, start=1):
            connection.deliver(frame(row), connection.world.now + place * MS)


def read_rows(connection: int) -> Talk:
    reply = yield b"321"
    rows = []
    while reply != b"end":
        rows.append(reply)
        reply = yield None
    return rows == [b"3", b"2", b"1"]


def read_no_rows(connection: int) -> Talk:
    assert (yield b"") == b"end"


def await_too_many(connection: int) -> Talk:
    yield b""
    yield None


@pytest.mark.parametrize("think_s", [0.0, 0.5])
def test_a_message_with_several_replies_has_its_time_with_the_last_one(think_s: float) -> None:
    result = run(read_rows, Shop(), think_s=think_s)
    assert (result.sent, result.messages, result.errors) == (14, 14, {})
    assert (result.latency_ns.count, result.latency_ns.mean, result.latency_ns.max) == (14, 4 * MS, 4 * MS)
    assert result.bytes == 14 * (3 * 5 + 7)
    assert run(read_no_rows, Shop()).messages == 14


def test_a_reply_that_never_comes_is_missing() -> None:
    result = run(await_too_many, Shop(), timeout_s=1.0)
    assert (result.sent, result.messages) == (2, 0)
    assert result.errors == {"missing": 2, "unsent": 12}


def test_a_message_that_no_frame_can_have() -> None:
    result = run(yield_too_much, format=FrameFormat.parse("u8"))
    assert result.errors == {"no_message": 2, "unsent": 14}
    assert "yielded a message that is too long" in result.discrepancies[0].detail
    assert result.ended_early is not None


def test_what_a_conversation_raises_when_it_is_cut_short_is_no_error() -> None:
    result = run(fail_when_it_is_closed)
    assert (result.messages, result.errors) == (14, {})


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (two, "has to take the number of its connection, or nothing: missing a required argument"),
        (no_conversation, "is no conversation: it has no yield in it"),
    ],
)
def test_what_is_no_conversation(function: Callable[..., object], reason: str) -> None:
    with pytest.raises(FunctionNotFoundError, match=reason):
        conversations_of(rule_of(function), ".")


def test_whether_a_function_is_a_conversation() -> None:
    assert is_conversation(rule_of(two), ".")
    assert not is_conversation(rule_of(no_conversation), ".")
    assert not is_conversation(ReplyRule("count"), ".")
    with pytest.raises(FunctionNotFoundError, match="has a yield in it"):
        check_of(rule_of(two), ".")


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"pipeline": 2}, "leave out the pipeline"),
        ({"rate": 10.0}, "leave out the schedule"),
        ({"reply": ReplyRule("count")}, "is a function"),
        ({"source": MessageList("a", [Message(b"b")]).source}, "makes its messages itself"),
    ],
)
def test_a_plan_in_which_no_conversation_is_possible(plan: dict[str, Any], reason: str) -> None:
    settings = {"reply": rule_of(log_in), "service": ServiceTraits(conversation=True), **plan}
    with pytest.raises(ValueError, match=reason):
        LoadPlan("h", 1, **settings)


def test_a_plan_that_does_not_know_of_it() -> None:
    plan = LoadPlan("h", 1, reply=rule_of(log_in))
    with pytest.raises(FunctionNotFoundError, match="has a yield in it"):
        ConnectionMaker(plan, LoadTally(plan))


def test_a_connection_that_is_opened_again_begins_a_conversation_anew() -> None:
    class Restless(Bank):
        """Resets a connection with its second message."""

        def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
            super().answer(connection, frame_, number)
            if len(self.seen[connection.number]) == 2:
                connection.end(reset=True)

    service = Restless()
    result = run(log_in, service, connections=1, messages=6, churn=Churn(reconnect=True))
    assert result.errors == {"connection_lost": 3, "lost": 3}
    assert (result.sent, result.messages) == (6, 3)
    assert all(seen == [b"LOGIN user0", b"PAY 0 1"] for seen in service.seen.values())
    assert len(service.seen) == 3


def test_a_connection_is_not_opened_again_for_a_conversation_without_a_message() -> None:
    result = run(end_at_once, churn=Churn(reconnect=True))
    assert result.errors == {"no_message": 1, "unsent": 7}
    assert result.messages == 7
