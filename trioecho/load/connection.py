"""One connection of a load: sends what it may, compares what comes, and never waits.

As long as replies are the messages in their order, what comes is compared with the
round it should be of, as one piece of memory however many frames there are in it,
and counted per run of messages with the same times. From the first byte that differs
on, frames are looked at one by one (`inspection`), until what comes is as it should be again.
"""

from __future__ import annotations

import contextlib
import math
import socket
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..errors import RemoteProtocolError
from ..framing import FrameFormat
from .inspection import Inspection
from .matching import UnderWay
from .payloads import Reel
from .tally import Tally

# What one receive takes, and one send offers, at most. It bounds how long one
# connection keeps the others waiting.
RECEIVE_BYTES = 1 << 18
SEND_BYTES = 1 << 18
# When nothing at all comes for so many timeouts, a connection is given up.
MOST_TIMEOUTS = 3


class Socket(Protocol):
    """What is needed of a non-blocking socket."""

    def send(self, data: memoryview, /) -> int: ...

    def recv_into(self, buffer: memoryview, /) -> int: ...

    def shutdown(self, how: int, /) -> None: ...

    def close(self) -> None: ...


class LoadConnection:
    """The messages of one connection and their replies.

    Attributes:
      number: which connection of the load, from 0.
      socket: its socket; closed when `is_over`.
      under_way: the messages that were sent and not answered. Closed loop: that were
        offered to the kernel; open loop: that it has taken, the first byte at least.
      allowed: how many messages may be sent by now, closed loop.
      limit: how many will be in all, as far as is known.
      due: when messages were due that were not sent yet, open loop.
      is_blocked: whether the kernel had no room; to be called again when it has.
      is_over: whether the connection has ended, or was given up.
    """

    __slots__ = (
        "_asked_to_end",
        "_buffer",
        "_clock",
        "_inspection",
        "_is_inspecting",
        "_receive_at",
        "_receive_round",
        "_receive_wire",
        "_reel",
        "_send_at",
        "_send_round",
        "_send_view",
        "_silent_since",
        "_tally",
        "_wires",
        "allowed",
        "due",
        "is_blocked",
        "is_over",
        "limit",
        "number",
        "socket",
        "under_way",
    )

    def __init__(
        self,
        number: int,
        plain_socket: Socket,
        reel: Reel,
        tally: Tally,
        *,
        format: FrameFormat,
        largest: int,
        buffer: memoryview,
        clock: Callable[[], int],
    ) -> None:
        self.number: int = number
        self.socket: Socket = plain_socket
        self.under_way: UnderWay = UnderWay()
        self.allowed: int = 0
        self.limit: float = math.inf
        self.due: deque[int] | None = deque() if tally.is_open else None
        self.is_blocked: bool = False
        self.is_over: bool = False
        self._reel = reel
        self._tally = tally
        self._buffer = buffer
        self._clock = clock
        # Rounds from the one being received to the one being sent.
        self._wires: deque[bytes] = deque((reel.round(0),))
        self._send_round = 0
        self._send_view = memoryview(self._wires[0])
        self._send_at = 0
        self._receive_round = 0
        self._receive_wire = self._wires[0]
        self._receive_at = 0
        self._asked_to_end = False
        self._inspection = Inspection(number, reel, self.under_way, tally, format=format, largest=largest)
        self._is_inspecting = False  # whether frames are looked at one by one
        self._silent_since: int | None = None  # when a timeout passed and nothing has come since

    # ---- sending ----

    def send(self) -> bool:
        """Offer the kernel what may be sent; whether it has taken all."""
        reel = self._reel
        under_way = self.under_way
        frames = reel.frames
        is_open = self.due is not None
        self.is_blocked = False
        while not self.is_over:
            first = self._send_round * frames
            allowed = self.allowed if self.due is None else under_way.stop + len(self.due)
            stop = min(allowed - first, frames)
            at = self._send_at
            end = reel.starts[stop]
            if end - at > SEND_BYTES:
                # Up to the end of the frame that the limit falls into.
                stop = min(stop, bisect_right(reel.starts, at + SEND_BYTES))
                end = reel.starts[stop]
            if at == end:
                if stop < frames:
                    return True
                self._send_next_round()
                continue
            now = self._clock()
            if not is_open and first + stop > under_way.stop:
                self._note_sent(first + stop - under_way.stop, now)
            try:
                self._send_at = at = at + self.socket.send(self._send_view[at:end])
            except BlockingIOError:
                self.is_blocked = True
                return False
            except OSError as error:
                self._end("connection_lost", error.strerror or str(error))
                return False
            if is_open:
                # Those of which it took the first byte at least.
                self._note_sent(first + bisect_left(reel.starts, at) - under_way.stop, now)
        return False

    def _send_next_round(self) -> None:
        self._send_round += 1
        self._send_at = 0
        wire = self._reel.round(self._send_round)
        self._wires.append(wire)
        self._send_view = memoryview(wire)

    def _note_sent(self, count: int, now: int) -> None:
        tally, under_way, due = self._tally, self.under_way, self.due
        if due is None:
            under_way.add(count, now, now)
            if now >= tally.measured_from:
                tally.sent += count
            return
        for _ in range(count):
            was_due = due.popleft()
            under_way.add(1, was_due, now)
            if was_due >= tally.measured_from:
                tally.sent += 1

    # ---- receiving ----

    def receive(self) -> None:
        """Take what is here, up to 256 KiB, and compare it."""
        now = self._clock()
        try:
            count = self.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._end("connection_lost", error.strerror or str(error))
            return
        if not count:
            self._end("connection_closed", "the server ended the connection")
            return
        self._silent_since = None
        chunk = self._buffer[:count]
        while True:
            if self._is_inspecting:
                self._inspect(chunk, now)
                return
            part = chunk[: self._reel.size - self._receive_at]
            if not self._compare(part, now):
                self._begin_to_inspect()
                self._inspect(chunk, now)
                return
            if len(part) == len(chunk):
                return
            chunk = chunk[len(part) :]

    def _compare(self, part: memoryview, now: int) -> bool:
        """Compare with what is next in the round; if it is alike, take it."""
        at = self._receive_at
        if not self._receive_wire.startswith(part, at):
            return False
        at += len(part)
        reel = self._reel
        under_way = self.under_way
        first = self._receive_round * reel.frames
        stop = first + bisect_right(reel.ends, at)
        if stop > under_way.stop:  # an empty frame too many is like the next empty one
            return False
        self._receive_at = at
        message = under_way.next
        if stop > message:
            tally = self._tally
            runs = under_way.runs
            starts = reel.starts
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
                message = last
            under_way.next = stop
        if at == reel.size:
            self._seek(self._receive_round + 1, 0)
        return True

    def _seek(self, round_number: int, at: int) -> None:
        """From now on what comes is compared with this place of this round."""
        while self._receive_round < round_number:
            self._receive_round += 1
            if self._receive_round > self._send_round:
                self._send_next_round()
            self._wires.popleft()
        self._receive_wire = self._wires[0]
        self._receive_at = at

    # ---- looking at frames one by one ----

    def _begin_to_inspect(self) -> None:
        """From the beginning of the frame that was being received."""
        begin = self._reel.starts[self.under_way.next - self._receive_round * self._reel.frames]
        self._inspection.begin(self._receive_wire[begin : self._receive_at])
        self._is_inspecting = True

    def _inspect(self, chunk: memoryview, now: int) -> None:
        try:
            self._inspection.look(chunk, now)
        except RemoteProtocolError as error:
            self._end("framing_lost", str(error))
        else:
            self._inspect_no_longer_if_right()

    def _inspect_no_longer_if_right(self) -> None:
        round_number, index = divmod(self.under_way.next, self._reel.frames)
        at = self._reel.starts[index]
        tail = self._inspection.tail
        if tail and not len(self.under_way):
            return
        self._seek(round_number, at)
        if self._receive_wire.startswith(tail, at):
            self._is_inspecting = False
            self._receive_at += len(tail)
            self._inspection.end()

    # ---- time and end ----

    def is_done(self, now: int) -> bool:
        """Whether nothing is to be sent any more, and no reply can come that was asked for."""
        if self.under_way.next < self.limit or self._inspection.tail:
            return False
        return not self._inspection.may_still_come(now)

    def half_close(self) -> None:
        """Tell the server that nothing follows; a good one then ends the connection as well."""
        self._asked_to_end = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def check_timeouts(self) -> None:
        """Wait no longer for messages whose time is over; give up when nothing comes at all."""
        now = self._clock()
        under_way = self.under_way
        timeout_ns = self._tally.timeout_ns
        timed_out = 0
        for stop, _, sent in under_way.runs:
            if now - sent <= timeout_ns:
                break
            timed_out = stop - under_way.next
        if self.is_over or not (timed_out or self.is_blocked):
            return
        if timed_out:
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
        """End: what was passed over, or is still waited for, is missing; what is still due is unsent."""
        if not self.is_over:
            self._end(None, "not sent in time")

    def _end(self, kind: str | None, reason: str) -> None:
        """The connection has ended by itself, for this reason, or (None) its time is over."""
        self.is_over = True
        if not self._is_inspecting:
            self._begin_to_inspect()
        owed = self._inspection.is_owed() or self.under_way.stop < self.limit
        if kind and owed and not self._asked_to_end:
            self._tally.add_error(kind, self.number, self.under_way.next, detail=reason)
        self._inspection.finish(reason)
        unsent = len(self.due or ()) if self.limit == math.inf else int(self.limit) - self.under_way.stop
        self.count_unsent(unsent, reason)

    def count_unsent(self, count: int, reason: str) -> None:
        """So many messages were due, or planned, and will never be sent."""
        for message in range(self.under_way.stop, self.under_way.stop + count):
            if not self._tally.wants("unsent"):
                self._tally.errors["unsent"] += self.under_way.stop + count - message
                return
            self._inspection.add_error("unsent", message, detail=reason)
