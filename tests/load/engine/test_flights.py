"""What comes back as one piece is counted as any other replies are: only the way is shorter."""

from __future__ import annotations

import math
import random
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.load.engine.test_faults import SIZES, Faults, FaultyServer, fault_lists, plan_of
from tests.support.examples import examples
from tests.support.load_world import MS, START, Server, WorldSocket, errors_of, run_in_world
from trioecho.load.engine.connection import LoadConnection
from trioecho.load.plan import LoadPlan
from trioecho.load.results.result import LoadResult
from trioecho.load.sizes import Sizes


class GeneralConnection(LoadConnection):
    """Takes the way that is right for any replies, always."""

    __slots__ = ()

    def _offer_flight(self) -> bool:
        return False


class ShortConnection(LoadConnection):
    """Takes the short way, always."""

    __slots__ = ()

    def _take(self, chunk: memoryview, now: int) -> None:
        raise AssertionError("these replies did not take the short way")


def counted(result: LoadResult) -> dict[str, Any]:
    """All that a result has counted of messages and times."""
    return {
        "sent": result.sent,
        "messages": result.messages,
        "bytes": result.bytes,
        "errors": result.errors,
        "unsent": result.unsent,
        "elapsed_s": result.elapsed_s,
        "discrepancies": [asdict(found) for found in result.discrepancies],
        "latency": (result.latency_ns.buckets, result.latency_ns.total, result.latency_ns.max),
        "steps": [(step.t_s, step.sent, step.messages, step.bytes, step.errors) for step in result.intervals],
    }


@pytest.mark.parametrize("pipeline", [1, 64, 256])
def test_replies_that_come_back_together_take_the_short_way(pipeline: int) -> None:
    """In every round, also where all of a round comes back."""

    class Together(Server):
        def on_bytes(self, connection: WorldSocket) -> None:
            data, connection.sent = connection.sent, b""
            connection.deliver(data, connection.world.now + 1000)

    plan = LoadPlan("h", 1, connections=1, messages=1536, pipeline=pipeline)
    result = run_in_world(plan, Together(), connection_class=ShortConnection)
    assert (result.messages, result.errors) == (1536, {})
    assert result.latency_ns.total == 1536 * 1000


def test_a_reply_that_has_begun_before_is_not_right() -> None:
    class Stuttering(Server):
        """Sends the first half of its third reply, and then all of that reply."""

        count = 0

        def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
            self.count += 1
            if self.count == 3:
                connection.deliver(frame[: len(frame) // 2], connection.world.now + 1000)
            connection.deliver(frame, connection.world.now + 2 * MS)

    plan = LoadPlan("h", 1, connections=1, messages=5, sizes=Sizes.of(64), timeout_s=0.5)
    result = run_in_world(plan, Stuttering())
    assert result.errors["wrong"] == 1
    assert result.messages == 2


@pytest.mark.parametrize("junk", [b"\0\0", b"\0\1"], ids=["as the next header begins", "otherwise"])
def test_a_reply_after_bytes_that_are_no_reply_is_not_right(junk: bytes) -> None:
    class Junk(Server):
        """Sends some bytes behind its first reply."""

        count = 0

        def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
            self.count += 1
            connection.deliver(frame + junk * (self.count == 1), connection.world.now + 1000)

    plan = LoadPlan("h", 1, connections=1, messages=5, sizes=Sizes.of(64), timeout_s=0.5)
    result = run_in_world(plan, Junk())
    assert result.messages == 1
    assert result.errors


def test_a_reply_that_overtakes_one_that_never_comes_is_not_taken_for_it() -> None:
    plan = plan_of({"pipeline": 2}, messages=10)
    result = run_in_world(plan, FaultyServer({2: "drop"}))
    assert errors_of(result) == [("missing", 1, 2)]
    assert result.messages == 29


class Delays(Server):
    """Each connection has its own time from a frame to its reply; nothing is read before ``reads_from``."""

    def __init__(self, *delays_ns: int, reads_from: int = 0) -> None:
        self.delays_ns = delays_ns
        self.reads_from = START + reads_from

    def on_bytes(self, connection: WorldSocket) -> None:
        world = connection.world
        if world.now < self.reads_from:
            world.at(self.reads_from, lambda: self.on_bytes(connection))
            return
        for frame in connection.read_frames():
            connection.deliver(frame, world.now + self.delays_ns[connection.number])


def test_a_flight_that_comes_back_after_the_timeout_is_late() -> None:
    plan = LoadPlan("h", 1, connections=1, messages=1, timeout_s=0.5)
    result = run_in_world(plan, Delays(510 * MS))
    assert (result.messages, result.errors, result.latency_ns.max) == (0, {"late": 1}, 510 * MS)


def test_a_flight_that_was_given_up_is_late_when_it_comes_back() -> None:
    plan = LoadPlan("h", 1, connections=2, duration_s=0.4, timeout_s=0.5)
    result = run_in_world(plan, Delays(300 * MS, 560 * MS))  # the second sends no more before it comes
    assert (result.messages, result.errors) == (2, {"late": 1})


def test_what_is_left_of_a_send_that_was_given_up_is_in_no_flight() -> None:
    plan = LoadPlan("h", 1, connections=1, messages=6, pipeline=2, sizes=Sizes.of(64), timeout_s=0.5)
    results = [
        run_in_world(plan, Delays(MS, reads_from=700 * MS), room=100, connection_class=connection_class)
        for connection_class in (LoadConnection, GeneralConnection)
    ]
    assert results[0].errors == {"late": 2}
    assert results[0].messages == 4
    assert counted(results[0]) == counted(results[1])


@examples(60)
@given(
    faults=fault_lists(10, swaps=False),
    sizes=SIZES,
    pipeline=st.sampled_from([1, 2, 5]),
    cuts=st.one_of(st.none(), st.integers(0, 1 << 32)),
    delay_ns=st.sampled_from([1000, MS, 500 * MS, 510 * MS, 600 * MS]),
    room=st.sampled_from([math.inf, 150]),
    seed=st.integers(0, 1000),
)
def test_both_ways_count_the_same(
    faults: Faults, sizes: Sizes, pipeline: int, cuts: int | None, delay_ns: int, room: float, seed: int
) -> None:
    """What the general way counts is compared with an oracle in `test_faults`."""
    plan = plan_of({"pipeline": pipeline}, connections=2, messages=10, sizes=sizes, timeout_s=0.5, seed=seed)

    def result_with(connection_class: type[LoadConnection]) -> LoadResult:
        chance = None if cuts is None else random.Random(cuts)
        server = FaultyServer(faults, cuts=chance, delay_ns=delay_ns)
        return run_in_world(plan, server, room=room, grain_ns=20 * MS, connection_class=connection_class)

    assert counted(result_with(LoadConnection)) == counted(result_with(GeneralConnection))
