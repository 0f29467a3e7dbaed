"""The pages of a proxy: what has passed, and which faults it has made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ..proxy import ProxySet, counts_as_object
from ..proxy.counts import Direction
from .application import Page, PageReply, PageRequest, text_reply
from .exposition import metrics_page
from .metric_parts import build_info


class ProxyCollector(Collector):
    """Makes metrics of what all proxies have done together."""

    def __init__(self, proxies: ProxySet) -> None:
        self._proxies = proxies

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as of now."""
        counts = self._proxies.total()
        yield build_info()
        yield GaugeMetricFamily(
            "trioecho_proxy_connections", "Clients connected now.", counts.open_connections
        )
        yield CounterMetricFamily(
            "trioecho_proxy_connections_accepted", "Clients accepted.", counts.connections
        )
        yield CounterMetricFamily(
            "trioecho_proxy_unconnected",
            "Clients for which the server could not be connected to.",
            counts.unconnected,
        )
        yield CounterMetricFamily(
            "trioecho_proxy_rejected", "Clients reset at a limit of connections.", counts.rejected
        )
        passed = CounterMetricFamily(
            "trioecho_proxy_passed_bytes",
            "Bytes that the kernel has accepted for the other side.",
            labels=["direction"],
            unit="bytes",
        )
        for direction in Direction:
            passed.add_metric([direction.value], counts.passed_bytes[direction])
        yield passed
        faults = CounterMetricFamily("trioecho_proxy_faults", "Faults by kind.", labels=["kind"])
        for kind, number in sorted(counts.faults.items()):
            faults.add_metric([kind], number)
        yield faults


def proxy_pages(proxies: ProxySet) -> Mapping[str, Page]:
    """Return the pages of proxies by their paths."""
    registry = CollectorRegistry()
    registry.register(ProxyCollector(proxies))
    ProcessCollector(registry=registry)

    def livez(request: PageRequest) -> PageReply:
        return text_reply("alive")

    def report(request: PageRequest) -> PageReply:
        return PageReply(f"{json.dumps(counts_as_object(proxies.total()))}\n".encode(), "application/json")

    return {"/livez": livez, "/metrics": metrics_page(registry), "/report": report}
