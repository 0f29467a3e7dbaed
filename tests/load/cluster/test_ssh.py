"""``--cluster ssh:`` with a real sshd, which has keys made for the test."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.load.cluster.test_end_to_end import loading
from tests.support.guard import GUARD_S
from tests.support.processes import run_command, server_process
from tests.support.sockets import LOOPBACK
from tests.support.sshd import Sshd, own_sshd, user

WAIT = ("--cluster-wait", "1m")  # a busy machine may take some seconds


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with own_sshd(tmp_path) as started:
        yield started


def wait_until_gone(sshd: Sshd) -> None:
    while sshd.processes():
        os.sched_yield()


def test_a_load_by_ssh_uses_a_worker_on_each_host_and_leaves_nothing_there(
    sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(sshd.home))
    (sshd.home / ".ssh" / "config").write_text(
        f"Host beta\n  HostName {LOOPBACK}\n  Port {sshd.port}\n  User {user()}\n"
    )
    report = sshd.home / "load.json"
    with server_process() as server:
        where = ("--cluster", f"ssh:{user()}@{LOOPBACK}:{sshd.port},beta", *WAIT)
        target, file = f"127.0.0.1:{server.port}", str(report)
        with loading(target, "-c", "4", "--rate", "40", "--duration", "5s", "--json", file, *where) as load:
            assert len(sshd.processes()) >= 5  # the scheduler, two workers and two engines
            _, errors = load.communicate(timeout=GUARD_S)
        assert load.returncode in (0, 5), errors  # a busy machine may be late
        assert server.stop() == 0
    result = json.loads(report.read_text())
    assert server.reports[-1]["messages_total"] == result["messages"] == 200
    assert [worker["messages_sent"] for worker in result["workers"]] == [100, 100]
    assert len(sshd.sessions) == 3  # the scheduler's, and two workers'
    wait_until_gone(sshd)


@pytest.mark.slow
def test_a_host_that_is_not_known_or_has_no_sshd_is_one_line(sshd: Sshd) -> None:
    (sshd.home / ".ssh" / "known_hosts").write_text("")
    for port, reason in ((sshd.port, "Host key is not trusted"), (1, "could not be started: ")):
        done = run_command(
            *("load", "127.0.0.1:1", "--cluster", f"ssh:{LOOPBACK}:{port}", *WAIT),
            env={"HOME": str(sshd.home)},
        )
        assert (done.returncode, done.stdout) == (3, "")
        [line] = done.stderr.splitlines()
        assert line.startswith(f"trioecho load: cluster ssh:{LOOPBACK}:{port}: could not be started: ")
        assert reason in line
    wait_until_gone(sshd)
