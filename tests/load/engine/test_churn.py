"""Connections that are lost and opened again, or renewed: no message is forgotten, whatever happens.

Servers are in memory and time is virtual. What a server received and what it replied is its own count.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.load.engine.test_accounting import assert_every_message_is_counted_once
from tests.support.examples import examples
from tests.support.load_world import MS, START, S, Server, World, WorldSocket, driven_in_world, run_in_world
from trioecho.load import Churn, LoadPlan, LoadResult, Span
from trioecho.load.engine.engine import Engine

REFUSED = ConnectionRefusedError(111, "Connection refused")
US = 1000


class ChurnServer(Server):
    """Echoes after a time, counts what it received, and may be down, or end connections at random.

    Attributes:
      down: from when to when it is down: all connections are lost, and none can be opened.
      received, replied: how many frames were.
    """

    def __init__(
        self,
        *,
        down: list[tuple[int, int]] | None = None,
        delay_ns: int = 10 * MS,
        deaths: random.Random | None = None,
        death_share: float = 0.0,
        reset: bool = True,
    ) -> None:
        self.down = [(START + begin, START + end) for begin, end in down or []]
        self.delay_ns = delay_ns
        self.deaths = deaths
        self.death_share = death_share
        self.reset = reset
        self.received = self.replied = self.opened = 0
        self.frames: dict[WorldSocket, int] = {}
        self.is_scheduled = False

    def accept(self, now: int) -> tuple[int, OSError | None]:
        if any(begin <= now < end for begin, end in self.down):
            return 50 * US, REFUSED
        return 100 * US, None

    def on_connect(self, connection: WorldSocket) -> None:
        self.opened += 1
        self.frames[connection] = 0
        for begin, _ in self.down:
            if begin > connection.world.now:
                connection.end(begin, reset=self.reset)

    def on_turn(self, engine: Engine, world: World) -> None:
        """To be called in every turn: in the first, connections are known."""
        if not self.is_scheduled:
            self.is_scheduled = True
            for connection in engine._connections.values():
                socket: Any = connection.socket
                self.on_connect(socket)
                self.opened -= 1

    def on_bytes(self, connection: WorldSocket) -> None:
        for frame in connection.read_frames():
            self.received += 1
            self.frames[connection] = self.frames.get(connection, 0) + 1
            world = connection.world
            if self.deaths is not None and self.deaths.random() < self.death_share:
                connection.end(world.now + self.delay_ns, reset=self.deaths.random() < 0.5)
                return
            if not connection.is_ended:
                self.replied += 1
                connection.deliver(frame, world.now + self.delay_ns)


def run(plan: LoadPlan, server: ChurnServer, **options: Any) -> LoadResult:
    return run_in_world(plan, server, on_turn=server.on_turn, most_turns=200_000, **options)


def plan_of(churn: Churn, **changes: Any) -> LoadPlan:
    return LoadPlan("h", 1, **{"connections": 4, "timeout_s": 1.0, "churn": churn, **changes})


RECONNECT = Churn(reconnect=True)


# ---- outages ----


@pytest.mark.parametrize("reset", [True, False])
def test_an_outage_of_a_closed_loop_has_a_start_and_a_length(reset: bool) -> None:
    server = ChurnServer(down=[(1000 * MS, 1500 * MS)], reset=reset)
    result = run(plan_of(RECONNECT, duration_s=4.0), server)
    [outage] = result.churn.outages
    assert outage.start_s == pytest.approx(1.0, abs=0.002)
    assert 0.5 <= outage.length_s <= 2.5
    assert (outage.connections, outage.is_over) == (4, True)
    assert result.churn.outage_ns.count == 4
    assert result.churn.renewed == server.opened == 4
    assert result.ended_early is None
    assert result.errors == ({"lost": 4, "connection_lost": 4} if reset else {})
    assert result.churn.taken_back == (0 if reset else 4)
    assert_every_message_is_counted_once(result, result.due)
    assert set(result.churn.failed_attempts) == {"connection refused: does the server run, and on this port?"}
    late = [step.messages for step in result.intervals if step.t_s > outage.end_s + 0.1]
    assert late
    assert min(late[:-1]) > 0


def test_without_reconnect_nothing_is_opened_again() -> None:
    server = ChurnServer(down=[(1000 * MS, 1500 * MS)])
    result = run(plan_of(Churn(), duration_s=4.0), server)
    assert (server.opened, result.churn.renewed, result.churn.outages) == (0, 0, [])
    assert result.errors == {"missing": 4, "connection_lost": 4}
    assert result.ended_early is not None


def test_a_schedule_goes_on_in_an_outage_and_what_was_due_is_late() -> None:
    server = ChurnServer(down=[(1000 * MS, 1500 * MS)])
    result = run(plan_of(RECONNECT, rate=200, duration_s=6.0), server)
    assert_every_message_is_counted_once(result, 1200)
    assert result.unsent == 0
    [outage] = result.churn.outages
    # All that was due in the outage was sent after it, and waited.
    waited = outage.length_s * 200
    assert sum(step.messages for step in result.intervals if step.t_s < outage.start_s + 0.4) <= 202
    above = result.latency_ns.count - sum(
        count for bucket, count in result.latency_ns.buckets.items() if bucket < 1 << 10
    )
    assert above >= 0.8 * waited or result.latency_ns.max > 0.45 * S
    assert result.latency_ns.max >= 0.49 * S


def test_an_outage_that_is_not_over_at_the_end() -> None:
    for changes in ({"duration_s": 3.0}, {"duration_s": 3.0, "rate": 200}):
        server = ChurnServer(down=[(1000 * MS, 100 * S)])
        result = run(plan_of(RECONNECT, **changes), server)
        [outage] = result.churn.outages
        assert outage.is_over is False
        assert outage.end_s == pytest.approx(3.0, abs=0.01)
        assert result.churn.lasts
        assert result.errors["connect_failed"] == 4
        due = 600 if "rate" in changes else result.due
        assert_every_message_is_counted_once(result, due)


def test_a_number_of_messages_is_given_up_after_three_timeouts() -> None:
    server = ChurnServer(down=[(100 * MS, 1000 * S)])
    result = run(plan_of(RECONNECT, messages=1000), server)
    assert_every_message_is_counted_once(result, 4000)
    assert result.errors["connect_failed"] == 4
    assert 3.0 <= result.elapsed_s <= 9.0
    assert result.churn.lasts


def test_a_number_of_messages_is_sent_to_its_end_after_an_outage() -> None:
    server = ChurnServer(down=[(100 * MS, 200 * MS)])
    result = run(plan_of(RECONNECT, messages=200, pipeline=8), server)
    assert_every_message_is_counted_once(result, 800)
    assert result.unsent == 0
    assert result.messages == 800 - result.errors["lost"]
    assert 0 < result.errors["lost"] <= 32


def test_ctrl_c_in_the_middle_of_a_backoff() -> None:
    for changes in ({"duration_s": 9.0}, {"duration_s": 9.0, "rate": 200}, {"messages": 100_000}):
        server = ChurnServer(down=[(1000 * MS, 100 * S)])

        def on_turn(engine: Engine, world: World, server: ChurnServer = server) -> None:
            server.on_turn(engine, world)
            if world.now >= START + 2 * S:
                engine.stop()

        engine = driven_in_world(plan_of(RECONNECT, **changes), server, on_turn=on_turn)
        result = engine.result()
        assert result.stopped
        assert result.elapsed_s == pytest.approx(2.0, abs=0.01)
        assert_every_message_is_counted_once(result, 400 if "rate" in changes else result.due)
        [outage] = result.churn.outages
        assert (outage.connections, outage.is_over) == (4, False)


def test_a_think_time_goes_on_after_an_outage() -> None:
    server = ChurnServer(down=[(1000 * MS, 1200 * MS)])
    result = run(plan_of(RECONNECT, duration_s=4.0, think_s=0.02, pipeline=3), server)
    assert_every_message_is_counted_once(result, result.due)
    assert result.messages > 4 * 3 * 2 / 0.031 * 0.9
    assert result.errors.get("lost", 0) <= 12
    assert result.notes == []


def test_an_outage_in_the_warm_up_is_not_of_the_measured_part() -> None:
    server = ChurnServer(down=[(100 * MS, 110 * MS), (900 * MS, 1050 * MS)])
    result = run(plan_of(RECONNECT, warmup_s=1.0, duration_s=3.0), server)
    [outage] = result.churn.outages
    assert outage.start_s == 0
    assert outage.connections == 4
    assert result.churn.renewed == 8


# ---- connections that the load ends itself ----


@pytest.mark.parametrize("changes", [{}, {"pipeline": 7}, {"rate": 400}, {"think_s": 0.003}])
@pytest.mark.parametrize("span", [Span(1, 1), Span(10, 10), Span(3, 30)])
def test_each_connection_has_its_messages(changes: dict[str, Any], span: Span) -> None:
    server = ChurnServer()
    result = run(plan_of(Churn(per_connection=span), messages=60, **changes), server)
    assert_every_message_is_counted_once(result, 240)
    assert (result.errors, server.received) == ({}, 240)
    # At the end of a schedule nothing may be left for another one.
    assert result.churn.ended - 4 <= result.churn.renewed == server.opened <= result.churn.ended
    counts = list(server.frames.values())
    assert max(counts) <= span.most
    assert sum(count < span.least for count in counts) <= 4  # the last of each
    assert result.churn.first_reply_ns.count == 4 + server.opened
    assert result.churn.first_reply_ns.max == 10 * MS
    if span.least < span.most:
        assert len(set(counts)) > 5


def test_after_an_outage_connections_are_renewed_as_fast_as_before() -> None:
    server = ChurnServer(down=[(500 * MS, 900 * MS)])
    result = run(plan_of(Churn(True, Span(1, 1)), duration_s=6.0, connections=2), server)
    assert_every_message_is_counted_once(result, result.due)
    [outage] = result.churn.outages
    before = sum(step.messages for step in result.intervals if step.t_s < 0.5) / 0.5
    after = sum(step.messages for step in result.intervals if step.t_s >= outage.end_s)
    assert after / (6.0 - outage.end_s) > 0.9 * before


def test_the_seed_decides_how_many_messages_a_connection_has() -> None:
    def counts(seed: int) -> list[int]:
        server = ChurnServer()
        run(plan_of(Churn(per_connection=Span(2, 50)), messages=200, seed=seed), server)
        return sorted(server.frames.values())

    assert counts(1) == counts(1) != counts(2)


@pytest.mark.parametrize("changes", [{}, {"pipeline": 7}, {"rate": 400}, {"think_s": 0.003}])
def test_connections_have_a_lifetime(changes: dict[str, Any]) -> None:
    server = ChurnServer()
    churn = Churn(lifetime_s=Span(0.1, 0.3))
    result = run(plan_of(churn, duration_s=1.5, **changes), server)
    due = 600 if "rate" in changes else result.due
    assert_every_message_is_counted_once(result, due)
    assert (result.errors, server.received, result.unsent) == ({}, result.sent, 0)
    assert 4 * 4 <= result.churn.renewed <= 4 * 15


def test_a_server_that_does_not_end_a_connection_after_the_half_close() -> None:
    class Deaf(ChurnServer):
        def on_connect(self, connection: WorldSocket) -> None:
            super().on_connect(connection)
            if connection.number % 2:
                connection.shutdown = lambda how: None  # type: ignore[method-assign] # a bug of its own

    result = run(plan_of(Churn(per_connection=Span(10, 10)), messages=20), Deaf())
    assert_every_message_is_counted_once(result, 80)
    assert result.errors == {"not_ended": 2}
    assert result.messages == 80


def test_new_connections_are_not_more_than_the_rate() -> None:
    server = ChurnServer()
    opened: list[int] = []

    def on_turn(engine: Engine, world: World) -> None:
        server.on_turn(engine, world)
        opened.extend([world.now] * (server.opened - len(opened)))

    churn = Churn(per_connection=Span(1, 1), connect_rate=100)
    result = run_in_world(plan_of(churn, duration_s=2.0), server, on_turn=on_turn)
    assert 180 <= result.churn.renewed <= 201
    assert all(later - earlier >= 9.9 * MS for earlier, later in pairwise(opened))
    assert 0 <= result.churn.attempt_lateness_ns.count - result.churn.renewed <= 4
    assert result.churn.attempt_lateness_ns.max <= MS


@pytest.mark.parametrize(("rate", "is_noted"), [(100.0, True), (20.0, False)])
def test_more_than_new_connections_can_send_is_said(rate: float, is_noted: bool) -> None:
    churn = Churn(per_connection=Span(1, 3), connect_rate=20)
    plan = LoadPlan("h", 1, connections=2, rate=rate, duration_s=1.0, churn=churn)
    note = (
        "20 new connections/s of 1-3 messages send 40 messages/s at most, and 100/s were due: "
        "more than that waits for a connection"
    )
    assert (note in run_in_world(plan, Server()).notes) is is_noted


def test_without_reconnect_a_connection_that_cannot_be_renewed_is_over() -> None:
    for changes in ({"messages": 100}, {"messages": 100, "rate": 400}):
        server = ChurnServer(down=[])
        server.accept = lambda now: (0, OSError(99, "Cannot assign requested address"))  # type: ignore[method-assign]
        result = run(plan_of(Churn(per_connection=Span(10, 10)), **changes), server)
        assert_every_message_is_counted_once(result, 400)
        assert result.errors["connect_failed"] == 4
        assert result.sent == 40
        assert result.ended_early is not None
        [reason] = result.churn.failed_attempts
        assert "no local port is left" in reason
        assert "--bind ADDRESS" in reason


# ---- all of it at random ----


@examples(60)
@given(
    seed=st.integers(0, 1 << 32),
    mode=st.sampled_from(
        [
            {"messages": 60},
            {"messages": 60, "pipeline": 5},
            {"messages": 60, "think_s": 0.002},
            {"messages": 60, "rate": 500},
            {"duration_s": 1.0},
            {"duration_s": 1.0, "pipeline": 5},
            {"duration_s": 1.0, "rate": 300, "arrival": "poisson"},
        ]
    ),
    share=st.sampled_from([0.0, 0.01, 0.1, 0.4]),
    reconnect=st.booleans(),
    per_connection=st.sampled_from([None, Span(1, 1), Span(2, 9)]),
    lifetime_s=st.sampled_from([None, Span(0.05, 0.4)]),
    connect_rate=st.sampled_from([None, 200.0]),
    down=st.booleans(),
    warmup_s=st.sampled_from([0.0, 0.3]),
)
# A connection is lost in the warm-up, in the middle of its part.
@example(0, {"messages": 60}, 0.01, False, Span(2, 9), None, None, False, 0.3)
# Messages that were sent in the warm-up are taken back in the measured part.
@example(2635090485, {"messages": 60}, 0.1, True, None, None, 200.0, True, 0.3)
@example(3749114278, {"messages": 60, "pipeline": 5}, 0.4, True, Span(2, 9), None, 200.0, True, 0.3)
@example(3482964082, {"messages": 60, "think_s": 0.002}, 0.1, True, Span(2, 9), None, None, True, 0.3)
def test_every_message_is_counted_once(
    seed: int,
    mode: dict[str, Any],
    share: float,
    reconnect: bool,
    per_connection: Span | None,
    lifetime_s: Span | None,
    connect_rate: float | None,
    down: bool,
    warmup_s: float,
) -> None:
    churn = Churn(reconnect, per_connection, lifetime_s, connect_rate)
    server = ChurnServer(
        down=[(400 * MS, 450 * MS)] if down else [],
        deaths=random.Random(seed),
        death_share=share,
    )
    plan = plan_of(churn, warmup_s=warmup_s, **mode)
    result = run(plan, server, is_cautious=False)
    due = {"messages": 240, "rate": 300}.get(next(iter(mode)), result.due)
    due = result.due if mode.get("arrival") or "duration_s" in mode else due
    if not warmup_s:
        assert_every_message_is_counted_once(result, due)
        assert result.messages <= server.replied <= server.received <= result.sent
        assert result.sent - result.churn.taken_back - result.messages == sum(
            result.errors.get(kind, 0) for kind in ("lost", "missing", "torn")
        )
    else:
        assert result.due == due == result.sent - result.churn.taken_back + result.unsent
    assert result.churn.renewed == server.opened
    if not reconnect:
        assert "lost" not in result.errors
