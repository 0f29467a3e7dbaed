"""Send the messages of one connection: what may be sent, as far as the kernel has room.

A *flight* is what one send has offered while nothing else was in flight, and the kernel has
taken whole. A closed loop mostly consists of them: see `LoadConnection.receive`.
"""

from __future__ import annotations

import errno
import math
import os
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from typing import NoReturn, Protocol

from .matching import InFlight
from .ring import Ring
from .tally import LoadTally

# What one send offers at most: it bounds how long one connection keeps the others waiting.
SEND_BYTES = 1 << 18
# A larger send is no flight: its replies hardly ever come as one piece.
MOST_FLIGHT_BYTES = 1 << 15


class Socket(Protocol):
    """What is needed of a non-blocking socket."""

    def send(self, data: bytes | memoryview, /) -> int: ...

    def recv(self, most: int, /) -> bytes: ...

    def recv_into(self, buffer: memoryview, /) -> int: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


class ClosedSocket:
    """A socket that was never open: it takes no descriptor, of which there may be none left."""

    def send(self, data: bytes | memoryview, /) -> NoReturn:
        """Raise: it is closed."""
        raise _closed()

    def recv(self, most: int, /) -> NoReturn:
        """Raise: it is closed."""
        raise _closed()

    def recv_into(self, buffer: memoryview, /) -> NoReturn:
        """Raise: it is closed."""
        raise _closed()

    def shutdown(self, how: int, /) -> NoReturn:
        """Raise: it is closed."""
        raise _closed()

    def close(self) -> None:
        """Do nothing."""


def _closed() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


class MessageSender:
    """Sends the messages of one connection, and keeps the rounds to which replies are still to come.

    Attributes:
      socket: the connection's.
      in_flight: the messages that were sent and have no reply yet. Closed loop: that were
        offered to the kernel; open loop: that it has taken, the first byte at least.
      allowed: how many messages may be sent by now, closed loop.
      limit: how many will be sent on it in all, as far as is known.
      due: when messages were due that were not sent yet, open loop.
      is_blocked: whether the kernel had no room; to be called again when it has.
    """

    __slots__ = (
        "_clock",
        "_flight",
        "_ring",
        "_send_at",
        "_send_round",
        "_send_wire",
        "_tally",
        "_wires",
        "allowed",
        "due",
        "in_flight",
        "is_blocked",
        "limit",
        "socket",
    )

    def __init__(
        self, plain_socket: Socket, ring: Ring, tally: LoadTally, clock: Callable[[], int], first: int = 0
    ) -> None:
        self.socket: Socket = plain_socket
        self.in_flight: InFlight = InFlight(first)
        self.allowed: int = first
        self.limit: float = math.inf
        self.due: deque[int] | None = deque() if tally.is_open else None
        self.is_blocked: bool = False
        self._ring = ring
        self._tally = tally
        self._clock = clock
        # Rounds from the one being received to the one being sent.
        self._send_round, index = divmod(first, ring.frames)
        self._wires: deque[bytes] = deque((ring.round(self._send_round),))
        self._send_wire = self._wires[0]
        self._send_at = ring.starts[index]
        # The bytes of what is in flight, if that is a flight; else empty.
        self._flight = b""

    def raise_limit(self) -> None:
        """Let one message more be sent."""
        self.limit += 1

    def _offer(self) -> bool:
        """Offer the kernel what may be sent; return whether it has taken all.

        Raises:
          OSError: the connection is lost.
        """
        in_flight = self.in_flight
        frames, starts = self._ring.frames, self._ring.starts
        is_open = self.due is not None
        self._flight = b""
        self.is_blocked = False
        while True:
            first = self._send_round * frames
            allowed = self.allowed
            if self.due is not None:
                allowed = in_flight.stop + len(self.due)
                if allowed > self.limit:  # what is due beyond that goes on the next connection
                    allowed = int(self.limit)
            stop = min(allowed - first, frames)
            at = self._send_at
            end = starts[stop]
            if end - at > SEND_BYTES:
                # Up to the end of the frame that the limit falls into.
                stop = min(stop, bisect_right(starts, at + SEND_BYTES))
                end = starts[stop]
            if at == end:
                if stop < frames:
                    return True
                self._send_next_round()
                continue
            now = self._clock()
            if not is_open and first + stop > in_flight.stop:
                self._note_sent(first + stop - in_flight.stop, now)
            try:
                self._send_at = at = at + self.socket.send(memoryview(self._send_wire)[at:end])
            except BlockingIOError:
                self.is_blocked = True
                return False
            if is_open:
                # Those of which it took the first byte at least.
                self._note_sent(first + bisect_left(starts, at) - in_flight.stop, now)
                if at == end and stop < frames and not self.due:  # as the next look would find
                    return True

    def _offer_flight(self) -> bool:
        """Offer the kernel what may be sent, if nothing is in flight and all of it is one piece of the round.

        Returns:
          Whether it has taken all. If not, what is left is up to `_offer`.

        Raises:
          OSError: the connection is lost.
        """
        in_flight, ring, at = self.in_flight, self._ring, self._send_at
        first = self._send_round * ring.frames
        begin, end = in_flight.stop - first, self.allowed - first
        if in_flight.next != in_flight.stop or end > ring.frames or ring.starts[begin] != at:
            return False
        stop_at = ring.starts[end]
        if stop_at - at > MOST_FLIGHT_BYTES or stop_at == at:
            return False
        flight = self._send_wire[at:stop_at]
        now = self._clock()
        in_flight.add(end - begin, now, now)
        if now >= self._tally.measured_from:
            self._tally.sent += end - begin
        try:
            taken = self.socket.send(flight)
        except BlockingIOError:
            return False
        self._send_at = at + taken
        if taken < len(flight):
            return False
        self._flight = flight
        return True

    def _send_next_round(self) -> None:
        self._send_round += 1
        self._send_at = 0
        self._send_wire = self._ring.round(self._send_round)
        self._keep_round()

    def _keep_round(self) -> None:
        """Keep the round that is sent for the comparison with replies."""
        self._wires.append(self._send_wire)

    def _note_sent(self, count: int, now: int) -> None:
        tally, in_flight, due = self._tally, self.in_flight, self.due
        if due is None:
            in_flight.add(count, now, now)
            if now >= tally.measured_from:
                tally.sent += count
            return
        for _ in range(count):
            was_due = due.popleft()
            in_flight.add(1, was_due, now)
            if was_due >= tally.measured_from:
                tally.sent += 1
                if tally.stages is not None:
                    tally.stages.at(was_due).sent += 1
