"""The page ``/metrics``: a registry in the format that the scraper asks for."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.exposition import choose_encoder

from .application import Page, PageReply, PageRequest


def metrics_page(registry: CollectorRegistry) -> Page:
    """Return a page with the metrics of a registry, as OpenMetrics or Prometheus' text: what is asked for."""

    def page(request: PageRequest) -> PageReply:
        try:
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = generate_latest, CONTENT_TYPE_PLAIN_0_0_4
        return PageReply(encode(registry), content_type)

    return page
