"""The numbers are true: percentiles against those computed from a server's known schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from tests.support.load_world import MS, START, S, Server, World, WorldSocket, percentile_of, run_in_world
from tests.support.wire import split_frames
from trioecho.base.histogram import Histogram
from trioecho.load.engine.engine import Engine
from trioecho.load.engine.schedule import Schedule
from trioecho.load.plan import LoadPlan
from trioecho.load.stages import Ramp

PERCENTS = (0, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100)
SERVICE_NS = 200_000
PERIOD_NS = 5 * S
STALL_NS = 500 * MS


def out_of_stall(time_ns: int) -> int:
    """The server does nothing in the last 500 ms of every 5 s, counted from the start of the load."""
    since = (time_ns - START) % PERIOD_NS
    return time_ns if since < PERIOD_NS - STALL_NS else time_ns + PERIOD_NS - since


class StallingServer(Server):
    """Serves one message after the other, each for 0.2 ms, and stalls on its schedule."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_busy = False
        self.waiting: list[WorldSocket] = []

    def on_bytes(self, connection: WorldSocket) -> None:
        whole = len(split_frames(connection.sent)[0])
        self.waiting += [connection] * (whole - self.waiting.count(connection))
        if not self.is_busy:
            self.is_busy = True
            self.world.at(out_of_stall(self.world.now), self.serve)

    def serve(self) -> None:
        if not self.waiting:
            self.is_busy = False
            return
        connection = self.waiting.pop(0)
        [frame] = connection.read_frames(1)
        done = self.world.now + SERVICE_NS
        connection.deliver(frame, done)
        self.world.at(done, lambda: self.world.at(out_of_stall(done), self.serve))


def assert_agree(measured: Histogram, exact: Sequence[int]) -> None:
    """All percentiles are those of these values, but for the histogram's precision of 1/64."""
    assert measured.count == len(exact)
    assert measured.total == sum(exact)
    assert measured.max == max(exact)
    for percent in PERCENTS:
        truth = percentile_of(exact, percent)
        value = measured.percentile(percent)
        assert value is not None
        assert truth <= value <= truth + truth / 64, f"p{percent}"


def served(sends: Sequence[int], room: int | None = None) -> tuple[list[int], list[int]]:
    """When each message was taken by the kernel and when its reply came; computed from the schedule alone.

    ``room``: messages that the kernel holds before the server begins with the oldest.
    """
    sent: list[int] = []
    starts: list[int] = []
    done: list[int] = []
    for number, due in enumerate(sends):
        taken = due
        if room is not None and number >= room:
            taken = max(taken, starts[number - room])
        start = out_of_stall(max(taken, done[-1] if done else 0))
        sent.append(taken)
        starts.append(start)
        done.append(start + SERVICE_NS)
    return sent, done


def due_times(plan: LoadPlan) -> list[int]:
    return [START + due for due, _ in Schedule(plan).due()]


def test_closed_loop_against_a_server_that_stalls() -> None:
    world = World()
    plan = LoadPlan("h", 1, connections=1, duration_s=10.0)
    result = run_in_world(plan, StallingServer(world), world=world)
    latencies = []
    now = START
    while now < START + 10 * S:
        done = out_of_stall(now) + SERVICE_NS
        latencies.append(done - now)
        now = done
    # Two stalls, two slow messages: nobody asked while the server stood still.
    assert sum(latency > STALL_NS for latency in latencies) == 2
    assert_agree(result.latency_ns, latencies)
    assert_agree(result.from_send_ns, latencies)
    p99 = result.latency_ns.percentile(99)
    assert p99 is not None
    assert p99 <= SERVICE_NS * 65 // 64


@pytest.mark.parametrize("arrival", ["uniform", "poisson"])
@pytest.mark.parametrize("connections", [1, 7])
def test_open_loop_against_a_server_that_stalls(arrival: str, connections: int) -> None:
    world = World()
    plan = LoadPlan("h", 1, connections=connections, duration_s=10.0, rate=500, arrival=arrival)  # type: ignore[arg-type]
    result = run_in_world(plan, StallingServer(world), world=world)
    dues = due_times(plan)
    _, done = served(dues)
    latencies = [end - due for due, end in zip(dues, done, strict=True)]
    assert_agree(result.latency_ns, latencies)
    p95 = result.latency_ns.percentile(95)
    assert p95 is not None
    assert p95 > 200 * MS  # a tenth of all came while it stood still, and half of these waited so long
    assert not result.errors
    assert result.health.send_lateness_ns.max == 0


def test_open_loop_both_times_when_the_server_does_not_read_while_it_stalls() -> None:
    world = World()
    room = 8
    plan = LoadPlan("h", 1, connections=1, duration_s=10.0, rate=500)
    result = run_in_world(plan, StallingServer(world), world=world, room=room * (4 + 64))
    dues = due_times(plan)
    sent, done = served(dues, room)
    assert_agree(result.latency_ns, [end - due for due, end in zip(dues, done, strict=True)])
    assert_agree(result.from_send_ns, [end - taken for taken, end in zip(sent, done, strict=True)])
    corrected, uncorrected = result.latency_ns.percentile(99), result.from_send_ns.percentile(99)
    assert corrected is not None
    assert uncorrected is not None
    assert corrected > 400 * MS
    assert uncorrected < 10 * MS  # which would hide the stalls
    assert result.health.send_lateness_ns.max == 0  # that was not the generator's fault
    assert not result.saturated


def test_the_warm_up_is_in_no_number() -> None:
    world = World()
    plan = LoadPlan("h", 1, connections=2, duration_s=4.0, rate=1000, warmup_s=8.0)
    result = run_in_world(plan, StallingServer(world), world=world)
    dues = due_times(plan)
    _, done = served(dues)
    measured = [(due, end) for due, end in zip(dues, done, strict=True) if due >= START + 8 * S]
    assert len(measured) == 4000
    assert_agree(result.latency_ns, [end - due for due, end in measured])
    assert (result.sent, result.messages, result.bytes) == (4000, 4000, 4000 * 68)
    assert result.elapsed_s == pytest.approx(4.0, abs=0.001)
    assert result.messages_per_s == pytest.approx(1000, rel=0.001)


def test_closed_loop_with_a_warm_up_measures_so_many_messages_of_each_connection() -> None:
    world = World()
    plan = LoadPlan("h", 1, connections=3, messages=50, warmup_s=1.0, pipeline=4)
    result = run_in_world(plan, StallingServer(world), world=world)
    assert (result.sent, result.messages, result.errors) == (150, 150, {})
    assert result.latency_ns.count == 150


def test_the_time_series_adds_up_and_shows_the_stalls() -> None:
    world = World()
    plan = LoadPlan("h", 1, connections=3, duration_s=10.0, rate=500)
    result = run_in_world(plan, StallingServer(world), world=world)
    steps = result.intervals
    assert sum(step.messages for step in steps) == result.messages == 5_000
    assert sum(step.sent for step in steps) == result.sent == 5_000
    assert sum(step.bytes for step in steps) == result.bytes
    assert sum(step.latency_ns.count for step in steps) == 5_000
    assert [step.t_s for step in steps] == [pytest.approx(i * steps[0].width_s) for i in range(len(steps))]
    silent = [step.t_s for step in steps if not step.messages]
    # A step's border is met to a millisecond, so the first of a stall may have some.
    assert [t for t in silent if t not in (4.5, 9.5)] == [4.6, 4.7, 4.8, 4.9, 9.6, 9.7, 9.8, 9.9]


def test_a_long_time_series_stays_short_and_exact() -> None:
    plan = LoadPlan("h", 1, connections=1, duration_s=1000.0, rate=10)
    result = run_in_world(plan, Server(), grain_ns=50 * MS)
    assert len(result.intervals) <= 300
    assert sum(step.messages for step in result.intervals) == result.messages == 10_000
    assert {step.messages for step in result.intervals[1:-1]} <= {63, 64, 65}
    assert math.isclose(result.intervals[1].width_s, 6.4)


def test_a_ramp_sends_what_its_integral_says() -> None:
    plan = LoadPlan("h", 1, connections=5, ramp=Ramp(100, 300, 2.0))
    result = run_in_world(plan, Server())
    assert result.sent == result.messages == 400
    first_half = sum(step.sent for step in result.intervals if step.t_s < 1.0)
    assert first_half == pytest.approx(150, abs=1)


@pytest.mark.parametrize("room", [math.inf, 68])
def test_lateness_of_the_generator_itself_is_measured(room: float) -> None:
    """It stands still for 50 ms; whether or not the server reads, that is its own fault."""
    world = World()
    plan = LoadPlan("h", 1, connections=3, duration_s=2.0, rate=1000)
    stood_still: list[tuple[int, int]] = []

    def stand_still(engine: Engine, world: World) -> None:
        if not stood_still and engine.tally.sent == 500:
            stood_still.append((world.now, world.now + 50 * MS))
            world.now += 50 * MS

    result = run_in_world(plan, Server(), world=world, room=room, on_turn=stand_still)
    [(begin, end)] = stood_still
    late = [end - due for due in due_times(plan) if begin < due <= end]
    assert_agree(result.health.send_lateness_ns, [*late, *[0] * (2000 - len(late))])
    assert result.health.send_lateness_ns.max == late[0] > 49 * MS
    assert len(result.health.reasons) == 1
    assert "behind schedule" in result.health.reasons[0]
