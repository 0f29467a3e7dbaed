"""A connection whose replies are known beforehand, and are not the messages."""

from __future__ import annotations

from .connection import LoadConnection
from .connection_parts import ConnectionParts
from .ring import Ring


class RecordedConnection(LoadConnection):
    """Compares what comes with a ring of replies, in the place of the messages.

    No reply to a flight comes back as it was sent, so there are none.
    """

    __slots__ = ()

    def __init__(self, parts: ConnectionParts, replies: Ring) -> None:
        super().__init__(parts, replies)
        self._receive_wire = replies.round(self._receive_round)

    def _offer_flight(self) -> bool:
        return False

    def _keep_round(self) -> None:
        pass

    def _seek(self, round_number: int, at: int) -> None:
        if round_number > self._receive_round:
            self._receive_round = round_number
            self._receive_wire = self._replies.round(round_number)
        self._receive_at = at
