"""A pace that many tasks together do not exceed."""

from __future__ import annotations

import trio


class SharedPace:
    """Lets tasks through one by one: after a burst, so many a second; the others wait in their order.

    Args:
      per_second: how many a second.
      burst: how many at once, after a time without any.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._gap_s = 1 / per_second
        self._burst_s = burst * self._gap_s
        self._next_at = 0.0

    async def wait_for_turn(self) -> None:
        """Wait until it is the caller's turn. A checkpoint; a turn that is given up is lost."""
        self._next_at = max(self._next_at, trio.current_time() - self._burst_s) + self._gap_s
        await trio.sleep_until(self._next_at)
