"""What all connections of a server have counted since the metrics task last looked."""

from __future__ import annotations

import trio

from .counts import Counts, Sent

# How many sends are noted before they are counted together, which takes much less time
# than one by one (`scripts/bench --only many` measures it).
_NOTES = 256


class Tally(Counts):
    """What all connections have counted since the metrics task last looked.

    Args:
      to_task: where it goes when there is something new.
    """

    __slots__ = ("_is_waiting", "_notes", "_to_task")

    # Declared again, since some type checkers infer what is assigned in a subclass anew.
    accepted: int
    received_bytes: int

    def __init__(self, to_task: trio.MemorySendChannel[Tally]) -> None:
        super().__init__()
        self._to_task = to_task
        self._notes: list[Sent] = []
        self._is_waiting = False  # in the memory channel, for the metrics task

    def add_sent(self, messages: int, wire_bytes: int, blocked_s: float, service_s: float | None) -> None:
        """Count what a connection has sent; the arguments are those of `Counts.add_sends`."""
        notes = self._notes
        notes.append((messages, wire_bytes, blocked_s, service_s))
        if len(notes) >= _NOTES:
            self._add_noted()
        if not self._is_waiting:
            self._offer()

    def _add_noted(self) -> None:
        self.add_sends(self._notes)
        self._notes.clear()

    def _offer(self) -> None:
        self._is_waiting = True
        self._to_task.send_nowait(self)

    def take(self) -> Counts:
        self._is_waiting = False
        self._add_noted()
        return super().take()

    def add_error(self, kind: str) -> None:
        """Count an error of the given kind."""
        self.errors[kind] += 1
        if not self._is_waiting:
            self._offer()

    def add_accepted(self) -> None:
        """Count a connection that was accepted."""
        self.accepted += 1
        if not self._is_waiting:
            self._offer()

    def add_received(self, received_bytes: int) -> None:
        """Count bytes that were received."""
        self.received_bytes += received_bytes
        if not self._is_waiting:
            self._offer()

    def add(self, counts: Counts) -> None:
        """Add what was counted elsewhere."""
        super().add(counts)
        if not self._is_waiting:
            self._offer()
