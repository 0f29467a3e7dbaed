"""One connection of a load: sends what it may, compares what comes, and never waits.

As long as replies are the messages in their order, what comes is compared with the
round it should be of, as one piece of memory however many frames there are in it,
and counted per run of messages with the same times. In a closed loop that is mostly all that
was in flight, as one piece: then it is only compared with what was sent. From the first byte
that differs on, frames are looked at one by one (`inspection`), until what comes is as it should
be again.
"""

from __future__ import annotations

import contextlib
import math
import socket
from bisect import bisect_right
from collections.abc import Collection

from ...base.describe import describe
from ...errors import RemoteProtocolError
from ..results.discrepancy import KEPT_DISCREPANCIES
from .connection_parts import ConnectionParts
from .inspection import Inspection
from .ring import Ring
from .sending import MOST_FLIGHT_BYTES, MessageSender

# What one receive takes at most: it bounds how long one connection keeps the others waiting.
RECEIVE_BUFFER_BYTES = 1 << 18
# The same while a flight is awaited: twice the largest, so that a reply too many is seen with it.
_RECEIVE_FLIGHT_BYTES = 2 * MOST_FLIGHT_BYTES
# A connection on which nothing comes for this number of timeouts is given up.
MOST_TIMEOUTS = 3


class LoadConnection(MessageSender):
    """The messages of one connection and their replies.

    Attributes:
      number: which connection of the load, from 0.
      socket: its socket; closed when `is_over`.
      in_flight, allowed, limit, due, is_blocked: as of `MessageSender`.
      is_over: whether the connection has ended, or was given up.
      has_successor: whether, when it has ended, another one is opened in its place, and goes on with
        the next message.
      is_limit_planned: whether all up to `limit` is to be sent, closed loop: if not, that is only where
        its part ends, and nothing is unsent when it ends before.
      most_beyond: messages beyond the limit that may still be sent to end what was begun.
      sent_beyond: how many messages the limit was raised by for that.
      taken_back: how many messages were in flight when the server ended it in order, closed loop.
      taken_back_of_warmup: those of them that were sent in the warm-up, if the measured part has begun.
      unanswered_end: how it ended (a kind of error), and what had come of a frame by then, if
        there was no reply on it; else None.

    Args:
      parts: what it is made of.
      replies: with which what comes is compared; None if these are the messages.
    """

    __slots__ = (
        "_asked_to_end",
        "_buffer",
        "_first",
        "_inspection",
        "_is_inspecting",
        "_receive_at",
        "_receive_round",
        "_receive_wire",
        "_replies",
        "_silent_since",
        "has_successor",
        "is_limit_planned",
        "is_over",
        "most_beyond",
        "number",
        "sent_beyond",
        "taken_back",
        "taken_back_of_warmup",
        "unanswered_end",
    )

    def __init__(self, parts: ConnectionParts, replies: Ring | None = None) -> None:
        super().__init__(parts.socket, parts.ring, parts.tally, parts.clock, parts.first)
        self._replies = parts.ring if replies is None else replies
        self.number: int = parts.number
        self.is_over: bool = False
        self.has_successor: bool = False
        self.is_limit_planned: bool = True
        self.most_beyond: int = 0
        self.sent_beyond: int = 0
        self.taken_back: int = 0
        self.taken_back_of_warmup: int = 0
        self._first = parts.first
        self.unanswered_end: tuple[str, bytes] | None = None
        self._buffer = parts.buffer
        self._receive_round, index = divmod(parts.first, self._replies.frames)
        self._receive_wire = self._wires[0]
        self._receive_at = self._replies.starts[index]
        self._asked_to_end = False
        self._inspection = Inspection(
            parts.number,
            self._replies,
            self.in_flight,
            parts.tally,
            format=parts.format,
            largest=parts.largest_reply,
        )
        self._is_inspecting = False  # whether frames are looked at one by one
        self._silent_since: int | None = None  # when a timeout passed and nothing has come since

    def send(self) -> bool:
        """Offer the kernel what may be sent; return whether it has taken all."""
        if self.is_over:
            return False
        try:
            return (self.due is None and self._offer_flight()) or self._offer()
        except OSError as error:
            self._end("connection_lost", describe(error))
            return False

    # ---- receiving ----

    def receive(self) -> None:
        """Take what is here, up to 256 KiB, and compare it."""
        now = self._clock()
        flight = self._flight
        try:
            if flight and not self._is_inspecting:
                # The bytes themselves: no copy and no view of them is needed to compare them.
                received = self.socket.recv(_RECEIVE_FLIGHT_BYTES)
                if received == flight and self._land(now):
                    return
                chunk = memoryview(received)
            else:
                chunk = self._buffer[: self.socket.recv_into(self._buffer)]
        except BlockingIOError:
            return
        except OSError as error:
            self._end("connection_lost", describe(error))
            return
        if not chunk:
            self._end("connection_closed", "the server ended the connection")
            return
        self._silent_since = None
        self._flight = b""
        self._take(chunk, now)

    def _land(self, now: int) -> bool:
        """Count the replies to all that is in flight.

        Returns:
          False, and nothing is counted, if they are late, or if bytes came before them that look like
          their beginning.
        """
        tally, in_flight = self._tally, self.in_flight
        stop, _, sent = in_flight.runs[0]
        latency = now - sent
        size = len(self._flight)
        at = self._receive_at + size
        if at != self._send_at or latency > tally.timeout_ns:
            return False
        if sent >= tally.measured_from:
            messages = stop - in_flight.next
            tally.messages += messages
            tally.bytes += size
            tally.latency_ns.record(latency, messages)
            tally.last_reply_at = now
        in_flight.runs.clear()
        in_flight.next = stop
        self._flight = b""
        self._silent_since = None
        self._receive_at = at
        if at == self._replies.size:
            self._seek(self._receive_round + 1, 0)
        return True

    def _take(self, chunk: memoryview, now: int) -> None:
        """Compare what has come with what is next in the round, and in the rounds after it."""
        while True:
            if self._is_inspecting:
                self._inspect(chunk, now)
                return
            part = chunk[: self._replies.size - self._receive_at]
            if not self._compare(part, now):
                self._begin_to_inspect()
                self._inspect(chunk, now)
                return
            if len(part) == len(chunk):
                return
            chunk = chunk[len(part) :]

    def _compare(self, part: memoryview, now: int) -> bool:
        """Compare with what is next in the round; take it if it is the same, and return whether it is."""
        at = self._receive_at
        if not self._receive_wire.startswith(part, at):
            return False
        at += len(part)
        ring = self._replies
        in_flight = self.in_flight
        first = self._receive_round * ring.frames
        stop = first + bisect_right(ring.ends, at)
        if stop > in_flight.stop:  # an empty frame too many is like the next empty one
            return False
        self._receive_at = at
        message = in_flight.next
        if stop > message:
            tally = self._tally
            runs = in_flight.runs
            starts = ring.starts
            while message < stop:
                run_stop, due, sent = runs[0]
                if run_stop <= stop:
                    runs.popleft()
                last = run_stop if run_stop < stop else stop
                if now - sent > tally.timeout_ns:
                    self._inspection.count_late(message, last, due, sent, now)
                elif due >= tally.measured_from:
                    count = last - message
                    tally.messages += count
                    tally.bytes += starts[last - first] - starts[message - first]
                    tally.latency_ns.record(now - due, count)
                    if tally.is_open:
                        tally.from_send_ns.record(now - sent, count)
                    tally.last_reply_at = now
                    if tally.stages is not None:
                        wire_bytes = starts[last - first] - starts[message - first]
                        tally.stages.add_replies(count, due, sent, now)
                        tally.stages.add_right_replies(count, wire_bytes, due, now)
                message = last
            in_flight.next = stop
        if at == ring.size:
            self._seek(self._receive_round + 1, 0)
        return True

    def _seek(self, round_number: int, at: int) -> None:
        """Compare what comes from now on with this place of this round."""
        while self._receive_round < round_number:
            self._receive_round += 1
            if self._receive_round > self._send_round:
                self._send_next_round()
            self._wires.popleft()
        self._receive_wire = self._wires[0]
        self._receive_at = at

    # ---- looking at frames one by one ----

    def _begin_to_inspect(self) -> None:
        """Look at frames one by one, from the beginning of the one that was being received."""
        begin = self._replies.starts[self.in_flight.next - self._receive_round * self._replies.frames]
        self._inspection.begin(self._receive_wire[begin : self._receive_at])
        self._is_inspecting = True

    def _inspect(self, chunk: memoryview, now: int) -> None:
        try:
            self._inspection.look(chunk, now)
        except RemoteProtocolError:
            self._end("framing_lost", f"received {self._inspection.describe_tail()}")
        else:
            self._inspect_no_longer_if_right()

    def _inspect_no_longer_if_right(self) -> None:
        round_number, index = divmod(self.in_flight.next, self._replies.frames)
        at = self._replies.starts[index]
        tail = self._inspection.tail
        if tail and not len(self.in_flight):
            return
        self._seek(round_number, at)
        if self._receive_wire.startswith(tail, at):
            self._is_inspecting = False
            self._receive_at += len(tail)
            self._inspection.end()

    # ---- time and end ----

    def is_done(self, now: int) -> bool:
        """Return whether nothing more is to be sent, and no reply is awaited any more."""
        if self.in_flight.next < self.limit or self._inspection.tail:
            return False
        return not self._inspection.may_still_come(now)

    def go_beyond(self) -> None:
        """Let one message be sent beyond the limit."""
        self.most_beyond -= 1
        self.sent_beyond += 1
        self.raise_limit()

    def go_beyond_if_begun(self) -> None:
        """Go beyond the limit where that is reached in the middle of something."""

    def half_close(self) -> None:
        """Half-close, so that the server knows that nothing follows; a good one then ends the connection."""
        self._asked_to_end = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def stop_waiting_for_end(self) -> None:
        """Give up a connection that was half-closed, and that the server has not ended."""
        reason = "the server did not end the connection after the half-close"
        self._tally.add_error("not_ended", self.number, self.in_flight.next, detail=reason)
        self._end("not_ended", reason)

    def check_timeouts(self) -> None:
        """Stop waiting for messages whose time is over; give up when nothing comes at all."""
        now = self._clock()
        timeout_ns = self._tally.timeout_ns
        timed_out = self.in_flight.sent_before(now - timeout_ns)
        if self.is_over or not (timed_out or self.is_blocked):
            return
        if timed_out:
            self._flight = b""
            if not self._is_inspecting:
                self._begin_to_inspect()
            self._inspection.pass_over(timed_out)
            if self._silent_since is None:
                self._silent_since = now
        if self._silent_since is not None and now - self._silent_since >= (MOST_TIMEOUTS - 1) * timeout_ns:
            self._end("connection_stalled", f"nothing came for {MOST_TIMEOUTS} timeouts")
        elif timed_out:
            self._inspect_no_longer_if_right()

    def finish(self) -> None:
        """End the connection: what is still awaited is missing, what is still due is unsent."""
        if not self.is_over:
            self._end(None, "not sent in time")

    def _end(self, kind: str | None, reason: str) -> None:
        """Count what is lost with the connection.

        Args:
          kind: of the error, if it has ended by itself; None if its time is over.
          reason: why, in words.
        """
        self.is_over = True
        if not self._is_inspecting:
            self._begin_to_inspect()
        # A connection that was to send nothing, and ends after our own end, says nothing about the server.
        if kind and not self.in_flight.next and (self.in_flight or not self._asked_to_end):
            self.unanswered_end = kind, bytes(self._inspection.tail)
        goes_on = kind is not None and self.has_successor
        if goes_on and kind == "connection_closed" and self._has_ended_in_order():
            self._take_back()
        owed = self._inspection.is_owed() or (self.in_flight.stop < self.limit and not goes_on)
        if kind and owed and not self._asked_to_end:
            self._tally.add_error(kind, self.number, self.in_flight.next, detail=reason)
        self._inspection.finish(reason, kind="lost" if goes_on else "missing")
        if not goes_on:
            self._count_rest(reason)

    def _has_ended_in_order(self) -> bool:
        """Return whether the server has ended the connection between two replies, after one at least."""
        return self.in_flight.next > self._first and not self._inspection.tail

    def _take_back(self) -> None:
        """Take back what is in flight on a connection that the server has ended in order.

        A server that drains ends so: it has replied to all that it took. One that died has the same end
        where its kernel had nothing unread, and may have taken more; that cannot be seen from here, and
        reports say so. The next connection sends these messages once more.
        """
        in_flight = self.in_flight
        message = in_flight.next
        dues: list[int] = []
        for stop, due, _ in in_flight.runs:
            dues += [due] * (stop - message)
            message = stop
        self._tally.take_back(dues)
        in_flight.take_back()
        if self.due is None:
            self.taken_back = len(dues)
            if self._tally.measured_from != math.inf:
                self.taken_back_of_warmup = sum(due < self._tally.measured_from for due in dues)
        else:
            self.due.extendleft(reversed(dues))

    def give_up(self, reason: str) -> None:
        """Note that no connection goes on with what this one, which has ended, has not sent."""
        self.has_successor = False
        self._count_rest(reason)

    def _count_rest(self, reason: str) -> None:
        """Count what was due, or planned, and was not sent."""
        if self.due is not None:
            self.count_unsent(self.due, reason)
            self.due.clear()
        elif self.is_limit_planned and self.limit != math.inf:
            unsent = int(self.limit) - self.in_flight.stop
            self._note_unsent(unsent, unsent, reason)

    def count_unsent(self, dues: Collection[int], reason: str) -> None:
        """Note that messages that were due at these times will never be sent."""
        measured = sum(due >= self._tally.measured_from for due in dues)
        self._note_unsent(len(dues), measured, reason)
        if self._tally.stages is not None:
            self._tally.stages.add_unsent(dues)

    def count_planned(self, count: int, reason: str) -> None:
        """Note that messages beyond `limit`, which others would have sent, will never be sent."""
        self._note_unsent(count, count, reason)

    def _note_unsent(self, count: int, measured: int, reason: str) -> None:
        tally, first = self._tally, self.in_flight.stop
        examples = min(count, KEPT_DISCREPANCIES)
        for message in range(first, first + examples):
            tally.add_error("unsent", self.number, message, detail=reason)
        tally.count_unsent(count - examples, measured=measured)
