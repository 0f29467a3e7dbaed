"""Connections whose messages are made when they may be sent: by templates, or by a conversation.

Other messages are known beforehand, a round of them as one piece. Of these, as many as may be sent now are
made and offered to the kernel as one piece, and each reply is looked at by itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import Protocol, cast

from .connection import LoadConnection
from .connection_parts import ConnectionParts
from .conversation import NoMessageError, UserConversation
from .in_order import InOrderConnection
from .ring import Ring

# What is made at a time, so that nothing is made long before it is sent.
_BATCH_BYTES = 1 << 14


class RenderedRing(Ring, Protocol):
    """The messages of one connection, each of which is made once. As a ring it has rounds of one message."""

    def render(self, message: int) -> bytes:
        """Make the frame of a message, counted from 0, which is about to be sent. They are made in order."""

    def forget(self, before: int, overdue: Collection[int]) -> None:
        """Forget what is not needed any more: messages before this one, without those that are overdue."""


class RenderedSending(LoadConnection):
    """Makes what it sends. What a message is made of is known when the one before was offered."""

    is_blocked: bool

    # Where each message begins in what was made last, and how many of these were noted as sent.
    _batch: Sequence[int] = ()
    _noted = 0

    def _offer_flight(self) -> bool:
        return False

    def _offer(self) -> bool:
        """Make what may be sent, and offer it to the kernel; return whether it has taken all.

        Raises:
          OSError: the connection is lost.
        """
        self.is_blocked = False
        while self._send_at < len(self._send_wire) or self._make_batch():
            now = self._clock()
            if self.due is None:
                self._note_sent_until(len(self._batch), now)
            try:
                self._send_at += self.socket.send(memoryview(self._send_wire)[self._send_at :])
            except BlockingIOError:
                self.is_blocked = True
                return False
            if self.due is not None:
                # Those of which it took the first byte at least.
                self._note_sent_until(bisect_left(self._batch, self._send_at), now)
        return True

    def _note_sent_until(self, count: int, now: int) -> None:
        if count > self._noted:
            self._note_sent(count - self._noted, now)
            self._noted = count

    def _make_batch(self) -> bool:
        """Make what may be sent now; return whether there is anything."""
        message = self.in_flight.stop
        allowed: float = self.allowed
        if self.due is not None:  # what is due beyond the limit goes on the next connection
            allowed = min(message + len(self.due), self.limit)
        if allowed <= message:
            return False
        ring = cast("RenderedRing", self._ring)
        ring.forget(self.in_flight.next, self._inspection.overdue)
        wires: list[bytes] = []
        starts: list[int] = []
        size = 0
        while message < allowed and size < _BATCH_BYTES:
            starts.append(size)
            wires.append(ring.render(message))
            size += len(wires[-1])
            message += 1
        self._send_wire, self._send_at = b"".join(wires), 0
        self._batch, self._noted = starts, 0
        return True


class RenderedConnection(RenderedSending):
    """Compares each reply with its message, or with the reply that the ring of replies has for it.

    In a closed loop of echoes, what comes is mostly all that was in flight, as one piece: then it is only
    compared with what was sent, and nothing is made again.
    """

    # What was made while nothing else was awaited; empty if no such piece is awaited.
    _awaited = b""

    def __init__(self, parts: ConnectionParts, replies: Ring | None = None) -> None:
        super().__init__(parts, replies)
        self._begin_to_inspect()

    def _begin_to_inspect(self) -> None:
        self._inspection.begin(b"")
        self._is_inspecting = True

    def _inspect_no_longer_if_right(self) -> None:
        pass

    def _make_batch(self) -> bool:
        has_more_than_this = len(self.in_flight) > 0
        if not super()._make_batch():
            return False
        is_echo = self._replies is self._ring
        is_piece = is_echo and not has_more_than_this and self.due is None and not self._inspection.overdue
        self._awaited = self._send_wire if is_piece else b""
        return True

    def _take(self, chunk: memoryview, now: int) -> None:
        awaited, self._awaited = self._awaited, b""
        if not (awaited and chunk == awaited and self._land_batch(now)):
            super()._take(chunk, now)

    def _land_batch(self, now: int) -> bool:
        """Count the replies to all that is in flight, which are right; return whether it did."""
        tally, in_flight = self._tally, self.in_flight
        if self._inspection.tail or len(in_flight.runs) != 1 or self._send_at != len(self._send_wire):
            return False
        stop, _, sent = in_flight.runs[0]
        latency = now - sent
        if latency > tally.timeout_ns:
            return False
        if sent >= tally.measured_from:
            messages = stop - in_flight.next
            tally.messages += messages
            tally.bytes += len(self._send_wire)
            tally.latency_ns.record(latency, messages)
            tally.last_reply_at = now
        in_flight.runs.clear()
        in_flight.next = stop
        return True


class RenderedInOrderConnection(RenderedSending, InOrderConnection):
    """Takes replies in their order, as `InOrderConnection` does."""


class ConversationConnection(RenderedInOrderConnection):
    """Sends what a conversation says, and gives it the replies; it is given up when it says nothing.

    Args:
      conversation: makes the messages.
    """

    has_successor: bool
    unanswered_end: tuple[str, bytes] | None

    def __init__(self, parts: ConnectionParts, conversation: UserConversation) -> None:
        self._conversation = conversation
        super().__init__(parts, check=conversation.take_reply)

    def _take(self, chunk: memoryview, now: int) -> None:
        super()._take(chunk, now)
        self.go_beyond_if_begun()

    def go_beyond_if_begun(self) -> None:
        """Let the conversation go on, if it is under way."""
        is_at_limit = self.in_flight.next >= self.limit
        if is_at_limit and self.most_beyond and self._conversation.is_under_way:
            self.go_beyond()

    def send(self) -> bool:
        """Send the next message, if it may be sent; return whether the kernel has taken it."""
        try:
            return super().send()
        except NoMessageError as error:
            self.has_successor = False
            self._end("no_message", str(error))
            self.unanswered_end = None  # the server has done nothing wrong
            return False

    def _end(self, kind: str | None, reason: str) -> None:
        is_cut = self._conversation.is_under_way and (kind is None or self._asked_to_end)
        super()._end(kind, reason)
        self._tally.conversations_cut += is_cut  # by the load; what the server cuts is an error
        self._conversation.close()
