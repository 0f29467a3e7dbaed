"""How far another machine's clocks are ahead of ours, by asking what they say.

Between the moments at which the question left and the answer came, the other clock was read:
at an unknown one. Taken as the middle, it is wrong by half of the round trip at most. Of several
round trips the shortest knows best (Cristian 1989; NTP takes the same one of eight).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class ClockReading(NamedTuple):
    """One question and its answer.

    Attributes:
      sent_ns, received_ns: when they left and came, by our `time.perf_counter_ns`.
      there_ns: what the other `time.perf_counter_ns` said.
      day_ns, day_there_ns: `time.time_ns`, ours when the question left, and the other one.
    """

    sent_ns: int
    received_ns: int
    there_ns: int
    day_ns: int
    day_there_ns: int

    @property
    def round_trip_ns(self) -> int:
        """How long it took."""
        return self.received_ns - self.sent_ns


class ClockOffset(NamedTuple):
    """What was found out about the clocks of another machine.

    Attributes:
      ahead_ns: how far its `time.perf_counter_ns` is ahead of ours.
      error_ns: plus or minus.
      day_ahead_ns: how far its `time.time_ns` is ahead of ours, plus or minus the same.
    """

    ahead_ns: int
    error_ns: int
    day_ahead_ns: int


def offset_of(readings: Iterable[ClockReading], *, is_same_clock: bool = False) -> ClockOffset:
    """Return what the shortest round trip says.

    Args:
      readings: at least one.
      is_same_clock: whether both read one clock, which is then known without an error.

    Raises:
      ValueError: there is none.
    """
    best = min(readings, key=lambda reading: reading.round_trip_ns)
    if is_same_clock:
        return ClockOffset(0, 0, 0)
    half_ns = best.round_trip_ns // 2
    return ClockOffset(
        best.there_ns - best.sent_ns - half_ns,
        best.round_trip_ns - half_ns,
        best.day_there_ns - best.day_ns - half_ns,
    )


def clock_identity() -> str:
    """Return by what one knows the clock that `time.perf_counter_ns` reads; empty where that is unknown.

    On Linux all processes since the start of the system read one, unless they are in a time namespace.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    try:
        namespace = str(Path("/proc/self/ns/time").readlink())
    except OSError:  # an older kernel, without such
        namespace = ""
    return f"{boot} {namespace}"
