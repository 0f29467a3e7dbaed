"""The receiving half of a connection: what it waits for, until when, and how a drain ends it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ..base.mypyc import mypyc_attr
from ..errors import FrameTimeoutError, IdleTimeoutError, PeerTimeoutError, WriteTimeoutError
from ..framing import BlockPool, ConnectionDecoder, FrameFormat
from ..limits import Limits, or_infinite
from .interest import RECEIVING, Interest, Use
from .sending import OnSent, Sending, SendingHalf

# What comes in fewer bytes at a time is small.
SMALL_BYTES: Final = 1 << 14

# What is known of a frame that is late, if it has begun inside a record of TLS that is not whole.
_ONLY_A_RECORD = "only a part of a TLS record has come"

# To fetch a member of an enum takes as long as a call, before Python 3.12.
_READABLE, _ARRIVED, _LAST_CHANCE = Interest.READABLE, Interest.ARRIVED, Interest.LAST_CHANCE
_WRITABLE, _MESSAGES, _ENDED = Interest.WRITABLE, Interest.MESSAGES, Interest.ENDED
_TAKE = Use.TAKE
_FREE = Sending.FREE


@mypyc_attr(allow_interpreted_subclasses=True)
class ReceivingHalf(SendingHalf):
    """Waits within the idle and the frame clock for something to receive; `Exchange` has its rules.

    What was received is the business of a subclass. It calls `_listen` when all of that was
    looked at, and what is whole among it was sent or taken.
    """

    __slots__ = (
        "_drain_bytes_left",
        "_idle_deadline",
        "_idle_timeout_s",
        "_is_late",
        "_is_plain",
        "_last_frame",
        "_late_bytes",
        "_read_deadline",
        "_read_wait_ended_at",
        "_receive_capacity",
        "_timed_frame",
        "decoder",
        "expects_header",
        "expects_small",
        "frame_timeout_s",
        "has_received_eof",
        "interest",
        "is_draining",
        "is_inside_record",
        "opened_at",
        "use",
    )

    # Declared again, since some type checkers infer what is assigned in a subclass anew.
    is_at_rest: bool
    last_received_at: float

    def __init__(
        self,
        *,
        format: FrameFormat,
        limits: Limits,
        receive_capacity: Callable[[], int],
        now: float,
        pool: BlockPool | None,
        on_sent: OnSent | None,
    ) -> None:
        most = format.max_payload_length
        max_frame_length = min(limits.max_frame_length or most, most)
        super().__init__(
            format=format,
            max_frame_length=max_frame_length,
            write_timeout_s=limits.write_timeout_s,
            on_sent=on_sent,
        )
        self.decoder: ConnectionDecoder = ConnectionDecoder(
            format=format, max_frame_length=max_frame_length, pool=pool
        )
        self.interest: Interest = Interest.NOTHING
        self.opened_at: float = now
        self.has_received_eof: bool = False
        self.is_draining: bool = False
        self.is_inside_record: bool = False
        self.expects_small: bool = True
        self.expects_header: bool = False
        self.use: Use = Use.TAKE
        self._is_plain = True  # neither draining, nor ended by the peer
        self._idle_timeout_s = or_infinite(limits.idle_timeout_s)
        self.frame_timeout_s: float = or_infinite(limits.frame_timeout_s)
        self._receive_capacity = receive_capacity
        self._read_deadline = math.inf
        self._idle_deadline = math.inf  # again, if the record that has come in part has no data
        self._read_wait_ended_at = now
        self._timed_frame = -1  # the number of the frame whose deadline that is
        self._is_late = False  # that frame: only what has already arrived still counts
        self._late_bytes: float = math.inf  # that it may have then
        self._drain_bytes_left = 0
        self._last_frame: int | None = None  # the number of the one that a drain still waits for

    # ---- clocks ----

    @property
    def deadline(self) -> float:
        """When what it waits for has taken too long."""
        if self.interest is _READABLE:
            return self._read_deadline
        return self.write_deadline if self.interest is _WRITABLE else math.inf

    def deadline_of_rest(self, now: float) -> float:
        """Return when a frame that has begun would be late, if a wait for its rest began now."""
        if not self._has_begun or self._timed_frame != self.decoder.frames_decoded:
            return math.inf
        return max(now, now + self._read_deadline - self._read_wait_ended_at)

    def deadline_without_record(self, now: float) -> float:
        """Return the deadline that is the next one if the record that has come in part has no data."""
        is_it = self.is_inside_record and not self.decoder.buffered_bytes and self._idle_deadline > now
        return self._idle_deadline if is_it else math.inf

    @property
    def _has_begun(self) -> bool:
        """Whether a frame has; what is in a record is taken for one until it can be seen."""
        return self.is_inside_record or self.decoder.buffered_bytes > 0

    def deadline_passed(self) -> None:
        """Receive what is here already, and wait for no more; does nothing for a send that is blocked."""
        if self.interest is _READABLE:
            self.interest = _LAST_CHANCE
            self.is_at_rest = False

    def _timeout_error(self) -> PeerTimeoutError:
        """Return what to raise when a deadline has passed, and nothing has come of it."""
        if self.interest is _WRITABLE:
            return WriteTimeoutError(self._write_timeout_s)
        if self._has_begun:
            what_came = self.decoder.diagnose_incomplete() if self.decoder.buffered_bytes else _ONLY_A_RECORD
            return FrameTimeoutError(self.frame_timeout_s, what_came)
        return IdleTimeoutError(self._idle_timeout_s)

    # ---- waiting, and not waiting any more ----

    def _listen(self, now: float) -> None:
        """Wait for more, within the clocks."""
        decoder = self.decoder
        self._idle_deadline = now + self._idle_timeout_s
        if not self._has_begun:
            self._read_deadline = self._idle_deadline
            if self._is_plain:
                self.interest = _READABLE
                if self.expects_small and self.use is not _TAKE and self.sending is _FREE:
                    self.is_at_rest = True
                    self._blocked_since_receive_s = 0.0
                return
            self._is_late = False
        elif self._timed_frame != decoder.frames_decoded:
            self._timed_frame = decoder.frames_decoded
            self._read_deadline = now + self.frame_timeout_s
            self._is_late = False
        else:
            # Time in which this side did not listen is not held against the peer.
            self._read_deadline += now - self._read_wait_ended_at
            if self._read_deadline <= now:
                self._be_late()
        if self.has_received_eof:
            self.interest = _ENDED
        elif self.is_draining:
            self.interest = self._interest_in_drain()
        else:
            self.interest = _LAST_CHANCE if self._is_late else _READABLE

    def note_record(self, is_inside: bool, now: float) -> None:
        """Note whether a record of TLS has come in part, if it has, behind all that `receive` was given.

        Nothing in it can be seen before it is whole. It is taken for the beginning of a frame, or else a
        peer could hide from the frame clock behind a part of a record. If it then has no data, it was
        nothing: the idle clock has not stopped meanwhile.
        """
        if is_inside is self.is_inside_record:
            return
        self.is_inside_record = is_inside
        if is_inside:
            self.is_at_rest = False
        if self.decoder.buffered_bytes or self.interest not in RECEIVING:
            return  # its clock runs on, or `_listen` will come
        self._is_late = False
        if is_inside:
            self._idle_deadline = self._read_deadline
            self._read_deadline = now + self.frame_timeout_s
            self._timed_frame = self.decoder.frames_decoded
        else:
            self._read_deadline = self._idle_deadline
            self._timed_frame = -1
        if self.is_draining:
            self.interest = self._interest_in_drain()
        else:
            self.interest = _READABLE if now < self._read_deadline else _LAST_CHANCE

    def _be_late(self) -> None:
        """Note that a frame's clock has run out and that the frame is not whole with what has come since.

        It may all have arrived in time: no more than the kernel's buffer holds.

        Raises:
          FrameTimeoutError: more than that was received.
        """
        if not self._is_late:
            self._is_late = True
            self._late_bytes = float(self.decoder.buffered_bytes + self._receive_capacity())
        elif self.decoder.buffered_bytes > self._late_bytes:
            raise self._timeout_error()

    def _end_of_stream(self) -> None:
        self.has_received_eof = True
        self._is_plain = False
        self.decoder.end_of_data()
        if not self.decoder.buffered_bytes:
            self.interest = _ENDED
        elif self.use is _TAKE:
            self.interest = _MESSAGES
        else:
            self.decoder.next_batch()  # this raises where the stream has ended

    def note_discarded(self, data: bytes | memoryview, now: float) -> None:
        """Note that something was received which nobody wants any more, or the peer's end."""
        self.last_received_at = now
        self.has_received_eof = not data

    # ---- the drain ----

    def drain(self) -> None:
        """Receive what has arrived by now, and the rest of a frame that has begun, and then end."""
        if not self.is_draining:
            self.is_draining = True
            self._is_plain = self.is_at_rest = False
            # That it cannot be more keeps a peer that never stops sending from holding up a drain.
            self._drain_bytes_left = self._receive_capacity()
            if self.interest in RECEIVING:
                self.interest = _ARRIVED

    def nothing_arrived(self) -> None:
        """Note that nothing was here.

        Raises:
          PeerTimeoutError: a deadline had passed, and so there is nothing to wait for.
        """
        if self.interest is not _ARRIVED:
            raise self._timeout_error()
        self._drain_bytes_left = 0
        self.interest = self._interest_in_drain()

    def _interest_in_drain(self) -> Interest:
        """Return READABLE only if a frame had begun when the drain did."""
        if self._drain_bytes_left > 0:
            return _ARRIVED
        frame = self.decoder.frames_decoded
        if self._last_frame is None and not self.is_inside_record:  # else the last one may begin in that
            self._last_frame = frame
        if not self._has_begun or self._last_frame not in (None, frame):
            return _ENDED
        return _LAST_CHANCE if self._is_late else _READABLE
