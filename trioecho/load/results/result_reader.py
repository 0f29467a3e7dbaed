"""Read a load result from JSON (see `result_json`), and refuse one whose parts contradict each other.

What was read may come from anywhere. All numbers are bounded, and the parts must agree: the
intervals lie on one grid without gaps, they add up to the whole, and a histogram's sum and
maximum are possible for its buckets. Then everything that is made of a result, a merged
one or a page, takes no more memory than the file gives reason for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ...base.histogram import Histogram
from ...base.json_part import DamagedError, Part
from ..goals.find_max import LimitedBy, Search, Trial, TrialOutcome, TrialPhase
from ..goals.objectives import ObjectiveError, ObjectiveResult, parse_objective
from ..plan import read_plan
from .discrepancy import Discrepancy
from .generator_health import GeneratorHealth
from .lost_worker import read_lost_workers
from .machine import Machine
from .measured_parts import read_churn_result, read_histogram, read_stages, read_time
from .path_reader import read_path_counts, read_path_result
from .recording_result import RecordingResult
from .result import LoadResult
from .result_json import LOAD_SCHEMA
from .sockets_given import SocketsGiven
from .time_series import MOST_INTERVALS, LoadInterval
from .tls_result import read_tls_result
from .worker_share_reader import read_workers


class UnreadableResultError(ValueError):
    """A text is not the JSON of a load result; the message says why, in one line."""


def result_from_json(text: str) -> LoadResult:
    """Return the result that `result_json.result_as_json` wrote.

    Raises:
      UnreadableResultError: it is something else, or damaged.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableResultError(f"this is not JSON: {error}") from None
    return result_from_document(value)


def result_from_document(value: object) -> LoadResult:
    """Return the result that `result_json.result_as_document` described.

    Raises:
      UnreadableResultError: it is something else, or damaged.
    """
    document = Part(value)
    schema = document.value.get("schema") if isinstance(document.value, dict) else None
    if schema != LOAD_SCHEMA:
        found = "it names no schema"
        if isinstance(schema, str):
            found = f'its schema is "{schema[:40]}"'
        raise UnreadableResultError(f'this is not a load result of schema "{LOAD_SCHEMA}": {found}')
    try:
        return _result(document)
    except DamagedError as error:
        raise UnreadableResultError(f"this load result is damaged: {error}") from None


def histogram_from_json(data: Mapping[str, Any]) -> Histogram:
    """Return the histogram that `result_json.histogram_as_json` described.

    Raises:
      DamagedError: it is no histogram.
    """
    return read_histogram(Part(data))


def interval_from_json(data: Mapping[str, Any]) -> LoadInterval:
    """Return the interval that `result_json.interval_as_json` described.

    Raises:
      DamagedError: it is no interval.
    """
    return _interval(Part(data))


def _result(document: Part) -> LoadResult:
    histograms = document["histograms"]
    result = LoadResult(
        plan=read_plan(document["plan"]),
        started_at=_moment(document["time"]),
        elapsed_s=read_time(document["elapsed_s"]),
        sent=document["messages_sent"].count(),
        messages=document["messages"].count(),
        bytes=document["bytes"].count(),
        errors={kind: document["errors"][kind].count() for kind in document["errors"].fields()},
        discrepancies=document["discrepancies"].read(list[Discrepancy]),
        latency_ns=read_histogram(histograms["latency_ns"]),
        from_send_ns=read_histogram(histograms["from_send_ns"]),
        connect_ns=read_histogram(histograms["connect_ns"]),
        intervals=_series(document["intervals"]),
        health=_health(document["generator"], histograms),
        connections_opened=document["connections"].count(),
        stopped=document["stopped"].read(bool),
        notes=document["notes"].read(list[str]),
        machines=document["machines"].read(list[Machine]),
        command=document["command"].read(list[str]),
        objective_results=[_verdict(found) for found in document["objectives"]],
        search=None if document["search"].value is None else _search(document["search"]),
    )
    if "churn" in document:
        result.churn = read_churn_result(document["churn"], histograms)
    if "tls" in document and document["tls"].value is not None:
        result.tls = read_tls_result(document["tls"], read_histogram(histograms["handshake_ns"]))
    if "lost" in document:
        result.lost = read_lost_workers(document["lost"])
    if "workers" in document:
        result.workers = read_workers(document["workers"], result)
    if "path" in document and document["path"].value is not None:
        result.path = read_path_result(document["path"])
        _check_path(document["path"], result)
    if "sockets" in document:
        result.sockets = document["sockets"].read(list[SocketsGiven])
    if "runs" in document:  # else it was written by an older version
        result.runs = document["runs"].read(list[str])
        result.plans = [read_plan(plan) for plan in document["plans"]]
        if result.plans and len(result.plans) != len(result.runs):
            raise document["plans"].wrong("there are not as many as runs")
    _check_agreement(document, result)
    if "recording" in document:  # else an older version wrote it
        result.recording = document["recording"].read(RecordingResult | None)
    if result.plan.stages or "stages" in document:  # else an older version wrote it
        result.stages = read_stages(document, result)
    if "messages_due" in document and "ended_early" in document:  # else an older version wrote it, too
        _add_what_was_not_measured(document["messages_due"], document["ended_early"], result)
    return result


def _add_what_was_not_measured(due: Part, ended_early: Part, result: LoadResult) -> None:
    unsent = due.count() - result.sent + result.churn.taken_back - result.errors.get("unreported", 0)
    result.warmup_unsent = result.errors.get("unsent", 0) - unsent
    if result.warmup_unsent < 0 or result.unsent < 0:
        raise due.wrong(f"{due} is not what was sent and what of the errors is unsent")
    if ended_early.value is not None:
        result.cut_from_s = ended_early["of_s"].number()
        if result.cut_from_s < result.elapsed_s:
            raise ended_early["of_s"].wrong(f"it is less than elapsed_s, {result.elapsed_s:g}")


def _check_agreement(document: Part, result: LoadResult) -> None:
    """Refuse a result whose parts were not counted together."""
    steps, histograms = result.intervals, document["histograms"]
    for name, whole, parts in (
        ("messages", result.messages, [step.messages for step in steps]),
        ("bytes", result.bytes, [step.bytes for step in steps]),
    ):
        if whole != sum(parts):
            raise document[name].wrong(f"{whole} is not what the intervals add up to, {sum(parts)}")
    for name, whole, parts in (
        # What was sent after the last reply, and what was wrong in the warm-up, may be in no interval.
        ("messages_sent", result.sent, [step.sent for step in steps]),
        ("errors", result.error_count, [step.errors for step in steps]),
    ):
        if whole < sum(parts):
            raise document[name].wrong(f"{whole} is less than the intervals add up to, {sum(parts)}")
    latency = Histogram()
    for step in steps:
        latency.merge(step.latency_ns)
    if (latency.buckets, latency.total) != (result.latency_ns.buckets, result.latency_ns.total):
        raise histograms["latency_ns"].wrong("it is not what those of the intervals add up to")
    if result.from_send_ns.count != result.latency_ns.count:
        raise histograms["from_send_ns"].wrong("it has not as many values as latency_ns")
    if not result.messages <= min(result.latency_ns.count, result.sent):
        raise document["messages"].wrong("there are more than were sent, or than have a latency")
    if result.connections_opened > result.plan.connections:
        raise document["connections"].wrong(f"{result.connections_opened} is more than the plan has")


def _check_path(part: Part, result: LoadResult) -> None:
    path = result.path
    found = sum(step.path.retransmits for step in result.intervals if step.path is not None)
    if path is not None and path.counts.retransmits < found:
        raise part["retransmits"].wrong(
            f"{path.counts.retransmits} is less than the intervals add up to, {found}"
        )


def _moment(part: Part) -> datetime:
    try:
        moment = datetime.fromisoformat(part.text().replace("Z", "+00:00"))
        if moment.tzinfo is not None:
            return moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        pass
    raise part.wrong("it is not a moment in UTC, as 2024-05-06T17:08:09.123Z")


def _interval(part: Part) -> LoadInterval:
    return LoadInterval(
        part["t_s"].number(),
        part["width_s"].number(),
        sent=part["messages_sent"].count(),
        messages=part["messages"].count(),
        bytes=part["bytes"].count(),
        errors=part["errors"].count(),
        latency_ns=read_histogram(part["latency_ns"]),
        path=read_path_counts(part["path"]) if "path" in part and part["path"].value is not None else None,
    )


def _series(part: Part) -> list[LoadInterval]:
    """Return the time series, which is on one grid without gaps."""
    steps: list[LoadInterval] = []
    for item in part:
        step = _interval(item)
        if not read_time(item["width_s"]):
            raise item["width_s"].wrong("an interval has a length")
        if step.width_s != (steps or [step])[0].width_s:
            raise item["width_s"].wrong("all intervals have the same length")
        if abs(step.t_s - len(steps) * step.width_s) > max(1e-5, 1e-3 * step.width_s):
            raise item["t_s"].wrong(f"interval {len(steps)} begins at {len(steps) * step.width_s:g} s")
        if len(steps) == MOST_INTERVALS:
            raise part.wrong(f"there are more than {MOST_INTERVALS}")
        steps.append(step)
    return steps


def _health(part: Part, histograms: Part) -> GeneratorHealth:
    used, waited = (part[name].read(tuple[float, ...]) for name in ("cpu_shares", "cpu_wait_shares"))
    if len(used) != len(waited):
        raise part["cpu_wait_shares"].wrong("it has not as many processes as cpu_shares")
    return GeneratorHealth(
        cpu_shares=used,
        cpu_wait_shares=waited,
        send_lateness_ns=read_histogram(histograms["send_lateness_ns"]),
        loop_delay_ns=read_histogram(histograms["loop_delay_ns"]),
        judged=part["judged"].read(bool),
        reasons=part["reasons"].read(tuple[str, ...]),
    )


def _verdict(part: Part) -> ObjectiveResult:
    try:
        objective = parse_objective(part["objective"].text())
    except ObjectiveError:
        raise part["objective"].wrong(f"{part['objective']} is not an objective") from None
    reason = part["reason"].text() if "reason" in part else ""
    return ObjectiveResult(objective, part["measured"].read(float | None), part["holds"].read(bool), reason)


def _search(part: Part) -> Search:
    trials = [
        Trial(
            trial["phase"].read(TrialPhase),
            trial["rate"].number(),
            trial.record(TrialOutcome, may_be_missing=("p50_ms", "p99_ms", "max_ms")),
        )
        for trial in part["trials"]
    ]
    return Search(
        trials,
        part["rate"].read(float | None),
        part["confirmed"].read(bool),
        part["limited_by"].read(LimitedBy),
        part["lost"].text() if "lost" in part else "",
    )
