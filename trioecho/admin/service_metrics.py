"""What a service has counted, in the names and the formats of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ..server.counts import Counts
from ..server.error_kinds import ERROR_KINDS
from ..server.received_bytes import can_count_received
from .metric_parts import build_info, histogram_metric
from .service_state import ServiceState


class ServiceCollector(Collector):
    """Makes metrics of the totals of a service, at every scrape anew.

    They are the counts of which reports are made: exact, and of all processes together.
    """

    def __init__(self, state: ServiceState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        state = self._state
        yield build_info()
        yield from _counters(state.totals())
        yield GaugeMetricFamily("trioecho_connections", "Connections open now.", state.connections())
        yield GaugeMetricFamily(
            "trioecho_workers", "Processes that serve; 1 without --workers.", state.workers()
        )
        yield GaugeMetricFamily(
            "trioecho_draining", "1 from the first signal to end on, else 0.", int(state.is_draining)
        )


def _counters(totals: Counts) -> Iterator[Metric]:
    yield CounterMetricFamily("trioecho_messages", "Frames sent whole, such as echoes.", totals.messages)
    if can_count_received():
        yield CounterMetricFamily(
            "trioecho_received_bytes",
            "Bytes that came from clients, as the kernel counts them for TCP.",
            totals.received_bytes,
            unit="bytes",
        )
    yield CounterMetricFamily(
        "trioecho_sent_bytes",
        "Bytes of frames sent whole, headers included.",
        totals.wire_bytes,
        unit="bytes",
    )
    yield histogram_metric(
        "trioecho_service_seconds",
        "From a message's last byte received to its reply accepted by the kernel.",
        totals.service_ns,
    )
    yield CounterMetricFamily(
        "trioecho_blocked_seconds",
        "Time that sends waited for clients to read, of all connections together.",
        totals.blocked_s,
        unit="seconds",
    )
    yield CounterMetricFamily("trioecho_connections_accepted", "Connections accepted.", totals.accepted)
    errors = CounterMetricFamily("trioecho_errors", "Errors by kind.", labels=["kind"])
    # A kind that has not occurred is 0, so that its first one shows as an increase.
    for kind in sorted({*ERROR_KINDS, *totals.errors}):
        errors.add_metric([kind], totals.errors[kind])
    yield errors


def service_registry(state: ServiceState) -> CollectorRegistry:
    """Return a registry of the service's metrics, and of this process's."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(state))
    ProcessCollector(registry=registry)
    return registry
