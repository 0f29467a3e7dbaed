"""A load in stages that ran in virtual time, for what shows and compares results."""

from __future__ import annotations

from typing import Any

from tests.support.load_world import Server, WorldSocket, run_in_world
from trioecho.load import LoadPlan, LoadResult, Stage

STAGES = (
    Stage("up", 0.0, 1000.0, 0.2),
    Stage("steady", 1000.0, 1000.0, 0.3),
    Stage("pause", 0.0, 0.0, 0.1),
    Stage("burst", 20_000.0, 20_000.0, 0.02),
)
# How many messages are due in each.
DUE = [100, 300, 0, 400]


def staged_plan(**changes: Any) -> LoadPlan:
    return LoadPlan("h", 1, **{"connections": 4, "timeout_s": 0.5, "stages": STAGES, **changes})


class SlowServer(Server):
    """Takes so long for each message, one after the other, on all connections together."""

    def __init__(self, service_ns: int) -> None:
        self.service_ns = service_ns
        self.free_at = 0

    def answer(self, connection: WorldSocket, frame: bytes, number: int) -> None:
        self.free_at = max(self.free_at, connection.world.now) + self.service_ns
        connection.deliver(frame, self.free_at)


def staged_result(*, service_ns: int = 500_000, **plan: Any) -> LoadResult:
    """A server that takes 0.5 ms for each message bears every stage except the burst."""
    return run_in_world(staged_plan(**plan), SlowServer(service_ns))
