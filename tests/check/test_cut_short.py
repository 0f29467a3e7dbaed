"""Runs that end before all is decided: by their time limit, or by their user."""

from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.support.check_servers import by_id, check_address, echo_frames, listening
from tests.support.guard import GUARD_S, guarded
from tests.support.in_process import run_in_process
from tests.support.processes import SERVE, UTF8
from trioecho.check.book.book import RULES, Rule, select
from trioecho.check.runner.run import Unobserved
from trioecho.check.runner.suite import CannotCheckError, Settings, Target, check
from trioecho.check.verdict import Verdict


async def test_what_is_not_decided_in_time_is_inconclusive(mock_clock: MockClock) -> None:
    class OutOfTime(Unobserved):
        def began(self, rule: Rule) -> None:
            if rule.id == "2.9":
                mock_clock.jump(20)

    mock_clock.rate = 1
    with listening(echo_frames) as address:
        result = await check_address(
            address, "1.2", "2.9", "5.4", "6.1", time_limit_s=20, observer=OutOfTime()
        )
    found = by_id(result)
    assert list(found) == ["1.2", "2.9", "5.4", "6.1"]
    assert {found[each].verdict for each in ("2.9", "5.4")} == {Verdict.INCONCLUSIVE}
    assert found["5.4"].summary == "the 20 s for this run were spent before it was tried"
    assert result.cut_short == "the 20 s for this run were spent"
    assert any("before all cases were decided" in note for note in result.notes)
    assert result.outcome() == "inconclusive"


async def test_a_silence_that_was_seen_once_is_no_failure_yet() -> None:
    def first_frame_only(peer: socket.socket) -> None:
        while data := peer.recv(1 << 16):
            peer.sendall(data[: 4 + int.from_bytes(data[:4], "big")])

    interrupt = trio.Event()

    class SeenOnce(Unobserved):
        def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
            if rule.id == "2.5":
                interrupt.set()

    with listening(first_frame_only) as address:
        result = await check_address(address, "1.2", "2.5", observer=SeenOnce(), interrupt=interrupt)
    found = by_id(result)
    assert found["1.2"].verdict is Verdict.PASS
    assert found["2.5"].verdict is Verdict.INCONCLUSIVE
    assert "before it could be tried again" in found["2.5"].summary
    assert found["2.5"].expected
    assert result.causes == ()


class Interrupting:
    """Interrupts a run when a case begins."""

    def __init__(self, rule_id: str) -> None:
        self.interrupt = trio.Event()
        self._rule_id = rule_id

    def began(self, rule: Rule) -> None:
        if rule.id == self._rule_id:
            self.interrupt.set()

    def ended(self, rule: Rule, verdict: Verdict, done: int, total: int) -> None:
        pass


async def test_an_interrupted_run_tells_what_it_knows() -> None:
    observer = Interrupting("2.9")
    with listening(echo_frames) as address:
        result = await check_address(
            address, "1.2", "2.9", "5.4", observer=observer, interrupt=observer.interrupt
        )
    found = by_id(result)
    assert found["1.2"].verdict is Verdict.PASS
    assert found["2.9"].summary == found["5.4"].summary == "the run was interrupted before it was tried"
    assert result.cut_short == "the run was interrupted"


async def test_a_run_that_is_interrupted_before_its_first_case_knows_nothing() -> None:
    interrupt = trio.Event()
    interrupt.set()
    with listening(echo_frames) as address, guarded():
        with pytest.raises(CannotCheckError, match="interrupted before the first case"):
            await check(Target("this", address), Settings(), rules=select([]), interrupt=interrupt)


# ---- the command ----


def test_the_time_limit_can_be_told() -> None:
    command = shlex.join([sys.executable, *SERVE, "--port", "{port}"])
    done = run_in_process("check", "--spawn", command, "2.9", "--time-limit", "1ms")
    assert done.returncode == 3
    assert done.stderr.endswith(": the 0.001 s for this run were spent before the first case\n")
    assert run_in_process("check", "--spawn", command, "2.9", "--time-limit", "0").returncode == 0


# Tells by a pipe that a second connection has come, after the one that asks whether it listens.
TELLS_AND_FALLS_SILENT = """
import os, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
peers = []
while True:
    peers.append(server.accept())
    if len(peers) == 2:
        with open(sys.argv[2], "w") as pipe:
            pipe.write("connected")
"""


def test_ctrl_c_in_a_class_writes_the_reports_of_those_who_were_graded(tmp_path: Path) -> None:
    pipe, table, results = tmp_path / "pipe", tmp_path / "class.csv", tmp_path / "class.json"
    os.mkfifo(pipe)
    first = shlex.join([sys.executable, *SERVE, "--port", "{port}"])
    second = shlex.join([sys.executable, "-c", TELLS_AND_FALLS_SILENT, "{port}", str(pipe)])
    third = "never-started {port}"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "trioecho", "check", "1.2", "2.5", "--side-by-side", "1"),
            *("--spawn", first, "--spawn", second, "--spawn", third),
            *("--rubric-csv", str(table), "--json", str(results)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **UTF8},
    )
    assert pipe.read_text() == "connected"
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=GUARD_S)
    assert process.returncode == 130, errors
    assert "2 passed" in out
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["points"] for row in rows] == ["50", "", ""]
    assert "interrupted before the first case" in rows[1]["remarks"]
    assert "interrupted before it was its turn" in rows[2]["remarks"]
    servers = json.loads(results.read_text())["servers"]
    assert [server["outcome"] for server in servers] == ["conformant", "not tested", "not tested"]
    assert "Traceback" not in errors


# The first connections are served; the one that comes next tells of itself, and is not.
SERVES_UNTIL_CASE = """
import os, socket, sys, threading
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def serve(peer):
    while data := peer.recv(65536):
        if data[4:10] == b"ab\\0\\0\\0\\3":
            with open(sys.argv[2], "w") as pipe:
                pipe.write("asked")
            continue
        peer.sendall(data)
while True:
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""


def test_ctrl_c_tells_of_the_cases_that_were_decided(tmp_path: Path) -> None:
    pipe, report = tmp_path / "pipe", tmp_path / "report.json"
    os.mkfifo(pipe)
    command = shlex.join([sys.executable, "-c", SERVES_UNTIL_CASE, "{port}", str(pipe)])
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "trioecho", "check", "1.2", "1.9", "5.4", "--jobs", "1"),
            *("--spawn", command, "--json", str(report)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **UTF8},
    )
    assert pipe.read_text() == "asked"  # by case 1.9
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=GUARD_S)
    assert (process.returncode, errors) == (130, "")
    assert "✓ 1.2" in out
    assert "1 passed, 2 inconclusive" in out
    assert "the run was interrupted before all cases were decided" in " ".join(out.split())
    [server] = json.loads(report.read_text())["servers"]
    assert server["cut_short"] == "the run was interrupted"
    assert [each["verdict"] for each in server["results"]] == ["pass", "inconclusive", "inconclusive"]


def test_the_book_has_the_cases_that_are_used_here() -> None:
    assert {"1.2", "1.9", "2.5", "2.9", "5.4", "6.1"} <= set(RULES)
