"""A place for one connection after the other: those of one number of the plan."""

from __future__ import annotations

import math
import random
from enum import Enum, auto

from ...client.connecting import Backoff
from ..churn import Churn
from .connection import LoadConnection

NO_ATTEMPT = -1
# How many messages more a connection may send, whose part is done, to end a conversation.
MOST_BEYOND = 200


class SlotState(Enum):
    """What the connection of a slot is doing.

    ::

               its part is done,                 the server
               all replies are in                has ended it
        OPEN -----------------------> ENDING ------------------+
         | ^                                                   v
         | |         lost, if it is opened again            WAITING <---+
         +-|----------------------------------------------->   |        |
           |                                       its time    |        | failed
           |                     connected                     v        |
           +------------------------------------------------ DIALING ---+

        OVER: nothing more is to be sent, or no connection can be had
    """

    OPEN = auto()
    ENDING = auto()
    WAITING = auto()
    DIALING = auto()
    OVER = auto()


class Slot:
    """One number of the plan's connections.

    Attributes:
      number: which, from 0.
      connection: the one that is open, or else was last.
      state: see `SlotState`.
      limit: how many messages all connections of the slot will have sent, as far as is known.
      quota: the first message that is not for this connection any more.
      attempt: by which the dialer calls the attempt that is under way; else `NO_ATTEMPT`.
      dialed_at: when that began, in ns of the clock.
      down_since: when the connection was lost, or a first attempt in its place failed; else None.
      backoff: says how long to wait before an attempt.
      reason: why the last attempt failed, in words; empty if none has.
      alarm: the number of the alarm that is set; others are old.

    Args:
      connection: the first; it may be over.
      churn: how connections come and go.
      seed: of the plan.
    """

    def __init__(self, connection: LoadConnection, churn: Churn, seed: int) -> None:
        self.number: int = connection.number
        self.connection: LoadConnection = connection
        self.state: SlotState = SlotState.OPEN
        self.limit: float = math.inf
        self.quota: float = math.inf
        self.attempt: int = NO_ATTEMPT
        self.dialed_at: int = 0
        self.down_since: int | None = None
        self.reason: str = ""
        self.alarm: int = -1
        self._churn = churn
        self._chance = random.Random(f"{seed} {connection.number}")
        self.backoff: Backoff = Backoff(self._chance)

    def take(self, connection: LoadConnection) -> None:
        """Note a connection that is open, and draw how many messages it has."""
        self.connection = connection
        self.state = SlotState.OPEN
        self.quota = math.inf
        self.down_since = None
        self.reason = ""
        if (span := self._churn.per_connection) is not None:
            self.quota = connection.in_flight.next + self._chance.randint(int(span.least), int(span.most))
        connection.has_successor = self._churn.reconnect
        self.apply_limit()

    def draw_lifetime_s(self) -> float | None:
        """Return how long the connection is to live, in seconds; None for any time."""
        span = self._churn.lifetime_s
        return None if span is None else self._chance.uniform(span.least, span.most)

    def apply_limit(self) -> None:
        """Let the connection send up to its quota, and not more than is left."""
        connection = self.connection
        connection.limit = min(self.limit, self.quota + connection.sent_beyond)
        connection.is_limit_planned = self.limit != math.inf
        if self.quota != math.inf:  # all that this connection does not send is for the next one
            left = self.limit - connection.limit
            connection.most_beyond = int(max(0, min(MOST_BEYOND - connection.sent_beyond, left)))

    def set_limit_of_drain(self) -> None:
        """Let nothing be sent but what was due by now."""
        connection = self.connection
        waiting = connection.taken_back if connection.due is None else len(connection.due)
        self.limit = connection.in_flight.stop + waiting
        self.apply_limit()

    @property
    def is_wanted(self) -> bool:
        """Whether another connection has, or may have, something to send."""
        return self.connection.in_flight.stop < self.limit
