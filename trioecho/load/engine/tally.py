"""Count what all connections of a process send and receive while a load runs."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection

from ...base.difference import first_difference
from ...base.histogram import Histogram
from ...base.units import NS_PER_S
from ..plan import LoadPlan
from ..results.discrepancy import KEPT_BYTES, KEPT_DISCREPANCIES, OF_SENT_MESSAGES, Discrepancy
from ..results.time_series import FIRST_INTERVAL_S, LoadInterval
from .stage_tally import StageTally


class LoadTally:
    """Counts and histograms. Connections add to its attributes; times are in ns.

    Attributes:
      is_open: whether latency counts from when messages were due, and not from when they were sent.
      timeout_ns: a reply that takes longer is late.
      measured_from: messages due earlier are of the warm-up, and not counted.
      sent: messages offered to the kernel.
      taken_back: those of ``sent`` that count once more, or are unsent, as a server ended their connection.
      conversations_cut: those that the load has ended in the middle.
      unsent: messages of the measured part that were due, or planned, and will never be sent.
      messages: right replies.
      failed: those of ``sent`` of which it is known that they have no right reply; each is one of the errors.
      bytes: of these replies on the wire.
      errors: by kind.
      discrepancies: the first few of each kind.
      latency_ns: of the current step of the time series.
      from_send_ns: of all replies since the last progress; open loop only.
      send_lateness_ns: of all messages except the recent ones, where messages have a time when
        they are due.
      recent_lateness_ns: of those since the last progress.
      last_reply_at: when the last reply came.
      stages: counts by stage; None for a plan without.

    Args:
      plan: of the load.
      clock: ns.
    """

    def __init__(self, plan: LoadPlan, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self.is_open: bool = plan.is_open
        self.timeout_ns: int = round(plan.timeout_s * NS_PER_S)
        self.measured_from: float = math.inf
        self.sent: int = 0
        self.taken_back: int = 0
        self.conversations_cut: int = 0
        self.unsent: int = 0
        self.messages: int = 0
        self.failed: int = 0
        self.bytes: int = 0
        self.errors: Counter[str] = Counter()
        self.discrepancies: list[Discrepancy] = []
        self.latency_ns: Histogram = Histogram()
        self.from_send_ns: Histogram = Histogram()
        self.send_lateness_ns: Histogram = Histogram()
        self.recent_lateness_ns: Histogram = Histogram()
        self.last_reply_at: int = 0
        self.stages: StageTally | None = StageTally(plan.stages) if plan.stages else None
        self._clock = clock
        self._kept: Counter[str] = Counter()
        self._counted = (0, 0, 0, 0)

    def begin_schedule(self, measured_from: int) -> None:
        """Note when the measured part of a schedule begins, and so its stages."""
        self.measured_from = measured_from
        if self.stages is not None:
            self.stages.begin(measured_from)

    def add_reply(self, due: int, sent: int, now: int, *, right_bytes: int | None = None) -> None:
        """Count the times of a reply with the right content, if it is of the measured part.

        Args:
          due: when its message was due.
          sent: when that was sent.
          now: when the reply came.
          right_bytes: its bytes on the wire, if it is right in all else, too: then it counts as a message.
        """
        if due < self.measured_from:
            return
        self.latency_ns.record(now - due)
        if self.is_open:
            self.from_send_ns.record(now - sent)
        self.last_reply_at = now
        if right_bytes is not None:
            self.messages += 1
            self.bytes += right_bytes
        if self.stages is not None:
            self.stages.add_replies(1, due, sent, now)
            if right_bytes is not None:
                self.stages.add_right_replies(1, right_bytes, due, now)

    def add_error(
        self,
        kind: str,
        connection: int,
        number: int,
        expected: bytes | None = None,
        received: bytes | None = None,
        detail: str = "",
        *,
        due: int | None = None,
    ) -> None:
        """Count an error of a message, and keep it as an example if there are few of its kind.

        ``number`` is the message's, from 0; examples count from 1. The error is of the stage in which the
        message was ``due``, or of the stage of this moment. Messages that are unsent are counted in their
        stages by `StageTally.add_unsent`.
        """
        self.errors[kind] += 1
        # A reply may also be wrong without a message that it is known to belong to.
        is_outcome = kind in OF_SENT_MESSAGES and due is not None and due >= self.measured_from
        self.failed += is_outcome
        if self.stages is not None and kind != "unsent":
            stage = self.stages.at(self._clock() if due is None else due)
            stage.errors[kind] += 1
            stage.failed += is_outcome
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

    def take_back(self, dues: Collection[int]) -> None:
        """Note that messages that were due at these times, and were sent, will be sent once more."""
        for due in dues:
            if due >= self.measured_from:
                self.taken_back += 1
                if self.stages is not None:
                    self.stages.at(due).sent -= 1

    def count_unsent(self, count: int, *, measured: int) -> None:
        """Count messages that will never be sent, of which ``measured`` are of the measured part."""
        if count:
            self.errors["unsent"] += count
        self.unsent += measured

    def wants(self, kind: str) -> bool:
        """Return whether a further example of this kind would be kept: if not, its bytes are not needed."""
        return self._kept[kind] < KEPT_DISCREPANCIES

    def take_step(self, t_s: float) -> LoadInterval:
        """Return what was counted since the last call, as a step of the time series from ``t_s`` on."""
        counted = (self.sent, self.messages, self.bytes, sum(self.errors.values()))
        sent, messages, wire_bytes, errors = (
            now - before for now, before in zip(counted, self._counted, strict=True)
        )
        self._counted = counted
        latency_ns, self.latency_ns = self.latency_ns, Histogram()
        return LoadInterval(t_s, FIRST_INTERVAL_S, sent, messages, wire_bytes, errors, latency_ns)


def _offset_shown(expected: bytes, received: bytes) -> int:
    """Return where two payloads first differ, rounded down to a multiple of 16; 0 if one ends before."""
    place = first_difference(expected, received) or 0
    return place - place % 16
