"""``trioecho check --cluster`` with a real Dask cluster, whose workers really die."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.check.test_class import BROKEN, CLASS, FAULTY, PORT
from tests.support.clusters import ClusterProcesses, cluster_processes
from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import UTF8, children_of, run_command
from trioecho.check.runner.suite import Settings, Target
from trioecho.cli.check_messages import Elsewhere, Job
from trioecho.cli.check_progress import AllProgress
from trioecho.cli.check_worker import check_job

WAIT = ("--cluster-wait", "1m")  # a busy machine may take some seconds
BUGS = ("one-frame-per-recv", "empty-is-eof", "forgets-tail")
CASES = ("1.1", "1.2", "2.5")
# The first of these says that it runs, and does nothing; those that come later are right for single frames.
WAITS_AT_FIRST = f"""
import os, sys, time
from pathlib import Path
here = Path(__file__).parent
if not (here / "pid").exists():
    (here / "pid").write_text(str(os.getpid()))
    (here / "pipe").write_text("runs")
    time.sleep(3600)
{BROKEN}
"""


def without_timings(server: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on where a server is checked."""
    varies = {
        "address",
        "machine",
        "started_at",
        "elapsed_s",
        "round_trip_s",
        "patience_s",
        "confirm_patience_s",
    }
    of_result = {"elapsed_s", "transcript", "events_left_out"}
    kept = {key: value for key, value in server.items() if key not in varies}
    kept["results"] = [
        {key: _without_patience(value) for key, value in result.items() if key not in of_result}
        for result in server["results"]
    ]
    return kept


def _without_patience(value: Any) -> Any:
    """Leave out for how long was waited, which follows from `patience_s`."""
    return re.sub(r"nothing for \d+\.\d s", "nothing", value) if isinstance(value, str) else value


def test_verdicts_are_those_of_one_machine_field_by_field(tmp_path: Path) -> None:
    words = [word for name in BUGS for word in ("--spawn", f"{name}={shlex.join([*FAULTY, name, *PORT])}")]
    reports = []
    for number, where in enumerate(([], [*WAIT, "--cluster", "local:2"])):
        report = tmp_path / f"{number}.json"
        done = run_command(
            *("check", *words, *CASES, "--seed", "7", "--spawn-timeout", "1m", "--json", str(report), *where)
        )
        assert done.returncode == 1, done.stderr
        reports.append(json.loads(report.read_text())["servers"])
    alone, on_cluster = reports
    assert [server["target"] for server in on_cluster] == list(BUGS)
    assert [*map(without_timings, on_cluster)] == [*map(without_timings, alone)]
    assert {server["machine"] is None for server in alone} == {True}
    assert {server["machine"]["worker"] for server in on_cluster} == {"0", "1"}
    assert {verdict["verdict"] for server in alone for verdict in server["results"]} >= {"pass", "fail"}


# ---- ends ----


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterProcesses]:
    with cluster_processes("a", "b") as started:
        yield started


class Submission:
    """A server that waits when it is started for the first time."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "x" / "server.py"
        self.file.parent.mkdir()
        self.file.write_text(WAITS_AT_FIRST)
        os.mkfifo(self.file.parent / "pipe")
        self.options = ("--class", CLASS, f"x={self.file}", "1.2", "--spawn-timeout", "1h", *WAIT)

    def wait(self) -> int:
        """Wait until it runs; return its process id."""
        assert (self.file.parent / "pipe").read_text() == "runs"
        return int((self.file.parent / "pid").read_text())


@pytest.fixture
def submission(tmp_path: Path) -> Submission:
    return Submission(tmp_path)


@contextlib.contextmanager
def checking(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "check", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **UTF8},
    )
    try:
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


@pytest.mark.slow
def test_what_a_dask_worker_checks_that_is_killed_is_checked_by_another(
    cluster: ClusterProcesses, submission: Submission, tmp_path: Path
) -> None:
    cluster.add_worker("doomed")
    report = tmp_path / "report.json"
    others = [pid for name in "ab" for pid in cluster.engines_of(name)]
    assert others == []
    with checking(
        *submission.options, "--cluster", cluster.address, "--json", str(report), "--side-by-side", "3"
    ) as check:
        server = submission.wait()
        [name] = [name for name in cluster.workers if cluster.engines_of(name)]
        cluster.workers[name].kill()
        _, errors = check.communicate(timeout=GUARD_S)
        assert check.returncode == 0, errors
    cluster.end_worker(name)
    wait_until_gone(server)
    assert f"trioecho check: worker {name} on " in errors
    assert "; x is checked again by another worker\n" in errors
    assert "trioecho check: 1 of 3 workers lost; 1 server checked again\n" in errors
    [checked] = json.loads(report.read_text())["servers"]
    assert checked["machine"]["worker"] in cluster.workers
    assert checked["notes"][-1].startswith("it was begun before by another worker, which was lost: worker ")


@pytest.mark.slow
def test_without_its_scheduler_a_class_is_not_tested_and_nothing_is_left(submission: Submission) -> None:
    with cluster_processes("only") as cluster:
        with checking(*submission.options, "--cluster", cluster.address) as check:
            server = submission.wait()
            cluster.scheduler.kill()
            _, errors = check.communicate(timeout=GUARD_S)
            assert check.returncode == 3, errors
            wait_until_gone(server)
    assert "trioecho check: worker only on " in errors
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_a_check_that_is_ended_leaves_nothing_running(submission: Submission, how: signal.Signals) -> None:
    with checking(*submission.options, "--cluster", "local:2") as check:
        server = submission.wait()
        [bridge] = children_of(check.pid)
        workers = [*children_of(bridge)]
        engines = [engine for worker in workers for engine in children_of(worker)]
        assert len(engines) == 1
        check.send_signal(how)
        _, errors = check.communicate(timeout=GUARD_S)
        assert check.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[how], errors
        assert "Traceback" not in errors
        for pid in (bridge, *workers, *engines, server):
            wait_until_gone(pid)


# ---- places ----


@pytest.mark.slow
def test_a_server_starts_in_its_folder_with_the_environment_of_its_machine(tmp_path: Path) -> None:
    program = tmp_path / "ada.py"
    program.write_text("import os, sys; sys.exit(f'{os.getcwd()} {os.environ.get(\"PYTHONPATH\")}')")
    words = ("--class", CLASS, str(program), *WAIT, "--cluster", "local:1")
    done = run_command("check", *words, env={"PYTHONPATH": "one:two"}, cwd="/")
    assert done.returncode == 3
    assert f"its last line was: {tmp_path} one:two\n" in done.stderr


async def test_what_is_missing_on_a_machine_is_said_before_anything_is_started() -> None:
    job = Job(
        Target("ada"),
        Settings(command=("false", "{port}")),
        ("1.2",),
        *(1, 60.0, None),
        elsewhere=Elsewhere("worker b on beta", ("/", "/nowhere/server.py"), 1, 30),
    )
    with AllProgress().of() as progress:
        outcome = await check_job(job, progress, None)  # type: ignore[arg-type]
    assert outcome.reason == (  # type: ignore[union-attr]
        "worker b on beta has no /nowhere/server.py: what is checked on a cluster has to be under the same "
        "path on each machine"
    )


# ---- wrong use ----


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("127.0.0.1:1 --cluster local:2", "127.0.0.1:1 listens already, and a --cluster is for what its"),
        ("127.0.0.1:1 --cluster-workers 2", "--cluster-workers and --cluster-wait belong to a --cluster"),
        ("--spawn x{port} --cluster here", "argument --cluster: 'here' is no cluster: write tcp://HOST:PORT"),
        (
            "--spawn x{port} --cluster local:2 --cluster-workers 3",
            "--cluster-workers 3 is more than --cluster",
        ),
        ("a=127.0.0.1:1 --spawn x{port} --cluster local:2", "a listens already, and a --cluster is for"),
    ],
)
def test_wrong_use_is_one_line(words: str, reason: str) -> None:
    done = run_in_process("check", *words.split())
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert reason in line


def test_a_package_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "distributed" else find_spec(name, *rest),
    )
    done = run_in_process("check", "--spawn", "x{port}", "--cluster", "local:2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "trioecho check: cluster local:2: this needs distributed, which is not installed: "
        "pip install 'trioecho[cluster]'\n"
    )


def test_an_address_without_a_scheduler_is_one_line() -> None:
    words = ("--spawn", "x{port}", "--cluster", "tcp://127.0.0.1:1", "--cluster-wait", "100ms")
    done = run_in_process("check", *words)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "trioecho check: cluster tcp://127.0.0.1:1: no Dask scheduler replied there in 0.1 s\n"
    )
