"""What one connection does with its bytes, step by step; it waits for nothing itself.

What a byte does on its way through an echo server::

    kernel -> Transport.receive_nowait -> FrameDecoder -+
                                                        | a run of whole frames
    kernel <- Transport.send_nowait    <----------------+

Where messages are replied to, the run is split into payloads, which wait for the
connection's task; what it makes of them is sent in the same way. (Small frames that
come whole may go a shorter way, around all of this but by the same decoder: see
`trioecho.hub`.)

The generators here are steps (`trioecho.steps`): they receive and send without
waiting, and yield what there is to wait for. They note until when that may take,
so a clock costs nothing until it may have run out.
"""

from __future__ import annotations

import contextlib
import enum
import math
from collections.abc import Callable, Generator, Sequence

import trio

from .errors import ClockError, FrameTimeoutError, IdleTimeoutError, WriteTimeoutError
from .framing import BlockPool, FrameDecoder, FrameFormat
from .limits import or_infinite
from .steps import Steps, Wait
from .transport import Transport

# Messages, their bytes on the wire, seconds blocked; service times, and of how many messages each.
OnSent = Callable[[int, int, float, Sequence[float], Sequence[int]], object]
Pieces = Sequence["bytes | memoryview"]

# What comes in fewer bytes at a time is small.
SMALL_BYTES = 1 << 14


class Sending(enum.Enum):
    """What the sending half of a connection is in."""

    FREE = enum.auto()
    BUSY = enum.auto()
    TORN = enum.auto()  # a frame was sent in part, or may have been
    ENDED = enum.auto()  # half-closed


class Exchange:
    """Receives and sends the frames of one connection.

    Attributes:
      transport, decoder: the connection's own.
      sending: the state of the sending half.
      is_closed: whether the connection was closed from this side.
      is_draining: receive what has already arrived, and no more.
      has_received_eof: whether the peer has ended its stream.
      opened_at: when this began.
      heard_at: when something was received last, or the peer's end; None until then.
      listened_until: when this side last waited for something to receive.
      receive_deadline: when the wait for something to receive has lasted too long.
      idle_timeout_s: how long silence between frames may last.
      on_sent: to be told of every send, if anybody is.
      messages: what `converse` has received and nobody has taken yet.
      answer, answer_frames: whole frames, for `converse` to send when it goes on, and
        how many; nothing may be left of those before.
      blocked_since_receive_s: how long sends were blocked since something was received last.

    Args:
      transport: the connection.
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have.
      idle_timeout_s, frame_timeout_s, write_timeout_s: the clocks, as in `Limits`; 0 is off.
      pool: memory for large frames.
      on_sent: as in `FrameChannel`.
    """

    __slots__ = (
        "_answer_accepted",
        "_blocked_s",
        "_blocked_since",
        "_drain_bytes_left",
        "_format",
        "_frame_timeout_s",
        "_max_frame_length",
        "_now",
        "_sent_at",
        "_timed_frame",
        "_was_small",
        "_write_timeout_s",
        "answer",
        "answer_frames",
        "blocked_since_receive_s",
        "decoder",
        "has_received_eof",
        "heard_at",
        "idle_timeout_s",
        "is_closed",
        "is_draining",
        "listened_until",
        "messages",
        "on_sent",
        "opened_at",
        "receive_deadline",
        "sending",
        "transport",
    )

    def __init__(
        self,
        transport: Transport,
        *,
        format: FrameFormat,
        max_frame_length: int,
        idle_timeout_s: float,
        frame_timeout_s: float,
        write_timeout_s: float,
        pool: BlockPool | None,
        on_sent: OnSent | None,
    ) -> None:
        self.transport: Transport = transport
        self.decoder: FrameDecoder = FrameDecoder(format=format, max_frame_length=max_frame_length, pool=pool)
        self._format = format
        self._max_frame_length = max_frame_length
        self.idle_timeout_s: float = or_infinite(idle_timeout_s)
        self._frame_timeout_s = or_infinite(frame_timeout_s)
        self._write_timeout_s = or_infinite(write_timeout_s)
        self.on_sent: OnSent | None = on_sent

        self.sending: Sending = Sending.FREE
        self.is_closed: bool = False
        self.is_draining: bool = False
        self.has_received_eof: bool = False
        self._drain_bytes_left: int | None = None  # None until the first receive of the drain
        # The same as trio.current_time(), which looks for the clock at every call.
        self._now = trio.lowlevel.current_clock().current_time
        self.opened_at: float = self._now()
        self._sent_at = self.opened_at
        self.heard_at: float | None = None
        self._blocked_s = 0.0  # in sends, so far
        self.blocked_since_receive_s: float = 0.0
        self._was_small = True  # what was received last
        self._blocked_since = math.inf  # now, in a send
        self.listened_until: float = self.opened_at
        self.receive_deadline: float = math.inf
        self.messages: Sequence[bytes] = ()
        self.answer: bytes = b""
        self.answer_frames: int = 0
        self._answer_accepted: int | None = None  # bytes of it; None until it was tried
        self._timed_frame = -1  # the number of the frame whose deadline that is

    # ---- receiving ----

    def receive_more(self) -> Steps:
        """Feed the decoder with what comes next."""
        data = yield from self.receive_data()
        if data:
            self.decoder.receive_data(data)

    def receive_data(self) -> Generator[Wait, None, bytes | memoryview]:
        """What comes next; nothing when the peer has ended inside a frame.

        Raises:
          trio.EndOfChannel: it has ended between frames; or a drain did.
        """
        data = None
        self.start_receive_clock()
        while data is None:
            if self.has_received_eof:
                raise trio.EndOfChannel
            if self.is_draining:
                data = yield from self._receive_arrived()
            else:
                try:
                    data = yield Wait.READABLE
                except GeneratorExit:  # nobody waits any longer
                    self.listened_until = self._now()
                    raise
                if self.answer:  # to what others have received meanwhile
                    yield from self.send_answer()
                    self.start_receive_clock()
                if data is None:
                    data = self.transport.receive_nowait(self.decoder.room())
        return self._taken(data)

    def _receive_arrived(self) -> Generator[Wait, None, bytes | memoryview]:
        """In a drain: the next of the bytes that had arrived when it began.

        They cannot be more than the kernel's buffer holds, so a peer that never
        stops sending cannot keep a drain from ending.
        """
        if self._drain_bytes_left is None:
            self._drain_bytes_left = self.transport.receive_capacity
        if self._drain_bytes_left > 0:
            yield Wait.ARRIVED
            data = self.transport.receive_nowait(self.decoder.room())
            if data is not None:
                self._drain_bytes_left -= len(data)
                return data
        raise trio.EndOfChannel

    def note_received(self, data: bytes | memoryview) -> None:
        """Note when something was received, or that the peer has ended."""
        self.heard_at = self.listened_until = self._now()
        self.blocked_since_receive_s = 0.0
        self._was_small = len(data) < SMALL_BYTES
        if not data:
            self.has_received_eof = True

    def _taken(self, data: bytes | memoryview) -> bytes | memoryview:
        self.note_received(data)
        if not data:
            self.decoder.end_of_data()
            if not self.decoder.buffered_bytes:
                raise trio.EndOfChannel
        return data

    def start_receive_clock(self) -> None:
        """Note until when something must be received, from now on."""
        now = self._now()
        if not self.decoder.buffered_bytes:
            self.receive_deadline = now + self.idle_timeout_s
        elif self._timed_frame != self.decoder.frames_decoded:
            self._timed_frame = self.decoder.frames_decoded
            self.receive_deadline = now + self._frame_timeout_s
        else:
            # Time in which this side did not listen is not held against the peer.
            self.receive_deadline += now - self.listened_until

    # ---- sending ----

    def begin_sending(self) -> None:
        """Take the sending half, for one `send_frames`, which gives it back.

        Raises:
          trio.ClosedResourceError: it, or all of the connection, was closed.
          trio.BrokenResourceError: an earlier send was torn.
          trio.BusyResourceError: somebody else has it.
        """
        if self.is_closed or self.sending is Sending.ENDED:
            raise trio.ClosedResourceError("this channel was already closed, or its sending half was")
        if self.sending is Sending.TORN:
            raise trio.BrokenResourceError(
                "an earlier send was cancelled or failed, perhaps inside a frame: nothing may follow it"
            )
        if self.sending is Sending.BUSY:
            raise trio.BusyResourceError("another task is sending on this channel")
        self.sending = Sending.BUSY

    def send_frames(
        self, pieces: Pieces, frames: int, *, accepted: int | None = None, give_way: bool = False
    ) -> Steps:
        """Send whole frames, of which the wire lies in pieces.

        Args:
          pieces: one behind the other.
          frames: how many they are.
          accepted: what the kernel has taken of the first piece, if that was tried.
          give_way: let others have their turn first.
        """
        sent = 0
        blocked_s_before = self._blocked_s
        try:
            if give_way:
                yield Wait.TURN
            for index in range(len(pieces)):
                rest = memoryview(pieces[index])
                while rest:
                    if accepted is None:
                        accepted = self.transport.send_nowait(rest)
                    sent += accepted
                    rest = rest[accepted:]
                    accepted = None
                    if rest:
                        if not all(map(_is_lasting, pieces)):
                            pieces = [piece if _is_lasting(piece) else bytes(piece) for piece in pieces]
                            rest = memoryview(pieces[index])[-len(rest) :]
                        yield from self._wait_writable()
            self.sending = Sending.FREE
        except BaseException:
            self.sending = Sending.TORN
            frames, sent = self._whole_frames(pieces, sent)
            raise
        finally:
            self._note_sent(frames, sent, self._blocked_s - blocked_s_before)

    def _wait_writable(self) -> Steps:
        self._blocked_since = self._now()
        try:
            yield Wait.WRITABLE
        finally:
            blocked_s = self._now() - self._blocked_since
            self._blocked_s += blocked_s
            self.blocked_since_receive_s += blocked_s
            self._blocked_since = math.inf

    def _whole_frames(self, pieces: Pieces, accepted: int) -> tuple[int, int]:
        """How many frames, and bytes of them, are whole in the first ``accepted`` bytes."""
        decoder = FrameDecoder(format=self._format, max_frame_length=self._max_frame_length)
        for piece in pieces:
            decoder.receive_data(piece[:accepted])
            accepted -= min(accepted, len(piece))
        run = decoder.next_run()
        return (run.frame_count, len(run.data)) if run else (0, 0)

    def send_at_once(self, data: bytes | memoryview, frames: int) -> int:
        """Send whole frames as far as the kernel accepts them at once.

        Returns:
          How many bytes that were. If not all, finish with `send_frames`; until
          then the sending half is taken.
        """
        try:
            accepted = self.transport.send_nowait(data)
        except BaseException:
            self.sending = Sending.TORN
            raise
        if accepted < len(data):
            self.sending = Sending.BUSY
        else:
            self._note_sent(frames, accepted, 0.0)
        return accepted

    def _note_sent(self, frames: int, wire_bytes: int, blocked_s: float) -> None:
        self._sent_at = self._now()
        if self.on_sent is None:
            return
        if frames and self.heard_at is not None:
            service_s = max(0.0, self._sent_at - self.heard_at - self.blocked_since_receive_s)
            self.on_sent(frames, wire_bytes, blocked_s, [service_s], [frames])
        else:
            self.on_sent(frames, wire_bytes, blocked_s, [], [])

    # ---- echoing ----

    def echo(self) -> Steps:
        """Send back every frame as it came, until the peer has ended, or a drain has."""
        decoder = self.decoder
        with contextlib.suppress(trio.EndOfChannel):
            # Something may be left of what was received before, or a refusal to tell of (again).
            run = decoder.next_run()
            while True:
                if run is not None:
                    pieces, frames = [run.data], run.frame_count
                else:
                    data = yield from self.receive_data()
                    pieces, frames = decoder.receive_pieces(data) if data else ([], 0)
                if frames:
                    self.begin_sending()
                    yield from self.send_frames(pieces, frames)
                    decoder.recycle()
                run = decoder.next_run() if decoder.buffered_bytes else None
                data, pieces = b"", []  # or they would be kept by a connection that is idle

    # ---- for handlers ----

    def converse(self) -> Steps:
        """Receive messages and send answers, until the peer has ended, or a drain has.

        When there are messages it waits until somebody has taken them, with
        `take_messages`, and has answered: with `answer`, or sends of its own.
        """
        decoder = self.decoder
        with contextlib.suppress(trio.EndOfChannel):
            # Something may be left of what was received before, or a refusal to tell of (again).
            self.messages = decoder.next_frames()
            while True:
                if self.messages:
                    yield Wait.TAKEN
                    yield from self.send_answer()
                elif data := (yield from self.receive_data()):
                    decoder.receive_data(data)
                    del data  # or it would be kept by a connection that is idle
                if decoder.buffered_bytes:
                    self.messages = decoder.next_frames()

    def take_messages(self) -> Sequence[bytes]:
        """What `converse` has received; it is not kept here."""
        messages, self.messages = self.messages, ()
        return messages

    def leave_rest(self, wire: bytes, frames: int, accepted: int) -> None:
        """Leave it to the steps to send the rest of whole frames, of which so much was accepted."""
        self.answer, self.answer_frames, self._answer_accepted = wire, frames, accepted
        self.sending = Sending.BUSY
        self.blocked_since_receive_s = 0.0

    def expects_small(self) -> bool:
        """Whether, while steps wait for something to receive, small and whole frames may do without them."""
        return self._was_small and not self.decoder.buffered_bytes and not self.is_draining

    def send_answer_at_once(self) -> bool:
        """Send the answer as far as the kernel accepts it; whether nothing is left to be sent."""
        wire = self.answer
        if not wire:
            return True
        if self._answer_accepted is not None:
            return False
        self.answer = b""
        if self.sending is not Sending.FREE:
            self.begin_sending()  # this raises why
        accepted = self.send_at_once(wire, self.answer_frames)
        if accepted == len(wire):
            return True
        self.answer, self._answer_accepted = wire, accepted
        return False

    def send_answer(self) -> Steps:
        """Send the answer, or what is left of it."""
        if not self.send_answer_at_once():
            wire, self.answer = self.answer, b""
            accepted, self._answer_accepted = self._answer_accepted, None
            yield from self.send_frames([wire], self.answer_frames, accepted=accepted)

    def break_off(self) -> None:
        """After `converse`, however it ended: lose neither messages nor an answer.

        Messages that nobody has taken go back to the decoder. Of the answer is
        sent what the kernel accepts at once; if that is not all, the connection is torn.
        """
        self.decoder.put_back(self.take_messages())
        # What hinders the send will be told to whoever sends next.
        with (
            contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError),
            contextlib.closing(self.send_answer()) as steps,
        ):
            next(steps, None)

    # ---- clocks ----

    def deadline(self, wait: Wait) -> float:
        """When a wait has lasted too long."""
        if wait is Wait.READABLE:
            return self.receive_deadline
        if wait is Wait.WRITABLE:
            return self._blocked_since + self._write_timeout_s
        return math.inf

    def clock_error(self, wait: Wait) -> ClockError:
        """What to raise when it has."""
        if wait is Wait.WRITABLE:
            return WriteTimeoutError(self._write_timeout_s)
        if self.decoder.buffered_bytes:
            return FrameTimeoutError(self._frame_timeout_s)
        return IdleTimeoutError(self.idle_timeout_s)


def _is_lasting(piece: bytes | memoryview) -> bool:
    """Whether it stays as it is; a view that can be written lies where others will receive."""
    return isinstance(piece, bytes) or piece.readonly
