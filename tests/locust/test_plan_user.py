"""`PlanUser` in real processes of Locust: a headless master and two workers, against real servers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.checkout import ROOT
from tests.support.guard import GUARD_S
from tests.support.locusts import LocustMaster, locust_master, run_locust
from tests.support.processes import children_of, server_process
from tests.support.sockets import port_that_refuses
from trioecho.load.results.result_reader import result_from_json

PAGE = (ROOT / "trioecho" / "guide" / "locust.md").read_text()
[SAMPLE] = re.findall(r"^```python\n((?:(?!```).)*?PlanUser.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

# These tests are about counts, on machines that may be busy.
CALM = "--saturation warn --timeout 60s --json surge.json"
TWO = ("-u", "2", "-r", "2")


def locustfile(port: int, options: str) -> str:
    return f"""
from trioecho.locust import PlanUser

class Surge(PlanUser):
    host = "127.0.0.1:{port}"
    options = "{options} {CALM}"
"""


def wait_until_gone(pid: int) -> None:
    """Wait until a process that is not ours has ended, by its own descriptor."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            assert select.select([descriptor], [], [], GUARD_S)[0]
        finally:
            os.close(descriptor)


def engines_of(locust: LocustMaster) -> list[int]:
    return [pid for worker in locust.workers for pid in children_of(worker.pid)]


def errors_logged(log: str) -> list[str]:
    return [line.partition("trioecho.locust.")[2] for line in log.splitlines() if "/ERROR/trioecho" in line]


def times_of(entry: dict[str, Any]) -> dict[float, int]:
    return {float(time): count for time, count in entry["response_times"].items()}


def test_two_workers_send_what_one_machine_would_and_all_count_the_same(tmp_path: Path) -> None:
    with server_process() as server:
        options = "--connections 5 -n 100 --size 0-200 --seed 7"
        with locust_master(tmp_path, locustfile(server.port, options), *TWO) as locust:
            assert locust.wait() == 0, locust.log
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 500
    assert server.reports[-1]["errors"] == {}
    result = result_from_json((tmp_path / "surge.json").read_text())
    assert (result.sent, result.messages, result.errors, result.stopped) == (500, 500, {}, False)
    assert result.latency_ns.count == 500
    assert result.plan.seed == 7
    assert {worker.system for worker in result.workers} == {"Locust"}
    assert sorted((worker.name, worker.connections, worker.messages) for worker in result.workers) == [
        ("0", 3, 300),
        ("1", 2, 200),
    ]
    # Locust's own numbers are the same ones: each time of them is that of a bucket.
    entry = locust.stats["LOAD", "Surge"]
    assert entry["num_requests"] == 500
    assert entry["num_failures"] == entry["num_none_requests"] == 0
    assert entry["total_content_length"] == result.bytes
    assert entry["total_response_time"] == pytest.approx(result.latency_ns.total / 1e6)
    assert entry["max_response_time"] == result.latency_ns.max / 1e6
    assert sum(times_of(entry).values()) == 500
    assert "500 came back right" in " ".join(locust.log.split())
    assert "Traceback" not in locust.log
    assert errors_logged(locust.log) == []


@pytest.mark.slow
def test_the_sample_of_the_page(tmp_path: Path) -> None:
    with server_process() as server:
        sample = SAMPLE.replace("26066", str(server.port))
        with locust_master(tmp_path, sample, *TWO) as locust:
            exit_code = locust.wait()
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 10_000
    result = result_from_json((tmp_path / "surge.json").read_text())
    assert (result.messages, len(result.workers)) == (10_000, 2)
    # The machine may be too slow for the objective, or busy.
    assert exit_code in (0, 5, 99), locust.log
    assert locust.stats["LOAD", "Surge"]["num_requests"] == 10_000


def test_a_test_that_is_stopped_ends_the_load_in_order(tmp_path: Path) -> None:
    with server_process() as server:
        options = "--connections 4 --rate 200 --duration 1h"
        with locust_master(tmp_path, locustfile(server.port, options), "-u", "3", "-r", "3") as locust:
            locust.read_until("LOAD     Surge")
            engines = engines_of(locust)
            assert len(engines) == 3
            locust.process.send_signal(signal.SIGTERM)
            assert locust.wait() == 0, locust.log
        for pid in engines:
            wait_until_gone(pid)
        assert server.stop() == 0
    result = result_from_json((tmp_path / "surge.json").read_text())
    assert result.stopped
    assert result.errors == {}
    assert result.messages == server.reports[-1]["messages_total"] > 0
    names = sorted(worker.name for worker in result.workers)
    assert names in (["0", "0 (user 2)", "1"], ["0", "1", "1 (user 2)"])
    assert sum(worker.messages for worker in result.workers) == result.messages


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_load_and_leaves_no_result(tmp_path: Path) -> None:
    with server_process() as server:
        options = "--connections 5 --rate 200 --duration 1h"
        with locust_master(tmp_path, locustfile(server.port, options), *TWO) as locust:
            locust.read_until("LOAD     Surge")
            engines = engines_of(locust)
            locust.workers[0].kill()
            assert locust.wait() == 1, locust.log
            for pid in engines:
                wait_until_gone(pid)
        assert server.stop() == 0
    [line] = errors_logged(locust.log)
    assert re.search(
        r"Surge: worker [01] on \S+ is gone; it had [23] of 5 connections: there is no whole result$", line
    )
    assert not (tmp_path / "surge.json").exists()
    assert list(locust.failures.values()) == [1]


@pytest.mark.slow
def test_an_engine_that_dies_ends_the_load(tmp_path: Path) -> None:
    with server_process() as server:
        options = "--connections 5 --rate 200 --duration 1h"
        with locust_master(tmp_path, locustfile(server.port, options), *TWO) as locust:
            locust.read_until("LOAD     Surge")
            engines = engines_of(locust)
            os.kill(engines[0], signal.SIGKILL)
            assert locust.wait() == 1, locust.log
            for pid in engines:
                wait_until_gone(pid)
        assert server.stop() == 0
    [line] = errors_logged(locust.log)
    assert "its engine was killed by SIGKILL; it had " in line
    assert locust.failures == {"LOAD Surge: PlanFailedError: its engine was killed by SIGKILL": 1}
    assert not (tmp_path / "surge.json").exists()


def test_a_server_that_is_not_there_is_one_line_and_a_failure(tmp_path: Path) -> None:
    with port_that_refuses() as port:
        done = run_locust(tmp_path, locustfile(port, "-n 10"), "--headless", "-u", "1", "-r", "1")
    assert done.returncode == 3, done.stdout
    [line] = errors_logged(done.stdout)
    assert f"cannot connect to 127.0.0.1:{port}: connection refused" in line
    assert "LOAD Surge: PlanFailedError: " in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_users_without_a_connection_have_nothing_to_do(tmp_path: Path) -> None:
    with server_process() as server:
        text = locustfile(server.port, "--connections 2 -n 10")
        done = run_locust(tmp_path, text, "--headless", "-u", "3", "-r", "3")
        assert done.returncode == 0, done.stdout
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 20
    note = "2 connections cannot be shared by 3 users: 2 of them were used."
    assert json.loads((tmp_path / "surge.json").read_text())["notes"] == [note]


@pytest.mark.slow
def test_an_objective_that_is_broken_is_the_exit_code(tmp_path: Path) -> None:
    with server_process() as server:
        text = locustfile(server.port, "-n 10 --slo 'max<1ns'")
        done = run_locust(tmp_path, text, "--headless", "-u", "1", "-r", "1")
        assert done.returncode == 99, done.stdout
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--rate 5x", "Surge: trioecho load: argument --rate: '5x' is not a rate"),
        ("--workers 2", "Surge: trioecho load: --workers does not work on those of Locust"),
        ("--find-max --slo 'p99<5ms'", "--find-max does not work on the workers of Locust"),
        ("--slo 'p99", "Surge: No closing quotation"),
    ],
)
@pytest.mark.slow
def test_wrong_options_are_one_line(tmp_path: Path, options: str, line: str) -> None:
    done = run_locust(tmp_path, locustfile(1, options), "--headless", "-u", "1", "-r", "1")
    assert done.returncode == 2, done.stdout
    [said] = errors_logged(done.stdout)
    assert line in said
    assert "Traceback" not in done.stdout
