"""A worker may be lost at any moment: what its reports leave unknown is what had no outcome by then.

Servers are in memory and time is virtual; reports arrive as they do from another process.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.load.engine.test_keys import NUMBERED, Shuffler, name_of, number_in_front
from tests.support.load_world import MS, START, S, Server, World, WorldSocket, driven_in_world
from trioecho.load import LoadPlan, LoadProgress, ReplyRule, Stage
from trioecho.load.engine.engine import Engine
from trioecho.load.processes.messages import decode_load_message, encode_load_message
from trioecho.load.processes.reported_part import ReportedPart
from trioecho.load.results.result import LoadResult
from trioecho.load.service_traits import ServiceTraits

STAGES = (Stage("one", 200.0, 200.0, 1.0), Stage("two", 200.0, 400.0, 1.0))
MODES = [
    {"rate": 200.0, "duration_s": 2.0},
    {"rate": 200.0, "duration_s": 2.0, "arrival": "poisson"},
    {"stages": STAGES},
    {"duration_s": 2.0, "pipeline": 3},
    {"messages": 100, "think_s": 0.05},
]


class ColdServer(Server):
    """Replies wrongly, late or not at all for 1.5 s, of which 1 s is the warm-up, and now and then later."""

    def __init__(self) -> None:
        self.count = 0

    def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
        self.count += 1
        now = connection.world.now
        is_cold = now < START + 3 * S // 2 or not self.count % 50
        how = self.count % 4 if is_cold else 0
        if how == 1:
            frame = frame[:-1] + bytes([frame[-1] ^ 1])
        if how != 3:
            connection.deliver(frame, now + (150 if how == 2 else 20) * MS)


class Supervisor:
    """Takes a report every 90 ms, and notes what was in flight then."""

    def __init__(self, plan: LoadPlan, in_flight: Callable[[Engine], int]) -> None:
        self._plan = plan
        self._in_flight = in_flight
        self._reports: list[dict[str, Any]] = []
        self._next = START + 90 * MS
        self.in_flight: list[int] = []

    def look(self, engine: Engine, world: World) -> None:
        if world.now >= self._next or engine.is_over:
            self._next += 90 * MS
            self._reports.append(json.loads(json.dumps(encode_load_message(engine.take_progress()))))
            self.in_flight.append(self._in_flight(engine))

    async def unknown(self) -> list[int]:
        """What would be unknown if the worker had been lost after each report."""
        return [
            (await self._lost_after(count)).errors.get("unknown", 0)
            for count in range(1, len(self._reports) + 1)
        ]

    async def _lost_after(self, count: int) -> LoadResult:
        part = ReportedPart(self._plan, 0, self._plan.connections, 0.09)
        for report in self._reports[:count]:
            progress = decode_load_message(report)
            assert isinstance(progress, LoadProgress)
            part.add(progress)
        return await part.result("a", "is gone", lost_s=9.0, stopped_s=None)


def in_flight(engine: Engine) -> int:
    """The messages of the measured part that were sent, and that have no outcome yet."""
    measured_from, dues = engine.tally.measured_from, []
    for connection in engine._connections.values():
        first = connection.in_flight.next
        for stop, due, _ in connection.in_flight.runs:
            dues += [due] * (stop - first)
            first = stop
        dues += [times.due for times in connection._inspection._matcher.overdue.values()]
    return sum(due >= measured_from for due in dues)


@pytest.mark.parametrize("mode", MODES, ids=str)
async def test_what_is_unknown_is_what_was_in_flight_whatever_went_wrong_in_the_warm_up(
    mode: dict[str, Any],
) -> None:
    plan = LoadPlan("h", 1, connections=4, warmup_s=1.0, timeout_s=0.1, **mode)
    supervisor = Supervisor(plan, in_flight)
    engine = driven_in_world(plan, ColdServer(), on_turn=supervisor.look)
    assert {"wrong", "late", "missing"} <= set(engine.tally.errors)
    assert await supervisor.unknown() == supervisor.in_flight
    assert sum(map(bool, supervisor.in_flight)) > 5
    assert supervisor.in_flight[-1] == 0


@pytest.mark.parametrize("length", [{"rate": 200.0, "duration_s": 2.0}, {"stages": STAGES}], ids=str)
async def test_a_reply_without_a_key_is_the_outcome_of_no_message(length: dict[str, Any]) -> None:
    def reply(number: int, payload: bytes) -> bytes:
        return b"?" if number % 7 == 0 else payload

    rules: dict[str, Any] = {
        "reply": ReplyRule("count"),
        "service": ServiceTraits(key=name_of(number_in_front)),
    }
    plan = LoadPlan("h", 1, connections=4, source=NUMBERED.source, timeout_s=9.0, **rules, **length)
    supervisor = Supervisor(plan, keyed_in_flight)
    driven_in_world(plan, Shuffler(lambda number: 1, reply), on_turn=supervisor.look, messages=NUMBERED)
    assert await supervisor.unknown() == supervisor.in_flight
    assert max(supervisor.in_flight) > 40
    assert supervisor.in_flight[-1] == 0


def keyed_in_flight(engine: Engine) -> int:
    """The same where replies are known by keys; there is no warm-up."""
    return sum(len(connection._inspection.overdue) for connection in engine._connections.values())
