"""Results as text for people, and as JSON, CSV, HdrHistogram text and HTML for what reads on."""

from __future__ import annotations

from .server import report_as_json, report_as_text

__all__ = ["report_as_json", "report_as_text"]
