"""Measure the first reply on each connection by itself: a server may have more to do for it."""

from __future__ import annotations

from collections.abc import Callable

from ...base.histogram import Histogram
from .connection import LoadConnection


class FirstReplies:
    """The connections on which no reply has come yet.

    Attributes:
      awaited: these connections, and the first message of each.
      latency_ns: from the first message to its reply, where that came in time.

    Args:
      clock: ns.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.awaited: dict[LoadConnection, int] = {}
        self.latency_ns: Histogram = Histogram()
        self._clock = clock

    def add(self, connection: LoadConnection) -> None:
        """Await the first reply on a connection that is new."""
        self.awaited[connection] = connection.in_flight.next

    def receive(self, connection: LoadConnection) -> None:
        """Let a connection receive, and see whether a reply has come."""
        first = self.awaited.get(connection)
        in_flight = connection.in_flight
        if first is None or not in_flight.runs:
            connection.receive()
            return
        message, sent = in_flight.next, in_flight.runs[0][2]
        now = self._clock()
        connection.receive()
        if connection.is_over or in_flight.next == message:
            return
        del self.awaited[connection]
        if message == first:  # else it was not waited for any more
            self.latency_ns.record(now - sent)

    def take_out(self, connection: LoadConnection) -> bool:
        """Await nothing more on a connection that has ended; return whether a reply had come on it."""
        return self.awaited.pop(connection, None) is None
