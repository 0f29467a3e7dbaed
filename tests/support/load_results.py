"""Results of loads that never ran, for what shows and compares them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import trio

from trioecho.load import (
    Discrepancy,
    GeneratorHealth,
    LoadInterval,
    LoadPlan,
    LoadProgress,
    LoadResult,
    MessageList,
    RecordedTraffic,
)
from trioecho.load.goals.find_max import Search, Trial, TrialOutcome
from trioecho.load.goals.objectives import parse_objective
from trioecho.load.results.churn_result import Outage
from trioecho.load.results.judging import judge
from trioecho.load.results.machine import Machine

MACHINE = Machine("here", "Linux 6.1 x86_64", 2, "CPython 3.11.7", "0.1.0")


def made_result(
    *,
    seconds: int = 20,
    rate: int = 500,
    latency_ms: Callable[[random.Random], float] = lambda chance: 0.2 + chance.expovariate(5),
    seed: int = 1,
    objectives: tuple[str, ...] = (),
    **plan: Any,
) -> LoadResult:
    """An open loop (or, with ``rate=None`` in the plan, a closed one) that ran as planned."""
    chance = random.Random(seed)
    settings: dict[str, Any] = {"rate": float(rate), "duration_s": float(seconds), **plan}
    result = LoadResult(
        LoadPlan("127.0.0.1", 26066, **settings),
        started_at=datetime(2024, 5, 6, 17, 8, 9, 123_000, tzinfo=timezone.utc),
        elapsed_s=float(seconds),
        connections_opened=settings.get("connections", 5),
        machines=[MACHINE],
        command=["trioecho", "load", "127.0.0.1:26066"],
        health=GeneratorHealth((0.31,), (0.02,), judged=True),
    )
    for _ in range(result.connections_opened):
        result.connect_ns.record(chance.randint(100_000, 300_000))
    for second in range(seconds):
        step = LoadInterval(float(second), 1.0)
        for _ in range(chance.randint(rate - rate // 50, rate + rate // 50)):
            latency = round(latency_ms(chance) * 1e6)
            step.latency_ns.record(latency)
            result.from_send_ns.record(latency * 9 // 10)
        step.sent = step.messages = step.latency_ns.count
        step.bytes = 68 * step.messages
        result.intervals.append(step)
        result.latency_ns.merge(step.latency_ns)
        result.sent += step.sent
        result.messages += step.messages
        result.bytes += step.bytes
    result.objective_results = judge(result, map(parse_objective, objectives))
    return result


def troubled_result() -> LoadResult:
    """One with all that can go wrong in it, with text from outside that is no HTML."""
    result = made_result(objectives=("p99<5ms", "errors==0", "rate>1"))
    result.errors = {"wrong": 2, "missing": 1, "duplicated": 1, "unexpected": 1, "connection_lost": 1}
    result.discrepancies = [
        Discrepancy(3, 17, "wrong", b"\x01" * 32, b"\x02" * 32, 64, 64, offset=5),
        Discrepancy(3, 18, "wrong", b"", b"", 64, 60, detail="<script>alert(1)</script>"),
        Discrepancy(4, 1, "missing", b"\x01\x02", b"", 2, None),
        Discrepancy(0, 2, "duplicated", b"", b"\x09", None, 1),
        Discrepancy(0, 3, "unexpected", b"", b"", None, 0),
        Discrepancy(1, 7, "connection_lost", detail="Connection reset by peer"),
    ]
    result.notes = ["3 connections could not be opened: <Connection refused>."]
    result.stopped = True
    result.health = GeneratorHealth(
        (0.99,), (0.0,), judged=True, reasons=("the generator had no CPU time left",)
    )
    result.churn.renewed, result.churn.ended = 4, 1
    result.churn.failed_attempts = {"connection refused: <does> the server run, and on this port?": 7}
    result.churn.outages = [Outage(2.5, 0.75, 2), Outage(18.0, 2.0, 2, is_over=False)]
    for length_ns in (500_000_000, 750_000_000, 2_000_000_000, 2_000_000_000):
        result.churn.outage_ns.record(length_ns)
        result.churn.first_reply_ns.record(length_ns // 1000)
    result.churn.attempt_lateness_ns.record(20_000, 4)
    result.search = Search(
        [
            Trial("double", 1000.0, TrialOutcome(True, reason="p99<5ms: held, 1.234 ms")),
            Trial("double", 2000.0, TrialOutcome(False, True, reason="generator saturated")),
        ],
        1000.0,
        False,
        "generator",
    )
    result.objective_results = judge(result, [verdict.objective for verdict in result.objective_results])
    return result


class RunOnAServerWithACapacity:
    """In the place of `LoadRun`: what comes of a run is a formula."""

    def __init__(
        self,
        plan: LoadPlan,
        *,
        on_progress: Callable[[LoadProgress], object],
        progress_interval_s: float,
        messages: MessageList | None,
        first_messages: MessageList | None,
        recorded: RecordedTraffic | None,
        record: str | None,
        cluster: object,
    ) -> None:
        self.plan = plan
        self.on_progress = on_progress

    async def run(self) -> LoadResult:
        await trio.lowlevel.checkpoint()
        self.on_progress(LoadProgress("measuring", 1.0, LoadInterval(0.0, 1.0), 0, 0, {}, 5, None))
        latency_ms = 1.0 if (self.plan.rate or 0) <= 260 else 9.0
        result = made_result(seconds=2, rate=20, latency_ms=lambda chance: latency_ms)
        result.plan = self.plan
        result.elapsed_s = self.plan.duration_s or 0.0
        return result
