"""What happened on a case's connections, kept within bounds."""

from __future__ import annotations

import collections
from typing import Literal

import trio

from ..verdict import FIRST_EVENTS, Event

_DATA_BYTES = 64
_LAST_EVENTS = 20


class Transcript:
    """The first events and the last; of each the first bytes."""

    def __init__(self) -> None:
        self._began = trio.current_time()
        self._first: list[Event] = []
        self._last: collections.deque[Event] = collections.deque(maxlen=_LAST_EVENTS)
        self._count = 0

    @property
    def events(self) -> tuple[Event, ...]:
        """Those that were kept, in order."""
        return (*self._first, *self._last)

    @property
    def left_out(self) -> int:
        """How many were not kept."""
        return self._count - len(self.events)

    def bytes_moved(
        self, connection: int, kind: Literal["sent", "received"], data: bytes | memoryview
    ) -> None:
        """Note bytes that were sent, or received."""
        self._add(Event(self._now(), connection, kind, bytes(data[:_DATA_BYTES]), len(data)))

    def happened(self, connection: int, text: str) -> None:
        """Note something else that happened."""
        self._add(Event(self._now(), connection, "event", text=text))

    def _now(self) -> float:
        return trio.current_time() - self._began

    def _add(self, event: Event) -> None:
        self._count += 1
        if len(self._first) < FIRST_EVENTS:
            self._first.append(event)
        else:
            self._last.append(event)
