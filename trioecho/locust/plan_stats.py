"""What an engine reports, in the numbers of Locust: its page and its tables show them live."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from locust.stats import RequestStats, StatsEntry, StatsError

from ..base.histogram import Histogram

KIND = "LOAD"
"""The type of the requests of a load."""

_NS_PER_MS = 1e6


class PlanStats:
    """Adds the replies of one engine to Locust's statistics, where each of them counts as a request.

    Times are those of the engine's histogram, which are at most 1.6 % too high, and not whole
    milliseconds. An error of any kind counts as a request that failed, without a time.

    Args:
      stats: of Locust, in this process.
      name: under which Locust counts.
    """

    def __init__(self, stats: RequestStats, name: str) -> None:
        self._stats = stats
        self._name = name
        self._latency_ns = Histogram()
        self._messages = self._bytes = 0
        self._errors: dict[str, int] = {}

    def add_progress(self, progress: Mapping[str, Any]) -> None:
        """Add what has happened since the last progress, a `LoadProgress` as JSON has it."""
        interval = progress["interval"]
        self._add(
            interval["messages"],
            interval["bytes"],
            histogram_of(interval["latency_ns"]),
            {kind: count - self._errors.get(kind, 0) for kind, count in progress["errors"].items()},
        )

    def add_rest(self, result: Mapping[str, Any]) -> None:
        """Add what no progress had, up to the sums of the result, a `LoadResult` as JSON has it."""
        self._add(
            result["messages"] - self._messages,
            result["bytes"] - self._bytes,
            histogram_of(result["histograms"]["latency_ns"]).since(self._latency_ns),
            {kind: count - self._errors.get(kind, 0) for kind, count in result["errors"].items()},
        )

    def _add(self, messages: int, length: int, latency_ns: Histogram, errors: Mapping[str, int]) -> None:
        errors = {kind: count for kind, count in errors.items() if count > 0}
        if messages <= 0 and not errors:
            return
        self._messages += messages
        self._bytes += length
        self._latency_ns.merge(latency_ns)
        failures = sum(errors.values())
        now = time.time()
        entry = StatsEntry(self._stats, self._name, KIND)
        entry.num_requests = messages + failures
        # Whoever has no time: replies that were wrong have one, and others none.
        entry.num_none_requests = max(0, entry.num_requests - latency_ns.count)
        entry.num_failures = failures
        entry.total_content_length = length
        entry.last_request_timestamp = now
        entry.num_reqs_per_sec[int(now)] = entry.num_requests
        if failures:
            entry.num_fail_per_sec[int(now)] = failures
        if latency_ns.count:
            times = _times_ms(latency_ns)
            entry.response_times.update(times)  # type: ignore[arg-type] # no whole numbers, for more digits
            entry.total_response_time = latency_ns.total / _NS_PER_MS  # type: ignore[assignment] # as it is of a request
            entry.min_response_time = min(times)  # type: ignore[assignment] # likewise a float
            entry.max_response_time = latency_ns.max / _NS_PER_MS  # type: ignore[assignment] # likewise
        self._stats.entries[self._name, KIND].extend(entry)
        self._stats.total.extend(entry)
        for kind, count in errors.items():
            self._add_error(kind, count, now)

    def _add_error(self, kind: str, count: int, now: float) -> None:
        self._errors[kind] = self._errors.get(kind, 0) + count
        key = StatsError.create_key(KIND, self._name, kind)
        error = self._stats.errors.setdefault(key, StatsError(KIND, self._name, kind, first_seen=now))
        error.occurrences += count
        error.last_seen = now


def histogram_of(document: Mapping[str, Any]) -> Histogram:
    """Return the histogram that a document of JSON is."""
    buckets = {int(bucket): count for bucket, count in document["buckets"].items()}
    return Histogram.from_buckets(buckets, document["total"], document["max"])


def _times_ms(latency_ns: Histogram) -> dict[float, int]:
    """Return how often each time occurred, in ms, where those of a bucket are one."""
    times: dict[float, int] = {}
    before = 0
    for value, up_to in latency_ns.steps():
        times[round(value / _NS_PER_MS, 4)] = up_to - before
        before = up_to
    return times
