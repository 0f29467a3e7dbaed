"""Trio's time, read without a function in Python."""

from __future__ import annotations

import time

import trio


class PerfCounterClock(trio.abc.Clock):
    """A clock for `trio.run` that shows the same time as Trio's own.

    A server reads the clock when it has received a message and when it has sent one.
    Trio's own clock is a function in Python around `time.perf_counter`; here it is
    `time.perf_counter` itself. Use it as ``trio.run(main, clock=PerfCounterClock())``.
    """

    current_time: staticmethod[[], float] = staticmethod(time.perf_counter)

    def start_clock(self) -> None:
        """Do nothing: the counter runs already."""

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return the seconds until a deadline; negative when it has passed."""
        return deadline - time.perf_counter()
