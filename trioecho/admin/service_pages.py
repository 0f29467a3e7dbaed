"""The pages of a service: metrics, probes, the last report."""

from __future__ import annotations

from collections.abc import Mapping

from ..server.report_lines import report_as_json
from .application import Page, PageReply, PageRequest, text_reply
from .exposition import metrics_page
from .service_metrics import service_registry
from .service_state import ServiceState


def service_pages(state: ServiceState, report_interval_s: float) -> Mapping[str, Page]:
    """Return the pages of a service by their paths.

    Args:
      state: of the service.
      report_interval_s: seconds between reports; 0 for only the final one.
    """
    first_report = (
        "the first one comes after --metrics-interval"
        if report_interval_s
        else "with --metrics-interval 0 there is none before the end, or SIGUSR1"
    )

    def livez(request: PageRequest) -> PageReply:
        return text_reply("alive")

    def readyz(request: PageRequest) -> PageReply:
        if state.is_ready:
            return text_reply("ready")
        return text_reply("draining" if state.is_draining else "starting", 503)

    def report(request: PageRequest) -> PageReply:
        if state.last_report is None:
            return text_reply(f"no report yet; {first_report}", 503)
        return PageReply(f"{report_as_json(state.last_report)}\n".encode(), "application/json")

    return {
        "/livez": livez,
        "/metrics": metrics_page(service_registry(state)),
        "/readyz": readyz,
        "/report": report,
    }
