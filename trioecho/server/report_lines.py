"""The server's reports as text for people and as JSON Lines for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping

from ..base.quantities import in_bytes, in_ms
from .report import Report


def report_as_json(report: Report) -> str:
    """Return the report as one JSON object on one line; names and units are those of `Report`."""
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


_BOUND = "\u00a0"  # a space at which textwrap breaks no line
# The columns that a narrow terminal shows: as many of these as fit, the first first.
_BY_IMPORTANCE = ("time", "rate", "service", "p99", "mean", "total", "open", "max", "p50", "bytes")


def report_as_text(report: Report, width: int | None = None) -> str:
    """Return the report as one line, whose columns are at the same place in every report.

    Args:
      report: the report.
      width: how many columns the reader's terminal has, at least 50. Columns that do
        not fit are left out, and remarks come on lines of their own. None without a
        terminal: everything is on one line.
    """
    service = report.service_ms
    gap = "  " if width is None else " "
    columns = {
        "time": f"{report.time:%H:%M:%S}Z",
        "rate": f"{gap}{report.messages_per_s:>9,.0f} msg/s",
        "bytes": f"{gap}{in_bytes(report.bytes_per_s):>10}/s",
        "service": f"{gap}service ms",
        "mean": f" mean {in_ms(service.mean):>7}",
        "p50": f" p50 {in_ms(service.p50):>7}",
        "p99": f" p99 {in_ms(service.p99):>7}",
        "max": f" max {in_ms(service.max):>7}",
        "open": f"{gap}{report.connections:>5} open",
        "total": f"{gap}{report.messages_total:>11,} in all",
    }
    shown = set(columns) if width is None else _those_that_fit(columns, width)
    line = "".join(text for name, text in columns.items() if name in shown)
    remarks = _remarks(report)
    if width is None:
        lines = ["  ".join([line, *remarks])]
    else:
        indent = " " * len(columns["time"] + gap)
        lines = [line]
        lines += textwrap.wrap("  ".join(remarks), width, initial_indent=indent, subsequent_indent=indent)
    return "\n".join(lines).replace(_BOUND, " ")


def _those_that_fit(columns: Mapping[str, str], width: int) -> set[str]:
    shown: set[str] = set()
    left = width
    for name in _BY_IMPORTANCE:
        left -= len(columns[name])
        if left >= 0:
            shown.add(name)
        else:
            break
    return shown


def _remarks(report: Report) -> list[str]:
    """Return what is not in every report; lines must not be broken at `_BOUND`."""
    remarks = []
    if report.blocked_s >= 0.001:
        remarks.append(f"blocked{_BOUND}{report.blocked_s:.3f}{_BOUND}s")
    if report.errors:
        kinds = " ".join(f"{kind}{_BOUND}{n}" for kind, n in sorted(report.errors.items()))
        remarks.append(f"errors{_BOUND}{kinds}")
    if report.final:
        remarks.append("(final)")
    return remarks


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
