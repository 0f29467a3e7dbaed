"""Every message that was due is in a count, whatever becomes of the server; no objective holds over nothing.

What is due is computed here from the plan alone, in whole numbers: the oracle knows nothing of
schedules. Servers are in memory and time is virtual, except where one is killed for real.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.load_world import MS, START, S, Server, World, WorldSocket, run_in_world
from trioecho.cli.load import exit_code_of
from trioecho.load import LoadPlan, LoadResult, Ramp, merge, result_as_json, result_from_json
from trioecho.load.engine.engine import Engine
from trioecho.load.engine.schedule import Rest, Schedule
from trioecho.load.goals.objectives import parse_objective
from trioecho.load.report.load_text import result_as_text
from trioecho.load.results.judging import judge, trial_outcome
from trioecho.load.results.merging import merge_parts

THOROUGH = examples(80)
# What becomes of a message that was sent: exactly one of these, or a right reply.
ENDS_OF_MESSAGES = ("wrong", "missing", "lost", "swapped", "torn", "late", "unchecked")


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("h", 1, **{"connections": 4, "timeout_s": 1.0, **changes})


class MortalServer(Server):
    """Echoes after 1 ms; a connection may have a time to die, all a time from which nothing is read."""

    def __init__(self, deaths: dict[int, int], *, deaf_from: float = math.inf, reset: bool = True) -> None:
        self.deaths = deaths
        self.deaf_from = deaf_from
        self.reset = reset
        self.is_scheduled = False

    def on_bytes(self, connection: WorldSocket) -> None:
        world = connection.world
        if world.now >= self.deaf_from:
            return
        for frame in connection.read_frames():
            connection.deliver(frame, world.now + MS)

    def kill_on_time(self, engine: Engine, world: World) -> None:
        """To be called in every turn: the first is when connections are known."""
        if not self.is_scheduled:
            self.is_scheduled = True
            for connection in engine._connections.values():
                if connection.number in self.deaths:
                    socket: Any = connection.socket
                    socket.end(START + self.deaths[connection.number], reset=self.reset)


def run(plan: LoadPlan, server: MortalServer, **options: Any) -> LoadResult:
    return run_in_world(plan, server, on_turn=server.kill_on_time, **options)


def all_at(time_ns: int, connections: int = 4) -> dict[int, int]:
    return dict.fromkeys(range(connections), time_ns)


def verdicts_of(result: LoadResult, *objectives: str) -> dict[str, bool]:
    result.objective_results = judge(result, map(parse_objective, objectives))
    return {verdict.objective.text: verdict.holds for verdict in result.objective_results}


def assert_every_message_is_counted_once(result: LoadResult, due: int) -> None:
    sent = result.sent - result.churn.taken_back  # which were sent once more, or are unsent
    assert result.due == sent + result.unsent == due
    ends = sum(result.errors.get(kind, 0) for kind in ENDS_OF_MESSAGES)
    assert sent == result.messages + ends
    assert sum(step.sent for step in result.intervals) == result.sent
    assert sum(step.messages for step in result.intervals) == result.messages
    again = result_from_json(result_as_json(result))
    assert (again.due, again.unsent, again.length_s) == (result.due, result.unsent, result.length_s)
    assert again.ended_early == result.ended_early


# ---- a server that dies ----


def test_a_schedule_goes_on_to_its_end_without_a_server() -> None:
    plan = plan_of(rate=200, duration_s=10.0)
    result = run(plan, MortalServer(all_at(2_600 * MS)))
    assert_every_message_is_counted_once(result, 2000)
    assert 515 <= result.sent <= 521
    assert result.elapsed_s == pytest.approx(2.6, abs=0.01)
    assert result.length_s == 10.0
    assert result.messages_per_s == pytest.approx(result.messages / 10)
    assert result.ended_early == "ended after 2.6 of 10 s: every connection was lost"
    held = verdicts_of(result, "errors<2%", "rate>150", "p99<1s", "max<1s", "mean<1s", "errors<99%")
    assert [text for text, holds in held.items() if holds] == ["errors<99%"]
    assert exit_code_of(result) == 99
    text = result_as_text(result)
    assert (
        f"messages   {result.sent} sent, {result.messages} came back right, {2000 - result.sent:,} due"
        in text
    )
    assert "\nended      after 2.6 of 10 s: every connection was lost\n" in text
    assert "p99<1s: BROKEN, 1.000 ms; the run ended after 2.6 of 10 s: every connection" in text
    assert not trial_outcome(result).holds


@pytest.mark.parametrize("objectives", [(), ("errors<99%",), ("errors<5000", "rate>1")])
def test_what_was_cut_short_never_ends_well(objectives: tuple[str, ...]) -> None:
    result = run(plan_of(rate=200, duration_s=10.0), MortalServer(all_at(9_000 * MS)))
    assert all(verdicts_of(result, *objectives).values())
    assert exit_code_of(result) == 1
    assert exit_code_of(result, saturation_fails=False) == 1


def test_a_closed_loop_with_a_duration_has_that_length() -> None:
    result = run(plan_of(duration_s=10.0), MortalServer(all_at(2_600 * MS)))
    assert_every_message_is_counted_once(result, result.sent)
    assert result.length_s == 10.0
    assert result.messages_per_s == pytest.approx(4 * 260, rel=0.01)  # 4 x 1000/s, for a quarter of the time
    assert result.ended_early == "ended after 2.6 of 10 s: every connection was lost"
    assert not verdicts_of(result, "rate>3000", "p50<1s")["rate>3000"]
    assert exit_code_of(result) == 1


def test_a_closed_loop_of_a_number_of_messages_counts_the_rest() -> None:
    result = run(plan_of(messages=1000), MortalServer(all_at(600 * MS)))
    assert_every_message_is_counted_once(result, 4000)
    assert result.ended_early == "ended after 0.6 s: every connection was lost"
    assert exit_code_of(result) == 1


def test_a_number_of_messages_on_a_schedule_has_the_length_of_the_schedule() -> None:
    result = run(plan_of(messages=500, rate=200), MortalServer(all_at(2_500 * MS)))
    assert_every_message_is_counted_once(result, 2000)
    assert result.length_s == pytest.approx(10.0)
    assert result.ended_early == "ended after 2.5 of 10 s: every connection was lost"


def test_a_server_that_dies_when_all_is_done_has_cut_nothing_short() -> None:
    for plan in (plan_of(messages=10), plan_of(messages=10, rate=1000), plan_of(rate=1000, duration_s=0.04)):
        result = run(plan, MortalServer({0: 45 * MS, 1: 45 * MS, 2: 46 * MS, 3: 47 * MS}, reset=False))
        assert (result.ended_early, result.errors, result.unsent) == (None, {}, 0)
        assert_every_message_is_counted_once(result, 40)


def test_what_is_due_on_a_lost_connection_goes_to_the_others() -> None:
    result = run(plan_of(rate=200, duration_s=2.0), MortalServer({1: 1003 * MS}))
    assert_every_message_is_counted_once(result, 400)
    assert (result.unsent, result.ended_early) == (0, None)
    assert result.errors["connection_lost"] == 1


def test_in_a_closed_loop_what_a_lost_connection_had_to_do_is_unsent() -> None:
    result = run(plan_of(messages=100), MortalServer({1: 60 * MS}))
    assert_every_message_is_counted_once(result, 400)
    assert 35 <= result.unsent <= 45
    assert result.ended_early is None
    assert exit_code_of(result) == 1


@pytest.mark.parametrize("mode", [{"rate": 200, "duration_s": 2.0}, {"messages": 100}, {"duration_s": 2.0}])
def test_a_server_that_dies_in_the_warm_up(mode: dict[str, Any]) -> None:
    due = {"rate": 400, "messages": 400}.get(next(iter(mode)), 0)
    result = run(plan_of(warmup_s=1.0, **mode), MortalServer(all_at(500 * MS)))
    assert (result.sent, result.messages, result.due) == (0, 0, due)
    assert result.ended_early is not None
    assert result.ended_early.startswith("ended after 0 ")
    held = verdicts_of(result, "errors<1000000", "errors<=99.9%", "rate<1000000", "p99<99s")
    assert [text for text, holds in held.items() if holds] == (
        ["errors<1000000", "rate<1000000"] if mode.get("rate") else ["errors<1000000"] if due else []
    )
    assert exit_code_of(result) != 0
    if "rate" in mode:
        assert result.warmup_unsent == result.errors["unsent"] - 400 == pytest.approx(100, abs=5)


def test_a_connection_that_is_lost_in_the_warm_up_leaves_its_messages_unsent() -> None:
    result = run(plan_of(warmup_s=1.0, messages=100), MortalServer({2: 500 * MS}))
    assert (result.due, result.unsent, result.messages) == (400, 100, 300)


def test_processes_and_machines_that_lost_all_of_their_connections() -> None:
    plan = plan_of(rate=200, duration_s=10.0, connections=2, processes=2)
    lost = run(plan, MortalServer(all_at(2_600 * MS)))
    lost_later = run(plan, MortalServer(all_at(3_600 * MS)))
    whole = run(plan, MortalServer({}))
    both = merge_parts(plan, [lost, lost_later])
    assert both.ended_early == "ended after 3.6 of 10 s: every connection was lost"
    assert (both.due, both.unsent) == (4000, lost.unsent + lost_later.unsent)
    one = merge([lost, whole])
    assert (one.ended_early, one.due, one.unsent) == (None, 4000, lost.unsent)
    assert one.length_s == pytest.approx(10.0, abs=0.01)
    assert exit_code_of(one) == 1


# ---- a generator that has too much to do ----


class SlowGenerator:
    """Each turn of the engine takes so long."""

    def __init__(self, turn_ns: int) -> None:
        self.turn_ns = turn_ns
        self.ended_at = 0

    def on_turn(self, engine: Engine, world: World) -> None:
        world.now += self.turn_ns
        while world.happen_next(world.now):
            pass
        self.ended_at = world.now


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
def test_a_schedule_ends_one_second_after_its_end(arrival: str) -> None:
    generator = SlowGenerator(100 * MS)  # 256 messages at a time: 2,560 messages/s
    plan = plan_of(rate=10_000, duration_s=2.0, arrival=arrival)
    result = run_in_world(plan, Server(), on_turn=generator.on_turn)
    due = sum(1 for _ in Schedule(plan).due())
    assert_every_message_is_counted_once(result, due)
    assert 7000 < result.sent < 9000
    assert 3 * S <= generator.ended_at - START < 3.6 * S
    assert 3.0 <= result.elapsed_s < 3.6
    assert "1 s after the end of the schedule" in result.notes[0]
    assert exit_code_of(result) == 1
    assert result.ended_early is None


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
def test_a_schedule_of_billions_ends_as_well(arrival: str) -> None:
    plan = plan_of(rate=1e9, duration_s=3600.0, arrival=arrival)
    server, generator = MortalServer(all_at(20 * MS)), SlowGenerator(MS)

    def on_turn(engine: Engine, world: World) -> None:
        server.kill_on_time(engine, world)
        generator.on_turn(engine, world)

    result = run_in_world(plan, server, on_turn=on_turn)
    assert result.due == pytest.approx(3.6e12, rel=0 if arrival == "uniform" else 1e-4)
    assert result.ended_early == "ended after 0.02 of 3,600 s: every connection was lost"


def test_a_generator_that_is_late_for_a_moment_sends_all() -> None:
    stood_still: list[int] = []

    def on_turn(engine: Engine, world: World) -> None:
        if not stood_still and world.now >= START + 1_900 * MS:
            stood_still.append(world.now)
            world.now += 600 * MS

    result = run_in_world(plan_of(rate=1000, duration_s=2.0), Server(), on_turn=on_turn)
    assert (result.sent, result.messages, result.errors) == (2000, 2000, {})


# ---- a run that is stopped ----


def stopped_at(plan: LoadPlan, time_ns: int, *, turn_ns: int = 0, **options: Any) -> LoadResult:
    is_stopped: list[int] = []

    def on_turn(engine: Engine, world: World) -> None:
        world.now += turn_ns
        if not is_stopped and world.now >= START + time_ns:
            is_stopped.append(world.now)
            engine.stop()

    return run_in_world(plan, MortalServer({}), on_turn=on_turn, **options)


def test_what_was_due_before_a_stop_is_sent() -> None:
    result = stopped_at(plan_of(rate=1000, duration_s=10.0), 1500 * MS)
    assert (result.sent, result.messages, result.errors) == (1500, 1500, {}) or result.sent == 1501
    assert result.stopped


def test_what_a_late_generator_had_to_send_before_a_stop_is_counted() -> None:
    result = stopped_at(plan_of(rate=10_000, duration_s=10.0), 2000 * MS, turn_ns=100 * MS)
    assert result.due == pytest.approx(20_000, abs=1001)  # a turn is 1,000 messages
    assert result.unsent > 8000
    assert_every_message_is_counted_once(result, result.due)


def test_a_run_that_is_stopped_in_the_warm_up_owes_nothing() -> None:
    for mode in ({"rate": 1000}, {}, {"think_s": 0.01}):
        result = stopped_at(plan_of(duration_s=10.0, warmup_s=1.0, **mode), 500 * MS)
        assert (result.sent, result.due, result.errors, result.elapsed_s) == (0, 0, {}, 0.0)


# ---- nothing measured holds nothing ----


@pytest.mark.parametrize("text", ["errors==0", "errors<5", "rate>1", "rate<1000", "p99<1s", "errors<1%"])
def test_where_no_message_was_due_no_objective_holds(text: str) -> None:
    for result in (LoadResult(plan_of(messages=1)), LoadResult(plan_of(duration_s=1.0), elapsed_s=1.0)):
        [verdict] = judge(result, [parse_objective(text)])
        assert (verdict.measured, verdict.holds) == (None, False)
        assert exit_code_of(result) == 1


# ---- any of it, against an oracle ----


def due_uniformly(plan: LoadPlan) -> int:
    """How many messages are due in the measured part: message i is due when the integral of the rate is i."""
    if plan.messages is not None:
        return plan.messages * plan.connections
    warmup, duration = Fraction(str(plan.warmup_s)), Fraction(str(plan.duration_s))
    if plan.rate is not None:
        rate = Fraction(str(plan.rate))
        return math.ceil((warmup + duration) * rate) - math.ceil(warmup * rate)
    assert plan.ramp is not None
    begin, end, over_s = (Fraction(str(part)) for part in plan.ramp)
    ramped = min(duration, over_s)
    before = warmup * begin
    slope = (end - begin) / over_s
    measured = ramped * (begin + slope * ramped / 2) + (duration - ramped) * end
    return math.ceil(before + measured) - math.ceil(before)


RATES = st.sampled_from([3.0, 50.0, 333.0, 2000.0])
OPEN_MODES = st.one_of(
    st.fixed_dictionaries({"rate": RATES, "duration_s": st.sampled_from([0.5, 1.0, 1.7])}),
    st.fixed_dictionaries({"rate": RATES, "messages": st.integers(1, 60)}),
    st.fixed_dictionaries(
        {
            "ramp": st.sampled_from([Ramp(0, 400, 1.0), Ramp(300, 20, 0.5)]),
            "duration_s": st.sampled_from([0.5, 1.0, 1.5]),
        }
    ),
)
CLOSED_MODES = st.fixed_dictionaries(
    {
        "messages": st.integers(1, 80),
        "pipeline": st.sampled_from([1, 7]),
        "think_s": st.sampled_from([0.0, 0.02]),
    }
)
DEATHS = st.dictionaries(st.integers(0, 2), st.integers(0, 1800).map(lambda ms: ms * MS), max_size=3)


@THOROUGH
@given(
    mode=st.one_of(OPEN_MODES, CLOSED_MODES),
    warmup_s=st.sampled_from([0.0, 0.0, 0.25]),
    deaths=DEATHS,
    deaf_from=st.sampled_from([math.inf, math.inf, START + 600 * MS]),
    reset=st.booleans(),
    room=st.sampled_from([math.inf, 700]),
    turn_ns=st.sampled_from([0, 0, 30 * MS]),
)
@example(  # a rate of 0 in the warm-up
    mode={"ramp": Ramp(0, 400, 1.0), "duration_s": 0.5},
    warmup_s=0.25,
    deaths={},
    deaf_from=math.inf,
    reset=False,
    room=math.inf,
    turn_ns=0,
)
def test_every_message_that_is_due_is_counted_once(
    mode: dict[str, Any],
    warmup_s: float,
    deaths: dict[int, int],
    deaf_from: float,
    reset: bool,
    room: float,
    turn_ns: int,
) -> None:
    plan = plan_of(connections=3, timeout_s=0.3, warmup_s=warmup_s, **mode)
    server = MortalServer(deaths, deaf_from=deaf_from, reset=reset)

    def on_turn(engine: Engine, world: World) -> None:
        server.kill_on_time(engine, world)
        world.now += turn_ns

    result = run_in_world(plan, server, on_turn=on_turn, room=room, grain_ns=5 * MS)
    due = due_uniformly(plan)
    assert result.due == result.sent + result.unsent == due
    # What was wrong in the warm-up is in the errors, too.
    ends = sum(result.errors.get(kind, 0) for kind in ENDS_OF_MESSAGES)
    assert result.sent <= result.messages + ends
    if not warmup_s:
        assert_every_message_is_counted_once(result, due)
    if result.ended_early is not None:
        assert len(deaths) == 3 or deaf_from < math.inf
        assert exit_code_of(result) != 0
    if result.messages < due:
        assert result.errors
        assert exit_code_of(result) != 0


@THOROUGH
@given(
    mode=OPEN_MODES,
    warmup_s=st.sampled_from([0.0, 0.25]),
    arrival=st.sampled_from(["uniform", "poisson"]),
    shares=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    taken=st.integers(0, 400),
    until_ns=st.one_of(st.just(math.inf), st.integers(0, 2 * S)),
)
def test_the_rest_of_a_schedule_is_what_would_have_come(
    mode: dict[str, Any], warmup_s: float, arrival: Any, shares: list[int], taken: int, until_ns: float
) -> None:
    plan = plan_of(connections=sum(shares), warmup_s=warmup_s, arrival=arrival, **mode)
    firsts = [0, *itertools.accumulate(shares)]
    for first, count in zip(firsts, shares, strict=False):
        come = itertools.islice(iter(Schedule(plan).due(first, count)), taken, None)
        expected = Counter(due >= warmup_s * S for due, _ in come if due < until_ns)
        due = Schedule(plan).due(first, count)
        for _ in itertools.islice(due, taken):
            pass
        assert due.take_rest(until_ns) == Rest(expected[False], (expected[True],))
        assert list(due) == []
        assert due.take_rest() == Rest(0, (0,)) or arrival == "uniform"
