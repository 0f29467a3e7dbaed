"""A long load holds no more memory than a short one."""

from __future__ import annotations

import gc
import random
from typing import Any

import pytest

from tests.support.load_world import Server, World, WorldSocket, run_in_world
from trioecho.load import (
    LoadPlan,
)
from trioecho.load.engine.engine import Engine
from trioecho.load.engine.payloads import PayloadRings


def plan_of(**changes: Any) -> LoadPlan:
    return LoadPlan("localhost", 26066, **changes)


def test_a_long_load_holds_no_more_than_a_short_one() -> None:
    """Counted in objects and bytes of what a connection holds, not in the process's memory."""
    held: list[tuple[int, int]] = []

    def look(engine: Engine, world: World) -> None:
        for connection in engine._connections.values():
            held.append((len(connection.in_flight.runs), sum(map(len, connection._wires))))

    plan = plan_of(connections=1, messages=60_000, pipeline=50)
    result = run_in_world(plan, Server(), on_turn=look)
    assert result.messages == 60_000
    assert max(runs for runs, _ in held) <= 50
    ring_bytes = PayloadRings(plan).ring(0).size
    assert max(wires for _, wires in held) <= 2 * ring_bytes


def test_a_server_that_drops_every_reply_does_not_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.load.engine.matching.MOST_OVERDUE", 100)
    most = 0

    class Dropping(Server):
        def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
            if number % 2:
                super().answer(connection, frame, number)

    def look(engine: Engine, world: World) -> None:
        nonlocal most
        most = max([most, *(len(c._inspection._matcher.overdue) for c in engine._connections.values())])

    result = run_in_world(plan_of(connections=1, messages=2000, pipeline=10), Dropping(), on_turn=look)
    assert most <= 100
    assert result.errors == {"missing": 2000 - result.messages}


def test_a_run_leaves_no_garbage_that_grows() -> None:
    random.seed(0)
    gc.collect()
    run_in_world(plan_of(messages=50), Server())
    gc.collect()
    before = len(gc.get_objects())
    run_in_world(plan_of(messages=2000), Server())
    gc.collect()
    assert len(gc.get_objects()) - before < 200
