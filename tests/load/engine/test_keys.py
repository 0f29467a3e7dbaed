"""Replies in any order, which are known by a key that their messages have, too."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import MS, S, Server, WorldSocket, errors_of, run_in_world
from tests.support.wire import frame
from trioecho.base.functions_by_name import FunctionNotFoundError
from trioecho.base.message import Message
from trioecho.base.message_template import Template
from trioecho.guide import read_topic
from trioecho.load import Churn, LoadPlan, LoadResult, MessageList, ReplyRule, ServiceTraits, Span
from trioecho.load.engine.keyed_messages import KeyFunction

PIPELINED: dict[str, Any] = {"pipeline": 8}
OPEN: dict[str, Any] = {"rate": 1000}
MODES = pytest.mark.parametrize("mode", [PIPELINED, OPEN], ids=["pipelined", "open"])


def first_four(payload: bytes) -> bytes:
    return payload[:4]


def number_in_front(payload: bytes) -> int:
    return int(payload.split()[0])


def no_key(payload: bytes) -> list[int]:
    return [1]


def of_two(payload: bytes, other: bytes) -> bytes:
    return payload


def name_of(function: Callable[..., object]) -> str:
    return f"{__name__}:{function.__name__}"


WORDS = MessageList("w.jsonl", [Message(b"%04d and more" % n, b"%04d replied" % n) for n in range(40)])
NUMBERED = MessageList(
    "t.jsonl", [Message(b"", b"", Template("{{number}} a", "text"), Template("{{number}} b", "text"))]
)


class Shuffler(Server):
    """Replies after a time that ``delay`` says, for the n-th message (from 1) of a connection.

    Args:
      delay: in ms; None for no reply.
      reply: the payload of it.
    """

    def __init__(
        self,
        delay: Callable[[int], float | None],
        reply: Callable[[int, bytes], bytes] = lambda number, payload: payload,
    ) -> None:
        self.delay = delay
        self.reply = reply
        self.delays: Counter[float] = Counter()
        self.count: Counter[int] = Counter()

    def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
        self.count[connection.number] += 1
        place = self.count[connection.number]
        delay = self.delay(place)
        if delay is not None:
            self.delays[delay] += 1
            at = connection.world.now + round(delay * MS)
            connection.deliver(frame(self.reply(place, frame_[4:])), at)


def shuffled(seed: int = 1) -> Callable[[int], float]:
    chance = random.Random(seed)
    return lambda number: chance.randint(1, 40) / 2


def run(
    server: Shuffler,
    mode: dict[str, Any] = PIPELINED,
    source: MessageList | None = WORDS,
    key: Callable[..., object] = first_four,
    rule: str = "echo",
    **plan: Any,
) -> LoadResult:
    settings = {"connections": 2, "messages": 40, "timeout_s": 1.0, **mode, **plan}
    made = LoadPlan(
        "h",
        1,
        source=None if source is None else source.source,
        reply=ReplyRule(rule),
        service=ServiceTraits(key=name_of(key)),
        **settings,
    )
    return run_in_world(made, server, messages=source)


@MODES
@pytest.mark.parametrize("rule", ["echo", "count", "same-length"])
def test_replies_may_come_in_any_order(mode: dict[str, Any], rule: str) -> None:
    server = Shuffler(shuffled())
    result = run(server, mode, rule=rule)
    assert (result.sent, result.messages, result.errors) == (80, 80, {})
    assert result.bytes == 80 * (4 + 13)


@MODES
def test_the_latency_of_each_is_its_own(mode: dict[str, Any]) -> None:
    server = Shuffler(shuffled())
    result = run(server, mode)
    expected = sum(round(delay * MS) * count for delay, count in server.delays.items())
    assert result.latency_ns.count == 80
    assert result.from_send_ns.total == expected
    assert result.latency_ns.max == max(server.delays) * MS


def test_the_key_of_the_guide() -> None:
    snippets = re.findall(r"```python\n(.*?)```", read_topic("load"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(next(snippet for snippet in snippets if "first_four" in snippet), names)  # noqa: S102 - it is the guide's
    assert names["first_four"](b"12345") == first_four(b"12345") == b"1234"


def test_without_a_key_the_same_replies_are_errors() -> None:
    server = Shuffler(shuffled())
    plan = LoadPlan("h", 1, messages=40, pipeline=8, source=WORDS.source)
    assert run_in_world(plan, server, messages=WORDS).errors["swapped"] > 0


@MODES
def test_recorded_replies_and_templates(mode: dict[str, Any]) -> None:
    server = Shuffler(shuffled(), lambda number, payload: payload[:4] + b" replied")
    assert run(server, mode, rule="recorded").messages == 80
    server = Shuffler(shuffled(), lambda number, payload: payload[:-1] + b"b")
    result = run(server, mode, NUMBERED, number_in_front, "recorded")
    assert (result.sent, result.messages, result.errors) == (80, 80, {})
    result = run(Shuffler(shuffled()), mode, NUMBERED, number_in_front)
    assert (result.sent, result.messages, result.errors) == (80, 80, {})


def test_made_messages_have_keys_too() -> None:
    """Their stamps: a round, an index, a connection."""
    result = run(Shuffler(shuffled()), source=None, key=first_eight)
    assert (result.messages, result.errors) == (80, {})


def first_eight(payload: bytes) -> bytes:
    return payload[:8]


@MODES
def test_a_reply_with_other_content_is_wrong(mode: dict[str, Any]) -> None:
    def reply(number: int, payload: bytes) -> bytes:
        return payload[:4] + b"?" if number in (3, 5) else payload

    result = run(Shuffler(shuffled(), reply), mode, connections=1)
    assert errors_of(result) == [("wrong", 0, 3), ("wrong", 0, 5)]
    assert result.discrepancies[0].expected == b"0002 and more"
    assert result.discrepancies[0].received == b"0002?"
    assert (result.sent, result.messages) == (40, 38)


@MODES
def test_a_reply_that_never_comes_is_the_one_that_is_missing(mode: dict[str, Any]) -> None:
    chance = shuffled()
    result = run(Shuffler(lambda number: None if number == 7 else chance(number)), mode, connections=1)
    assert errors_of(result) == [("missing", 0, 7)]
    assert (result.sent, result.messages) == (40, 39)


def test_a_reply_after_the_timeout_is_late() -> None:
    server = Shuffler(lambda number: 1500 if number == 3 else 30)
    result = run(server, {"pipeline": 4}, NUMBERED, number_in_front, connections=1, messages=800)
    assert errors_of(result) == [("late", 0, 3)]
    assert (result.messages, result.latency_ns.count) == (799, 800)


def test_a_second_reply_and_one_that_nobody_asked_for() -> None:
    class Talkative(Shuffler):
        def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
            super().answer(connection, frame_, number)
            place = self.count[connection.number]
            if place == 3:
                connection.deliver(frame_, connection.world.now + 2 * MS)
            elif place == 4:
                connection.deliver(frame(b"9999"), connection.world.now + MS)

    result = run(Talkative(lambda number: 1), connections=1)
    assert result.errors == {"duplicated": 1, "unexpected": 1}
    found = {found.kind: found for found in result.discrepancies}
    assert (found["duplicated"].number, found["duplicated"].received) == (3, b"0002 and more")
    assert found["unexpected"].detail == "no message in flight has its key b'9999'"
    assert found["unexpected"].received == b"9999"
    assert result.messages == 40


def test_a_key_that_another_message_in_flight_has() -> None:
    messages = MessageList("a", [Message(b"same"), Message(b"same"), Message(b"else")])
    server = Shuffler(lambda number: 5 if number == 2 else 1)
    result = run(server, {"pipeline": 3}, messages, connections=1, messages=3)
    assert errors_of(result) == [("same_key", 0, 2)]
    assert result.latency_ns.max == MS  # of the first, which has the first reply
    assert result.discrepancies[0].detail == "its key b'same' is that of message 1"
    assert (result.sent, result.messages) == (3, 2)


def test_a_key_is_free_again_when_the_time_of_its_message_is_over() -> None:
    messages = MessageList("a", [Message(b"same")])
    server = Shuffler(lambda number: None if number == 1 else 1)
    result = run(server, {"pipeline": 1}, messages, connections=1)
    assert errors_of(result) == [("missing", 0, 1)]
    assert (result.sent, result.messages) == (40, 39)


def test_a_function_that_raises_is_named_and_ends_nothing() -> None:
    messages = MessageList("a", [Message(b"1 a"), Message(b"two b"), Message(b"3 c")])
    result = run(Shuffler(lambda number: 1), {"pipeline": 1}, messages, number_in_front, connections=1)
    assert (result.sent, result.messages, result.errors) == (40, 27, {"unchecked": 13})
    detail = result.discrepancies[0].detail
    assert detail.startswith(f"{name_of(number_in_front)} raised ValueError: invalid literal for int()")
    assert detail.endswith(f"(test_keys.py:{number_in_front.__code__.co_firstlineno + 1})")


def test_a_reply_of_which_there_is_no_key() -> None:
    def reply(number: int, payload: bytes) -> bytes:
        return b"?" if number == 2 else payload

    result = run(Shuffler(lambda number: 1, reply), {}, NUMBERED, number_in_front, connections=1)
    assert result.errors == {"unchecked": 1, "missing": 1}
    found = {found.kind: found for found in result.discrepancies}
    assert found["unchecked"].received == b"?"
    assert found["missing"].number == 2
    assert result.messages == 39


def test_what_cannot_be_a_key() -> None:
    result = run(Shuffler(lambda number: 1), key=no_key)
    assert result.errors == {"unchecked": 80}
    assert "raised TypeError: unhashable type: 'list'" in result.discrepancies[0].detail


def test_a_connection_that_is_lost_in_the_middle() -> None:
    class Ender(Shuffler):
        def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
            super().answer(connection, frame_, number)
            if self.count[connection.number] == 8:
                connection.deliver(frame(b"0003 and more")[:9], connection.world.now + 100 * MS)
                connection.end(connection.world.now + 101 * MS)

    result = run(Ender(lambda number: 2 if number < 3 else None), connections=1, timeout_s=5.0)
    assert result.errors["torn"] == 1
    assert result.sent == result.messages + result.errors["torn"] + result.errors["missing"]
    assert result.sent + result.errors["unsent"] == 40


def test_warm_up_is_in_no_number() -> None:
    result = run(Shuffler(shuffled()), warmup_s=0.1)
    assert (result.sent, result.messages, result.errors) == (80, 80, {})
    assert result.latency_ns.count == 80


def test_silence_ends_a_connection() -> None:
    result = run(Shuffler(lambda number: 1 if number < 5 else None), connections=1)
    assert result.errors["connection_stalled"] == 1
    assert result.sent == 4 + result.errors["missing"]
    assert result.elapsed_s < 4 * S


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (of_two, "has to take a payload: missing a required argument: 'other'"),
        (WORDS, "has no WORDS2"),
    ],
)
def test_a_function_that_cannot_give_keys(function: Any, reason: str) -> None:
    name = f"{__name__}:WORDS2" if function is WORDS else name_of(function)
    with pytest.raises(FunctionNotFoundError, match=reason):
        KeyFunction(name, ".")


@pytest.mark.parametrize("number", [1, 2, 20])
def test_a_reply_longer_than_any_message_is_no_frame(number: int) -> None:
    """Its message is torn, and those after it are unsent: the connection is given up."""
    messages = MessageList("a", [Message(b"0000")])
    server = Shuffler(lambda place: 1, lambda place, payload: payload + b"#" * (place == number))
    result = run(server, {"pipeline": 1}, messages, connections=1, messages=20)
    assert errors_of(result)[:2] == [("framing_lost", 0, number), ("torn", 0, number)]
    assert (result.sent, result.messages) == (number, number - 1)
    assert Counter(result.errors) == Counter(framing_lost=1, torn=1, unsent=20 - number)


@examples(100)
@given(
    keys=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    delays=st.lists(st.one_of(st.none(), st.integers(1, 30)), min_size=1, max_size=9),
    wrong=st.sets(st.integers(1, 20)),
    mode=st.sampled_from([{"pipeline": 1}, PIPELINED, {"rate": 500}]),
)
def test_every_message_ends_as_exactly_one_thing(
    keys: list[int], delays: list[int | None], wrong: set[int], mode: dict[str, Any]
) -> None:
    # None is as short as its key: a wrong reply has a byte more, and must not be longer than all messages.
    messages = MessageList("a", [Message(b"%04d." % key + b"." * place) for place, key in enumerate(keys)])
    server = Shuffler(
        lambda number: delays[number % len(delays)],
        lambda number, payload: payload[:4] + b"#" if number in wrong else payload,
    )
    result = run(server, mode, messages, connections=1, messages=20, timeout_s=0.5)
    of_messages = ("wrong", "missing", "late", "same_key", "torn")
    assert result.sent == result.messages + sum(result.errors.get(kind, 0) for kind in of_messages)
    assert result.sent + result.errors.get("unsent", 0) == 20
    assert not {"unexpected", "unchecked", "swapped", "framing_lost"} & set(result.errors)
    if None not in delays and mode == {"pipeline": 1}:
        assert result.messages == 20 - len([number for number in wrong if number <= 20])


def test_connections_that_come_and_go() -> None:
    server = Shuffler(shuffled())
    result = run(server, {"pipeline": 4}, NUMBERED, number_in_front, churn=Churn(per_connection=Span(3, 9)))
    assert (result.sent, result.messages, result.errors) == (80, 80, {})


def test_what_is_in_flight_on_a_connection_that_ends_is_lost() -> None:
    class Ender(Shuffler):
        def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
            super().answer(connection, frame_, number)
            if self.count[connection.number] == 12:
                connection.end(connection.world.now + 3 * MS)

    server = Ender(lambda number: 1 if number % 2 else 2)
    result = run(
        server, {"pipeline": 4}, NUMBERED, number_in_front, connections=1, churn=Churn(reconnect=True)
    )
    assert result.errors["lost"] > 0
    assert result.sent == result.messages + result.errors["lost"] == 40
