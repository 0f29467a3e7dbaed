"""The server's reports as text for people and as JSON Lines for programs."""

from __future__ import annotations

import json

from ..metrics import Report
from .units import in_bytes, in_ms


def report_as_json(report: Report) -> str:
    """One JSON object on one line; names and units are those of `Report`."""
    service = report.service_ms
    return json.dumps(
        {
            "time": report.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "interval_s": _rounded(report.interval_s, 6),
            "messages": report.messages,
            "messages_total": report.messages_total,
            "messages_per_s": _rounded(report.messages_per_s, 3),
            "bytes_per_s": _rounded(report.bytes_per_s, 3),
            "service_ms": {
                "mean": _rounded(service.mean, 6),
                "p50": _rounded(service.p50, 6),
                "p99": _rounded(service.p99, 6),
                "max": _rounded(service.max, 6),
            },
            "blocked_s": _rounded(report.blocked_s, 6),
            "connections": report.connections,
            "errors": dict(sorted(report.errors.items())),
            "final": report.final,
        }
    )


def report_as_text(report: Report) -> str:
    """One line, in columns that stay where they are from report to report."""
    service = report.service_ms
    columns = [
        f"{report.time:%H:%M:%S}Z",
        f"{report.messages_per_s:>9,.0f} msg/s",
        f"{in_bytes(report.bytes_per_s):>10}/s",
        "service ms"
        f" mean {in_ms(service.mean):>7}"
        f" p50 {in_ms(service.p50):>7}"
        f" p99 {in_ms(service.p99):>7}"
        f" max {in_ms(service.max):>7}",
        f"{report.connections:>5} open",
        f"{report.messages_total:>11,} in all",
    ]
    if report.blocked_s >= 0.001:
        columns.append(f"blocked {report.blocked_s:.3f} s")
    if report.errors:
        columns.append("errors " + " ".join(f"{kind} {n}" for kind, n in sorted(report.errors.items())))
    if report.final:
        columns.append("(final)")
    return "  ".join(columns)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
