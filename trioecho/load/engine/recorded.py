"""A connection whose replies are known beforehand, and are not the messages."""

from __future__ import annotations

from collections.abc import Callable

from ...framing import FrameFormat
from .connection import LoadConnection
from .ring import Ring
from .sending import Socket
from .tally import LoadTally


class RecordedConnection(LoadConnection):
    """Compares what comes with a ring of replies, in the place of the messages.

    No reply to a flight comes back as it was sent, so there are none.
    """

    __slots__ = ()

    def __init__(
        self,
        number: int,
        plain_socket: Socket,
        ring: Ring,
        tally: LoadTally,
        *,
        replies: Ring,
        format: FrameFormat,
        largest: int,
        buffer: memoryview,
        clock: Callable[[], int],
        first: int = 0,
    ) -> None:
        super().__init__(
            number,
            plain_socket,
            ring,
            tally,
            format=format,
            largest=largest,
            buffer=buffer,
            clock=clock,
            replies=replies,
            first=first,
        )
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
