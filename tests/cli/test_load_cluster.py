"""The options of ``trioecho load`` for a cluster: wrong ones are told before anything is started."""

from __future__ import annotations

import importlib.util

import pytest

from tests.support.in_process import run_in_process

TARGET = ("load", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--cluster here", "argument --cluster: 'here' is no cluster: write tcp://HOST:PORT"),
        ("--cluster local:0", "'local:0' is no cluster: local: is followed by a number of workers"),
        ("--cluster ssh:", "'ssh:' is no cluster: ssh: is followed by names of hosts"),
        ("--cluster-workers 2", "--cluster-workers and --cluster-wait belong to a --cluster"),
        ("--cluster-wait 2s", "--cluster-workers and --cluster-wait belong to a --cluster"),
        ("--cluster local:2 --cluster-workers 3", "--cluster-workers 3 is more than --cluster local:2 has"),
        ("--cluster local:2 --workers 2", "--workers are processes of this machine"),
        ("--cluster local:2 --record a.jsonl", "--record does not work on a --cluster"),
        ("--cluster local:2 --bind 127.0.0.1 --bind ::1", "are all of IPv4 or all of IPv6"),
    ],
)
def test_wrong_use_is_one_line(words: str, reason: str) -> None:
    done = run_in_process(*TARGET, *words.split())
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert reason in line


@pytest.mark.parametrize(
    ("cluster", "missing", "hint"),
    [
        ("tcp://h:1", "distributed", "pip install 'trioecho[cluster]'"),
        ("ssh:h", "asyncssh", "pip install 'trioecho[cluster]' asyncssh"),
    ],
)
def test_a_package_that_is_missing_is_one_line(
    cluster: str, missing: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == missing else find_spec(name, *rest)
    )
    done = run_in_process(*TARGET, "--cluster", cluster)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"trioecho load: cluster {cluster}: this needs {missing}, which is not installed: {hint}\n"
    )


def test_an_address_without_a_scheduler_is_one_line() -> None:
    done = run_in_process(*TARGET, "--cluster", "tcp://127.0.0.1:1", "--cluster-wait", "100ms")
    assert done.returncode == 3
    assert done.stderr == (
        "trioecho load: cluster tcp://127.0.0.1:1: no Dask scheduler replied there in 0.1 s\n"
    )
