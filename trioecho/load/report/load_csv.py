"""Write the time series of a load as CSV: a header, then a line for each interval."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable

from .. import LoadInterval, LoadResult
from ..goals.objectives import SHOWN_PERCENTS, shown_percents
from ..results.path_counts import PathCounts
from ..results.tls_result import TlsResult
from .path_words import least
from .stages_text import stages_between

_OF_PATH = (
    "retransmits",
    "data_segments",
    "rtt_p50_ms",
    "rtt_max_ms",
    "congestion_window_p50",
    "congestion_window_least",
    "unsent_mean_bytes",
    "unsent_max_bytes",
)
_OF_LOST = ("lost_workers", "messages_unaccounted")
_OF_TLS = ("handshakes", "handshake_p50_ms", "handshake_p99_ms", "handshakes_resumed")


def columns(
    percents: Iterable[str] = SHOWN_PERCENTS,
    *,
    with_stages: bool = False,
    with_outages: bool = False,
    with_tls: bool = False,
    with_path: bool = False,
    with_lost: bool = False,
) -> tuple[str, ...]:
    """Return the names of the columns."""
    return (
        "t_s",
        "width_s",
        "messages_sent",
        "messages",
        "messages_per_s",
        "bytes_per_s",
        "errors",
        *(("outage_s",) if with_outages else ()),
        "latency_mean_ms",
        *(f"latency_p{percent}_ms" for percent in percents),
        "latency_max_ms",
        "generator_saturated",
        *(_OF_LOST if with_lost else ()),
        *(_OF_PATH if with_path else ()),
        *(_OF_TLS if with_tls else ()),
        *(("stage",) if with_stages else ()),
    )


COLUMNS = columns()


def result_as_csv(result: LoadResult) -> str:
    """Return the time series as CSV, with the names and units of the JSON.

    A latency of an interval without replies is empty.

    ``outage_s``, for how long there was an outage in the interval, is there for a load that reconnects.

    ``generator_saturated`` is about the whole run, in every line, so that numbers which
    describe the generator cannot be taken for the server's.

    ``lost_workers``, which died or hung, and when, and ``messages_unaccounted``, of their shares, are about
    the whole run, too. They are there if there are any.

    What the kernel knew of the path is there where the system says it; round trips, windows and bytes are
    those of the connections that were read in the interval, and empty if none was.

    What is said of handshakes is about the whole run, too. It is there for a load under TLS.

    ``stage`` is there for a schedule of stages. An interval that has a part in two has both names, as
    ``up; steady``; after the last stage it is empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    percents = shown_percents(verdict.objective for verdict in result.objective_results)
    stages = bool(result.plan.stages)
    outages = result.plan.churn.reconnect
    path = any(step.path is not None for step in result.intervals)
    writer.writerow(
        columns(
            percents,
            with_stages=stages,
            with_outages=outages,
            with_tls=result.tls is not None,
            with_path=path,
            with_lost=bool(result.lost),
        )
    )
    lost = "; ".join(f"{worker.name} {worker.when}" for worker in result.lost)
    of_lost = (lost, sum(worker.unaccounted for worker in result.lost)) if result.lost else ()
    of_tls = _of_tls(result.tls)
    for step in result.intervals:
        measured_s = measured_width_s(result, step)
        latency = step.latency_ns
        times_ns = (
            latency.mean,
            *(latency.percentile(percent) for percent in percents),
            latency.max if latency.count else None,
        )
        writer.writerow(
            (
                f"{step.t_s:.6g}",
                f"{measured_s:.6g}",
                step.sent,
                step.messages,
                f"{step.messages / measured_s:.3f}" if measured_s else 0,
                f"{step.bytes / measured_s:.3f}" if measured_s else 0,
                step.errors,
                *((f"{outage_s(result, step.t_s, step.t_s + measured_s):.6g}",) if outages else ()),
                *("" if time_ns is None else f"{time_ns / 1e6:.6f}" for time_ns in times_ns),
                str(result.saturated).lower(),
                *of_lost,
                *(_of_path(step.path or PathCounts()) if path else ()),
                *of_tls,
                *((stages_between(result.plan.stages, step.t_s, step.t_s + measured_s),) if stages else ()),
            )
        )
    return text.getvalue()


def _of_path(path: PathCounts) -> tuple[object, ...]:
    times = (path.rtt_ns.percentile(percent) for percent in (50, 100))
    window, unsent = path.congestion_window, path.unsent_bytes
    return (
        path.retransmits,
        path.data_segments,
        *("" if time_ns is None else f"{time_ns / 1e6:.6f}" for time_ns in times),
        *((window.percentile(50), least(window)) if window.count else ("", "")),
        *((f"{unsent.mean:.0f}", unsent.max) if unsent.count else ("", "")),
    )


def _of_tls(tls: TlsResult | None) -> tuple[object, ...]:
    if tls is None:
        return ()
    times = (tls.handshake_ns.percentile(percent) for percent in (50, 99))
    shown = ("" if time_ns is None else f"{time_ns / 1e6:.6f}" for time_ns in times)
    return (tls.handshake_ns.count, *shown, tls.resumed)


def outage_s(result: LoadResult, begins_s: float, ends_s: float) -> float:
    """Return for how much of a time there was an outage, in seconds."""
    parts = (
        min(ends_s, outage.end_s) - max(begins_s, outage.start_s)
        for outage in result.churn.outages
        if outage.start_s < ends_s and outage.end_s > begins_s
    )
    return math.fsum(parts)


def measured_width_s(result: LoadResult, step: LoadInterval) -> float:
    """Return how long an interval really was: the last one ends with the measured part."""
    return max(0.0, min(step.width_s, result.elapsed_s - step.t_s))
