"""What is counted in each stage of a schedule: every message once, in the stage in which it was due."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import MS, START, S, Server, World, WorldSocket, driven_in_world, run_in_world
from tests.support.staged_load import DUE, STAGES, SlowServer, staged_plan, staged_result
from trioecho.base.histogram import Histogram
from trioecho.load import LoadResult, ReplyRule, Stage, result_as_json, result_from_json
from trioecho.load.engine.engine import Engine
from trioecho.load.engine.schedule import Schedule
from trioecho.load.results.merging import merge_parts


def assert_stages_are_the_whole(result: LoadResult) -> None:
    """What the stages have comes to what the run has, and survives JSON."""
    latency, from_send = Histogram(), Histogram()
    for stage in result.stages:
        latency.merge(stage.latency_ns)
        from_send.merge(stage.from_send_ns)
    assert (latency.buckets, latency.total, latency.max) == (
        result.latency_ns.buckets,
        result.latency_ns.total,
        result.latency_ns.max,
    )
    assert (from_send.buckets, from_send.total) == (result.from_send_ns.buckets, result.from_send_ns.total)
    for name in ("sent", "unsent", "due", "messages", "bytes"):
        assert sum(getattr(stage, name) for stage in result.stages) == getattr(result, name), name
    again = result_from_json(result_as_json(result))
    for stage, read in zip(result.stages, again.stages, strict=True):
        assert (stage.name, stage.begins_s, stage.length_s) == (read.name, read.begins_s, read.length_s)
        assert (stage.sent, stage.messages, stage.bytes, stage.received, stage.errors) == (
            *(read.sent, read.messages, read.bytes, read.received),
            read.errors,
        )
        assert stage.latency_ns.buckets == read.latency_ns.buckets


@pytest.mark.parametrize("reply", ["echo", "count"])
def test_each_stage_has_its_own_counts_and_latencies(reply: str) -> None:
    result = staged_result(reply=ReplyRule(reply))
    assert_stages_are_the_whole(result)
    assert [stage.due for stage in result.stages] == DUE
    assert [stage.messages for stage in result.stages] == DUE
    up, steady, pause, burst = result.stages
    assert (up.begins_s, up.length_s, burst.begins_s, burst.length_s) == (0, 0.2, 0.6, 0.02)
    assert up.due_per_s == pytest.approx(500)
    assert steady.due_per_s == pytest.approx(1000)
    assert (pause.due_per_s, pause.latency_ns.count) == (0, 0)
    assert (burst.due_per_s, burst.messages_per_s) == (pytest.approx(20_000), pytest.approx(2000, rel=0.1))
    assert steady.latency_ns.max < MS < burst.latency_ns.mean  # type: ignore[operator]  # there are some
    assert burst.received == pytest.approx(40, abs=3)
    assert burst.latency_ns.max == pytest.approx(200 * MS - 20 * MS, rel=0.02)
    assert result.errors == {}


def test_a_reply_is_of_the_stage_of_its_message_however_late_it_comes() -> None:
    stages = (Stage("one", 100.0, 100.0, 0.1), Stage("two", 100.0, 100.0, 0.1))
    result = run_in_world(staged_plan(stages=stages), SlowServer(15 * MS))
    assert [stage.messages for stage in result.stages] == [10, 10]
    assert [stage.received for stage in result.stages] == [6, 7]
    assert result.stages[0].latency_ns.max == 60 * MS


class DroppingServer(Server):
    """Does not answer in a time; what it swallows is missing."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end = begin, end

    def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
        if not START + self.begin <= connection.world.now < START + self.end:
            super().answer(connection, frame, number)


def test_an_error_is_of_the_stage_in_which_its_message_was_due() -> None:
    result = run_in_world(staged_plan(), DroppingServer(450 * MS, 610 * MS))
    assert_stages_are_the_whole(result)
    assert [dict(stage.errors) for stage in result.stages] == [{}, {"missing": 50}, {}, {"missing": 200}]
    assert result.errors == {"missing": 250}


def test_what_could_not_be_sent_is_unsent_in_its_stage() -> None:
    class Dead(Server):
        def on_bytes(self, connection: WorldSocket) -> None:
            super().on_bytes(connection)
            if connection.world.now >= START + 350 * MS:
                connection.end(reset=True)

    result = run_in_world(staged_plan(), Dead())
    assert_stages_are_the_whole(result)
    assert [stage.due for stage in result.stages] == DUE
    assert result.ended_early is not None
    up, steady, pause, burst = result.stages
    assert (up.unsent, burst.unsent, burst.sent, pause.due) == (0, 400, 0, 0)
    assert 140 <= steady.unsent <= 152
    assert steady.errors["connection_lost"] == 4
    assert (burst.length_s, burst.messages_per_s) == (pytest.approx(0.02), 0)


def test_a_stage_that_was_not_reached_has_no_length() -> None:
    is_stopped: list[int] = []

    def on_turn(engine: Engine, world: World) -> None:
        if not is_stopped and world.now >= START + 350 * MS:
            is_stopped.append(world.now)
            engine.stop()

    result = driven_in_world(staged_plan(), Server(), on_turn=on_turn).result()
    assert_stages_are_the_whole(result)
    assert [stage.due for stage in result.stages] == [100, pytest.approx(150, abs=1), 0, 0]
    assert [stage.length_s for stage in result.stages] == [0.2, pytest.approx(0.15, abs=0.002), 0, 0]


def test_the_warm_up_is_in_no_stage() -> None:
    stages = (Stage("one", 500.0, 500.0, 0.2), *STAGES[1:])
    result = run_in_world(staged_plan(stages=stages, warmup_s=0.3), DroppingServer(100 * MS, 200 * MS))
    assert [stage.due for stage in result.stages] == [100, *DUE[1:]]
    assert_stages_are_the_whole(result)
    assert result.errors == {"missing": 50}
    assert not any(stage.errors for stage in result.stages)


def test_the_stages_of_processes_add_up() -> None:
    results = [staged_result(service_ns=400_000 * seed) for seed in (1, 2)]
    merged = merge_parts(staged_plan(connections=8), results)
    assert_stages_are_the_whole(merged)
    assert [stage.due for stage in merged.stages] == [2 * due for due in DUE]
    assert [stage.length_s for stage in merged.stages] == [0.2, 0.3, 0.1, pytest.approx(0.02)]


@examples(60)
@given(
    rates=st.lists(
        st.tuples(st.sampled_from([0.0, 30.0, 333.0, 1500.0]), st.sampled_from([0.05, 0.1, 0.3])),
        min_size=1,
        max_size=4,
    ).filter(lambda rates: any(rate for rate, _ in rates)),
    arrival=st.sampled_from(["uniform", "poisson"]),
    reply=st.sampled_from(["echo", "count", "same-length"]),
    died_at=st.dictionaries(st.integers(0, 2), st.integers(0, 600).map(lambda ms: ms * MS), max_size=3),
    deaf=st.sampled_from([(math.inf, math.inf), (100 * MS, 130 * MS), (50 * MS, 9 * S)]),
    room=st.sampled_from([math.inf, 400]),
    turn_ns=st.sampled_from([0, 0, 30 * MS]),
)
def test_every_message_is_counted_in_its_stage_whatever_becomes_of_the_server(
    rates: list[tuple[float, float]],
    arrival: Any,
    reply: str,
    died_at: dict[int, int],
    deaf: tuple[float, float],
    room: float,
    turn_ns: int,
) -> None:
    stages = tuple(Stage(f"s{number}", rate, rate, length_s) for number, (rate, length_s) in enumerate(rates))
    plan = staged_plan(connections=3, timeout_s=0.2, stages=stages, arrival=arrival, reply=ReplyRule(reply))
    is_scheduled: list[bool] = []

    def on_turn(engine: Engine, world: World) -> None:
        for connection in [] if is_scheduled else list(engine._connections.values()):
            if connection.number in died_at:
                socket: Any = connection.socket
                socket.end(START + died_at[connection.number], reset=True)
        is_scheduled.append(True)
        world.now += turn_ns

    class Deaf(Server):
        def on_bytes(self, connection: WorldSocket) -> None:
            if not START + deaf[0] <= connection.world.now < START + deaf[1]:
                super().on_bytes(connection)

    result = run_in_world(plan, Deaf(), on_turn=on_turn, room=room, grain_ns=5 * MS)
    schedule = Schedule(plan)
    due = Counter(schedule.stage_at(due_ns) for due_ns, _ in schedule.due())
    assert [stage.due for stage in result.stages] == [due[number] for number in range(len(stages))]
    assert_stages_are_the_whole(result)
    kinds = Counter[str]()
    for stage in result.stages:
        kinds.update(stage.errors)
    of_connections = {"connection_lost", "connection_closed", "connection_stalled"}
    for kind, count in result.errors.items():
        # After the last stage a connection may still be lost, which is in none.
        assert kinds[kind] == count or (kind in of_connections and kinds[kind] < count), kind
