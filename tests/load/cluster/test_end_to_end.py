"""``trioecho load --cluster`` with a real scheduler, and real workers that really die."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.clusters import ClusterProcesses, cluster_processes
from tests.support.guard import GUARD_S
from tests.support.processes import UTF8, children_of, run_command, server_process

THREE = ("a", "b", "c")
WAIT = ("--cluster-wait", "1m")  # a busy machine may take some seconds


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterProcesses]:
    with cluster_processes(*THREE) as started:
        yield started


@contextlib.contextmanager
def loading(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A load, which has begun."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "load", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | UTF8,
    )
    assert process.stderr is not None
    try:
        lines: list[str] = []
        while "in all" not in (line := process.stderr.readline()):
            assert line, lines
            lines.append(line)
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_gone(pid: int) -> None:
    """Wait until a process that is not ours has ended, by its own descriptor."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            assert select.select([descriptor], [], [], GUARD_S)[0]
        finally:
            os.close(descriptor)


def test_three_workers_send_what_one_machine_would_and_the_server_counts_it(
    cluster: ClusterProcesses, tmp_path: Path
) -> None:
    results: list[dict[str, Any]] = []
    for number, where in enumerate(([*WAIT, "--cluster", cluster.address], [])):
        file = tmp_path / f"{number}.json"
        with server_process() as server:
            done = run_command(
                *("load", f"127.0.0.1:{server.port}", "-c", "5", "-n", "40", "--size", "10-90", *where),
                *("--json", str(file)),
            )
            assert done.returncode == 0, done.stderr
            assert server.stop() == 0
        results.append(json.loads(file.read_text()))
        assert server.reports[-1]["messages_total"] == results[-1]["messages"] == 200
    on_cluster, alone = results
    assert on_cluster["bytes"] == alone["bytes"]
    assert on_cluster["plan"] | {"processes": 1, "port": 0} == alone["plan"] | {"port": 0}
    workers = on_cluster["workers"]
    assert [(worker["name"], worker["messages_sent"]) for worker in workers] == [
        ("a", 80),
        ("b", 80),
        ("c", 40),
    ]
    # One machine has one clock, whatever the scheduler takes for a round trip.
    assert {worker["clock_error_ns"] for worker in workers} == {0}
    assert len(on_cluster["machines"]) == 1


# The word of the line that says that a worker was lost.
OTHERS = "others"


def lines_until(process: subprocess.Popen[str], word: str) -> str:
    """Read what a process says up to a line with this word."""
    assert process.stderr is not None
    lines: list[str] = []
    while word not in (line := process.stderr.readline()):
        assert line, lines
        lines.append(line)
    return " ".join("".join([*lines, line]).split())


@pytest.mark.slow
@pytest.mark.parametrize("what", ["its Dask worker", "its engine"])
def test_what_is_killed_is_named_and_the_others_go_on_until_ctrl_c(
    what: str, cluster: ClusterProcesses, tmp_path: Path
) -> None:
    cluster.add_worker("doomed")
    file = tmp_path / "load.json"
    with server_process() as server:
        options = (*WAIT, "--cluster", cluster.address, "-c", "4", "--duration", "1h", "--json", str(file))
        with loading(f"127.0.0.1:{server.port}", *options) as load:
            engines = [pid for name in cluster.workers for pid in cluster.engines_of(name)]
            assert len(engines) == 4
            [doomed] = cluster.engines_of("doomed")
            if what == "its engine":
                os.kill(doomed, signal.SIGKILL)
            else:
                cluster.workers["doomed"].kill()
            assert "worker doomed on " in lines_until(load, OTHERS)
            wait_until_gone(doomed)
            load.send_signal(signal.SIGINT)
            stdout, _ = load.communicate(timeout=GUARD_S)
            assert load.returncode == 130
            for pid in engines:
                wait_until_gone(pid)
    result = json.loads(file.read_text())
    [lost] = result["lost"]
    assert lost["name"].startswith("worker doomed on ")
    assert (lost["connections"], lost["of_connections"]) == (1, 4)
    assert result["messages"] + lost["unknown"] == result["messages_sent"]
    assert f"{lost['name']} " in " ".join(stdout.split())
    cluster.end_worker("doomed")


@pytest.mark.slow
def test_a_scheduler_that_is_killed_ends_the_load_and_all_engines(tmp_path: Path) -> None:
    file = tmp_path / "load.json"
    with cluster_processes("a", "b") as own, server_process() as server:
        options = (*WAIT, "--cluster", own.address, "-c", "4", "--duration", "1h", "--json", str(file))
        with loading(f"127.0.0.1:{server.port}", *options) as load:
            engines = [pid for name in own.workers for pid in own.engines_of(name)]
            assert len(engines) == 2
            own.scheduler.kill()
            _, stderr = load.communicate(timeout=GUARD_S)
            assert load.returncode == 1, stderr
            for pid in engines:
                wait_until_gone(pid)
    result = json.loads(file.read_text())
    assert len(result["lost"]) == 2
    assert result["messages"] + result["errors"].get("unknown", 0) == result["messages_sent"] > 0


@pytest.mark.slow
def test_a_load_that_is_killed_leaves_no_engine_and_no_cluster_of_its_own() -> None:
    with server_process() as server:
        target = f"127.0.0.1:{server.port}"
        with loading(target, *WAIT, "--cluster", "local:2", "-c", "2", "--duration", "1h") as load:
            [bridge] = children_of(load.pid)
            workers = children_of(bridge)
            engines = [engine for worker in workers for engine in children_of(worker)]
            assert len(engines) == 2
            load.send_signal(signal.SIGKILL)
            for pid in (bridge, *workers, *engines):
                wait_until_gone(pid)
