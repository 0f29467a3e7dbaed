"""The pages of a load while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..load.results.path_counts import PathCounts
from .application import Page, PageReply, PageRequest, text_reply
from .exposition import metrics_page
from .load_metrics import load_registry
from .load_state import LoadState

_MS = 1e6  # in nanoseconds


def load_pages(state: LoadState) -> Mapping[str, Page]:
    """Return the pages of a load by their paths."""

    def livez(request: PageRequest) -> PageReply:
        return text_reply("alive")

    def report(request: PageRequest) -> PageReply:
        if state.progress is None:
            return text_reply("nothing has been measured yet", 503)
        return PageReply(f"{progress_as_json(state)}\n".encode(), "application/json")

    return {"/livez": livez, "/metrics": metrics_page(load_registry(state)), "/report": report}


def progress_as_json(state: LoadState) -> str:
    """Return the last progress of a load as a JSON object on one line."""
    progress = state.progress
    assert progress is not None  # noqa: S101 - the caller has looked
    step = progress.interval
    per_second = 1 / step.width_s if step.width_s else 0.0
    latency = step.latency_ns
    return json.dumps(
        {
            "run": state.runs,
            "phase": progress.phase,
            "t_s": round(progress.t_s, 6),
            "interval_s": round(step.width_s, 6),
            "sent": progress.sent,
            "messages": progress.messages,
            "planned": progress.planned,
            "connections": progress.connections,
            "errors": dict(sorted(progress.errors.items())),
            "sent_per_s": round(step.sent * per_second, 3),
            "messages_per_s": round(step.messages * per_second, 3),
            "bytes_per_s": round(step.bytes * per_second, 3),
            "latency_ms": {
                "mean": None if latency.mean is None else round(latency.mean / _MS, 6),
                **{
                    f"p{percent}": None if value is None else round(value / _MS, 6)
                    for percent in (50, 90, 99)
                    for value in [latency.percentile(percent)]
                },
                "max": round(latency.max / _MS, 6) if latency.count else None,
            },
            "path": None if step.path is None else _path_as_json(step.path),
        }
    )


def _path_as_json(path: PathCounts) -> dict[str, Any]:
    median = path.rtt_ns.percentile(50)
    return {
        "retransmits": path.retransmits,
        "data_segments": path.data_segments,
        "rtt_p50_ms": None if median is None else round(median / _MS, 6),
        "rtt_max_ms": round(path.rtt_ns.max / _MS, 6) if path.rtt_ns.count else None,
        "congestion_window_p50": path.congestion_window.percentile(50),
        "unsent_max_bytes": path.unsent_bytes.max,
    }
