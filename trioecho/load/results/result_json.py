"""A load result as JSON, which `result_reader` reads. Schema "trioecho-load/1":

==================  ==========================================================================
schema              "trioecho-load/1"; another number behind the slash may mean anything else
time                when the measured part began (ISO 8601, UTC)
command             the command line, a list; perhaps empty
seed                of payloads, sizes and distances; the plan has it, too
runs                a hash of what was measured: of one run, or of each that was merged; with plans it
                    may be missing
plans               of the runs that were merged; empty for one run
plan                as `LoadPlan`: names and units are its attributes'; think_s, stages, source, reply,
                    service, churn, tls and sockets may be missing
elapsed_s           length of the measured part
ended_early         null, or, if every connection was lost too early: after_s (as elapsed_s), of_s (the
                    length that the measured part would have had, over which rates are), and words
messages_due        messages that were due, or planned: each was sent, or is one of the errors, unsent or
                    unreported
messages_sent       messages offered to the kernel
messages            replies that were right
replies_verified    how replies were verified, in words; what the plan's "reply" and "service" mean
messages_per_s      messages / elapsed_s, or / of_s
bytes               of these replies on the wire, headers included
bytes_per_s         bytes / elapsed_s, or / of_s
latency_ms          mean, p50, p75, p90, p95, p99, p99.9, p99.99, max, and each percentile that an objective
                    names; null where there is no reply
from_send_ms        the same from the actual send
errors              how often each kind occurred: see `trioecho.load.results.discrepancy.ERROR_KINDS`
discrepancies       the first few of each kind, as `Discrepancy`; bytes in hexadecimal
connections         how many were opened at the start
churn               how connections came and went, as `ChurnResult`: renewed, ended, taken_back,
                    conversations_cut, failed_attempts (by reason), outages (start_s, length_s, connections,
                    is_over), and, as latency_ms, connect_ms, first_reply_ms, outage_ms (of each connection)
                    and attempt_lateness_ms; with its histograms it may be missing
stopped             whether it was stopped before its end
notes               what else a reader must know, sentences
generator           what it saw of itself: saturated, judged, reasons, cpu_shares, cpu_wait_shares,
                    send_lateness_ms and loop_delay_ms as latency_ms
intervals           the time series: t_s, width_s, messages_sent, messages, bytes,
                    errors (their number), latency_ns, a histogram, and path, null or as below without
                    connections and missing; it may be missing
tls                 null, or, under TLS: handshakes (that were successful), resumed (those of an earlier
                    session), handshake_ms as latency_ms, and agreements: version, cipher, alpn (or null)
                    and handshakes; it may be missing
histograms          latency_ns, from_send_ns, connect_ns, send_lateness_ns, loop_delay_ns, first_reply_ns,
                    outage_ns, attempt_lateness_ns; under TLS handshake_ns, too
objectives          objective (as it was written), measured (in its unit: ms, messages/s, a number
                    or percent), whether it holds, and a reason where measured does not say it; it
                    may be missing
recording           null, or what was to be recorded: file, messages in it, and failure, in words; it
                    may be missing
stages              of a plan with stages, for each: name, begins_s, length_s (0 if it was not reached),
                    messages_due, messages_sent, messages (due in it, and replied to right),
                    messages_received (right replies that came while it lasted), due_per_s,
                    messages_per_s (those received), bytes, latency_ms, from_send_ms, errors, and its
                    histograms, latency_ns and from_send_ns; it may be missing
search              null, or the search for the highest rate: rate, confirmed, limited_by, lost (the worker
                    whose loss ended it, in words; it may be empty or missing), and trials: phase, rate,
                    holds, saturated, reason, and p50_ms, p99_ms, max_ms of the latency, which may be
                    missing
path                null, or what the kernel knew of the connections (TCP_INFO), as `PathResult` and
                    `PathCounts`: connections, missing (why others are not known), retransmits, data_segments,
                    needless, out_of_order, busy_us, window_limited_us, buffer_limited_us, rtt_deviation_us
                    (of all values together), least_rto_us, least_rtt_us, and the histograms rtt_ns,
                    congestion_window and unsent_bytes; with rtt_ms, rtt_deviation_ms, and explains: null,
                    or as `Explanation`; it may be missing
sockets             what the kernel gave to the first socket of each process, without repeats: nodelay,
                    send_buffer and receive_buffer in bytes, congestion, mss and dscp (or null); it may be
                    missing
lost                workers that died or hung, for each: name, reason, lost_s, reported_s (or null),
                    connections, of_connections, sent, unknown, unreported and is_counted, as `LostWorker`;
                    it may be missing
machines            where it ran: name, system, cpus, python, trioecho
workers             of a cluster or of Locust, for each: system ("Dask" or "Locust"), name, host,
                    connections, messages_sent, messages, errors (their number), share (of
                    messages_sent), cpu_share, cpu_wait_share, clock_ahead_ns, clock_error_ns,
                    start_late_ns, start_error_ms, send_lateness_ms, and its histogram,
                    send_lateness_ns, and whether it is_lost, as `WorkerShare`; it may be missing
==================  ==========================================================================

A histogram is {"total", "max", "buckets"}: the exact sum and maximum of its values, and
how many values are in each bucket, by the number of the bucket. Bucket b below 128
holds the value b; else, with s = b >> 7 and d = b & 127, the values from d << s up to,
and without, (d + 1) << s. Names and units are those of the server's reports.
What can be computed from the rest (``..._per_s``, ``..._ms``, ...) is not read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ...base.histogram import Histogram
from ..goals.find_max import Search
from ..goals.objectives import SHOWN_PERCENTS, shown_percents
from .discrepancy import Discrepancy
from .identity import runs_of
from .path_result import explain
from .result import LoadResult
from .stage_result import StageResult
from .time_series import LoadInterval
from .worker_share import WorkerShare

LOAD_SCHEMA = "trioecho-load/1"


def result_as_json(result: LoadResult, *, indent: int | None = 2) -> str:
    """Return the result as one JSON object."""
    return json.dumps(result_as_document(result), indent=indent)


def result_as_document(result: LoadResult) -> dict[str, Any]:
    """Return the result as what `json` writes as that object."""
    health = result.health
    percents = shown_percents(verdict.objective for verdict in result.objective_results)
    return {
        "schema": LOAD_SCHEMA,
        "time": result.started_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "command": result.command,
        "seed": result.plan.seed,
        "runs": runs_of(result),
        "plan": result.plan.to_dict(),
        "plans": [plan.to_dict() for plan in result.plans],
        "elapsed_s": result.elapsed_s,
        "ended_early": _ending_as_json(result),
        "messages_due": result.due,
        "messages_sent": result.sent,
        "messages": result.messages,
        "replies_verified": result.plan.verification,
        "messages_per_s": round(result.messages_per_s, 3),
        "bytes": result.bytes,
        "bytes_per_s": round(result.bytes_per_s, 3),
        "latency_ms": summary_ms(result.latency_ns, percents),
        "from_send_ms": summary_ms(result.from_send_ns, percents),
        "errors": dict(sorted(result.errors.items())),
        "discrepancies": [_discrepancy_as_json(found) for found in result.discrepancies],
        "connections": result.connections_opened,
        "churn": _churn_as_json(result),
        "tls": _tls_as_json(result),
        "stopped": result.stopped,
        "notes": result.notes,
        "generator": {
            "saturated": health.saturated,
            "judged": health.judged,
            "reasons": health.reasons,
            "cpu_shares": health.cpu_shares,
            "cpu_wait_shares": health.cpu_wait_shares,
            "send_lateness_ms": summary_ms(health.send_lateness_ns),
            "loop_delay_ms": summary_ms(health.loop_delay_ns),
        },
        "intervals": [interval_as_json(step) for step in result.intervals],
        "histograms": {
            "latency_ns": histogram_as_json(result.latency_ns),
            "from_send_ns": histogram_as_json(result.from_send_ns),
            "connect_ns": histogram_as_json(result.connect_ns),
            "send_lateness_ns": histogram_as_json(health.send_lateness_ns),
            "loop_delay_ns": histogram_as_json(health.loop_delay_ns),
            "first_reply_ns": histogram_as_json(result.churn.first_reply_ns),
            "outage_ns": histogram_as_json(result.churn.outage_ns),
            "attempt_lateness_ns": histogram_as_json(result.churn.attempt_lateness_ns),
            **({"handshake_ns": histogram_as_json(result.tls.handshake_ns)} if result.tls else {}),
        },
        "objectives": [
            {
                "objective": found.objective.text,
                "measured": found.measured,
                "holds": found.holds,
                "reason": found.reason,
            }
            for found in result.objective_results
        ],
        "recording": None if result.recording is None else asdict(result.recording),
        "stages": [_stage_as_json(stage, percents) for stage in result.stages],
        "search": None if result.search is None else _search_as_json(result.search),
        "path": _path_as_json(result),
        "sockets": [asdict(given) for given in result.sockets],
        "lost": [asdict(worker) for worker in result.lost],
        "machines": [asdict(machine) for machine in result.machines],
        "workers": [_worker_as_json(worker, result.sent) for worker in result.workers],
    }


def summary_ms(histogram: Histogram, percents: Iterable[str] = SHOWN_PERCENTS) -> dict[str, float | None]:
    """Return the usual numbers of a histogram of nanoseconds, in milliseconds; None where it is empty."""
    values: dict[str, float | None] = {"mean": histogram.mean}
    values |= {f"p{percent}": histogram.percentile(percent) for percent in percents}
    values["max"] = histogram.max if histogram.count else None
    return {name: None if value is None else round(value / 1e6, 6) for name, value in values.items()}


def histogram_as_json(histogram: Histogram) -> dict[str, Any]:
    """Return the histogram as a document, losslessly."""
    buckets = {str(bucket): count for bucket, count in sorted(histogram.buckets.items())}
    return {"total": histogram.total, "max": histogram.max, "buckets": buckets}


def interval_as_json(step: LoadInterval) -> dict[str, Any]:
    """Return a step of the time series as a document."""
    return {
        "t_s": step.t_s,
        "width_s": step.width_s,
        "messages_sent": step.sent,
        "messages": step.messages,
        "bytes": step.bytes,
        "errors": step.errors,
        "latency_ns": histogram_as_json(step.latency_ns),
        "path": None if step.path is None else step.path.to_dict(),
    }


def _ending_as_json(result: LoadResult) -> dict[str, Any] | None:
    if result.cut_from_s is None:
        return None
    return {"after_s": result.elapsed_s, "of_s": result.cut_from_s, "words": result.ended_early}


def _churn_as_json(result: LoadResult) -> dict[str, Any]:
    churn = result.churn
    return {
        "renewed": churn.renewed,
        "ended": churn.ended,
        "taken_back": churn.taken_back,
        "conversations_cut": churn.conversations_cut,
        "failed_attempts": churn.failed_attempts,
        "outages": [outage._asdict() for outage in churn.outages],
        "connect_ms": summary_ms(result.connect_ns),
        "first_reply_ms": summary_ms(churn.first_reply_ns),
        "outage_ms": summary_ms(churn.outage_ns),
        "attempt_lateness_ms": summary_ms(churn.attempt_lateness_ns),
    }


def _tls_as_json(result: LoadResult) -> dict[str, Any] | None:
    if result.tls is None:
        return None
    return result.tls.to_dict() | {"handshake_ms": summary_ms(result.tls.handshake_ns)}


def _path_as_json(result: LoadResult) -> dict[str, Any] | None:
    path = result.path
    if path is None:
        return None
    counts = path.counts
    found = explain(path, result.latency_ns, result.plan, result.length_s)
    return {
        "connections": path.connections,
        "missing": path.missing,
        **counts.to_dict(),
        "rtt_ms": summary_ms(counts.rtt_ns),
        "rtt_deviation_ms": None if (each := counts.rtt_deviation_ns) is None else round(each / 1e6, 6),
        "explains": None if found is None else asdict(found),
    }


def _discrepancy_as_json(found: Discrepancy) -> dict[str, Any]:
    return asdict(found) | {"expected": found.expected.hex(), "received": found.received.hex()}


def _stage_as_json(stage: StageResult, percents: Iterable[str]) -> dict[str, Any]:
    return {
        "name": stage.name,
        "begins_s": stage.begins_s,
        "length_s": stage.length_s,
        "messages_due": stage.due,
        "messages_sent": stage.sent,
        "messages": stage.messages,
        "messages_received": stage.received,
        "due_per_s": round(stage.due_per_s, 3),
        "messages_per_s": round(stage.messages_per_s, 3),
        "bytes": stage.bytes,
        "latency_ms": summary_ms(stage.latency_ns, percents),
        "from_send_ms": summary_ms(stage.from_send_ns, percents),
        "errors": dict(sorted(stage.errors.items())),
        "histograms": {
            "latency_ns": histogram_as_json(stage.latency_ns),
            "from_send_ns": histogram_as_json(stage.from_send_ns),
        },
    }


def _worker_as_json(worker: WorkerShare, sent: int) -> dict[str, Any]:
    return {
        "name": worker.name,
        "host": worker.host,
        "connections": worker.connections,
        "messages_sent": worker.sent,
        "messages": worker.messages,
        "errors": worker.errors,
        "share": round(worker.sent / sent, 6) if sent else 0.0,
        "cpu_share": worker.cpu_share,
        "cpu_wait_share": worker.cpu_wait_share,
        "system": worker.system,
        "is_lost": worker.is_lost,
        "clock_ahead_ns": worker.clock_ahead_ns,
        "clock_error_ns": worker.clock_error_ns,
        "start_late_ns": worker.start_late_ns,
        "start_error_ms": round(worker.start_error_ns / 1e6, 6),
        "send_lateness_ms": summary_ms(worker.send_lateness_ns),
        "send_lateness_ns": histogram_as_json(worker.send_lateness_ns),
    }


def _search_as_json(search: Search) -> dict[str, Any]:
    return {
        "rate": search.rate,
        "confirmed": search.confirmed,
        "limited_by": search.limited_by,
        "lost": search.lost,
        "trials": [
            {"phase": trial.phase, "rate": trial.rate, **asdict(trial.outcome)} for trial in search.trials
        ],
    }
