"""Which workers of a cluster are used."""

from __future__ import annotations

from typing import Any

import pytest

from trioecho.cluster.choice import choose_workers
from trioecho.cluster.identity import Purpose, own_version
from trioecho.cluster.spec import parse_cluster
from trioecho.load import ClusterError

SPEC = parse_cluster("tcp://h:1")
PURPOSE = Purpose(("program",), "some.module", "s", "plans")


def worker(name: str, host: str, **changes: str) -> dict[str, Any]:
    described = {"name": name, "host": host, "address": f"tcp://{host}:{name}", "clock": "c", "processors": 2}
    return {**described, "version": own_version(), "schema": "s", **changes}


def test_hosts_take_turns_and_names_are_sorted_as_people_do() -> None:
    workers = [worker("10", "a"), worker("2", "a"), worker("1", "a"), worker("3", "b"), worker("x", "c")]
    chosen = choose_workers(SPEC, workers, None, PURPOSE)
    assert [(machine.name, machine.host) for machine in chosen] == [
        *(("1", "a"), ("3", "b"), ("x", "c")),
        *(("2", "a"), ("10", "a")),
    ]
    assert [machine.number for machine in chosen] == [2, 3, 4, 1, 0]
    assert [machine.name for machine in choose_workers(SPEC, workers, 2, PURPOSE)] == ["1", "3"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"version": "0.0.9"}, "worker b on h has trioecho 0.0.9, and this machine "),
        ({"schema": "f"}, r"worker b on h has a trioecho \S+ with other plans than the one on this machine"),
        (
            {"failure": "does not have the package trioecho"},
            "the worker at tcp://h:b does not have the package",
        ),
    ],
)
def test_a_worker_that_cannot_be_used_is_named(wrong: dict[str, str], reason: str) -> None:
    workers = [worker("a", "h"), worker("b", "h", **wrong)]
    with pytest.raises(ClusterError, match=f"^cluster tcp://h:1: {reason}"):
        choose_workers(SPEC, workers, None, PURPOSE)
    assert [machine.name for machine in choose_workers(SPEC, workers, 1, PURPOSE)] == ["a"]


def test_of_many_that_cannot_be_used_some_are_named_and_the_others_counted() -> None:
    with pytest.raises(
        ClusterError, match=r"worker 1 .*worker 2 .*worker 3 .*; and 2 more workers$"
    ) as caught:
        choose_workers(SPEC, [worker(str(n), "h", version="0") for n in range(1, 6)], None, PURPOSE)
    assert caught.value.cluster == "tcp://h:1"
