"""The sending half of a connection: what is to be sent, how much of it was, and what may follow."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence

import trio

from ..base.mypyc import mypyc_attr
from ..errors import PeerTimeoutError, WriteTimeoutError
from ..framing import FrameDecoder, FrameFormat
from ..limits import or_infinite
from .trio_errors import ConnectionLostError

# Messages, their bytes on the wire, seconds blocked, and their service time in seconds if they have one.
OnSent = Callable[[int, int, float, "float | None"], object]
# What a send raises that cannot be made, or has failed.
SEND_ERRORS: tuple[type[Exception], ...] = (
    PeerTimeoutError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.BusyResourceError,
)


class Sending(enum.Enum):
    """The states of the sending half of a connection."""

    FREE = enum.auto()
    BUSY = enum.auto()
    TORN = enum.auto()  # a frame was sent in part, or may have been
    ENDED = enum.auto()  # half-closed


class PipedBytes:
    """Bytes that lie in pipes, where nobody looks at them, behind some that do not.

    Attributes:
      beginning: those before the pipes.
      in_pipes: how many lie in pipes.
    """

    __slots__ = ("beginning", "in_pipes")

    def __init__(self, beginning: bytes | memoryview, in_pipes: int) -> None:
        self.beginning: bytes | memoryview = beginning
        self.in_pipes: int = in_pipes

    def __len__(self) -> int:
        return len(self.beginning) + self.in_pipes

    def without(self, count: int) -> PipedBytes:
        """Return what is left without so many bytes at the front."""
        seen = min(count, len(self.beginning))
        return PipedBytes(memoryview(self.beginning)[seen:], self.in_pipes + seen - count)


Wire = bytes | memoryview | PipedBytes
"""What is received or sent."""

# To fetch a member of an enum takes as long as a call, before Python 3.12.
_FREE, _BUSY, _TORN, _ENDED = Sending
_NEVER = -math.inf


@mypyc_attr(allow_interpreted_subclasses=True)
class SendingHalf:
    """Whole frames on their way out, without a socket.

    `begin_sending` and `queue` take frames. The reactor or the task driver sends `unsent` and reports
    with `_note_accepted` (through `Exchange.sent`) how much of it the kernel took, until all
    is sent. Before a wait for room comes `begin_block`.

    Attributes:
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have at most.
      sending: the state of this half.
      is_at_rest: never while this half is taken, was closed or is torn; else the receiving half decides.
      is_closed: whether the connection was closed from this side.
      unsent: what to send next; empty when there is nothing.
      write_deadline: when a send has been blocked for too long; infinite while none is.
      last_received_at: when something was received last; minus infinity until then.
    """

    __slots__ = (
        "_blocked_s",
        "_blocked_since",
        "_blocked_since_receive_s",
        "_frames",
        "_index",
        "_is_reply",
        "_offset",
        "_on_sent",
        "_pieces",
        "_write_timeout_s",
        "format",
        "is_at_rest",
        "is_closed",
        "last_received_at",
        "max_frame_length",
        "sending",
        "unsent",
        "write_deadline",
    )

    def __init__(
        self, *, format: FrameFormat, max_frame_length: int, write_timeout_s: float, on_sent: OnSent | None
    ) -> None:
        self.format: FrameFormat = format
        self.max_frame_length: int = max_frame_length
        self._write_timeout_s = or_infinite(write_timeout_s)
        self._on_sent = on_sent
        self.sending: Sending = Sending.FREE
        self.is_at_rest: bool = False
        self.is_closed: bool = False
        self.unsent: Wire = b""
        self.write_deadline: float = math.inf
        self.last_received_at: float = _NEVER
        # What is being sent, from its first frame on, unless that is `unsent` itself; where in it
        # `unsent` begins; and how many frames it is.
        self._pieces: Sequence[Wire] = ()
        self._index = 0
        self._offset = 0
        self._frames = 0
        self._is_reply = True  # to what was received; only that has a service time
        self._blocked_s = 0.0  # in this send, so far
        self._blocked_since = _NEVER  # or when a wait began that goes on
        self._blocked_since_receive_s = 0.0

    def begin_sending(self) -> None:
        """Take the sending half, which is free again when all was sent.

        Raises:
          trio.ClosedResourceError: it, or all of the connection, was closed.
          ConnectionLostError: an earlier send was torn.
          trio.BusyResourceError: another task has it.
        """
        if self.is_closed or self.sending is _ENDED:
            raise trio.ClosedResourceError("this channel was already closed, or its sending half was")
        if self.sending is _TORN:
            raise ConnectionLostError(
                "an earlier send was cancelled or failed, perhaps inside a frame: nothing may follow it"
            )
        if self.sending is _BUSY:
            raise trio.BusyResourceError("another task is sending on this channel")
        self.sending = _BUSY
        self.is_at_rest = False

    def queue(self, pieces: Sequence[Wire], frames: int) -> None:
        """Send whole frames next, of which the wire lies in pieces; the half must have been taken."""
        self.unsent = pieces[0]
        self._frames = frames
        if len(pieces) > 1:
            self._pieces = pieces

    def end_stream(self, *, is_ended: bool) -> None:
        """Give the sending half back after a half-close; one that failed can be tried again."""
        self.sending = _ENDED if is_ended else _FREE

    def begin_block(self, now: float) -> None:
        """Note that a wait begins until the kernel accepts more of `unsent`.

        The write clock runs from the first wait after bytes were accepted.

        Raises:
          WriteTimeoutError: it has run out, and still nothing was accepted.
        """
        if now >= self.write_deadline:
            raise WriteTimeoutError(self._write_timeout_s)
        if self.write_deadline == math.inf:
            self.write_deadline = now + self._write_timeout_s
        self._blocked_since = now
        pieces = self._all_pieces()
        if not all(map(_is_lasting, pieces)):
            self._pieces = [_lasting(piece) for piece in pieces]
            self.unsent = _rest(self._pieces[self._index], self._offset)

    @property
    def unsent_bytes(self) -> bytes | memoryview:
        """`unsent`, for a sender without pipes: after all that lay in some was taken back."""
        unsent = self.unsent
        if isinstance(unsent, PipedBytes):
            raise TypeError("what lies in pipes has to be taken back before it is sent without them")
        return unsent

    @property
    def _unsent_piped_bytes(self) -> int:
        pieces = self._pieces
        last = pieces[-1] if self._index < len(pieces) - 1 else self.unsent
        return last.in_pipes if isinstance(last, PipedBytes) else 0

    def _take_back_unsent(self, data: bytes) -> None:
        """Send these bytes themselves, which are the next of those that lie in pipes."""
        *before, piped = self._all_pieces()
        if not isinstance(piped, PipedBytes):
            raise TypeError("nothing of what is to be sent lies in pipes")
        if self._offset and self._index == len(before):
            before.append(PipedBytes(b"", self._offset))  # only the number of what was sent matters
            piped = piped.without(self._offset)
            self._index += 1
            self._offset = 0
        if piped.beginning:
            before.append(piped.beginning)
        left = piped.in_pipes - len(data)
        self._pieces = [*before, data, *([PipedBytes(b"", left)] if left else [])]
        self.unsent = _rest(self._pieces[self._index], self._offset)

    def tear(self, now: float) -> None:
        """Give up what is unsent, if anything is: whole frames that were accepted count, no byte follows."""
        if self.sending is _BUSY or self.unsent:
            self.is_at_rest = False
            if self._blocked_since != _NEVER:
                self._end_block(now)
            self._end(_TORN, *self._whole_frames(), now)

    def close(self) -> None:
        """Note that the connection is closed from this side."""
        self.is_closed = True
        self.is_at_rest = False

    def abort(self) -> None:
        """Let no byte follow, whatever was sent: the connection is to be reset."""
        self.sending = _TORN
        self.is_at_rest = False

    @property
    def is_unfinished(self) -> bool:
        """Whether the peer may have a part of a frame: closing the connection must reset it."""
        return self.sending is _BUSY or self.sending is _TORN

    def _note_accepted(self, count: int, now: float) -> bool:
        """Note how many bytes of `unsent` the kernel has accepted; return whether all is sent now."""
        if self._blocked_since != _NEVER:
            self._end_block(now)
        if count:
            self.write_deadline = math.inf
            pieces = self._all_pieces()
            self._offset += count
            if self._offset == len(pieces[self._index]):
                self._index += 1
                self._offset = 0
            if self._index == len(pieces):
                self._end(_FREE, self._frames, sum(map(len, pieces)), now)
                return True
            self.unsent = _rest(pieces[self._index], self._offset)
        return False

    def _all_pieces(self) -> Sequence[Wire]:
        if not self._pieces:
            self._pieces = (self.unsent,)
        return self._pieces

    def _end_block(self, now: float) -> None:
        self._blocked_s += now - self._blocked_since
        self._blocked_since_receive_s += now - max(self._blocked_since, self.last_received_at)
        self._blocked_since = _NEVER

    def _end(self, sending: Sending, frames: int, wire_bytes: int, now: float) -> None:
        """End a send, and report it."""
        self.sending = sending
        self._pieces = ()
        self._index = self._offset = 0
        self.write_deadline = math.inf
        self.unsent = b""
        blocked_s, self._blocked_s = self._blocked_s, 0.0
        is_reply, self._is_reply = self._is_reply, True
        if self._on_sent is not None:
            service_s = None
            if frames and is_reply and self.last_received_at != _NEVER:
                service_s = max(0.0, now - self.last_received_at - self._blocked_since_receive_s)
            self._on_sent(frames, wire_bytes, blocked_s, service_s)

    def _whole_frames(self) -> tuple[int, int]:
        """Return how many frames, and bytes of them, were accepted whole."""
        decoder = FrameDecoder(format=self.format, max_frame_length=self.max_frame_length)
        pieces = self._all_pieces()
        for index, piece in enumerate(pieces[: self._index + 1]):
            if isinstance(piece, PipedBytes):
                return 0, 0  # it is of the only frame that is being sent, and this is not all of it
            decoder.receive_data(piece if index < self._index else piece[: self._offset])
        batch = decoder.next_batch()
        return (batch.frame_count, len(batch.data)) if batch else (0, 0)


def _is_lasting(piece: Wire) -> bool:
    """Return whether it stays as it is; a view that can be written lies where others will receive."""
    return not isinstance(piece, memoryview) or piece.readonly


def _lasting(piece: Wire) -> Wire:
    return bytes(piece) if isinstance(piece, memoryview) and not piece.readonly else piece


def _rest(piece: Wire, start: int) -> Wire:
    return piece.without(start) if isinstance(piece, PipedBytes) else memoryview(piece)[start:]
