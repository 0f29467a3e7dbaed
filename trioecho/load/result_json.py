"""A load result as JSON, and back. Schema "trioecho-load/1":

==================  ==========================================================================
schema              "trioecho-load/1"; another number behind the slash may mean anything else
time                when the measured part began (ISO 8601, UTC)
command             the command line, a list; perhaps empty
seed                of payloads, sizes and distances; the plan has it, too
plan                as `LoadPlan`: names and units are its attributes'; think_s may be missing
elapsed_s           length of the measured part
messages_sent       messages offered to the kernel
messages            replies that were right
messages_per_s      messages / elapsed_s
bytes               of these replies on the wire, headers included
bytes_per_s         bytes / elapsed_s
latency_ms          mean, p50, p90, p99, p99.9, p99.99, max; null where there is no reply
from_send_ms        the same from the actual send
errors              how often each kind occurred: see `trioecho.load.result.ERROR_KINDS`
discrepancies       the first few of each kind, as `Discrepancy`; bytes in hexadecimal
connections         how many were opened
stopped             whether it was stopped before its end
notes               what else a reader must know, sentences
generator           what it saw of itself: saturated, judged, reasons, cpu_shares, cpu_wait_shares,
                    send_lateness_ms and loop_delay_ms as latency_ms
intervals           the time series: t_s, width_s, messages_sent, messages, bytes,
                    errors (their number), and latency_ns, a histogram
histograms          latency_ns, from_send_ns, connect_ns, send_lateness_ns, loop_delay_ns
objectives          objective (as it was written), measured (in its unit: ms, messages/s, a number
                    or percent), and whether it holds
search              null, or the search for the highest rate: rate, confirmed, limited_by, and
                    trials: phase, rate, holds, saturated, reason
machines            where it ran: name, system, cpus, python, trioecho
==================  ==========================================================================

A histogram is {"total", "max", "buckets"}: the exact sum and maximum of its values, and
how many values are in each bucket, by the number of the bucket. Bucket b below 128
holds the value b; else, with s = b >> 7 and d = b & 127, the values from d << s up to,
and without, (d + 1) << s. Names and units are those of the server's reports.
What can be computed from the rest (``..._per_s``, ``..._ms``) is not read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, TypeVar

from ..histogram import Histogram
from .find_max import LIMITS, PHASES, Outcome, Search, Trial
from .objectives import Verdict, parse_objective
from .plan import LoadPlan
from .result import Discrepancy, Interval, LoadResult, Machine, SelfWatch, UnreadableResultError

SCHEMA = "trioecho-load/1"
PERCENTILES = (50, 90, 99, 99.9, 99.99)

_Word = TypeVar("_Word", bound=str)


def encode(result: LoadResult, *, indent: int | None) -> str:
    """The result as one JSON object."""
    watch = result.watch
    return json.dumps(
        {
            "schema": SCHEMA,
            "time": result.started_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "command": result.command,
            "seed": result.plan.seed,
            "plan": result.plan.to_dict(),
            "elapsed_s": result.elapsed_s,
            "messages_sent": result.sent,
            "messages": result.messages,
            "messages_per_s": round(result.messages_per_s, 3),
            "bytes": result.bytes,
            "bytes_per_s": round(result.bytes_per_s, 3),
            "latency_ms": summary_ms(result.latency_ns),
            "from_send_ms": summary_ms(result.from_send_ns),
            "errors": dict(sorted(result.errors.items())),
            "discrepancies": [_discrepancy_as_json(found) for found in result.discrepancies],
            "connections": result.connections_opened,
            "stopped": result.stopped,
            "notes": result.notes,
            "generator": {
                "saturated": watch.saturated,
                "judged": watch.judged,
                "reasons": watch.reasons,
                "cpu_shares": watch.cpu_shares,
                "cpu_wait_shares": watch.cpu_wait_shares,
                "send_lateness_ms": summary_ms(watch.send_lateness_ns),
                "loop_delay_ms": summary_ms(watch.loop_delay_ns),
            },
            "intervals": [interval_as_json(step) for step in result.intervals],
            "histograms": {
                "latency_ns": histogram_as_json(result.latency_ns),
                "from_send_ns": histogram_as_json(result.from_send_ns),
                "connect_ns": histogram_as_json(result.connect_ns),
                "send_lateness_ns": histogram_as_json(watch.send_lateness_ns),
                "loop_delay_ns": histogram_as_json(watch.loop_delay_ns),
            },
            "objectives": [
                {"objective": found.objective.text, "measured": found.measured, "holds": found.holds}
                for found in result.verdicts
            ],
            "search": None if result.search is None else _search_as_json(result.search),
            "machines": [asdict(machine) for machine in result.machines],
        },
        indent=indent,
    )


def decode(text: str) -> LoadResult:
    """What `encode` gave.

    Raises:
      UnreadableResultError: it is something else.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableResultError(f"this is not JSON: {error}") from None
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        found = f'its schema is "{schema}"' if isinstance(schema, str) else "it names no schema"
        raise UnreadableResultError(f'this is not a load result of schema "{SCHEMA}": {found}')
    try:
        return _decoded(data)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise UnreadableResultError(f"this load result is damaged: {what}") from None


def summary_ms(histogram: Histogram) -> dict[str, float | None]:
    """The usual numbers of a histogram of nanoseconds, in milliseconds; None where it is empty."""
    values: dict[str, float | None] = {"mean": histogram.mean}
    values |= {f"p{percent:g}": histogram.percentile(percent) for percent in PERCENTILES}
    values["max"] = histogram.max if histogram.count else None
    return {name: None if value is None else round(value / 1e6, 6) for name, value in values.items()}


def histogram_as_json(histogram: Histogram) -> dict[str, Any]:
    """The histogram, losslessly."""
    buckets = {str(bucket): count for bucket, count in sorted(histogram.buckets.items())}
    return {"total": histogram.total, "max": histogram.max, "buckets": buckets}


def histogram_from_json(data: Mapping[str, Any]) -> Histogram:
    """What `histogram_as_json` gave."""
    buckets = {int(bucket): _count(count) for bucket, count in data["buckets"].items()}
    return Histogram.from_buckets(buckets, _count(data["total"]), _count(data["max"]))


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not value >= 0 or value == float("inf"):  # type: ignore[operator]
        raise ValueError(f"{value!r} is not a number of 0 or more")
    return float(value)  # type: ignore[arg-type]


def _one_of(known: Sequence[_Word], value: object) -> _Word:
    for word in known:
        if word == value:
            return word
    raise ValueError(f"{value!r} is none of {', '.join(known)}")


def _number_or_none(value: object) -> float | None:
    return None if value is None else _number(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def interval_as_json(step: Interval) -> dict[str, Any]:
    """A step of the time series."""
    return {
        "t_s": step.t_s,
        "width_s": step.width_s,
        "messages_sent": step.sent,
        "messages": step.messages,
        "bytes": step.bytes,
        "errors": step.errors,
        "latency_ns": histogram_as_json(step.latency_ns),
    }


def interval_from_json(data: Mapping[str, Any]) -> Interval:
    """What `interval_as_json` gave."""
    return Interval(
        _number(data["t_s"]),
        _number(data["width_s"]),
        sent=_count(data["messages_sent"]),
        messages=_count(data["messages"]),
        bytes=_count(data["bytes"]),
        errors=_count(data["errors"]),
        latency_ns=histogram_from_json(data["latency_ns"]),
    )


def _discrepancy_as_json(found: Discrepancy) -> dict[str, Any]:
    return asdict(found) | {"expected": found.expected.hex(), "received": found.received.hex()}


def _discrepancy_from_json(data: Mapping[str, Any]) -> Discrepancy:
    whole = dict(data) | {
        "expected": bytes.fromhex(data["expected"]),
        "received": bytes.fromhex(data["received"]),
    }
    return Discrepancy(**whole)


def _series(data: Iterable[Mapping[str, Any]]) -> list[Interval]:
    steps = [interval_from_json(step) for step in data]
    if any(not step.width_s for step in steps):
        raise ValueError("an interval has no length")
    return steps


def _search_as_json(search: Search) -> dict[str, Any]:
    return {
        "rate": search.rate,
        "confirmed": search.confirmed,
        "limited_by": search.limited_by,
        "trials": [
            {"phase": trial.phase, "rate": trial.rate, **asdict(trial.outcome)} for trial in search.trials
        ],
    }


def _search_from_json(data: Mapping[str, Any]) -> Search:
    trials = [
        Trial(
            _one_of(PHASES, trial["phase"]),
            _number(trial["rate"]),
            Outcome(bool(trial["holds"]), bool(trial["saturated"]), _text(trial["reason"])),
        )
        for trial in data["trials"]
    ]
    limited_by = _one_of(LIMITS, data["limited_by"])
    return Search(trials, _number_or_none(data["rate"]), bool(data["confirmed"]), limited_by)


def _watch_from_json(data: Mapping[str, Any], histograms: Mapping[str, Histogram]) -> SelfWatch:
    watch = SelfWatch(
        cpu_shares=tuple(_number(share) for share in data["cpu_shares"]),
        cpu_wait_shares=tuple(_number(share) for share in data["cpu_wait_shares"]),
        send_lateness_ns=histograms["send_lateness_ns"],
        loop_delay_ns=histograms["loop_delay_ns"],
        judged=bool(data["judged"]),
        reasons=tuple(_text(reason) for reason in data["reasons"]),
    )
    if len(watch.cpu_shares) != len(watch.cpu_wait_shares):
        raise ValueError("cpu_shares and cpu_wait_shares are not of the same processes")
    return watch


def _decoded(data: Mapping[str, Any]) -> LoadResult:
    histograms = {name: histogram_from_json(value) for name, value in data["histograms"].items()}
    return LoadResult(
        plan=LoadPlan.from_dict(data["plan"]),
        started_at=datetime.fromisoformat(data["time"].replace("Z", "+00:00")).astimezone(timezone.utc),
        elapsed_s=_number(data["elapsed_s"]),
        sent=_count(data["messages_sent"]),
        messages=_count(data["messages"]),
        bytes=_count(data["bytes"]),
        errors={_text(kind): _count(count) for kind, count in data["errors"].items()},
        discrepancies=[_discrepancy_from_json(found) for found in data["discrepancies"]],
        latency_ns=histograms["latency_ns"],
        from_send_ns=histograms["from_send_ns"],
        connect_ns=histograms["connect_ns"],
        intervals=_series(data["intervals"]),
        watch=_watch_from_json(data["generator"], histograms),
        connections_opened=_count(data["connections"]),
        stopped=bool(data["stopped"]),
        notes=[_text(note) for note in data["notes"]],
        machines=[Machine(**machine) for machine in data["machines"]],
        command=[_text(word) for word in data["command"]],
        verdicts=[
            Verdict(
                parse_objective(found["objective"]), _number_or_none(found["measured"]), bool(found["holds"])
            )
            for found in data["objectives"]
        ],
        search=None if data["search"] is None else _search_from_json(data["search"]),
    )
