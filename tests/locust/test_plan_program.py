"""The process that carries out a part of a load, as a process of Locust starts it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.guard import GUARD_S
from tests.support.processes import server_process
from trioecho.locust.plan_program import CheckedPlan, PlanEngine, PlanFailedError, check_plan, join_parts


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with server_process() as server:
        yield server.port


def config_of(checked: CheckedPlan, first: int, count: int, **changes: Any) -> dict[str, Any]:
    config = {
        "plan": {**checked.plan, "processes": 2},
        "first": first,
        "count": count,
        "progress_interval_s": 1.0,
        "is_cautious": True,
        "folder": "",
        "recording": None,
        "most_silent_beats": None,
        **changes,
    }
    return {"schema": checked.schema, "config": {"LoadWorkerConfig": config}}


def test_a_plan_that_can_be_is_checked(port: int) -> None:
    checked = check_plan([f"127.0.0.1:{port}", "-c", "3", "-n", "10", "--timeout", "3s"])
    assert (checked.connections, checked.timeout_s) == (3, 3.0)
    assert checked.plan["port"] == port


def test_a_plan_that_cannot_be_is_one_line() -> None:
    with pytest.raises(
        PlanFailedError, match=r"^trioecho load: argument --rate: 'x' is not a rate"
    ) as refused:
        check_plan(["127.0.0.1:1", "--rate", "x"])
    assert refused.value.exit_code == 2


def test_parts_are_carried_out_and_joined_exactly(
    port: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [
        f"127.0.0.1:{port}",
        "-c",
        "3",
        "-n",
        "10",
        "--json",
        str(tmp_path / "all.json"),
        "--slo",
        "errors==0",
    ]
    checked = check_plan(words)
    parts = []
    for name, first, count in (("0", 0, 2), ("1", 2, 1)):
        engine = PlanEngine(checked.words)
        try:
            engine.give_document(config_of(checked, first, count))
            for kind, fields in engine.messages():
                if kind == "LoadWorkerReady":
                    engine.give("StartCommand", {"at": time.perf_counter_ns()})
                if kind == "LoadResult":
                    result = fields
                    break
        finally:
            engine.end()
        part = {"name": name, "host": "here", "connections": count, "clock": (0, 1, 2), "start_late_ns": 3}
        parts.append({"result": result, **part})
    plan = {**checked.plan, "processes": 2}
    assert join_parts(words, {"plan": plan, "parts": parts, "notes": ["A note."]}) == 0
    text = (tmp_path / "all.json").read_text()
    assert '"messages": 30' in text
    printed = " ".join(capfd.readouterr().out.split())
    assert "30 sent, 30 came back right" in printed
    assert "0 on here: 2 connections, 20 sent (66.7%)" in printed
    assert "note: A note." in printed


def ended(engine: PlanEngine) -> PlanFailedError:
    guard = threading.Timer(GUARD_S, engine.kill)  # one that goes on would send heartbeats for ever
    guard.start()
    with pytest.raises(PlanFailedError) as failed:
        list(engine.messages())
    guard.cancel()
    guard.join()
    engine.end()
    engine.end()  # which may be called twice
    with pytest.raises(ProcessLookupError):
        os.kill(engine.pid, 0)
    return failed.value


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": "other"}, "this machine has another version of trioecho than Locust's master"),
        ({"plan": {"connections": 4}}, "the locustfile, or a file of messages, is another one here"),
    ],
)
def test_an_engine_that_was_started_for_another_plan_refuses(
    port: int, changes: dict[str, Any], reason: str
) -> None:
    checked = check_plan([f"127.0.0.1:{port}", "-c", "3"])
    document = config_of(checked, 0, 2)
    document["config"]["LoadWorkerConfig"]["plan"] |= changes.pop("plan", {})
    engine = PlanEngine(checked.words)
    engine.give_document({**document, **changes})
    failure = ended(engine)
    assert reason in failure.reason
    assert failure.exit_code == 3


def test_an_engine_that_is_killed_says_so(port: int) -> None:
    engine = PlanEngine([f"127.0.0.1:{port}"])
    engine.kill()
    assert repr(ended(engine)) == "PlanFailedError: its engine was killed by SIGKILL"


def test_an_engine_ends_with_the_process_that_has_started_it(port: int) -> None:
    checked = check_plan([f"127.0.0.1:{port}", "-c", "3", "--duration", "1h"])
    engine = PlanEngine(checked.words)
    engine.give_document(config_of(checked, 0, 2))
    messages = engine.messages()
    while next(messages)[0] != "LoadWorkerReady":
        pass
    engine._connection.close()  # as when that process is gone
    assert engine._process.wait(GUARD_S) in (0, -signal.SIGPIPE)
    engine.end()
