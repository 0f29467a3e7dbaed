"""Keep the moments of a run: when it begins to measure, until when it sends, when it gives up."""

from __future__ import annotations

import math

from ...base.units import NS_PER_S
from ..plan import LoadPlan
from ..results.progress import LoadPhase

# Timeouts are noticed late by this part of them, at most.
_TIMEOUT_GRAIN = 0.1
# How long to wait at the end, after the half-close, for the server to end a connection:
# a reply too many would come until then.
_LINGER_NS = NS_PER_S // 10
# How long after the end of a schedule what was due is still sent: a generator that is late for
# a moment catches up within it, and one that has too much to do ends.
MOST_OVERTIME_S = 1

NEVER = math.inf


class Timetable:
    """What a run is doing, and the moments at which that changes, in ns of the clock.

    Attributes:
      phase: what it is doing.
      measures_from: when the measured part begins.
      sends_until: when nothing more is due; infinity if messages say so, or nothing is to be sent.
      sent_until: when the last message may have been sent; 0 before.
      gives_up_at: when replies are awaited no longer; infinity before the end.
      next_timeouts: when to look for messages whose time is over.
      next_moment: when something of this is due.

    Args:
      plan: of the load.
    """

    def __init__(self, plan: LoadPlan) -> None:
        self.phase: LoadPhase = "warming up"
        self.measures_from: int = 0
        self.sends_until: float = NEVER
        self.sent_until: float = 0
        self.gives_up_at: float = NEVER
        self.next_timeouts: float = NEVER
        self.next_moment: float = NEVER
        self._plan = plan
        self._timeout_ns = round(plan.timeout_s * NS_PER_S)
        self._timeout_grain_ns = round(plan.timeout_s * _TIMEOUT_GRAIN * NS_PER_S) + 1

    def begin(self, now: int) -> None:
        """Set the moments of a run that begins now."""
        self.measures_from = now + round(self._plan.warmup_s * NS_PER_S)
        self._set_end()
        self.next_timeouts = now + self._timeout_grain_ns
        self._find_next_moment()

    def _set_end(self) -> None:
        if self._plan.duration_s is not None:
            self.sends_until = self.measures_from + round(self._plan.duration_s * NS_PER_S)

    def _find_next_moment(self) -> None:
        """Find it anew: it is asked for in every turn, and changes seldom."""
        moment = min(self.next_timeouts, self.gives_up_at, self.sends_until)
        self.next_moment = min(moment, self.measures_from) if self.phase == "warming up" else moment

    def end_at(self, moment: float) -> None:
        """Let nothing be due from this moment on."""
        self.sends_until = moment
        self._find_next_moment()

    def is_time_to_measure(self, now: int) -> bool:
        """Return whether the warm-up is over, and nothing was measured yet."""
        return self.phase == "warming up" and now >= self.measures_from

    def is_time_to_drain(self, now: int, *, is_late: bool) -> bool:
        """Return whether nothing more is sent; one that ``is_late`` with a schedule has a second more."""
        overtime_ns = MOST_OVERTIME_S * NS_PER_S if is_late else 0
        return self.phase == "measuring" and now >= self.sends_until + overtime_ns

    def take_timeouts(self, now: int) -> bool:
        """Return whether it is time to look for timeouts, which is then so again a while later."""
        if now < self.next_timeouts:
            return False
        self.next_timeouts = now + self._timeout_grain_ns
        self._find_next_moment()
        return True

    def begin_to_measure(self, now: int) -> None:
        """Note that the measured part begins: that of a schedule when it should, else now."""
        self.phase = "measuring"
        if not self._plan.is_open:
            self.measures_from = now
            self._set_end()
        self._find_next_moment()

    def begin_to_drain(self, now: int) -> None:
        """Note that nothing more is sent from now on, and replies are awaited for one timeout."""
        self.phase = "draining"
        self.sent_until = now
        self.sends_until = NEVER
        self.gives_up_at = now + self._timeout_ns + self._timeout_grain_ns
        self._find_next_moment()

    def begin_to_linger(self, now: int) -> None:
        """Note that all replies have come, and the server has a moment to end the connections."""
        self.gives_up_at = now + _LINGER_NS
        self._find_next_moment()
