"""`PlanStats`: what an engine reports, in Locust's numbers; in a process of its own, which Locust changes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from trioecho.base.histogram import Histogram
from trioecho.load.results.result_json import histogram_as_json

PROGRAM = """
import json, sys
from locust.stats import RequestStats
from trioecho.locust.plan_stats import PlanStats
stats = RequestStats()
counting = PlanStats(stats, "Surge")
*progress, result = json.load(sys.stdin)
for each in progress:
    counting.add_progress(each)
counting.add_rest(result)
total = stats.total.serialize()
[entry] = stats.serialize_stats()
errors = {error.error: error.occurrences for error in stats.errors.values()}
print(json.dumps([entry, total, errors]))
"""


def counted(*documents: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    entry, total, errors = json.loads(done.stdout)
    return entry, total, errors


def latency(*values_ns: int) -> Histogram:
    histogram = Histogram()
    histogram.record_all(values_ns)
    return histogram


def progress(
    values_ns: tuple[int, ...], errors: dict[str, int], messages: int | None = None
) -> dict[str, Any]:
    count = len(values_ns) if messages is None else messages
    interval = {"messages": count, "bytes": 10 * count, "latency_ns": histogram_as_json(latency(*values_ns))}
    return {"interval": interval, "errors": errors}


def result(values_ns: tuple[int, ...], errors: dict[str, int], messages: int | None = None) -> dict[str, Any]:
    count = len(values_ns) if messages is None else messages
    histograms = {"latency_ns": histogram_as_json(latency(*values_ns))}
    return {"messages": count, "bytes": 10 * count, "histograms": histograms, "errors": errors}


def test_the_sums_are_those_of_the_result_whatever_the_progress_had() -> None:
    first, second, last = (250_000, 250_000, 3_000_000), (40_000,), (12_000_000,)
    all_of_it = (*first, *second, *last)
    entry, total, errors = counted(
        progress(first, {}), progress((), {}), progress(second, {}), result(all_of_it, {})
    )
    assert entry["num_requests"] == total["num_requests"] == 5
    assert entry["total_content_length"] == 50
    assert entry["num_failures"] == entry["num_none_requests"] == 0
    assert entry["total_response_time"] == sum(all_of_it) / 1e6
    assert sum(entry["response_times"].values()) == 5
    # At most 1.6 % too high, and never rounded to 0.
    for value in {*all_of_it}:
        assert any(value <= 1e6 * float(time) <= value * 1.016 for time in entry["response_times"])
    assert entry["max_response_time"] == 12
    assert sum(entry["num_reqs_per_sec"].values()) == 5
    assert errors == {}


def test_errors_are_requests_that_failed_each_counted_once() -> None:
    entry, total, errors = counted(
        progress((1000,), {"wrong": 2}),
        progress((), {"wrong": 2, "missing": 1}),
        # A reply that was late has a time, and is none of the right ones.
        result((1000, 9000), {"wrong": 3, "missing": 1, "late": 1}, messages=1),
    )
    assert errors == {"wrong": 3, "missing": 1, "late": 1}
    assert entry["num_failures"] == total["num_failures"] == 5
    assert entry["num_requests"] == 6
    assert entry["num_none_requests"] == 4


def test_nothing_is_nothing() -> None:
    entry = result((), {})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("[entry] =", "entry =")],
        input=json.dumps([progress((), {}), entry]),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert json.loads(done.stdout)[0] == [], done.stderr
