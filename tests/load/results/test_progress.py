"""What is known of all workers while some of them are done or lost."""

from __future__ import annotations

from dataclasses import replace

from tests.support.load_results import made_result
from trioecho.load import LoadInterval, LoadProgress
from trioecho.load.results.progress import at_rest, merge_progress
from trioecho.load.results.stage_result import StageResult


def progress() -> LoadProgress:
    interval = LoadInterval(1.0, 1.0, sent=7, messages=6, bytes=408, errors=1)
    interval.latency_ns.record(1_234_567, 6)
    made = LoadProgress("measuring", 2.0, interval, 20, 15, {"late": 1, "unsent": 3}, 3, 90)
    made.send_lateness_ns.record(99)
    made.from_send_ns.record(77, 6)
    return replace(made, taken_back=2, unsent=3, failed=1, stages=(StageResult("one", sent=7),))


def test_a_lost_worker_keeps_all_that_it_had_and_has_nothing_new() -> None:
    lost, works = at_rest(progress(), None), progress()
    assert (lost.phase, lost.connections, lost.stages) == ("draining", 0, ())
    assert (lost.interval.sent, lost.interval.errors, lost.interval.latency_ns.count) == (0, 0, 0)
    both = merge_progress([works, lost], planned=180)
    assert (both.sent, both.messages, both.errors) == (40, 30, {"late": 2, "unsent": 6})
    assert (both.taken_back, both.unsent, both.failed) == (4, 6, 2)
    assert (both.phase, both.connections, both.interval.sent) == ("measuring", 3, 7)
    assert (both.send_lateness_ns.count, both.from_send_ns.count) == (1, 6)


def test_a_worker_that_is_done_has_what_its_result_has() -> None:
    result = made_result(seconds=2, rate=50)
    result.sent += 9
    result.errors = {"late": 4, "unsent": 6}
    result.churn.taken_back, result.warmup_unsent = 5, 1
    done = at_rest(progress(), result)
    assert (done.sent, done.messages, done.errors) == (result.sent, result.messages, result.errors)
    assert (done.taken_back, done.unsent, done.failed) == (5, 5, 4)
