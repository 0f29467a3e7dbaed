"""What each worker of a cluster did: judged by itself, in words, and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.load_results import made_result
from trioecho.load import (
    LoadResult,
    UnreadableResultError,
    WorkerShare,
    merge,
    result_as_json,
    result_from_json,
)
from trioecho.load.report.load_html import result_as_html
from trioecho.load.report.load_text import result_as_text
from trioecho.load.results.generator_health import GeneratorHealth
from trioecho.load.results.saturation import judged

MS = 1_000_000


def share(name: str, host: str, late_ms: float = 0.1, **changes: Any) -> WorkerShare:
    made = WorkerShare(name, host, 1, 2000, 2000, 0, 0.3, 0.1)
    made.send_lateness_ns.record(round(late_ms * MS), 2000)
    return replace(made, **changes)


def result_of(*workers: WorkerShare, **plan: Any) -> LoadResult:
    result = made_result(latency_ms=lambda chance: 2.0)
    result.plan = replace(result.plan, **plan)
    result.workers = list(workers)
    result.health = GeneratorHealth(
        tuple(worker.cpu_share for worker in workers), tuple(worker.cpu_wait_share for worker in workers)
    )
    for worker in workers:
        result.health.send_lateness_ns.merge(worker.send_lateness_ns)
    result.health = judged(result)
    return result


def test_workers_that_keep_to_their_moments_are_no_reason() -> None:
    result = result_of(share("a", "x"), share("b", "y", start_late_ns=MS // 2, clock_error_ns=MS // 2))
    assert result.health.judged
    assert result.health.reasons == ()


def test_one_late_worker_of_many_is_not_averaged_away() -> None:
    punctual = [
        replace(share(str(n), "x"), send_lateness_ns=share("", "", 0.1).send_lateness_ns) for n in range(150)
    ]
    result = result_of(*punctual, share("slow", "y", late_ms=30))
    late = result.health.send_lateness_ns.percentile(99)
    assert late is not None
    assert late < MS  # as all together
    [reason] = result.health.reasons
    assert reason.startswith("messages were sent behind schedule by worker slow on y: p99 30.")


def test_a_worker_without_cpu_time_is_named() -> None:
    [reason] = result_of(share("a", "x"), share("b", "y", cpu_share=0.9, cpu_wait_share=0.1)).health.reasons
    assert "no CPU time left: worker b on y used a CPU" in reason


@pytest.mark.parametrize("changes", [{"start_late_ns": 2 * MS}, {"clock_error_ns": 2 * MS}])
def test_a_start_far_from_the_moment_of_all_is_judged_like_lateness(changes: dict[str, int]) -> None:
    [reason] = result_of(share("a", "x"), share("b", "y", **changes)).health.reasons
    assert reason.startswith("the workers did not start in step: worker b on y up to 2.00 ms from the moment")
    closed = result_of(share("a", "x"), share("b", "y", **changes), rate=None)
    assert closed.health.reasons == ()


def test_workers_of_locust_are_not_those_of_a_cluster_and_have_a_master() -> None:
    result = result_of(
        share("0", "x", system="Locust"), share("1", "y", system="Locust", start_late_ns=2 * MS)
    )
    [reason] = result.health.reasons
    assert reason.endswith("use workers that are nearer to each other and to Locust's master")
    text = result_as_text(result)
    assert "\nworkers of Locust\n  0 on x: " in text
    assert "cluster" not in text
    assert "scheduler" not in text
    again = result_from_json(result_as_json(result))
    assert [worker.system for worker in again.workers] == ["Locust", "Locust"]


def test_without_enough_messages_no_start_is_judged() -> None:
    result = result_of(WorkerShare("a", "x", 1, 9, 9, 0, start_late_ns=50 * MS))
    assert not result.health.judged
    assert result.health.reasons == ()


def test_of_many_workers_some_are_named_and_the_others_counted() -> None:
    [reason] = result_of(*(share(str(n), "x", late_ms=9) for n in range(1, 6))).health.reasons
    assert "by worker 1 on x, worker 2 on x, worker 3 on x and 2 more: p99" in reason


def test_reports_name_every_worker_with_its_share() -> None:
    result = result_of(
        share("a", "x", errors=3), share("<b>", "y", sent=1000, clock_error_ns=MS, clock_ahead_ns=-5 * MS)
    )
    result.sent = 3000
    text = " ".join(result_as_text(result).split())
    assert "a on x: 1 connection, 2,000 sent (66.7%), 3 errors, late sends p99 0.1" in text
    assert "<b> on y: 1 connection, 1,000 sent (33.3%), late sends p99 0.1" in text
    assert "start within 1.000 ms, clock -5.0 ms" in text
    assert all(len(line) < 80 for line in result_as_text(result).splitlines())
    page = result_as_html(result)
    assert "&lt;b&gt; on y: 1 connection, 1,000 sent (33.3%)" in page


def test_workers_come_back_from_json_and_stay_in_a_merged_result() -> None:
    result = result_of(share("a", "x", clock_ahead_ns=-7, start_late_ns=5), share("b", "y"))
    again = result_from_json(result_as_json(result))
    assert result_as_json(again) == result_as_json(result)
    assert again.workers[0].clock_ahead_ns == -7
    merged = merge([result, made_result(seconds=20, seed=2)])
    assert [worker.name for worker in merged.workers] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("messages_sent", 1 << 40, "workers: messages_sent adds up to"),
        ("connections", 99, "workers: connections adds up to"),
        ("clock_ahead_ns", "x", r"workers\[0\].clock_ahead_ns: it is not a whole number"),
        ("start_late_ns", -1, r"workers\[0\].start_late_ns: -1 is not a count"),
        ("system", "Ray", r"workers\[0\].system: 'Ray' is none of Dask, Locust"),
        ("name", 3, r"workers\[0\].name: 3 is not a text"),
    ],
)
def test_damaged_workers_are_refused(name: str, value: object, reason: str) -> None:
    document = json.loads(result_as_json(result_of(share("a", "x"))))
    document["workers"][0][name] = value
    with pytest.raises(UnreadableResultError, match=reason):
        result_from_json(json.dumps(document))
