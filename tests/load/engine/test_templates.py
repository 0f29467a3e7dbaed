"""Messages that templates make: what is sent, and how replies to them are verified."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import MS, Server, WorldSocket, errors_of, run_in_world
from tests.support.wire import frame
from trioecho.base.message import Message
from trioecho.base.message_template import Template, Values
from trioecho.framing import FrameFormat
from trioecho.load import LoadPlan, LoadResult, MessageList, ReplyRule
from trioecho.load.engine.inspection import Inspection
from trioecho.load.engine.template_ring import TemplateRing
from trioecho.load.message_list import GivenMessages
from trioecho.load.processes.message_parts import messages_from_parts, messages_in_parts

CLOSED: dict[str, Any] = {"pipeline": 1}
PIPELINED: dict[str, Any] = {"pipeline": 16}
OPEN: dict[str, Any] = {"rate": 1000}
MODES = pytest.mark.parametrize("mode", [CLOSED, PIPELINED, OPEN], ids=["closed", "pipelined", "open"])


def text(source: str) -> Template:
    return Template(source, "text")


MESSAGES = MessageList(
    "words.jsonl",
    [
        Message(b"", b"", text("GET {{connection}} {{number}}"), text("GOT {{number}} ON {{connection}}")),
        Message(b"quit", b"bye"),
        Message(b"", b"", text("{{random 12}}@{{time}}"), text("{{random 4}} {{time}}")),
    ],
)


class Service(Server):
    """Replies to the n-th message (from 1) of a connection with what ``reply`` makes of it, after 1 ms."""

    def __init__(
        self,
        reply: Callable[[int, bytes], bytes | None] = lambda number, payload: frame(payload),
        cuts: random.Random | None = None,
    ) -> None:
        self.reply = reply
        self.cuts = cuts
        self.seen: defaultdict[int, list[bytes]] = defaultdict(list)

    def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
        seen = self.seen[connection.number]
        seen.append(frame_[4:])
        data = self.reply(len(seen), frame_[4:])
        while data:
            count = len(data) if self.cuts is None else self.cuts.randint(1, len(data))
            connection.deliver(data[:count], connection.world.now + MS)
            data = data[count:]


def recorded_reply(number: int, payload: bytes) -> bytes:
    """What `MESSAGES` say, from the message alone."""
    if payload == b"quit":
        return frame(b"bye")
    if payload.startswith(b"GET "):
        _, connection, place = payload.split()
        return frame(b"GOT %s ON %s" % (place, connection))
    name, time = payload.split(b"@")
    return frame(name[:4] + b" " + time)


def run(
    rule: str,
    service: Service,
    mode: dict[str, Any] = CLOSED,
    messages: MessageList = MESSAGES,
    **options: Any,
) -> LoadResult:
    settings = {"connections": 2, "messages": 10, "timeout_s": 1.0, **mode}
    plan = LoadPlan("h", 1, **settings, source=messages.source, reply=ReplyRule(rule))
    return run_in_world(plan, service, messages=messages, **options)


@MODES
@pytest.mark.parametrize("rule", ["echo", "recorded", "count", "same-length"])
def test_every_message_is_made_for_its_connection_and_its_place(rule: str, mode: dict[str, Any]) -> None:
    service = Service(recorded_reply) if rule == "recorded" else Service()
    result = run(rule, service, mode)
    assert (result.sent, result.messages, result.errors) == (20, 20, {})
    assert (result.latency_ns.count, result.latency_ns.max) == (20, MS)
    for connection, seen in service.seen.items():
        assert seen[0::3] == [b"GET %d %d" % (connection, number) for number in (1, 4, 7, 10)]
        assert seen[1::3] == [b"quit"] * 3
        assert all(len(payload) == 12 + 1 + 13 for payload in seen[2::3])
    names = [payload.split(b"@")[0] for seen in service.seen.values() for payload in seen[2::3]]
    assert len(set(names)) == 6


def test_the_same_plan_sends_the_same_except_for_times() -> None:
    services = Service(), Service()
    for service in services:
        run("echo", service, PIPELINED)
    first, second = ([payload.split(b"@")[0] for payload in service.seen[1]] for service in services)
    assert first == second


@MODES
def test_what_is_wrong_with_an_echo_is_seen(mode: dict[str, Any]) -> None:
    change = {3: b"", 4: frame(b"GET 0 5"), 6: frame(b"?")}
    result = run("echo", Service(lambda number, payload: change.get(number, frame(payload))), mode)
    assert errors_of(result) == [
        *(("missing", connection, 3) for connection in (0, 1)),
        *(("wrong", connection, number) for connection in (0, 1) for number in (4, 6)),
    ]
    assert (result.sent, result.messages) == (20, 14)
    assert {found.expected for found in result.discrepancies if found.number == 4} == {b"GET 0 4", b"GET 1 4"}


@MODES
def test_what_is_wrong_with_a_recorded_reply_is_seen(mode: dict[str, Any]) -> None:
    def reply(number: int, payload: bytes) -> bytes:
        return frame(b"bye!") if number == 2 else recorded_reply(number, payload)

    assert errors_of(run("recorded", Service(reply), mode)) == [("wrong", 0, 2), ("wrong", 1, 2)]


def test_a_kernel_without_room_gets_the_rest_later() -> None:
    for mode in (PIPELINED, OPEN):
        result = run("echo", Service(), mode, room=40)
        assert (result.sent, result.messages, result.errors) == (20, 20, {})


def test_what_the_kernel_has_taken_the_first_byte_of_is_sent_and_nothing_else() -> None:
    class Sipping(Server):
        """Reads once, after 30 ms, what is there."""

        def __init__(self) -> None:
            self.taken = 0
            self.connections: list[WorldSocket] = []

        def on_bytes(self, connection: WorldSocket) -> None:
            if not self.connections:
                self.connections.append(connection)
                connection.world.at(connection.world.now + 30 * MS, self.sip)

        def sip(self) -> None:
            [connection] = self.connections
            self.taken += len(connection.sent)
            connection.sent = b""

    server = Sipping()
    messages = MessageList("a", [Message(b"", None, text("{{number 6}}"))])
    settings: dict[str, Any] = {"messages": 60, "rate": 1000.0, "timeout_s": 0.2}
    plan = LoadPlan("h", 1, connections=1, source=messages.source, reply=ReplyRule("count"), **settings)
    result = run_in_world(plan, server, messages=messages, room=35)
    accepted = server.taken + len(server.connections[0].sent)
    assert (accepted, result.sent) == (70, 7)
    assert result.sent + result.errors["unsent"] == 60


def test_a_late_reply_is_still_known_by_its_content() -> None:
    class Late(Service):
        def answer(self, connection: WorldSocket, frame_: bytes, number: int) -> None:
            self.seen[connection.number].append(frame_[4:])
            late = 1500 * MS if len(self.seen[connection.number]) == 3 else MS
            connection.deliver(frame_, connection.world.now + late)

    result = run("echo", Late(), {"messages": 800})
    assert result.errors == {"late": 2}
    assert (result.messages, result.latency_ns.count) == (1598, 1600)


@examples(60)
@given(
    sources=st.lists(
        st.sampled_from(["a", "bc", "{{number}}", "{{random 3}}", "{{time}}x"]), min_size=1, max_size=5
    ),
    rule=st.sampled_from(["echo", "count", "same-length"]),
    mode=st.sampled_from([CLOSED, PIPELINED, OPEN]),
    wrong=st.sets(st.integers(1, 12)),
    seed=st.integers(0, 1 << 32),
    room=st.sampled_from([20, 50, 10**9]),
)
def test_exactly_what_is_wrong_is_counted(
    sources: list[str], rule: str, mode: dict[str, Any], wrong: set[int], seed: int, room: int
) -> None:
    messages = MessageList("a", [Message(b"", None, text(source)) for source in sources])

    def reply(number: int, payload: bytes) -> bytes:
        return frame(b"") if number in wrong else frame(payload)

    result = run(rule, Service(reply, random.Random(seed)), mode, messages, room=room)
    count = 0 if rule == "count" else 2 * len([number for number in wrong if number <= 10])
    assert result.errors.get("wrong", 0) == count
    assert (result.sent, result.messages, result.error_count) == (20, 20 - count, count)


def test_times_are_kept_only_while_they_are_needed() -> None:
    clock = iter(range(1, 10**6))
    messages = MessageList("a", [Message(b"", None, text("{{time}}"))])
    ring = TemplateRing(messages, FrameFormat(), 0, 0, lambda: next(clock))
    for message in range(50_000):
        assert ring.render(message)[4:] == b"%d" % (message + 1)
        ring.forget(message - 10, {5})
    assert ring.payload(5) == b"6"
    assert ring.payload(49_995) == b"49996"
    assert len(ring._times) < 20_000


def test_templates_arrive_at_workers_as_they_were() -> None:
    there = messages_from_parts(list(messages_in_parts(GivenMessages(MESSAGES))))[0].messages
    assert there is not None
    assert (there.messages, there.source) == (MESSAGES.messages, MESSAGES.source)
    assert there.source.templates == 2
    ring, again = (TemplateRing(one, FrameFormat(), 2, 9, lambda: 5) for one in (MESSAGES, there))
    assert [ring.render(number) for number in range(9)] == [again.render(number) for number in range(9)]
    assert ring.reply(8) == MESSAGES.messages[2].reply_template.render(Values(9, 2, 9, 5))  # type: ignore[union-attr]


class AtOnce(Service):
    """Echoes all that has come as one piece."""

    def on_bytes(self, connection: WorldSocket) -> None:
        connection.deliver(b"".join(connection.read_frames()), connection.world.now + MS)


@pytest.mark.parametrize("mode", [CLOSED, PIPELINED], ids=["closed", "pipelined"])
def test_an_echo_that_comes_as_one_piece_is_not_made_again(
    mode: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    look = Inspection.look

    def counting(self: Inspection, chunk: memoryview, now: int) -> None:
        looked_at.append(len(chunk))
        look(self, chunk, now)

    monkeypatch.setattr(Inspection, "look", counting)
    result = run("echo", AtOnce(), mode)
    assert (result.messages, result.errors, result.latency_ns.max) == (20, {}, MS)
    assert looked_at == []
    # What does not come as one piece is looked at, and what comes after it is one piece again.
    result = run("echo", Service(cuts=random.Random(1)), {**mode, "messages": 40})
    assert (result.messages, result.errors) == (80, {})
    assert looked_at
