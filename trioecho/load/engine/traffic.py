"""Receive on all connections that are ready, then send on all: what a turn of the engine does with sockets.

The order pays: the server gets the messages of a turn one behind the other, and the generator
does one kind of work at a time. A reply does not wait behind the sends of other connections
before it is stamped.
"""

from __future__ import annotations

from collections.abc import Callable

from ..plan import LoadPlan
from .connection import LoadConnection
from .first_replies import FirstReplies
from .open_connections import OpenConnections
from .pacer import Pacer, ThinkTimePacer
from .poller import ONLY_WRITABLE, ReadySockets
from .renewals import Renewals


class Traffic:
    """Sends what may be sent, and receives what is here.

    What ends, or has nothing more to do, is taken out of `OpenConnections.unfinished`: the
    engine looks there.

    Attributes:
      thinking: says when a message is due after a reply; None if that is at once.
      first_replies: measures the first reply on each connection.
      renewals: opens connections in the place of others; None where all are open to the end.

    Args:
      plan: of the load.
      connections: those that are open.
      clock: ns.
    """

    def __init__(self, plan: LoadPlan, connections: OpenConnections, clock: Callable[[], int]) -> None:
        self.thinking: ThinkTimePacer | None = None
        self.first_replies: FirstReplies = FirstReplies(clock)
        self.renewals: Renewals | None = None
        self._is_open = plan.is_open
        self._pipeline = plan.pipeline
        self._connections = connections
        self._clock = clock

    def exchange(self, ready: ReadySockets) -> None:
        """Receive on all sockets that are ready; then send a message for each that has come back."""
        connections = self._connections.by_number
        if self.first_replies.awaited:
            for number, events in ready:
                if events != ONLY_WRITABLE and number in connections:
                    self.first_replies.receive(connections[number])
        else:
            for number, events in ready:
                if events != ONLY_WRITABLE and number in connections:
                    connections[number].receive()
        for number, events in ready:
            connection = connections.get(number)
            if connection is None:
                continue
            if events != ONLY_WRITABLE:
                if self._is_open:
                    self._finish_if_done(connection)
                else:
                    self._refill(connection, number)
                if connection.is_over:
                    self.drop(connection, number)
            if events & ONLY_WRITABLE and not connection.is_over:
                connection.send()
                self._note_blocked(connection, number)

    def begin(self, connection: LoadConnection, number: int, again: int) -> None:
        """Begin with a connection that was opened later, and sends that many messages once more."""
        self.first_replies.add(connection)
        if self._is_open:
            if not connection.send():
                self._note_blocked(connection, number)
        elif self.thinking is None:
            self._refill(connection, number)
        elif again:  # no thought is needed for what was sent before
            connection.allowed = int(min(connection.allowed + again, connection.limit))
            if not connection.send():
                self._note_blocked(connection, number)

    def send_one_frame(self) -> None:
        """Send the first message of the first connection that has one."""
        for number, connection in self._connections.items():
            connection.allowed = 1
            if connection.send():
                return
            self._note_blocked(connection, number)
            if not connection.is_over or connection.unanswered_end is not None:
                return

    def send_due(self, pacer: Pacer, now: int) -> None:
        """Send what is due by now."""
        for connection in pacer.take_due(now):
            if not connection.send():
                self._note_blocked(connection, self._connections.number_of(connection))

    def refill_all(self) -> None:
        """Send as many messages on each connection as may be in flight; closed loop."""
        for number, connection in self._connections.items():
            self._refill(connection, number)

    def check_timeouts(self) -> None:
        """Stop waiting for replies whose time is over."""
        for number, connection in self._connections.items():
            connection.check_timeouts()
            if connection.is_over:
                self.drop(connection, number)
            elif self._is_open:
                self._finish_if_done(connection)
            else:
                self._refill(connection, number)

    def finish_all(self) -> None:
        """End all connections: what is still awaited on them is missing."""
        for number, connection in self._connections.items():
            connection.finish()
            self.drop(connection, number)

    def drop(self, connection: LoadConnection, number: int) -> None:
        """Close a connection that has ended."""
        if self._connections.close(number):
            self._connections.unfinished.discard(connection)
            has_replied = self.first_replies.take_out(connection)
            if self.renewals is not None:
                self.renewals.note_ended(connection, has_replied=has_replied)

    def _finish_if_done(self, connection: LoadConnection) -> None:
        if connection.in_flight.next >= connection.limit and connection.is_done(self._clock()):
            self._connections.unfinished.discard(connection)
            if self.renewals is not None:
                self.renewals.note_done(connection)

    def _refill(self, connection: LoadConnection, number: int) -> None:
        """Send a message for each that has come back, or let it be due after a think time."""
        allowed = connection.in_flight.next + self._pipeline
        if allowed > connection.limit:
            allowed = int(connection.limit)
            self._finish_if_done(connection)
        if allowed > connection.allowed:
            if self.thinking is not None:
                self.thinking.think(connection, allowed)
                return
            connection.allowed = allowed
            if not connection.is_blocked and not connection.send():
                self._note_blocked(connection, number)

    def _note_blocked(self, connection: LoadConnection, number: int) -> None:
        if connection.is_over:
            self.drop(connection, number)
        else:
            self._connections.note_blocked(connection, number)
