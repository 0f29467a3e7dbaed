"""The service time that a server itself reports: read from its metrics while a load runs."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families

_NAME = "trioecho_service_seconds"


class ServerMetricsError(Exception):
    """What was read has no service times; the message says so."""


class ServerTimes:
    """Makes means of a server's counters, from one reading to the next."""

    def __init__(self) -> None:
        self._last = (math.nan, math.nan)

    def mean_ms(self, exposition: str) -> float | None:
        """Return the mean service time since the last call, in ms; None in the first, and without messages.

        Args:
          exposition: the text of a server's ``/metrics``.

        Raises:
          ServerMetricsError: this is something else.
        """
        totals = {"_count": math.nan, "_sum": math.nan}
        try:
            for family in text_string_to_metric_families(exposition):
                for sample in family.samples:
                    if sample.name.startswith(_NAME) and (end := sample.name[len(_NAME) :]) in totals:
                        totals[end] = sample.value
        except ValueError as error:
            raise ServerMetricsError(f"these are no metrics of Prometheus: {error}") from None
        last, self._last = self._last, (totals["_count"], totals["_sum"])
        if math.isnan(totals["_count"]) or math.isnan(totals["_sum"]):
            raise ServerMetricsError(f"there is no {_NAME} in these metrics")
        count, total = (now - before for now, before in zip(self._last, last, strict=True))
        return 1000 * total / count if count > 0 else None
