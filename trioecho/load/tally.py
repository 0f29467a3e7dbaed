"""What all connections of a process count together while a load runs."""

from __future__ import annotations

import math
from collections import Counter

from ..histogram import Histogram
from .plan import LoadPlan
from .result import (
    FIRST_INTERVAL_S,
    KEPT_BYTES,
    KEPT_DISCREPANCIES,
    MOST_INTERVALS,
    NS_PER_S,
    Discrepancy,
    Interval,
)


class Tally:
    """Counts and histograms. Connections add to its attributes; times are in ns.

    Attributes:
      is_open: whether latency counts from when messages were due, and not from when they were sent.
      timeout_ns: a reply that takes longer is late.
      measured_from: messages due earlier are of the warm-up, and not counted.
      sent: messages offered to the kernel.
      messages: right replies.
      bytes: of these replies on the wire.
      errors: by kind.
      discrepancies: the first few of each kind.
      latency_ns: of the current step of the time series.
      from_send_ns: of all replies; open loop only.
      send_lateness_ns: of all messages but the recent ones, where messages have a time when
        they are due.
      recent_lateness_ns: of those since the last progress.
      last_reply_at: when the last reply came.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self.is_open: bool = plan.is_open
        self.timeout_ns: int = round(plan.timeout_s * NS_PER_S)
        self.measured_from: float = math.inf
        self.sent: int = 0
        self.messages: int = 0
        self.bytes: int = 0
        self.errors: Counter[str] = Counter()
        self.discrepancies: list[Discrepancy] = []
        self.latency_ns: Histogram = Histogram()
        self.from_send_ns: Histogram = Histogram()
        self.send_lateness_ns: Histogram = Histogram()
        self.recent_lateness_ns: Histogram = Histogram()
        self.last_reply_at: int = 0
        self._kept: Counter[str] = Counter()
        self._counted = (0, 0, 0, 0)

    def add_reply(self, due: int, sent: int, now: int) -> bool:
        """Count the times of a reply with the right content; whether it is of the measured part."""
        if due < self.measured_from:
            return False
        self.latency_ns.record(now - due)
        if self.is_open:
            self.from_send_ns.record(now - sent)
        self.last_reply_at = now
        return True

    def add_error(
        self,
        kind: str,
        connection: int,
        number: int,
        expected: bytes | None = None,
        received: bytes | None = None,
        detail: str = "",
    ) -> None:
        """Count an error of a message, and keep it as an example if there are few of its kind.

        ``number`` is the message's, from 0; examples count from 1.
        """
        self.errors[kind] += 1
        if self._kept[kind] < KEPT_DISCREPANCIES:
            self._kept[kind] += 1
            offset = _offset_shown(expected or b"", received or b"")
            shown = slice(offset, offset + KEPT_BYTES)
            self.discrepancies.append(
                Discrepancy(
                    connection,
                    number + 1,
                    kind,
                    expected=bytes((expected or b"")[shown]),
                    received=bytes((received or b"")[shown]),
                    expected_bytes=None if expected is None else len(expected),
                    received_bytes=None if received is None else len(received),
                    offset=offset,
                    detail=detail,
                )
            )

    def wants(self, kind: str) -> bool:
        """Whether a further example of this kind would be kept: if not, its bytes are not needed."""
        return self._kept[kind] < KEPT_DISCREPANCIES

    def take_step(self, t_s: float) -> Interval:
        """What was counted since the last call, as a step of the time series that begins then."""
        counted = (self.sent, self.messages, self.bytes, sum(self.errors.values()))
        sent, messages, wire_bytes, errors = (
            now - before for now, before in zip(counted, self._counted, strict=True)
        )
        self._counted = counted
        latency_ns, self.latency_ns = self.latency_ns, Histogram()
        return Interval(t_s, FIRST_INTERVAL_S, sent, messages, wire_bytes, errors, latency_ns)


def _offset_shown(expected: bytes, received: bytes) -> int:
    """Where two payloads first differ, rounded down to a multiple of 16; 0 if one ends before."""
    shorter = min(len(expected), len(received))
    if expected[:shorter] == received[:shorter]:
        return 0
    low, high = 0, shorter  # the first difference is within
    while high - low > 1:
        middle = (low + high) // 2
        if expected[low:middle] == received[low:middle]:
            low = middle
        else:
            high = middle
    return low - low % 16


class Series:
    """A time series of bounded length: when there are too many steps, each two become one."""

    def __init__(self) -> None:
        self.steps: list[Interval] = []
        self._width_s = FIRST_INTERVAL_S

    def add(self, step: Interval) -> None:
        """Add what was counted at ``step.t_s``; its width does not matter."""
        index = int(step.t_s / self._width_s + 1e-6)
        while index >= MOST_INTERVALS:
            self._widen()
            index = int(step.t_s / self._width_s + 1e-6)
        while len(self.steps) <= index:
            self.steps.append(Interval(round(len(self.steps) * self._width_s, 6), self._width_s))
        self.steps[index].add(step)

    def _widen(self) -> None:
        self._width_s *= 2
        narrow, self.steps = self.steps, []
        for step in narrow:
            self.add(step)
