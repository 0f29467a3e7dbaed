"""A pace that many tasks together do not exceed."""

from __future__ import annotations

import trio


class SharedPace:
    """Lets tasks through one by one: after a burst, so many a second; the others wait in their order.

    Those of a burst, too, are apart from each other: what they do then would else delay all other tasks at
    one time.

    Args:
      per_second: how many a second.
      burst: how many as fast as they may be, after a time without any.
      fastest: how many a second in a burst.
    """

    def __init__(self, per_second: float, burst: int, fastest: float) -> None:
        self._gap_s = 1 / per_second
        self._burst_s = burst * self._gap_s
        self._least_gap_s = 1 / fastest
        # When the next one is due at the pace, and when it may be let through, which in a burst is earlier.
        self._next_at = self._next_free_at = 0.0

    async def wait_for_turn(self) -> None:
        """Wait until it is the caller's turn. A checkpoint; a turn that is given up is lost."""
        now = trio.current_time()
        self._next_at = max(self._next_at, now) + self._gap_s
        at = max(self._next_at - self._burst_s, self._next_free_at, now)
        self._next_free_at = at + self._least_gap_s
        await trio.sleep_until(at)
