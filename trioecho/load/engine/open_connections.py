"""The connections of a load that have not ended, and which of them have something to do."""

from __future__ import annotations

from collections.abc import Mapping, ValuesView

from .connection import LoadConnection
from .path_watch import PathWatch
from .poller import Waiter


class OpenConnections:
    """The connections that have not ended, by the numbers by which the waiter calls them.

    Attributes:
      unfinished: those on which something is still to be sent, or to be replied.
      by_number: all that are open.
      path: watches what the kernel knows of them; None if nothing does.

    Args:
      connections: all of them, by number.
      waiter: waits for their sockets.
    """

    def __init__(self, connections: Mapping[int, LoadConnection], waiter: Waiter) -> None:
        self.unfinished: set[LoadConnection] = set(connections.values())
        self.by_number: dict[int, LoadConnection] = dict(connections)
        self._numbers = {connection: number for number, connection in connections.items()}
        self.path: PathWatch | None = None
        self._waiter = waiter
        self._blocked: set[int] = set()

    def __len__(self) -> int:
        return len(self.by_number)

    def values(self) -> ValuesView[LoadConnection]:
        """Return the connections; the view changes when one ends."""
        return self.by_number.values()

    def items(self) -> list[tuple[int, LoadConnection]]:
        """Return the connections that are open now, with their numbers."""
        return list(self.by_number.items())

    def number_of(self, connection: LoadConnection) -> int:
        """Return the number of a connection; -1 of one that was closed."""
        return self._numbers.get(connection, -1)

    def add(self, connection: LoadConnection, number: int) -> None:
        """Add a connection that was opened later; the waiter waits for it already."""
        self.by_number[number] = connection
        self._numbers[connection] = number
        self.unfinished.add(connection)
        if self.path is not None:
            self.path.add(connection)

    def note_blocked(self, connection: LoadConnection, number: int) -> None:
        """Wait for room to send on this connection, or no longer, as its state says."""
        if connection.is_blocked != (number in self._blocked):
            (self._blocked.add if connection.is_blocked else self._blocked.discard)(number)
            self._waiter.also_writable(number, connection.is_blocked)

    def close(self, number: int) -> bool:
        """Close a connection that has ended, and return whether it was open until now."""
        connection = self.by_number.pop(number, None)
        if connection is None:
            return False
        del self._numbers[connection]
        self._blocked.discard(number)
        self._waiter.unregister(number)
        if self.path is not None:
            self.path.remove(connection)
        connection.socket.close()
        return True
