"""Note when connections are lost, and when they are open again, in the measured part of a load."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ...base.units import NS_PER_S
from ..results.churn_result import MOST_OUTAGES, ChurnResult, Outage


class OutageLog:
    """Makes outages of the times in which connections are down; times are in ns of the clock.

    Before the measured part nothing counts; a connection that is down when it begins is lost then.

    Args:
      churn: takes the outages.
    """

    def __init__(self, churn: ChurnResult) -> None:
        self._churn = churn
        self._began: int | None = None
        self._is_over = False
        # Since when each connection is down, by number.
        self._down: dict[int, int] = {}
        self._since = 0  # when the first of those was lost that are one outage
        self._lost = 0  # how many were lost in it

    def begin(self, at: int) -> None:
        """Note that the measured part begins."""
        self._began = self._since = at
        self._lost = len(self._down)
        self._down = dict.fromkeys(self._down, at)

    def lose(self, number: int, at: int) -> None:
        """Note that a connection was lost."""
        if self._is_over or number in self._down:
            return
        at = max(at, self._began or at)
        if not self._down:
            self._since, self._lost = at, 0
        self._since = min(self._since, at)
        self._lost += 1
        self._down[number] = at

    def regain(self, number: int, now: int) -> None:
        """Note that it is open again."""
        since = self._down.pop(number, None)
        if since is None or self._began is None:
            return
        self._churn.outage_ns.record(now - since)
        if not self._down:
            self._note(now, is_over=True)

    def end(self, now: int, failing: AbstractSet[int]) -> None:
        """Note that the measured part ends.

        Args:
          now: the time.
          failing: the connections that cannot be opened again, as attempts have shown.
        """
        self._is_over = True
        if self._began is not None and self._down:
            now = max(now, *self._down.values())  # the clock was read a moment before the last loss
            for since in self._down.values():
                self._churn.outage_ns.record(now - since)
            self._note(now, is_over=failing.isdisjoint(self._down))
        self._down.clear()

    def _note(self, now: int, *, is_over: bool) -> None:
        outages, began = self._churn.outages, self._began or 0
        if len(outages) < MOST_OUTAGES or not is_over:
            del outages[MOST_OUTAGES - 1 :]
            start_s = (self._since - began) / NS_PER_S
            outages.append(Outage(start_s, (now - self._since) / NS_PER_S, self._lost, is_over))
