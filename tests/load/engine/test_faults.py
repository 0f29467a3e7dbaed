"""What a faulty server does is reported with exactly that count, kind and number."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import MS, S, Server, World, WorldSocket, errors_of, run_in_world
from trioecho.framing import FrameFormat
from trioecho.load.engine.engine import Engine
from trioecho.load.engine.payloads import rebuild_payload
from trioecho.load.plan import LoadPlan
from trioecho.load.sizes import SizeRange, Sizes

THOROUGH = examples(60)

CLOSED: dict[str, Any] = {"pipeline": 1}
PIPELINED: dict[str, Any] = {"pipeline": 16}
OPEN: dict[str, Any] = {"rate": 1000}
MODES = pytest.mark.parametrize("mode", [CLOSED, PIPELINED, OPEN], ids=["closed", "pipelined", "open"])

# Per message (from 1): what is done to its reply.
Faults = dict[int, str]


class FaultyServer(Server):
    """Echoes after a while, with faults on connection 1; and cuts all it sends as it is told.

    A reply that is swapped or delayed stays behind until so many others have been sent.
    """

    def __init__(self, faults: Faults, *, cuts: random.Random | None = None, delay_ns: int = MS) -> None:
        self.faults = faults
        self.cuts = cuts
        self.delay_ns = delay_ns
        self.seen: Counter[int] = Counter()
        self.held: dict[int, bytes] = {}

    def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
        self.seen[connection.number] += 1
        message = self.seen[connection.number]
        fault = self.faults.get(message, "") if connection.number == 1 else ""
        reply = self.reply(fault, message, frame)
        if self.held and connection.number == 1 and not fault:  # behind the one that has overtaken it
            reply += b"".join(self.held.values())
            self.held.clear()
        if fault == "stall":
            connection.deliver(reply, connection.world.now + 3 * S)
        elif self.cuts is None:
            connection.deliver(reply, connection.world.now + self.delay_ns)
        else:
            self.deliver_in_pieces(connection, reply)
        if fault == "die":
            connection.end(connection.world.now + self.delay_ns)
        if fault == "reset":
            connection.end(connection.world.now + self.delay_ns, reset=True)

    def reply(self, fault: str, message: int, frame: bytes) -> bytes:
        if fault in ("drop", "reset"):
            return b""
        if fault == "duplicate":
            return frame * 2
        if fault == "corrupt":
            middle = 4 + (len(frame) - 4) // 2
            return frame[:middle] + bytes([frame[middle] ^ 0xFF]) + frame[middle + 1 :]
        if fault == "corrupt stamp":
            return frame[:4] + bytes([frame[4] ^ 0x40]) + frame[5:]
        if fault == "shorten":
            return (len(frame) - 5).to_bytes(4, "big") + frame[4:-1]
        if fault == "invent":
            return frame + (9).to_bytes(4, "big") + b"surprise!"
        if fault == "swap":
            self.held[message] = frame
            return b""
        if fault == "die":
            return frame[: len(frame) // 2]
        if fault == "nonsense":
            return b"HTTP/1.1 400 Bad Request\r\n\r\n"
        return frame

    def deliver_in_pieces(self, connection: WorldSocket, reply: bytes) -> None:
        assert self.cuts is not None
        at = connection.world.now + self.delay_ns
        while reply:
            count = self.cuts.randint(1, len(reply))
            connection.deliver(reply[:count], at)
            reply = reply[count:]


def plan_of(mode: dict[str, Any], **changes: Any) -> LoadPlan:
    return LoadPlan("h", 1, **{"connections": 3, "messages": 40, "timeout_s": 1.0, **mode, **changes})


# The k-th reply of connection 1 is treated so: what is reported.
SINGLE = [
    ("drop", "missing"),
    ("duplicate", "duplicated"),
    ("corrupt", "wrong"),
    ("corrupt stamp", "wrong"),
    ("shorten", "wrong"),
]


@MODES
@pytest.mark.parametrize(("fault", "kind"), SINGLE)
@pytest.mark.parametrize("number", [1, 7, 40])
def test_one_fault_is_one_error(mode: dict[str, Any], fault: str, kind: str, number: int) -> None:
    result = run_in_world(plan_of(mode), FaultyServer({number: fault}))
    assert result.errors == {kind: 1}
    assert errors_of(result) == [(kind, 1, number)]
    assert result.sent == 120
    assert result.messages == (120 if kind == "duplicated" else 119)
    assert result.latency_ns.count == result.messages


def test_an_empty_frame_too_many_is_not_taken_for_the_next_one() -> None:
    plan = plan_of(CLOSED, sizes=Sizes.of(0), messages=10)
    result = run_in_world(plan, FaultyServer({4: "duplicate"}))
    assert errors_of(result) == [("duplicated", 1, 4)]
    assert result.messages == result.sent == 30


@pytest.mark.parametrize("mode", [PIPELINED, OPEN], ids=["pipelined", "open"])
@pytest.mark.parametrize("number", [1, 7, 39])
def test_a_swapped_pair_is_one_error(mode: dict[str, Any], number: int) -> None:
    result = run_in_world(plan_of(mode), FaultyServer({number: "swap"}))
    assert errors_of(result) == [("swapped", 1, number)]
    assert (result.sent, result.messages, result.latency_ns.count) == (120, 119, 120)


@MODES
def test_a_reply_after_the_timeout_is_late(mode: dict[str, Any]) -> None:
    plan = plan_of(mode | ({"rate": 100} if "rate" in mode else {}), messages=None, duration_s=5.0)
    result = run_in_world(plan, FaultyServer({4: "stall"}, delay_ns=20 * MS))
    assert errors_of(result) == [("late", 1, 4)]
    assert result.messages == result.sent - 1
    assert result.latency_ns.count == result.sent
    assert result.latency_ns.max == 3 * S
    assert result.discrepancies[0].detail == "after 3,000.0 ms"


def test_a_reply_whose_time_is_over_before_it_comes_at_all_is_missing_if_it_never_does() -> None:
    result = run_in_world(plan_of(CLOSED), FaultyServer({4: "stall"}))
    assert errors_of(result) == [("missing", 1, 4)]
    assert result.messages == 119
    assert 1.0 < result.elapsed_s < 1.2  # it was waited for once


@MODES
def test_a_frame_that_nobody_asked_for(mode: dict[str, Any]) -> None:
    result = run_in_world(plan_of(mode), FaultyServer({7: "invent"}))
    assert sum(result.errors.values()) >= 1
    if mode is CLOSED:
        assert errors_of(result) == [("unexpected", 1, 8)]
        assert result.messages == 120


@MODES
def test_a_server_that_ends_the_connection_in_the_middle(mode: dict[str, Any]) -> None:
    result = run_in_world(plan_of(mode), FaultyServer({7: "die"}))
    errors = result.errors
    assert ("torn", 1, 7) in errors_of(result)
    assert errors["torn"] == errors["connection_closed"] == 1
    assert errors.get("missing", 0) == result.sent - result.messages - 1
    if not mode.get("rate"):
        assert errors["unsent"] == 120 - result.sent
        assert result.messages == 80 + 6
    else:  # the other connections get what is due
        assert result.sent == 120


@MODES
def test_a_server_that_resets_the_connection(mode: dict[str, Any]) -> None:
    result = run_in_world(plan_of(mode), FaultyServer({7: "reset"}))
    assert result.errors["connection_lost"] == 1
    assert result.errors["missing"] == result.sent - result.messages


@MODES
def test_a_server_that_speaks_another_protocol(mode: dict[str, Any]) -> None:
    result = run_in_world(plan_of(mode), FaultyServer({7: "nonsense"}))
    assert result.errors["framing_lost"] == result.errors["torn"] == 1
    assert ("torn", 1, 7) in errors_of(result)
    [lost] = [found for found in result.discrepancies if found.kind == "framing_lost"]
    assert "an HTTP response" in lost.detail


def test_a_server_that_is_gone_ends_the_load() -> None:
    class DyingServer(Server):
        count = 0

        def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
            self.count += 1
            if self.count <= 50:
                super().answer(connection, frame, number)
            else:
                connection.end(connection.world.now + 1000)

    for mode in (CLOSED, PIPELINED, OPEN):
        result = run_in_world(plan_of(mode, messages=None, duration_s=3600.0), DyingServer())
        assert result.messages == 50
        assert result.errors["connection_closed"] == 3
        assert result.elapsed_s < 60


def test_a_server_that_never_reads() -> None:
    class DeafServer(Server):
        def on_bytes(self, connection: WorldSocket) -> None: ...

    for mode in (CLOSED, PIPELINED):
        result = run_in_world(plan_of(mode), DeafServer(), room=100)
        assert result.messages == 0
        assert result.errors["connection_stalled"] == 3
        assert result.errors["missing"] == result.sent
        assert result.errors["missing"] + result.errors["unsent"] == 120
    result = run_in_world(plan_of(OPEN, messages=None, duration_s=1.0), DeafServer(), room=100)
    assert result.errors["missing"] + result.errors["unsent"] == 1000
    assert result.messages == 0


def test_what_waits_for_a_server_that_does_not_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class DeafServer(Server):
        def on_bytes(self, connection: WorldSocket) -> None: ...

    monkeypatch.setattr("trioecho.load.engine.pacer.MOST_WAITING", 300)
    most = 0

    def look(engine: Engine, world: World) -> None:
        nonlocal most
        waiting = [len(connection.due or ()) for connection in engine._connections.values()]
        most = max(most, sum(waiting))

    plan = plan_of(OPEN, messages=None, duration_s=5.0, timeout_s=60.0)
    result = run_in_world(plan, DeafServer(), room=100, on_turn=look, grain_ns=50 * MS)
    assert 297 <= most <= 300
    assert result.errors["unsent"] + result.errors["missing"] == 5000
    assert "waited for a connection" in result.notes[0]


def test_a_discrepancy_shows_the_bytes_where_they_differ() -> None:
    plan = plan_of(CLOSED, sizes=Sizes.of(100))
    result = run_in_world(plan, FaultyServer({7: "corrupt"}))
    [found] = result.discrepancies
    payload = rebuild_payload(plan, 1, 7)
    assert found.expected == payload[48:80]
    assert found.offset == 48
    assert found.received == payload[48:50] + bytes([payload[50] ^ 0xFF]) + payload[51:80]
    assert (found.expected_bytes, found.received_bytes) == (100, 100)


def test_a_reply_to_another_connection_is_named() -> None:
    class Mixing(Server):
        first: WorldSocket | None = None

        def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
            if connection.number == 0 and self.first is None:
                self.first = connection
                self.other_frame = frame
            elif connection.number == 1 and self.first is not None:
                connection.deliver(self.other_frame, connection.world.now + 1000)
                self.first.deliver(frame, connection.world.now + 1000)
            else:
                connection.deliver(frame, connection.world.now + 1000)

    result = run_in_world(plan_of(CLOSED, connections=2, messages=1), Mixing())
    assert errors_of(result) == [("wrong", 0, 1), ("wrong", 1, 1)]
    details = {found.connection: found.detail for found in result.discrepancies}
    assert [details[0], details[1]] == [
        "it has the stamp of connection 1",
        "it has the stamp of connection 0",
    ]


def test_many_errors_keep_a_few_examples_and_exact_counts() -> None:
    faults = dict.fromkeys(range(1, 31), "corrupt")
    result = run_in_world(plan_of(PIPELINED), FaultyServer(faults))
    assert result.errors == {"wrong": 30}
    assert errors_of(result) == [("wrong", 1, number) for number in range(1, 6)]


def expected_of(faults: Faults, messages: int) -> dict[str, list[int]]:
    """The naive oracle: what each fault is, and nothing else."""
    kinds = {"drop": "missing", "duplicate": "duplicated", "swap": "swapped"}
    report: dict[str, list[int]] = {}
    for number, fault in faults.items():
        report.setdefault(kinds.get(fault, "wrong"), []).append(number)
    return report


@st.composite
def fault_lists(draw: st.DrawFn, messages: int, *, swaps: bool) -> Faults:
    """Faults of messages; no two overlap with a swap."""
    kinds = ["", "", "drop", "duplicate", "corrupt", "corrupt stamp", *(["swap"] if swaps else [])]
    faults: Faults = {}
    number = 1
    while number <= messages:
        fault = draw(st.sampled_from(kinds))
        if fault == "swap" and number == messages:
            break
        if fault:
            faults[number] = fault
        number += 2 if fault == "swap" else 1
    return faults


SIZES = st.sampled_from(
    [Sizes.of(16), Sizes.of(64), Sizes.of(16, 112), Sizes((SizeRange(16, 20, 3), SizeRange(3000, 3000)))]
)


@THOROUGH
@given(
    faults=fault_lists(20, swaps=True),
    sizes=SIZES,
    cuts=st.integers(0, 1 << 32).map(random.Random),
    is_open=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_faults_under_any_cuts_are_reported_exactly(
    faults: Faults, sizes: Sizes, cuts: random.Random, is_open: bool, seed: int
) -> None:
    mode = OPEN if is_open else PIPELINED
    plan = plan_of(mode, connections=2, messages=20, sizes=sizes, seed=seed)
    result = run_in_world(plan, FaultyServer(faults, cuts=cuts), grain_ns=20 * MS)
    expected = expected_of(faults, 20)
    assert result.errors == {kind: len(numbers) for kind, numbers in expected.items()}
    first_five = [(kind, 1, number) for kind, numbers in expected.items() for number in sorted(numbers)[:5]]
    assert errors_of(result) == sorted(first_five)
    answered_wrongly = sum(len(numbers) for kind, numbers in expected.items() if kind != "duplicated")
    assert result.messages == result.sent - answered_wrongly == 40 - answered_wrongly


@THOROUGH
@given(faults=fault_lists(8, swaps=False), cuts=st.integers(0, 1 << 32).map(random.Random))
def test_the_same_with_one_message_in_flight(faults: Faults, cuts: random.Random) -> None:
    # Three in a row without a byte, and a connection is given up.
    assume(not any(all(faults.get(number + i) == "drop" for i in range(3)) for number in range(1, 7)))
    plan = plan_of(CLOSED, connections=2, messages=8, timeout_s=0.5)
    result = run_in_world(plan, FaultyServer(faults, cuts=cuts), grain_ns=20 * MS)
    assert result.errors == {kind: len(found) for kind, found in expected_of(faults, 8).items()}


@THOROUGH
@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=3),
    header=st.sampled_from([1, 2, 4, 8]),
    cuts=st.integers(0, 1 << 32).map(random.Random),
)
def test_a_right_server_is_right_whatever_the_sizes_and_cuts(
    sizes: list[int], header: int, cuts: random.Random
) -> None:
    class Echo(Server):
        """Cuts as it likes; need not know about frames."""

        def on_bytes(self, connection: WorldSocket) -> None:
            data, connection.sent = connection.sent, b""
            at = connection.world.now + 1000
            while data:
                count = cuts.randint(1, len(data))
                connection.deliver(data[:count], at)
                data = data[count:]

    ranges = tuple(SizeRange(min(size, 250), min(size, 250)) for size in sizes)
    frame_format = FrameFormat(header_bytes=header)
    plan = LoadPlan("h", 1, connections=2, messages=30, pipeline=5, sizes=Sizes(ranges), format=frame_format)
    result = run_in_world(plan, Echo())
    assert (result.sent, result.messages, result.errors) == (60, 60, {})
    assert result.bytes == sum(
        header + len(rebuild_payload(plan, connection, number))
        for connection in range(2)
        for number in range(1, 31)
    )
