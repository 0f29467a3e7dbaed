"""Think time: when each message is sent, exactly, in virtual time; and what is said of it."""

from __future__ import annotations

import dataclasses
import itertools
import random
import tracemalloc
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_results import made_result
from tests.support.load_world import MS, START, S, Server, World, WorldSocket, errors_of, run_in_world
from trioecho.load.engine.connection import LoadConnection
from trioecho.load.engine.engine import Engine
from trioecho.load.engine.pacer import ThinkTimePacer
from trioecho.load.engine.tally import LoadTally
from trioecho.load.plan import LoadPlan
from trioecho.load.report import words
from trioecho.load.report.load_text import result_as_text

THOROUGH = examples(100)


class NotingServer(Server):
    """Notes when each message of each connection came, and when its reply went out.

    Replies of a connection keep their order, and take as long as ``delay`` says.
    """

    def __init__(self, delay: Any = lambda: MS) -> None:
        self.delay = delay
        self.came: defaultdict[int, list[int]] = defaultdict(list)
        self.replied: defaultdict[int, list[int]] = defaultdict(list)

    def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
        now = connection.world.now
        self.came[connection.number].append(now)
        replied = self.replied[connection.number]
        replied.append(max([now + self.delay(), *replied[-1:]]))
        connection.deliver(frame, replied[-1])


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("h", 1, **{"connections": 3, "messages": 20, "think_s": 0.03, **changes})


def started(plan: LoadPlan, connection: int) -> list[int]:
    """When the messages that answer no reply are sent: at equal distances, connections taking turns."""
    slots = plan.connections * plan.pipeline
    think_ns = round(plan.think_s * S)
    places = [message * plan.connections + connection for message in range(plan.pipeline)]
    return [START + think_ns * place // slots for place in places]


@THOROUGH
@given(
    connections=st.integers(1, 5),
    pipeline=st.integers(1, 4),
    messages=st.integers(4, 30),
    think_ms=st.sampled_from([0.5, 1, 7, 30]),
    seed=st.integers(0, 1 << 32),
    most_delay_ms=st.sampled_from([0, 1, 40]),
    grain_ms=st.sampled_from([1, 20]),
)
def test_every_message_is_sent_a_think_time_after_a_reply_and_never_before(
    connections: int,
    pipeline: int,
    messages: int,
    think_ms: float,
    seed: int,
    most_delay_ms: int,
    grain_ms: int,
) -> None:
    chance = random.Random(seed)
    server = NotingServer(lambda: chance.randint(1000, 1001 + most_delay_ms * MS))
    plan = plan_of(connections=connections, pipeline=pipeline, messages=messages, think_s=think_ms / 1000)
    result = run_in_world(plan, server, grain_ns=grain_ms * MS)
    assert (result.sent, result.messages, result.errors) == (connections * messages,) * 2 + ({},)
    think_ns = round(plan.think_s * S)
    latencies = []
    for connection in range(connections):
        came, replied = server.came[connection], server.replied[connection]
        after_replies = [reply + think_ns for reply in replied[: messages - pipeline]]
        assert came == sorted(started(plan, connection) + after_replies)
        latencies += [reply - sent for sent, reply in zip(came, replied, strict=True)]
    assert result.latency_ns.total == result.from_send_ns.total == sum(latencies)  # no think time in it
    assert result.latency_ns.max == max(latencies)
    assert result.health.send_lateness_ns.max == 0


def test_connections_do_not_move_in_step() -> None:
    server = NotingServer()
    run_in_world(plan_of(connections=5, think_s=0.1), server)
    firsts = sorted(came[0] - START for came in server.came.values())
    assert firsts == [0, 20 * MS, 40 * MS, 60 * MS, 80 * MS]


@pytest.mark.parametrize(("pipeline", "think_s"), [(1, 0.03), (4, 0.03), (1, 0.5)])
def test_the_rate_is_that_of_the_response_time_law(pipeline: int, think_s: float) -> None:
    plan = plan_of(messages=None, duration_s=100.0, pipeline=pipeline, think_s=think_s)
    result = run_in_world(plan, NotingServer(lambda: 2 * MS), grain_ns=50 * MS)
    assert result.messages_per_s == pytest.approx(3 * pipeline / (think_s + 0.002), rel=0.01)
    assert result.latency_ns.max == result.latency_ns.mean == 2 * MS


def test_nothing_is_sent_after_the_end() -> None:
    server = NotingServer()
    result = run_in_world(plan_of(messages=None, duration_s=1.0), server)
    assert max(max(came) for came in server.came.values()) < START + S
    assert result.sent == result.messages == sum(map(len, server.came.values()))


def test_a_warm_up_is_in_no_number() -> None:
    server = NotingServer()
    result = run_in_world(plan_of(warmup_s=0.5), server)
    assert (result.sent, result.messages, result.errors) == (60, 60, {})
    assert result.latency_ns.count == 60
    assert all(len(came) > 60 // 3 for came in server.came.values())


def test_stopping_does_not_wait_for_who_thinks() -> None:
    world, server = World(), NotingServer()

    def stop(engine: Engine, world: World) -> None:
        if engine.tally.messages == 3:
            engine.stop()

    result = run_in_world(plan_of(think_s=3600.0), server, world=world, on_turn=stop, grain_ns=S)
    assert result.stopped
    assert (result.sent, result.messages, result.errors) == (3, 3, {})
    assert world.now < max(max(came) for came in server.came.values()) + S


def test_a_reply_that_never_comes_frees_its_place_after_the_timeout_and_a_think_time() -> None:
    class Dropping(NotingServer):
        def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
            self.came[connection.number].append(connection.world.now)
            if connection.number != 1 or len(self.came[1]) != 7:
                connection.deliver(frame, connection.world.now + MS)

    server = Dropping()
    result = run_in_world(plan_of(timeout_s=1.0), server)
    assert errors_of(result) == [("missing", 1, 7)]
    assert (result.sent, result.messages) == (60, 59)
    gaps = [after - before for before, after in itertools.pairwise(server.came[1])]
    [gap] = [gap for gap in gaps if gap != 31 * MS]
    assert 1030 * MS <= gap <= 1140 * MS  # a timeout is noticed late by a tenth of it, at most


def test_a_connection_that_ended_while_it_thought_sends_no_more() -> None:
    class Ending(NotingServer):
        def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
            super().answer(connection, frame, number)
            if connection.number == 1 and len(self.came[1]) == 5:
                connection.end(connection.world.now + 2 * MS)

    result = run_in_world(plan_of(), Ending())
    assert result.errors == {"connection_closed": 1, "unsent": 15}
    assert result.sent == result.messages == 45


def test_a_generator_that_stood_still_says_how_late_it_was() -> None:
    server = NotingServer()
    stood_still: list[int] = []

    def stand_still(engine: Engine, world: World) -> None:
        if not stood_still and engine.tally.sent == 900:
            stood_still.append(world.now)
            world.now += 50 * MS

    result = run_in_world(plan_of(messages=1000), server, on_turn=stand_still)
    assert stood_still
    lateness = result.health.send_lateness_ns
    assert lateness.max == 40 * MS  # the next was due after 10 ms, and sent after 50
    assert lateness.count == 3000
    assert lateness.percentile(99) == 0


class Connection:
    """As much of a `LoadConnection` as a pace sees."""

    is_over = is_blocked = False
    limit = 1e9
    allowed = 0

    def __init__(self, number: int) -> None:
        self.number = number


def connections(numbers: Iterable[int]) -> list[LoadConnection]:
    return [Connection(number) for number in numbers]  # type: ignore[misc]


@pytest.mark.parametrize("firsts", [[0, 5], [0, 2, 5], [0, 1, 2, 3, 4, 5]])
def test_who_starts_when_does_not_depend_on_the_number_of_processes(firsts: list[int]) -> None:
    plan = plan_of(connections=5, pipeline=2)

    def starts(numbers: range) -> list[tuple[int, int, int]]:
        now = 0
        pace = ThinkTimePacer(plan, 0, connections(numbers), LoadTally(plan), lambda: now)
        found = []
        while pace.next_due < 1e9:
            now = int(pace.next_due)
            found += [(now, one.number, one.allowed) for one in pace.take_due(now)]
        return found

    parts = [starts(range(first, stop)) for first, stop in itertools.pairwise(firsts)]
    assert sorted(itertools.chain(*parts)) == starts(range(5))
    assert [due for due, _, _ in starts(range(5))] == [place * 3 * MS for place in range(10)]


def test_a_huge_pipeline_takes_no_memory_before_it_is_needed() -> None:
    plan = plan_of(connections=10, pipeline=20_000, messages=None, duration_s=1.0)
    tracemalloc.start()
    try:
        pace = ThinkTimePacer(plan, 0, connections(range(10)), LoadTally(plan), lambda: 0)
        assert len(list(pace.take_due(1 * MS))) == 256  # what one turn has at most
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 100_000  # 200,000 messages are to begin in the first think time


def test_a_pipeline_that_has_room_for_all_messages_begins_them_within_one_think_time() -> None:
    wide, exact = NotingServer(), NotingServer()
    result = run_in_world(plan_of(messages=4, pipeline=1000), wide)
    run_in_world(plan_of(messages=4, pipeline=4), exact)
    assert wide.came == exact.came
    assert (result.sent, result.messages) == (12, 12)
    assert words.law_in_words(result) is None  # nobody waited for a reply


@pytest.mark.parametrize("warmup_s", [0.0, 0.5])
def test_a_pipeline_of_more_than_the_messages_is_sent_completely(warmup_s: float) -> None:
    result = run_in_world(plan_of(messages=7, pipeline=50, warmup_s=warmup_s), NotingServer())
    assert (result.sent, result.messages, result.errors) == (21, 21, {})


# ---- in words ----


def test_the_summary_says_what_the_think_time_does_to_the_rate() -> None:
    result = made_result(rate=100, latency_ms=lambda chance: 1.25)
    result.plan = plan_of(connections=5, pipeline=2)
    text = " ".join(result_as_text(result).split())
    assert "closed loop, 2 in flight on each, 30 ms think time after each reply" in text
    assert "10 / (30 ms think time + 1.250 ms round trip) = 320 messages/s, and not more than 333" in text


@pytest.mark.parametrize(
    ("think_s", "said"),
    [
        (
            0.0005,
            "5 / (0.5 ms think time + 1.250 ms round trip) = 2,857 messages/s, and not more than 10,000",
        ),
        (0.5, "5 / (500 ms think time + 1.250 ms round trip) = 9.98 messages/s, and not more than 10 "),
        (
            3600,
            "5 / (3,600 s think time + 1.250 ms round trip) = 0.00139 messages/s, and not more than 0.00139",
        ),
    ],
)
def test_times_and_rates_of_the_law_are_readable(think_s: float, said: str) -> None:
    result = made_result(rate=100, latency_ms=lambda chance: 1.25)
    result.plan = plan_of(connections=5, think_s=think_s)
    assert said in (words.law_in_words(result) or "")


def test_a_saturated_generator_keeps_no_law() -> None:
    result = made_result()
    result.plan = plan_of()
    assert words.law_in_words(result) is not None
    result.health = dataclasses.replace(result.health, reasons=("it had no time",))
    assert words.law_in_words(result) is None


@pytest.mark.parametrize("rate", [0.5, 63_600, 1_280_000])
def test_a_rate_that_was_chosen_is_shown_as_it_is(rate: float) -> None:
    assert f", {rate:,} messages/s" in words.pace_in_words(LoadPlan("h", 1, rate=rate))


def test_without_a_think_time_there_is_no_such_law() -> None:
    assert words.law_in_words(made_result()) is None
