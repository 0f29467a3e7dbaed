"""What a server counts: messages, bytes, service times, errors. Sums of counts are exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..base.histogram import Histogram
from ..base.units import NS_PER_S

# Frames that the kernel has accepted whole, their bytes on the wire, how many seconds the
# send was blocked, and the service time of the frames in seconds, if they have one.
Sent = tuple[int, int, float, "float | None"]


class Counts:
    """What was counted in a stretch of time.

    Attributes:
      messages: frames echoed (accepted whole by the kernel).
      wire_bytes: bytes of these frames, headers included.
      service_ns: their service times, in nanoseconds.
      blocked_s: seconds spent in sends that waited for their peers to read.
      errors: how often each kind of error occurred.
      accepted: connections accepted.
      received_bytes: bytes received of connections, where that is counted (`ReceivedBytes`).
    """

    __slots__ = (
        "accepted",
        "blocked_s",
        "errors",
        "messages",
        "received_bytes",
        "service_ns",
        "wire_bytes",
    )

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.messages: int = 0
        self.wire_bytes: int = 0
        self.service_ns: Histogram = Histogram()
        self.blocked_s: float = 0.0
        self.errors: Counter[str] = Counter()
        self.accepted: int = 0
        self.received_bytes: int = 0

    def add(self, counts: Counts) -> None:
        """Add what was counted elsewhere."""
        self.messages += counts.messages
        self.wire_bytes += counts.wire_bytes
        self.service_ns.merge(counts.service_ns)
        self.blocked_s += counts.blocked_s
        self.errors.update(counts.errors)
        self.accepted += counts.accepted
        self.received_bytes += counts.received_bytes

    def add_sends(self, sends: Sequence[Sent]) -> None:
        """Count sends, each with its messages, their bytes, seconds blocked, and service time."""
        if not sends:
            return
        messages, wire_bytes, blocked_s, service_s = zip(*sends, strict=True)
        self.messages += sum(messages)
        self.wire_bytes += sum(wire_bytes)
        self.blocked_s += sum(blocked_s)
        # Most often, messages come one by one.
        if messages.count(1) == len(messages) and None not in service_s:
            self.service_ns.record_all([int(seconds * NS_PER_S) for seconds in service_s])
            return
        for seconds, count in zip(service_s, messages, strict=True):
            if seconds is not None:
                self.service_ns.record(int(seconds * NS_PER_S), count)

    def take(self) -> Counts:
        """Return all that was counted, and begin anew at zero."""
        taken = Counts()
        taken.messages = self.messages
        taken.wire_bytes = self.wire_bytes
        taken.service_ns = self.service_ns
        taken.blocked_s = self.blocked_s
        taken.errors = self.errors
        taken.accepted = self.accepted
        taken.received_bytes = self.received_bytes
        self._clear()
        return taken

    def __bool__(self) -> bool:
        counted = self.messages or self.wire_bytes or self.blocked_s or self.errors
        return bool(counted or self.accepted or self.received_bytes)
