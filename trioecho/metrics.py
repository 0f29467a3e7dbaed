"""What connections count, and the task that reports it on a schedule.

Who counts adds to a `Tally`: plain additions, once per send, no waiting and no
lock. When a tally has something new, it goes (itself, not a copy) into a memory
channel, without waiting; until the metrics task takes it out, it is simply added
to. The task wakes on its schedule, empties the channel and every tally in it, and
reports. So each message is counted exactly once, a tally costs one entry per
interval, and a channel that is full loses nothing: the tally offers itself again
next time. The connections of a server share one: their tasks never run at the
same time, and one for each would cost memory, and time to fetch it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

import trio

from .histogram import Histogram

logger: logging.Logger = logging.getLogger(__name__)

# Tallies that can wait for the metrics task. More would lose nothing.
_WAITING_TALLIES = 100

# How many service times are noted before they are put into the histogram. Many at a
# time take much less than one by one.
_NOTES = 256

_NS = 1_000_000_000


class Counts:
    """What was counted in some stretch of time; sums of it are exact.

    Attributes:
      messages: frames echoed (accepted whole by the kernel).
      wire_bytes: bytes of these frames, headers included.
      service_ns: their service times, in nanoseconds.
      blocked_s: seconds spent in sends that waited for their peers to read.
      errors: how often each kind of error occurred.
    """

    __slots__ = ("blocked_s", "errors", "messages", "service_ns", "wire_bytes")

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.messages: int = 0
        self.wire_bytes: int = 0
        self.service_ns: Histogram = Histogram()
        self.blocked_s: float = 0.0
        self.errors: Counter[str] = Counter()

    def add(self, counts: Counts) -> None:
        """Add what another has counted."""
        self.messages += counts.messages
        self.wire_bytes += counts.wire_bytes
        self.service_ns.merge(counts.service_ns)
        self.blocked_s += counts.blocked_s
        self.errors.update(counts.errors)

    def add_sends(self, messages: int, wire_bytes: int, blocked_s: float) -> None:
        """Count sends; their service times are counted apart."""
        self.messages += messages
        self.wire_bytes += wire_bytes
        self.blocked_s += blocked_s

    def add_service_times(self, service_s: Sequence[float], counts: Sequence[int]) -> None:
        """Count service times, in seconds, each of so many messages."""
        service_ns = [int(seconds * _NS) for seconds in service_s]
        if sum(counts) == len(counts):  # most often, messages come one by one
            self.service_ns.record_all(service_ns)
        else:
            for value, count in zip(service_ns, counts, strict=True):
                self.service_ns.record(value, count)

    def take(self) -> Counts:
        """All of it, in other hands; nothing is left here."""
        taken = Counts()
        taken.messages = self.messages
        taken.wire_bytes = self.wire_bytes
        taken.service_ns = self.service_ns
        taken.blocked_s = self.blocked_s
        taken.errors = self.errors
        self._clear()
        return taken

    def __bool__(self) -> bool:
        return bool(self.messages or self.wire_bytes or self.blocked_s or self.errors)


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
      counts: what the interval's figures are made of. Those of several servers
        can be added, and a report of them all made of the sum.
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


class Tally(Counts):
    """What was counted since the metrics task last looked."""

    __slots__ = ("_counts", "_metrics", "_service_s", "is_waiting")

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics
        self._service_s: list[float] = []
        self._counts: list[int] = []
        self.is_waiting: bool = False  # in the memory channel, for the metrics task

    def add_sent(
        self,
        messages: int,
        wire_bytes: int,
        blocked_s: float,
        service_s: Sequence[float],
        counts: Sequence[int],
    ) -> None:
        """Count what was sent; takes what `FrameChannel` gives to ``on_sent``."""
        self.add_sends(messages, wire_bytes, blocked_s)
        self._service_s += service_s
        self._counts += counts
        if len(self._counts) >= _NOTES:
            self._add_noted()
        if not self.is_waiting:
            self._metrics.hand_over(self)

    def _add_noted(self) -> None:
        self.add_service_times(self._service_s, self._counts)
        self._service_s.clear()
        self._counts.clear()

    def take(self) -> Counts:
        self._add_noted()
        return super().take()

    def add_error(self, kind: str) -> None:
        """Count an error of the given kind."""
        self.errors[kind] += 1
        if not self.is_waiting:
            self._metrics.hand_over(self)

    def add(self, counts: Counts) -> None:
        """Count all that was counted elsewhere."""
        super().add(counts)
        if not self.is_waiting:
            self._metrics.hand_over(self)

    def close(self) -> None:
        """Give up the tally: what is in it will be counted, whether or not the channel is full."""
        if not self.is_waiting:
            self._metrics.absorb_closed(self)


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
        self._closed = Counts()
        self._messages_total = 0
        self._errors_total: Counter[str] = Counter()
        self._interval_began = trio.current_time()

    def open_tally(self) -> Tally:
        """A tally for who counts together."""
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
        self._closed.add(tally.take())

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
        counts = self._closed.take()
        while self._from_connections.statistics().current_buffer_used:
            tally = self._from_connections.receive_nowait()
            tally.is_waiting = False
            counts.add(tally.take())
        self._messages_total += counts.messages
        self._errors_total.update(counts.errors)
        service = counts.service_ns
        return Report(
            time=datetime.now(timezone.utc),
            interval_s=interval_s,
            messages=counts.messages,
            messages_total=self._messages_total,
            messages_per_s=counts.messages / interval_s if interval_s else 0.0,
            bytes_per_s=counts.wire_bytes / interval_s if interval_s else 0.0,
            service_ms=ServiceTime(
                mean=_ms(service.mean),
                p50=_ms(service.percentile(50)),
                p99=_ms(service.percentile(99)),
                max=_ms(service.max if service.count else None),
            ),
            blocked_s=counts.blocked_s,
            connections=self._connections(),
            errors=dict(self._errors_total),
            final=final,
            counts=counts,
        )


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / 1e6
