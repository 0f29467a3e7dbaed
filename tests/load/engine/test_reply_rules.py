"""Messages of the user's own, and the rules by which their replies are right."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import MS, Server, WorldSocket, errors_of, run_in_world
from tests.support.wire import frame
from trioecho.base.functions_by_name import FunctionNotFoundError
from trioecho.base.message import Message
from trioecho.framing import FrameFormat
from trioecho.load import LoadPlan, LoadResult, LoadRun, MessageList, ReplyRule
from trioecho.load.engine.making import ConnectionMaker
from trioecho.load.engine.recorded import RecordedConnection
from trioecho.load.engine.reply_check import check_of
from trioecho.load.engine.ring import sent_ring
from trioecho.load.engine.tally import LoadTally

CLOSED: dict[str, Any] = {"pipeline": 1}
PIPELINED: dict[str, Any] = {"pipeline": 16}
OPEN: dict[str, Any] = {"rate": 1000}
MODES = pytest.mark.parametrize("mode", [CLOSED, PIPELINED, OPEN], ids=["closed", "pipelined", "open"])

WORDS = MessageList(
    "words.jsonl",
    [Message(b"ping", b"PONG!"), Message(b"", b""), Message(b"a" * 300, b"b"), Message(b"ping", b"PONG!")],
)


class Service(Server):
    """Replies to the n-th message of a connection with what ``reply`` makes of it, perhaps in pieces.

    None is no reply. What it has read is in ``seen``.
    """

    def __init__(
        self,
        reply: Callable[[int, bytes], bytes | None],
        *,
        delay_ns: int = MS,
        cuts: random.Random | None = None,
    ) -> None:
        self.reply = reply
        self.delay_ns = delay_ns
        self.cuts = cuts
        self.seen: defaultdict[int, list[bytes]] = defaultdict(list)

    def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
        seen = self.seen[connection.number]
        seen.append(frame_[4:])
        data = self.reply(len(seen), frame_[4:])
        at = connection.world.now + self.delay_ns
        if data is None:
            return
        if self.cuts is None:
            connection.deliver(data, at)
        while self.cuts is not None and data:
            count = self.cuts.randint(1, len(data))
            connection.deliver(data[:count], at)
            data = data[count:]


def replying(change: dict[int, bytes | None], usual: Callable[[bytes], bytes], **options: Any) -> Service:
    return Service(lambda number, payload: change.get(number, frame(usual(payload))), **options)


def recorded_reply(payload: bytes) -> bytes:
    return {b"ping": b"PONG!", b"": b"", b"a" * 300: b"b"}[payload]


def run(
    rule: str,
    service: Service,
    mode: dict[str, Any] = CLOSED,
    messages: MessageList | None = WORDS,
    **plan: Any,
) -> LoadResult:
    settings = {"connections": 2, "messages": 10, "timeout_s": 1.0, **mode, **plan}
    source = None if messages is None else messages.source
    made = LoadPlan("h", 1, **settings, source=source, reply=ReplyRule(rule))
    return run_in_world(made, service, messages=messages)


@MODES
@pytest.mark.parametrize("rule", ["echo", "recorded", "count", "same-length"])
def test_every_connection_sends_all_messages_in_order_and_begins_again(
    rule: str, mode: dict[str, Any]
) -> None:
    usual = recorded_reply if rule == "recorded" else bytes
    service = replying({}, usual)
    result = run(rule, service, mode)
    payloads = [message.payload for message in WORDS.messages]
    assert service.seen == dict.fromkeys((0, 1), (payloads * 3)[:10])
    assert (result.sent, result.messages, result.errors) == (20, 20, {})
    assert result.bytes == 2 * sum(4 + len(usual(payload)) for payload in (payloads * 3)[:10])
    assert result.latency_ns.count == 20
    assert result.latency_ns.max == MS


def test_without_a_number_each_connection_sends_the_file_once() -> None:
    assert run("echo", replying({}, bytes), messages=WORDS, connections=3).sent == 30
    plan = LoadPlan("h", 1, connections=3, source=WORDS.source)
    assert run_in_world(plan, replying({}, bytes), messages=WORDS).sent == 12


@MODES
def test_a_reply_that_is_not_the_recorded_one(mode: dict[str, Any]) -> None:
    result = run("recorded", replying({3: frame(b"c")}, recorded_reply), mode)
    assert errors_of(result) == [("wrong", 0, 3), ("wrong", 1, 3)]
    assert result.discrepancies[0].expected == b"b"
    assert result.messages == 18


@MODES
def test_an_echo_of_a_file_is_compared_with_it(mode: dict[str, Any]) -> None:
    result = run("echo", replying({1: frame(b"pinG")}, bytes), mode)
    assert errors_of(result) == [("wrong", 0, 1), ("wrong", 1, 1)]
    assert (result.messages, result.latency_ns.count) == (18, 18)


@MODES
@pytest.mark.parametrize("rule", ["count", "same-length"])
def test_the_content_of_a_reply_does_not_matter(rule: str, mode: dict[str, Any]) -> None:
    result = run(rule, replying({}, lambda payload: bytes(len(payload))), mode)
    assert (result.messages, result.errors) == (20, {})


@MODES
def test_a_reply_of_another_length_is_wrong_where_lengths_are_compared(mode: dict[str, Any]) -> None:
    change: dict[int, bytes | None] = {4: frame(b"pin"), 6: frame(b"?")}
    result = run("same-length", replying(change, bytes), mode)
    assert errors_of(result) == [("wrong", 0, 4), ("wrong", 0, 6), ("wrong", 1, 4), ("wrong", 1, 6)]
    assert {found.detail for found in result.discrepancies} == {"3 bytes instead of 4", "1 byte instead of 0"}
    assert result.messages == 16
    assert run("count", replying(change, bytes), mode).errors == {}


@pytest.mark.parametrize("rule", ["count", "same-length"])
def test_a_frame_too_many_is_unexpected(rule: str) -> None:
    result = run(
        rule, replying({10: frame(b"") * 3}, bytes, delay_ns=1000), messages=MessageList("", [Message(b"")])
    )
    assert result.errors == {"unexpected": 4}
    assert result.messages == 20


@pytest.mark.parametrize("rule", ["count", "same-length"])
def test_a_reply_that_never_comes_is_the_last_one_that_is_missing(rule: str) -> None:
    same = MessageList("", [Message(b"same")])
    result = run(rule, replying({3: None}, bytes), PIPELINED, messages=same)
    assert result.errors == {"missing": 2, "connection_stalled": 2}
    assert ("missing", 0, 10) in errors_of(result)
    assert (result.sent, result.messages) == (20, 18)


def test_a_connection_on_which_no_more_replies_come_is_given_up() -> None:
    result = run("count", replying(dict.fromkeys(range(3, 11)), bytes))
    assert result.errors == {"connection_stalled": 2, "missing": 2, "unsent": 14}
    assert result.messages == 4
    assert 3.0 < result.elapsed_s < 3.5


@pytest.mark.parametrize("rule", ["count", "same-length"])
def test_a_reply_after_the_timeout_is_late_where_replies_are_known_by_their_place(rule: str) -> None:
    result = run(
        rule,
        replying({}, bytes, delay_ns=1500 * MS),
        messages=MessageList("", [Message(b"m")]),
        connections=1,
    )
    assert result.errors == {"late": 10}
    assert result.latency_ns.max == 1500 * MS
    assert result.latency_ns.count == 10


@pytest.mark.parametrize("rule", ["count", "same-length", "recorded"])
def test_what_is_no_frame_ends_the_connection(rule: str) -> None:
    usual = recorded_reply if rule == "recorded" else bytes
    result = run(rule, replying({2: b"HTTP/1.1 400 Bad Request\r\n\r\n"}, usual))
    assert result.errors == {"framing_lost": 2, "torn": 2, "unsent": 16}
    assert "an HTTP response" in next(f.detail for f in result.discrepancies if f.kind == "framing_lost")


@MODES
@pytest.mark.parametrize("rule", ["echo", "recorded"])
def test_which_reply_never_came_is_seen_where_replies_are_known(rule: str, mode: dict[str, Any]) -> None:
    words = MessageList("", [Message(b"message %06d" % n, b"reply to %06d" % n) for n in range(20)])
    usual = bytes if rule == "echo" else lambda payload: payload.replace(b"message", b"reply to")
    result = run(rule, replying({3: None}, usual), mode, messages=words)
    assert errors_of(result) == [("missing", 0, 3), ("missing", 1, 3)]
    assert (result.sent, result.messages) == (20, 18)


def test_recorded_replies_are_compared_as_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every round: frames are looked at one by one only where one differs."""

    def inspect(connection: RecordedConnection, chunk: memoryview, now: int) -> None:
        raise AssertionError("these replies were looked at one by one")

    monkeypatch.setattr(RecordedConnection, "_inspect", inspect)
    assert run("recorded", replying({}, recorded_reply), PIPELINED).messages == 20


@MODES
@pytest.mark.parametrize("rule", ["count", "same-length"])
def test_replies_of_the_warm_up_are_in_no_number(rule: str, mode: dict[str, Any]) -> None:
    same = MessageList("", [Message(b"same")] * 3)
    result = run(rule, replying({}, bytes, delay_ns=3 * MS), mode, messages=same, warmup_s=0.05)
    assert (result.sent, result.messages, result.errors) == (20, 20, {})
    assert (result.bytes, result.latency_ns.count, result.latency_ns.max) == (20 * 8, 20, 3 * MS)


def test_made_messages_can_be_counted_too() -> None:
    result = run("count", replying({}, lambda payload: b"ok"), PIPELINED, messages=None)
    assert (result.sent, result.messages, result.errors) == (20, 20, {})


# ---- a function ----


def is_upper(message: bytes, reply: bytes) -> bool:
    return reply == message.upper()


def is_asserted(message: bytes, reply: bytes) -> None:
    assert message != b"ping", "pings are\nnot welcome"


def is_odd(message: bytes, reply: bytes) -> int:
    return 1


async def is_awaited(message: bytes, reply: bytes) -> bool:
    return True


def is_short(message: bytes) -> bool:
    return True


def rule_of(function: Callable[..., object]) -> str:
    return f"{__name__}:{function.__name__}"


@MODES
def test_a_function_judges_message_and_reply(mode: dict[str, Any]) -> None:
    result = run(rule_of(is_upper), replying({5: frame(b"no")}, bytes.upper), mode)
    assert errors_of(result) == [("wrong", 0, 5), ("wrong", 1, 5)]
    assert result.discrepancies[0].detail == f"{rule_of(is_upper)} returned False for b'no'"
    assert result.messages == 18


def test_a_function_that_raises_is_named_with_its_place_and_ends_nothing() -> None:
    result = run(rule_of(is_asserted), replying({}, bytes))
    assert (result.sent, result.messages, result.errors) == (20, 10, {"unchecked": 10})
    detail = result.discrepancies[0].detail
    assert "raised AssertionError: pings are not welcome" in detail
    assert detail.endswith(f"(test_reply_rules.py:{is_asserted.__code__.co_firstlineno + 1})")


def test_a_function_that_says_neither_right_nor_wrong() -> None:
    result = run(rule_of(is_odd), replying({}, bytes))
    assert result.errors == {"unchecked": 20}
    assert result.discrepancies[0].detail.endswith("returned neither True nor False nor None, but int")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("there_is_no:function", "there is no module there_is_no, neither in . nor among the installed"),
        (f"{__name__}:nothing", f"{__name__} has no nothing"),
        (f"{__name__}:WORDS", "is no function"),
        (rule_of(is_awaited), r"is_awaited \(test_reply_rules.py:\d+\) is async, and must not be"),
        (rule_of(is_short), "has to take a message and its reply: too many positional"),
    ],
)
def test_a_function_that_cannot_be_used(rule: str, reason: str) -> None:
    with pytest.raises(FunctionNotFoundError, match=reason):
        check_of(ReplyRule(rule), ".")


def test_what_lies_beside_a_module_takes_no_others_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "judge_of_this_test.py").write_text(
        "import wave\n\n\ndef is_right(message, reply):\n    return wave.open is not None\n"
    )
    (tmp_path / "wave.py").write_text("raise OSError('this one was not meant')\n")
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("judge_of_this_test:is_right", "judge_of_this_test.py:is_right"):
        check = check_of(ReplyRule(name), str(tmp_path))
        assert check is not None
        assert check(b"", b"").kind == "right"
    (tmp_path / "judge_of_this_test.py").write_text("no python\n")
    with pytest.raises(FunctionNotFoundError, match=r"test.py cannot be imported: SyntaxError"):
        check_of(ReplyRule("judge_of_this_test.py:is_right"), str(tmp_path))


def test_messages_that_are_not_the_plans() -> None:
    plan = LoadPlan("h", 1, source=WORDS.source)
    with pytest.raises(ValueError, match="its source has to be theirs"):
        ConnectionMaker(plan, LoadTally(plan))


# ---- an oracle ----

PAYLOADS = st.binary(max_size=20)


@examples(80)
@given(
    messages=st.lists(st.tuples(PAYLOADS, PAYLOADS), min_size=1, max_size=7),
    wrong=st.sets(st.integers(1, 12)),
    rule=st.sampled_from(["recorded", "same-length", "count"]),
    mode=st.sampled_from([CLOSED, PIPELINED, OPEN]),
    cuts=st.one_of(st.none(), st.integers(0, 1 << 32)),
)
def test_exactly_what_breaks_the_rule_is_wrong(
    messages: list[tuple[bytes, bytes]], wrong: set[int], rule: str, mode: dict[str, Any], cuts: int | None
) -> None:
    """Every other reply is right, whatever the cuts; a wrong one is longer than all that is expected."""
    expected = [reply if rule == "recorded" else payload for payload, reply in messages]

    def reply(number: int, payload: bytes) -> bytes:
        assert payload == messages[(number - 1) % len(messages)][0]
        return frame(bytes(30) if number in wrong else expected[(number - 1) % len(messages)])

    service = Service(reply, cuts=None if cuts is None else random.Random(cuts))
    source = MessageList("a.jsonl", [Message(*message) for message in messages])
    result = run(rule, service, mode, messages=source, connections=1)
    broken = sorted(number for number in wrong if number <= 10)
    if rule == "count":
        broken = []
    assert errors_of(result)[:5] == [("wrong", 0, number) for number in broken][:5]
    assert result.errors.get("wrong", 0) == len(broken)
    assert (result.sent, result.messages) == (10, 10 - len(broken))
    assert result.latency_ns.total == (10 - len(broken)) * MS


def test_frames_of_a_file_are_sent_as_they_are() -> None:
    """Also what in their headers is no length."""
    mqtt = FrameFormat.parse("any1,varint4")
    messages = MessageList("a.frames", [Message(b"abc")], [b"\x30\x03abc"])
    assert messages.frames(mqtt) == [b"\x30\x03abc"]


def test_a_load_needs_no_working_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    removed = tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    LoadRun(LoadPlan("h", 1))
    with pytest.raises(FunctionNotFoundError, match="there is no module there_is_no, here or installed"):
        LoadRun(LoadPlan("h", 1, reply=ReplyRule("there_is_no:function")))


@pytest.mark.parametrize(
    ("lengths", "frames"), [([60], 256), ([60] * 100, 200), ([60] * 300, 300), ([1 << 15], 1), ([1 << 20], 1)]
)
def test_a_round_of_a_short_file_has_it_several_times(lengths: list[int], frames: int) -> None:
    messages = MessageList("x", [Message(bytes([n % 256]) * length) for n, length in enumerate(lengths)])
    ring = sent_ring(messages, FrameFormat())
    assert ring.frames == frames
    assert ring.round(5) == b"".join(messages.frames(FrameFormat())) * (frames // len(lengths))
    assert [ring.payload(n) for n in range(frames, 2 * frames)] == [
        messages.messages[n % len(lengths)].payload for n in range(frames, 2 * frames)
    ]
