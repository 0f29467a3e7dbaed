"""Worker processes that really die in the middle of a load: what the result says, and what it does not."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.load.test_run import echo, plan_for, serving
from tests.support.guard import GUARD_S, guarded
from tests.support.processes import UTF8, children_of
from trioecho.load import (
    LoadProgress,
    LoadResult,
    LoadRun,
    Stage,
    WorkerFailedError,
    result_as_json,
    result_from_json,
)

FRAME_BYTES = 68
LOAD = (sys.executable, "-m", "trioecho", "load", "--workers", "2", "--timeout", "1000s")


@contextlib.contextmanager
def gated() -> Iterator[tuple[int, threading.Event]]:
    """A server that replies to the first message of each connection, and to the others after an event."""
    gate = threading.Event()

    def handle(peer: socket.socket) -> None:
        peer.sendall(peer.recv(FRAME_BYTES, socket.MSG_WAITALL))
        gate.wait()
        echo(peer)

    with serving(handle) as port:
        try:
            yield port, gate
        finally:
            gate.set()


async def losing(*victims: int, stops: bool = False, **plan: Any) -> tuple[LoadResult, list[str]]:
    """The result of a load of two processes, of which some are killed after all have reported."""
    said: list[str] = []
    killed: list[int] = []

    def note(progress: LoadProgress) -> None:
        if progress.messages and not killed:
            for victim in victims:
                killed.append(run._run._workers[victim].process.pid)  # type: ignore[union-attr]
                os.kill(killed[-1], signal.SIGKILL)
        said.extend(progress.lost[len(said) :])
        if progress.lost:
            gate.set()
            if stops:
                run.stop()

    with gated() as (port, gate), guarded():
        # No part is over before the loss, since all wait for their replies.
        made = plan_for(port, processes=2, timeout_s=3600.0, **plan)
        run = LoadRun(made, on_progress=note, progress_interval_s=0.1)
        result = await run.run()
    assert [worker.name for worker in result.lost] == [
        f"worker process load-{victim + 1} (process {pid})"
        for victim, pid in zip(victims, killed, strict=True)
    ]
    assert result_as_json(result_from_json(result_as_json(result))) == result_as_json(result)
    return result, said


async def test_of_a_schedule_every_message_is_in_one_count() -> None:
    result, said = await losing(1, rate=400.0, duration_s=2.0)
    [lost] = result.lost
    assert lost.reason == "was killed by signal 9: it said nothing"
    assert lost.reported_s is not None
    assert lost.lost_s >= lost.reported_s > 0
    assert (lost.connections, lost.of_connections, lost.is_counted) == (2, 5, True)
    assert result.due == 800
    assert set(result.errors) <= {"unknown", "unreported"}
    assert lost.unaccounted == result.error_count > 0
    assert result.messages + lost.unaccounted == 800
    # The other one has sent all of its own, and this one what it reported.
    assert result.sent == 480 + lost.sent
    assert result.latency_ns.count == result.messages
    assert said == [
        f"{lost.name} {lost.reason}; it had 2 of 5 connections, and had sent {lost.sent} "
        f"message{'s' * (lost.sent != 1)} by its last report; the others go on"
    ]


async def test_of_stages_each_has_its_messages_that_are_not_accounted_for() -> None:
    # Also a worker that is lost late, on a busy machine, is so before the second one.
    stages = (Stage("calm", 20.0, 20.0, 5.0), Stage("busy", 300.0, 300.0, 1.0))
    result, _ = await losing(1, stages=stages)
    assert [stage.due for stage in result.stages] == [100, 300]
    assert [stage.messages + stage.error_count for stage in result.stages] == [100, 300]
    assert result.stages[1].errors == {"unreported": 120}


async def test_of_planned_messages_every_one_is_in_one_count() -> None:
    result, _ = await losing(0, messages=2_000)
    [lost] = result.lost
    assert lost.is_counted
    assert result.due == 10_000
    assert result.messages + lost.unaccounted == 10_000
    assert lost.unknown <= 3  # one is in flight on each connection


async def test_without_a_plan_for_their_number_what_is_not_known_is_said() -> None:
    result, _ = await losing(1, duration_s=1.0)
    [lost] = result.lost
    assert (lost.is_counted, lost.unreported) == (False, 0)
    assert result.messages + lost.unknown == result.sent == result.due


async def test_a_load_is_stopped_after_the_loss_and_counts_what_was_due_until_then() -> None:
    result, _ = await losing(1, stops=True, rate=400.0, duration_s=3600.0)
    assert result.stopped
    [lost] = result.lost
    assert result.messages + lost.unaccounted == result.due < 400 * 60


async def test_a_load_that_loses_all_its_workers_has_what_they_reported() -> None:
    result, _ = await losing(0, 1, rate=400.0, duration_s=60.0)
    assert 0 < result.messages <= result.sent
    assert result.due == 24_000
    assert result.messages + sum(worker.unaccounted for worker in result.lost) == 24_000
    assert len(result.machines) == 1


async def test_a_load_that_loses_all_its_workers_before_they_report_is_an_error() -> None:
    with serving() as port, guarded():
        plan = plan_for(port, processes=2, duration_s=3600.0)
        run = LoadRun(plan, progress_interval_s=3600.0)

        def kill_all(sent: int) -> None:
            for worker in run._run._workers:  # type: ignore[union-attr]
                os.kill(worker.process.pid, signal.SIGKILL)  # type: ignore[union-attr]

        run._run._report = lambda: kill_all(0)  # type: ignore[union-attr,method-assign] # after any message
        with pytest.raises(WorkerFailedError, match=r"load-\d \(process \d+\) was killed by signal 9"):
            await run.run()


@pytest.mark.parametrize("objectives", [(), ("--slo", "p99<1000s", "--slo", "errors<99%")])
def test_every_report_says_who_was_lost_and_the_exit_code_is_1(
    objectives: tuple[str, ...], tmp_path: Path
) -> None:
    files = {kind: tmp_path / f"load.{kind}" for kind in ("json", "csv", "html")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    options += ["--record", str(tmp_path / "sent.frames"), *objectives]
    with gated() as (port, gate):
        process = subprocess.Popen(
            [*LOAD, f"127.0.0.1:{port}", "--rate", "100", "--duration", "1s", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | UTF8,
        )
        assert process.stderr is not None
        assert "in all" in process.stderr.readline()
        workers = children_of(process.pid)
        os.kill(workers[1], signal.SIGKILL)
        while "others" not in (line := process.stderr.readline()):
            assert line
        gate.set()
        stdout, stderr = process.communicate(timeout=GUARD_S)
    assert process.returncode == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    name = f"worker process load-2 (process {workers[1]})"
    assert "what was sent is not whole, since a worker was lost" in stderr.splitlines()[-1]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["load.csv", "load.html", "load.json"]
    result = json.loads(files["json"].read_text())
    [lost] = result["lost"]
    unaccounted = lost["unknown"] + lost["unreported"]
    assert result["messages"] + unaccounted == result["messages_due"] == 100
    assert f"{unaccounted} not accounted for" in " ".join(stdout.split())
    assert f"{name} was killed by signal 9" in " ".join(stdout.split())
    assert not any(found["holds"] for found in result["objectives"])
    with files["csv"].open() as lines:
        rows = list(csv.DictReader(lines))
    assert {row["lost_workers"].startswith(f"{name} after ") for row in rows} == {True}
    assert {row["messages_unaccounted"] for row in rows} == {str(unaccounted)}
    page = files["html"].read_text()
    assert f"The run is not whole: after {lost['lost_s']:.1f} s, {name} was killed by signal 9" in page
