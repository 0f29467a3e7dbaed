"""Which reply belongs to which request: the state of a `FrameClient`, without a connection.

Three rules:

1. A request has one place: it is queued, then in flight, then done. From the moment its frame is
   given to a connection it counts as in flight, whether or not a byte of it was accepted.
2. A request in flight keeps its place and its key until its reply has come or the connection has
   ended, even when nobody waits for it any more. So the next reply is never taken for another one.
3. A request in flight never goes back to the queue: it may have been acted on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import count

import trio

from ..errors import ConnectionEndedError, DuplicateKeyError, NoReplyError, UnexpectedReplyError
from ..framing import Frame

Key = Callable[[Frame], Hashable]
# Requests that wait together go out as one piece of about this size; a socket's buffer takes it.
_BATCH_BYTES = 1 << 16


class Request:
    """One request, and what became of it.

    Attributes:
      wire: its frame.
      key: what its reply is found by.
      done: is set when there is an outcome.
      outcome: the reply, or the exception to raise.
      is_abandoned: whether nobody waits for the reply any more.
    """

    __slots__ = ("done", "is_abandoned", "key", "outcome", "wire")

    def __init__(self, wire: bytes, key: Hashable) -> None:
        self.wire: bytes = wire
        self.key: Hashable = key
        self.done: trio.Event = trio.Event()
        self.outcome: Frame | Exception | None = None
        self.is_abandoned: bool = False

    def end(self, outcome: Frame | Exception) -> None:
        """Wake the task that waits."""
        self.outcome = outcome
        self.done.set()


class Line:
    """The requests of a client: those that are queued, and those in flight.

    Args:
      max_in_flight: requests that may be in flight at a time; the others stay queued.
      key: finds in a frame what a request and its reply have in common. None if replies
        come in the order of the requests.
    """

    def __init__(self, max_in_flight: int, key: Key | None) -> None:
        self._max_in_flight = max_in_flight
        self._key = key
        self._numbers = count()  # the keys of a line without a key
        self._queued: OrderedDict[Hashable, Request] = OrderedDict()
        self._in_flight: OrderedDict[Hashable, Request] = OrderedDict()
        self._abandoned = 0  # of those in flight

    @property
    def in_flight(self) -> int:
        """How many requests are in flight, those that nobody waits for among them."""
        return len(self._in_flight)

    @property
    def has_queued(self) -> bool:
        """Whether a request is queued."""
        return bool(self._queued)

    @property
    def can_send(self) -> bool:
        """Whether a request is queued, and may be in flight."""
        return self.has_queued and self.in_flight < self._max_in_flight

    @property
    def is_stuck(self) -> bool:
        """Whether a request is queued, and all places are taken by some that nobody waits for."""
        return self.has_queued and self._abandoned == self._max_in_flight

    def add(self, frame: Frame, wire: bytes) -> Request:
        """Queue a request, and return it.

        Raises:
          DuplicateKeyError: there is one with the same key.
        """
        key = next(self._numbers) if self._key is None else self._key(frame)
        if key in self._queued or key in self._in_flight:
            raise DuplicateKeyError(key, self.in_flight)
        request = self._queued[key] = Request(wire, key)
        return request

    def abandon(self, request: Request) -> bool:
        """Note that nobody waits for a request that is not done; return whether it was in flight."""
        if self._queued.pop(request.key, None) is not None:
            return False
        request.is_abandoned = True
        self._abandoned += 1
        return True

    def take(self) -> list[Request]:
        """Move queued requests into flight; return those that go out as one piece."""
        taken: list[Request] = []
        size = 0
        while self.can_send and (not taken or size + len(self._first_queued().wire) <= _BATCH_BYTES):
            key, request = self._queued.popitem(last=False)
            self._in_flight[key] = request
            taken.append(request)
            size += len(request.wire)
        return taken

    def _first_queued(self) -> Request:
        return next(iter(self._queued.values()))

    def receive(self, reply: Frame) -> None:
        """Give a reply to the request that it belongs to.

        Raises:
          UnexpectedReplyError: it belongs to none.
        """
        key = next(iter(self._in_flight), None) if self._key is None else self._key(reply)
        if key not in self._in_flight:
            raise UnexpectedReplyError(None if self._key is None else key, len(reply.payload), self.in_flight)
        request = self._in_flight.pop(key)
        self._abandoned -= request.is_abandoned
        request.end(reply)

    def end_connection(self, cause: ConnectionEndedError) -> None:
        """End the requests in flight: the connection has ended, and their replies will not come."""
        in_flight = self.in_flight
        for ahead, request in enumerate(self._in_flight.values()):
            error = NoReplyError(len(request.wire), ahead, in_flight)
            error.__cause__ = cause
            request.end(error)
        self._in_flight.clear()
        self._abandoned = 0

    def end_queued(self, make_error: Callable[[], Exception]) -> None:
        """End the requests of which nothing was sent, each with an error of its own."""
        for request in self._queued.values():
            request.end(make_error())
        self._queued.clear()

    def close(self) -> None:
        """End all requests: the client was closed."""
        for requests in (self._queued, self._in_flight):
            for request in requests.values():
                request.end(trio.ClosedResourceError("this client was closed"))
            requests.clear()
        self._abandoned = 0
