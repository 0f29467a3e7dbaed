"""The pages of a service: metrics, probes, the last report."""

from __future__ import annotations

from collections.abc import Mapping

from ..server.report_lines import report_as_json
from .application import Page, PageReply, PageRequest, text_reply
from .exposition import metrics_page
from .service_metrics import service_registry
from .service_state import ServiceState


def service_pages(state: ServiceState) -> Mapping[str, Page]:
    """Return the pages of a service by their paths."""

    def livez(request: PageRequest) -> PageReply:
        return text_reply("alive")

    def readyz(request: PageRequest) -> PageReply:
        if state.is_ready:
            return text_reply("ready")
        return text_reply("draining" if state.is_draining else "starting", 503)

    def report(request: PageRequest) -> PageReply:
        if state.last_report is None:
            return text_reply("no report yet; the first one comes after --metrics-interval", 503)
        return PageReply(f"{report_as_json(state.last_report)}\n".encode(), "application/json")

    return {
        "/livez": livez,
        "/metrics": metrics_page(service_registry(state)),
        "/readyz": readyz,
        "/report": report,
    }
