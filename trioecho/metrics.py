"""What connections count, and the task that reports it on a schedule.

A connection adds to a `Tally` of its own: plain additions, once per send, no
waiting and no lock. When a tally has something new, it goes (itself, not a
copy) into a memory channel, without waiting; until the metrics task takes it
out, the connection simply goes on adding to it. The task wakes on its schedule,
empties the channel and every tally in it, and reports. So each message is
counted exactly once, a busy connection costs one entry per interval, and a
channel that is full loses nothing: the tally offers itself again next time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

import trio

from .histogram import Histogram

logger: logging.Logger = logging.getLogger(__name__)

# Tallies that can wait for the metrics task: as many as there are connections
# by default, and some that were closed since. More would lose nothing.
_WAITING_TALLIES = 16_384

_NS = 1_000_000_000


@dataclass(frozen=True)
class ServiceTime:
    """Service times of one interval, in milliseconds; all None without messages.

    The service time of a message runs from when its last byte was taken from
    the socket to when the kernel accepted its echo. It has neither the client's
    think time in it nor the time spent blocked on a peer that does not read.
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
      interval_s: how long it was, as measured.
      messages: frames echoed (accepted whole by the kernel) in the interval.
      messages_total: the same since the start.
      messages_per_s: messages / interval_s.
      bytes_per_s: bytes of these frames on the wire, headers included, per second.
      service_ms: service times of the interval.
      blocked_s: seconds that connections spent, in sum, in sends of this interval
        that waited for their peers to read.
      connections: open when the interval ended.
      errors: how often each kind of error occurred since the start.
      final: whether this is the last report, which covers the rest of the count.
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


class Tally:
    """One connection's counts since the metrics task last looked."""

    __slots__ = ("_blocked_s", "_bytes", "_errors", "_messages", "_metrics", "_service", "is_waiting")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.is_waiting: bool = False  # in the memory channel, for the metrics task
        self._clear()

    def _clear(self) -> None:
        self._messages = 0
        self._bytes = 0
        self._service = Histogram()
        self._blocked_s = 0.0
        self._errors: Counter[str] = Counter()

    def add_sent(self, messages: int, wire_bytes: int, service_s: float | None, blocked_s: float) -> None:
        """Count messages that were sent together; takes what `FrameChannel` gives to ``on_sent``."""
        self._messages += messages
        self._bytes += wire_bytes
        self._blocked_s += blocked_s
        if service_s is not None and messages:
            self._service.record(int(service_s * _NS), messages)
        if not self.is_waiting:
            self._metrics.hand_over(self)

    def add_error(self, kind: str) -> None:
        """Count an error of the given kind."""
        self._errors[kind] += 1
        if not self.is_waiting:
            self._metrics.hand_over(self)

    def close(self) -> None:
        """Give up the tally: what is in it will be counted, whether or not the channel is full."""
        if not self.is_waiting:
            self._metrics.absorb_closed(self)

    def absorb(self, other: Tally) -> None:
        """Take over all that another tally holds, and leave it empty."""
        self._messages += other._messages
        self._bytes += other._bytes
        self._service.merge(other._service)
        self._blocked_s += other._blocked_s
        self._errors.update(other._errors)
        other._clear()


class Metrics:
    """Collects tallies and makes reports of them.

    Args:
      interval_s: seconds from one report to the next; 0 for no reports but the final one.
      connections: how many connections are open now.
      on_report: called with each `Report`; must return at once. If it raises,
        the error is logged, with its traceback, and reports go on.
      waiting_tallies: capacity of the memory channel.
    """

    def __init__(
        self,
        *,
        interval_s: float,
        connections: Callable[[], int],
        on_report: Callable[[Report], object],
        waiting_tallies: int = _WAITING_TALLIES,
    ) -> None:
        self._interval_s = interval_s
        self._connections = connections
        self._on_report = on_report
        self._to_task, self._from_connections = trio.open_memory_channel[Tally](waiting_tallies)
        self._interval = Tally(self)
        self._closed = Tally(self)
        self._messages_total = 0
        self._errors_total: Counter[str] = Counter()
        self._interval_began = trio.current_time()

    def open_tally(self) -> Tally:
        """A tally for one connection (or for whatever else counts)."""
        return Tally(self)

    def hand_over(self, tally: Tally) -> None:
        """Put a tally into the memory channel, if there is room."""
        try:
            self._to_task.send_nowait(tally)
        except trio.WouldBlock:
            return
        tally.is_waiting = True

    def absorb_closed(self, tally: Tally) -> None:
        """Take the content of a tally that will not be offered again."""
        self._closed.absorb(tally)

    async def run(self) -> None:
        """Report on schedule, until cancelled; call `report_final` after that.

        The schedule does not drift: a report that is late does not delay the
        next. Reports that could not be made in time are left out, and the next
        one covers their time.
        """
        if not self._interval_s:
            await trio.sleep_forever()
        due = self._interval_began
        while True:
            missed = (trio.current_time() - due) // self._interval_s
            due += self._interval_s * (missed + 1)
            await trio.sleep_until(due)
            self._report(final=False)

    def report_final(self) -> None:
        """Report what has not been reported yet, as the last report."""
        self._report(final=True)

    def _report(self, *, final: bool) -> None:
        now = trio.current_time()
        interval_s, self._interval_began = now - self._interval_began, now
        report = self._collect(interval_s, final)
        try:
            self._on_report(report)
        except Exception:
            logger.exception("on_report failed; the service goes on")

    def _collect(self, interval_s: float, final: bool) -> Report:
        interval = self._interval
        interval.absorb(self._closed)
        while self._from_connections.statistics().current_buffer_used:
            tally = self._from_connections.receive_nowait()
            tally.is_waiting = False
            interval.absorb(tally)
        self._messages_total += interval._messages
        self._errors_total.update(interval._errors)
        service = interval._service
        report = Report(
            time=datetime.now(timezone.utc),
            interval_s=interval_s,
            messages=interval._messages,
            messages_total=self._messages_total,
            messages_per_s=interval._messages / interval_s if interval_s else 0.0,
            bytes_per_s=interval._bytes / interval_s if interval_s else 0.0,
            service_ms=ServiceTime(
                mean=_ms(service.mean),
                p50=_ms(service.percentile(50)),
                p99=_ms(service.percentile(99)),
                max=_ms(service.max if service.count else None),
            ),
            blocked_s=interval._blocked_s,
            connections=self._connections(),
            errors=dict(self._errors_total),
            final=final,
        )
        interval._clear()
        return report


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6
