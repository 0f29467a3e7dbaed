"""The errors that Trio has names for, too: they can be caught by either name."""

from __future__ import annotations

import trio

from ..errors import ConnectionEndedError


class ConnectionLostError(ConnectionEndedError, trio.BrokenResourceError):
    """The connection was reset or lost, or an earlier send has torn a frame on it."""


# What a peer's end is called, and what a drain's is.
_PEER_HAS_ENDED = "no more messages: the peer has ended its stream"
DRAIN_HAS_ENDED = "no more messages: this side drains the connection, and all that had arrived was received"


class EndOfMessagesError(ConnectionEndedError, trio.EndOfChannel):
    """No more messages will come: the peer has ended its stream after a whole frame, or a drain did."""

    def __str__(self) -> str:
        return super().__str__() or _PEER_HAS_ENDED


class RequestTimeoutError(trio.TooSlowError):
    """The reply to a request did not come in time. Its connection goes on, and drops the reply.

    Attributes:
      seconds (float): what the clock was set to.
      in_flight (int): requests that were sent and not replied to; this one is, if it was sent.
      was_sent (bool): whether anything of the request was sent.
    """

    def __init__(self, seconds: float, in_flight: int, was_sent: bool) -> None:
        super().__init__(seconds, in_flight, was_sent)
        self.seconds = seconds
        self.in_flight = in_flight
        self.was_sent = was_sent

    def __str__(self) -> str:
        sent = "the service may have acted on it" if self.was_sent else "nothing of it was sent"
        return f"no reply to a request within {self.seconds:g} s ({self.in_flight} in flight); {sent}"
