"""A server's report of one interval: what was counted, and the figures made of it.

The options of ``trioecho serve`` call these reports metrics (``--metrics-interval``). The
command ``trioecho report`` is about results of loads, and has nothing to do with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..base.histogram import Histogram
from .counts import Counts


@dataclass(frozen=True)
class ServiceTime:
    """Service times of one interval, in milliseconds; all None without messages.

    The service time of a message runs from when its last byte was taken from
    the socket to when the kernel accepted its echo. It includes neither the client's
    think time nor the time spent blocked on a peer that does not read.

    Of a handler of channels, a message has a service time only if something was
    received before it, and no task waits on its channel to receive more when the send
    begins: then it is a reply. What is sent while a task waits, such as a broadcast,
    counts as a message and has no service time.

    Percentiles are at most 1.6 % too high.
    """

    mean: float | None
    p50: float | None
    p99: float | None
    max: float | None


@dataclass(frozen=True)
class Report:
    """What a server did in one interval, and since it started.

    Attributes:
      time: when the interval ended, in UTC.
      interval_s: its length, as measured.
      messages: frames sent (accepted whole by the kernel) in the interval, such as echoes.
      messages_total: the same since the start.
      messages_per_s: messages / interval_s.
      bytes_per_s: bytes of these frames on the wire, headers included, per second.
      service_ms: service times of the interval, of the messages that have one.
      blocked_s: seconds that all connections together spent in sends of this interval
        that waited for their peers to read.
      connections: open when the interval ended.
      errors: how often each kind of error occurred since the start.
      final: whether this is the last report, which covers the rest of the count.
      counts: what the interval's figures are made of. Counts of several servers
        can be added; the sum makes the report of all of them.
    """

    time: datetime
    interval_s: float
    messages: int
    messages_total: int
    messages_per_s: float
    bytes_per_s: float
    service_ms: ServiceTime
    blocked_s: float
    connections: int
    errors: Mapping[str, int]
    final: bool
    counts: Counts = field(default_factory=Counts, repr=False, compare=False)


def report_of(
    counts: Counts,
    *,
    interval_s: float,
    messages_total: int,
    errors_total: Mapping[str, int],
    connections: int,
    final: bool,
) -> Report:
    """Return the report of an interval that ends now, of what was counted in it and in all."""
    return Report(
        time=datetime.now(timezone.utc),
        interval_s=interval_s,
        messages=counts.messages,
        messages_total=messages_total,
        messages_per_s=counts.messages / interval_s if interval_s else 0.0,
        bytes_per_s=counts.wire_bytes / interval_s if interval_s else 0.0,
        service_ms=_in_ms(counts.service_ns),
        blocked_s=counts.blocked_s,
        connections=connections,
        errors=dict(errors_total),
        final=final,
        counts=counts,
    )


def _in_ms(service_ns: Histogram) -> ServiceTime:
    return ServiceTime(
        mean=_ms(service_ns.mean),
        p50=_ms(service_ns.percentile(50)),
        p99=_ms(service_ns.percentile(99)),
        max=_ms(service_ns.max if service_ns.count else None),
    )


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6
