"""Messages that have come, and replies to them: left by a task, or made by a function at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..base.mypyc import mypyc_attr
from ..framing import BlockPool, FrameFormat
from ..limits import Limits
from .calls import Calls
from .interest import Interest
from .receiving import ReceivingHalf
from .sending import OnSent, Sending, Wire

# To fetch a member of an enum takes as long as a call, before Python 3.12.
_READABLE, _WRITABLE, _MESSAGES = Interest.READABLE, Interest.WRITABLE, Interest.MESSAGES
_TURN, _ENDED, _NOTHING = Interest.TURN, Interest.ENDED, Interest.NOTHING
_BUSY = Sending.BUSY


@mypyc_attr(allow_interpreted_subclasses=True)
class Replying(ReceivingHalf):
    """Keeps messages until they are replied to, and a reply until it is sent; `Exchange` has its rules."""

    __slots__ = ("_calls", "_has_queued_reply", "_messages", "_reply", "_reply_frames")

    # Declared again, since some type checkers infer what is assigned in a subclass anew.
    interest: Interest
    unsent: Wire

    def __init__(
        self,
        *,
        format: FrameFormat,
        limits: Limits,
        receive_capacity: Callable[[], int],
        now: float,
        pool: BlockPool | None = None,
        on_sent: OnSent | None = None,
    ) -> None:
        super().__init__(
            format=format,
            limits=limits,
            receive_capacity=receive_capacity,
            now=now,
            pool=pool,
            on_sent=on_sent,
        )
        self._calls: Calls | None = None  # replies at once, for `Use.REPLY`
        self._messages: Sequence[bytes] = ()  # what came last for `Use.REPLY`, until replied to or taken
        self._reply = b""  # whole frames, which `resume` sends
        self._reply_frames = 0
        self._has_queued_reply = False  # what is unsent is a reply, and not what a task sends

    def take_messages(self) -> Sequence[bytes]:
        """Return the messages that have come, which are not kept here; `resume` after they are replied to."""
        messages, self._messages = self._messages, ()
        self.interest = _NOTHING
        return messages

    def reply(self, wire: bytes, frames: int) -> None:
        """Leave whole frames for `resume` to send; those that were left before must have been sent."""
        self._reply = wire
        self._reply_frames = frames

    def resume(self, now: float) -> Wire | None:
        """Go on after a task has taken messages, and has left a `reply` if it has one.

        Or take the next turn.

        Returns:
          What to send at once, if anything.

        Raises:
          As `receive`.
        """
        reply = self._reply
        if reply and self.is_at_rest:
            self.unsent, self._reply = reply, b""
            self._frames = self._reply_frames
            self.interest = _READABLE
            return reply
        if self._has_queued_reply:
            self._has_queued_reply = False
            self.interest = _WRITABLE
        else:
            self._take_turn(now)
        return self.unsent if self.interest is _WRITABLE else None

    @property
    def has_reply_to_send(self) -> bool:
        """Whether there is a reply, or the rest of one."""
        return bool(self._reply) or (self._has_queued_reply and self.sending is _BUSY)

    def queue_reply(self) -> None:
        """Make the reply, if there is one, what is `unsent`, for a task that does not wait for `resume`.

        Raises:
          As `begin_sending`.
        """
        if self._reply:
            reply, self._reply = self._reply, b""
            self.begin_sending()
            self.queue((reply,), self._reply_frames)
            self._has_queued_reply = True

    def _take_turn(self, now: float) -> None:
        """Reply to what has come, if that is not for a task to do, and go on."""
        if self._calls is not None and not self._reply:
            if not self._messages:
                self._messages = self.decoder.next_frames()
            if self._messages:
                self._call(self._calls, self._messages, now)
                return
        self._go_on(now)

    def _call(self, calls: Calls, messages: Sequence[bytes], now: float) -> Wire | None:
        """Reply to as many messages as a turn may; return what to send at once, if anything."""
        wire, count = calls.make(messages)
        if self.is_at_rest and count == len(messages):  # the function may have begun a drain
            self._frames = count
            self.unsent = wire
            return wire
        self.is_at_rest = False
        self._reply, self._reply_frames = wire, count
        self._messages = messages[count if calls.failure is None else count + 1 :]
        if isinstance(calls.failure, Exception | None):
            self._go_on(now)
        else:
            self.interest = _ENDED  # without a wait until the peer has read the replies
        return self.unsent if self.interest is _WRITABLE else None

    def _go_on(self, now: float) -> None:
        """Send the reply, or have the next messages replied to, or listen."""
        if self._reply:
            reply, self._reply = self._reply, b""
            self._send((reply,), self._reply_frames)
            return
        calls = self._calls
        if calls is not None and calls.failure is not None:
            self.interest = _ENDED
            return
        if not self._messages and self.decoder.buffered_bytes:
            self._messages = self.decoder.next_frames()
        if self._messages:
            self.interest = _MESSAGES if calls is None else _TURN
        else:
            self._listen(now)

    def _send(self, pieces: Sequence[Wire], frames: int) -> None:
        self.begin_sending()
        self.queue(pieces, frames)
        self.interest = _WRITABLE
