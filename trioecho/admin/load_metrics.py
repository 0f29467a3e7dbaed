"""What a load has measured so far, in the names of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..load.results.progress import LoadPhase
from .load_state import LoadState
from .metric_parts import build_info, histogram_metric


class LoadCollector(Collector):
    """Makes metrics of the last progress of a load; nothing is measured for them."""

    def __init__(self, state: LoadState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of the last progress."""
        state = self._state
        progress = state.progress
        yield build_info()
        yield GaugeMetricFamily(
            "trioecho_load_runs", "Runs begun; more than one with --find-max.", state.runs
        )
        phases = GaugeMetricFamily("trioecho_load_phase", "1 for what the load is doing.", labels=["phase"])
        for phase in get_args(LoadPhase):
            phases.add_metric([phase], int(progress is not None and progress.phase == phase))
        yield phases
        yield CounterMetricFamily("trioecho_load_sent", "Messages sent, after the warm-up.", state.sent)
        yield CounterMetricFamily("trioecho_load_messages", "Right replies to them.", state.messages)
        yield CounterMetricFamily(
            "trioecho_load_received_bytes",
            "Bytes of these replies, headers included.",
            state.bytes,
            unit="bytes",
        )
        errors = CounterMetricFamily("trioecho_load_errors", "Errors by kind.", labels=["kind"])
        for kind, count in sorted(state.errors.items()):
            errors.add_metric([kind], count)
        yield errors
        yield histogram_metric(
            "trioecho_load_latency_seconds", "Of right replies, from when they were due.", state.latency_ns
        )
        if state.path is not None:
            yield CounterMetricFamily(
                "trioecho_load_retransmits", "TCP segments that were sent again.", state.path.retransmits
            )
            yield CounterMetricFamily(
                "trioecho_load_data_segments", "TCP segments with data sent.", state.path.data_segments
            )
            yield histogram_metric(
                "trioecho_load_round_trip_seconds",
                "Smoothed round trips of TCP, as read of connections in turns.",
                state.path.rtt_ns,
            )
        if progress is None:
            return
        yield GaugeMetricFamily("trioecho_load_connections", "Connections open now.", progress.connections)
        yield GaugeMetricFamily(
            "trioecho_load_in_flight",
            "Messages of this run that were sent and have no right reply.",
            progress.sent - progress.messages,
        )
        if progress.planned is not None:
            yield GaugeMetricFamily(
                "trioecho_load_planned_messages", "Messages of this run in all.", progress.planned
            )


def load_registry(state: LoadState) -> CollectorRegistry:
    """Return a registry of the load's metrics, and of this process's."""
    registry = CollectorRegistry()
    registry.register(LoadCollector(state))
    return registry
