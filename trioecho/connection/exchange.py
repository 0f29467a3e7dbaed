"""The protocol state of one connection, without a socket.

What a byte does on its way through an echo server::

    kernel -> reactor or task driver -> Exchange.receive -> ConnectionDecoder -+
                                                                               | a batch of whole frames
    kernel <- reactor or task driver <- Exchange.unsent <----------------------+

Rule 1. An exchange never waits, and has no socket. It is given what was received, what was
accepted, and the time; it returns what to send. One thing it asks for, when a drain begins
or a frame is late: `receive_capacity`, which a plain socket asks the kernel for.

Rule 2. Its `interest` says what it is to be given next, and its `deadline` until when:

===========  ============================================================  ============================
READABLE     what is received next                                         `receive`
ARRIVED      what is here already, or that nothing is                      `receive`, `nothing_arrived`
LAST_CHANCE  the same, but it waits no longer: a deadline has passed       `receive`, `nothing_arrived`
WRITABLE     how much of `unsent` was accepted                             `sent`
MESSAGES     nothing: a task is to take what has come                      `take_messages`
TURN         nothing: others come first, and then its next turn            `resume`
ENDED        nothing: the peer has ended, or a drain has
NOTHING      nothing: nobody wants to receive, or a task replies           `start`, `resume`
===========  ============================================================  ============================

Rule 3. What `receive`, `resume` or `sent` returns is to be sent at once: nothing else is
called until `sent` has reported how much of it was accepted, or `give_up` that the send
has failed. Before a wait for room comes `begin_block`.

Rule 4. When a deadline has passed, call `deadline_passed`: what has arrived in the kernel
meanwhile still counts, and is the LAST_CHANCE. If nothing has, `nothing_arrived` raises.
For a send that is blocked, `begin_block` does.

Rule 5. An exception from any of these ends the connection.

What whole frames are for is its use: `Use.ECHO` sends them back as they came,
`Use.REPLY` replies to them, and `Use.TAKE` keeps them for a task that takes them one by
one from the decoder, and sends by itself. Messages to reply to go to a task; or at once
to a function that is not async (`Calls`), but no more than a turn's work: with the rest
it waits for its next TURN. If such a function fails, the replies before that are sent,
and it is ENDED; the failure is in the `Calls`.

An exchange has three parts, each the base class of the next: how whole frames are sent
(`sending`), what is waited for and until when (`receiving`), and messages and replies
(`replying`). They are one object, because every idle connection holds it.

Most messages find a connection *at rest*: nothing is kept, nothing is on its way, no drain
has begun. If they come small and whole, and are accepted at once, they pass through two
short paths, at the top of `receive` and of `sent`, which do the same as the rest with
fewer steps (``scripts/bench --only many`` measures what they save).

Rule 6. Where many exchanges at rest have received small messages to echo, one `EchoesAtRest`
may do for all what these two paths do for one: ask it whether it `can_echo` what came, send
that, and if all was accepted, `note_sent`. In every other case nothing has happened yet:
each exchange is given what came for it, and what was accepted, by `receive` and `sent`.

Rule 7. The rest of a large frame that is echoed need not be seen: up to `rest_bytes` of it
may be received as `PipedBytes`, which lie in pipes and of which only the number is given.
When the frame is whole, it is sent: what was seen of it, and then what is in the pipes. Before
anything else is called than `receive` of more of them, `sent`, `begin_block` or `drain`, what
is still in the pipes (`piped_bytes`) comes out of them again, by `take_back`.

Rule 8. Under TLS, what has come may be a part of a record, in which nothing can be seen yet. It counts
as a part of a frame. `note_record` says whether it is so, where there was nothing to receive; or after
`receive` and the sends at once that follow from it, which take it that the record is whole by now.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..base.mypyc import mypyc_attr
from .calls import Calls
from .interest import RECEIVING, Interest, Use
from .receiving import SMALL_BYTES
from .replying import Replying
from .sending import PipedBytes, Sending, Wire

# Of a frame of which less is missing, all is seen: to copy 256 KiB takes less time than to
# pass them through pipes, to copy 1 MiB takes more (`scripts/bench splice`).
LEAST_PIPED_BYTES = 3 << 18

# To fetch a member of an enum takes as long as a call, before Python 3.12.
_READABLE, _ARRIVED, _LAST_CHANCE = Interest.READABLE, Interest.ARRIVED, Interest.LAST_CHANCE
_WRITABLE, _MESSAGES = Interest.WRITABLE, Interest.MESSAGES
_ECHO, _REPLY = Use.ECHO, Use.REPLY
_FREE, _BUSY = Sending.FREE, Sending.BUSY


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange(Replying):
    """Receives and sends the frames of one connection, as the rules above say.

    Attributes:
      decoder: finds the frames.
      interest: what it is to be given next.
      opened_at: when this began.
      is_at_rest: whether nothing is kept, nothing is on its way and no drain has begun, and
        what comes next is likely to be small. A task may have messages to reply to.
      use: what whole frames are for.
      has_received_eof: whether the peer has ended its stream.
      is_draining: after `drain`: only what has arrived, and the rest of a frame that has begun,
        is received.
      is_inside_record: whether a record of TLS has come in part.
      expects_small: whether what comes next is likely to be small, so that it is to be
        received as bytes of its own, of at most `SMALL_BYTES`.
      expects_header: whether it is likely to be another frame of which most need not be
        seen, so that only its header is to be received.

    Args:
      format: how headers are written.
      limits: sizes and clocks; a clock of 0 is off.
      receive_capacity: returns how many bytes can have arrived and not been received.
      now: the time.
      pool: memory for large frames.
      on_sent: called after every send: messages, bytes on the wire, seconds that it was
        blocked, and the messages' service time in seconds, if they have one. For many
        `EchoesAtRest` once, with sums, and the service time of all.
    """

    __slots__ = ()

    # Declared again, since some type checkers infer what is assigned in a subclass anew.
    expects_header: bool
    expects_small: bool
    interest: Interest
    is_at_rest: bool
    unsent: Wire

    # ---- beginning and ending ----

    def start(self, use: Use, now: float, calls: Calls | None = None) -> None:
        """Receive, for this use; frames that are here already come first.

        Args:
          use: what for.
          now: the time.
          calls: replies to messages, if that is what for; None where a task does.

        Raises:
          RemoteProtocolError: what is here was refused before, and is again.
          As `receive`.
        """
        self.use = use
        self._calls = calls
        if use is _ECHO:
            self._echo_buffered(now)
        elif use is _REPLY:
            self._messages = self.decoder.next_frames()
            self._take_turn(now)
        else:
            self._listen(now)

    def stop(self, now: float) -> None:
        """Receive no more, until `start`; messages that no task has taken go back to the decoder."""
        if self.interest in RECEIVING:
            self._read_wait_ended_at = now
        if self.interest is _WRITABLE and self.sending is _BUSY:
            self._has_queued_reply = True  # for the task, which sends the rest or gives it up
        self.decoder.unread(self.take_messages())
        self.is_at_rest = False

    # ---- receiving ----

    def receive(self, data: Wire, now: float) -> Wire | None:
        """Take what was received (nothing is the peer's end); return what to send at once, if anything.

        Bytes that others will be received over are given as a writable view.

        Raises:
          RemoteProtocolError: the peer broke the protocol.
          FrameTimeoutError: the frame was late before this, and is not whole with it.
          trio.BusyResourceError, ConnectionLostError, trio.ClosedResourceError: an echo
            cannot be sent; see `begin_sending`.
        """
        size = len(data)
        self.last_received_at = now
        if self.is_at_rest and size < SMALL_BYTES and not isinstance(data, PipedBytes):
            if self.use is _ECHO:
                decoder = self.decoder
                whole, frames, _ = decoder.scanner.scan(data)
                if whole == size and frames:
                    decoder.frames_decoded += frames
                    self._frames = frames
                    self.unsent = data
                    return data
            elif type(data) is bytes:
                decoder = self.decoder
                messages, whole = decoder.scanner.split(data)
                if messages:
                    decoder.frames_decoded += len(messages)
                    if whole < size:
                        self.is_at_rest = False
                        self._read_wait_ended_at = now
                        decoder.receive_data(data[whole:])
                    if self._calls is not None:
                        return self._call(self._calls, messages, now)
                    self._messages = messages
                    self.interest = _MESSAGES
                    return None
        return self._receive_any(data, now)

    def _receive_any(self, data: Wire, now: float) -> Wire | None:
        self._read_wait_ended_at = now
        self._blocked_since_receive_s = 0.0
        self.is_at_rest = self.is_inside_record = False
        if isinstance(data, PipedBytes):
            return self._receive_piped(data, now)
        self.expects_small = len(data) < SMALL_BYTES and not self.expects_header
        self.expects_header = False
        decoder = self.decoder
        if not data:
            self._end_of_stream()
            return None
        if self.is_draining:
            self._drain_bytes_left -= len(data)
        if self.use is _ECHO:
            pieces, frames = decoder.receive_pieces(data)
            if frames:
                self._send(pieces, frames)
            else:
                self._echo_buffered(now)
        else:
            decoder.receive_data(data)
            if self.use is _REPLY:
                self._take_turn(now)
            elif decoder.may_have_next:
                self.interest = _MESSAGES
            else:
                self._listen(now)
        return self.unsent if self.interest is _WRITABLE else None

    # ---- the rest of a large frame, in pipes ----

    def rest_bytes(self, beginning: bytes = b"") -> int:
        """Return how many bytes of the frame that has begun need not be seen; 0 if that is not worth it.

        Args:
          beginning: what the next frame begins with, where its header was expected.
        """
        if self.use is not _ECHO or self.interest is not _READABLE or not self._is_plain:
            return 0
        rest = self.decoder.rest_bytes(beginning)
        return rest if rest >= LEAST_PIPED_BYTES or self.decoder.skipped_bytes else 0

    @property
    def piped_bytes(self) -> int:
        """How many bytes in pipes are still wanted."""
        return 0 if self.is_closed else self.decoder.skipped_bytes or self._unsent_piped_bytes

    def _receive_piped(self, data: PipedBytes, now: float) -> Wire | None:
        decoder = self.decoder
        skipped = decoder.skipped_bytes + data.in_pipes
        beginning = decoder.skip(data.in_pipes, data.beginning)
        if beginning is None:
            self.expects_header = False
            self._listen(now)
            return None
        self.expects_small = False
        self.expects_header = True
        self._send((PipedBytes(beginning, skipped),), 1)
        return self.unsent

    def take_back(self, data: bytes) -> None:
        """Take what comes next out of the pipes; it was received as `PipedBytes`, and not sent."""
        if self.decoder.skipped_bytes:
            self.decoder.take_back(data)
        else:
            self._take_back_unsent(data)

    # ---- sending what was received, or replies to it ----

    def sent(self, count: int, now: float) -> Wire | None:
        """Note how many bytes of `unsent` were accepted; return what to send at once, if anything.

        Raises:
          RemoteProtocolError: the peer broke the protocol after the frames that were sent now.
        """
        if self.sending is _FREE:  # it was at rest when this was returned to be sent
            if count == len(self.unsent):
                self.unsent = b""
                self._read_deadline = now + self._idle_timeout_s
                on_sent = self._on_sent
                if on_sent is not None:
                    on_sent(self._frames, count, 0.0, now - self.last_received_at)
                return None
            self.is_at_rest = False
            self.sending = _BUSY
            self.interest = _WRITABLE
        if not self._note_accepted(count, now):
            return self.unsent if count and not self._offset else None
        if self.interest is not _WRITABLE:  # a task has sent it, which goes on by itself
            self._has_queued_reply = False
        elif self.use is not _ECHO:
            self._go_on(now)
        else:
            self.decoder.release()
            self._echo_buffered(now)
        return self.unsent if self.interest is _WRITABLE else None

    def give_up(self, now: float) -> None:
        """Tear what is sent for this exchange itself, if that has begun; not what a task sends."""
        if self.interest is _WRITABLE or self._has_queued_reply or self.sending is _FREE:
            self._has_queued_reply = False
            self.tear(now)

    def _echo_buffered(self, now: float) -> None:
        """Send back what is whole, or listen; what is refused is reported after the frames before it."""
        if self.decoder.may_have_next and (batch := self.decoder.next_batch()):
            self._send([batch.data], batch.frame_count)
        else:
            self._listen(now)

    def send_for_task(self, pieces: Sequence[bytes | memoryview], frames: int) -> None:
        """Make whole frames, which a task sends by itself, what is `unsent`.

        While a task waits to receive more, nothing is being replied to: what is sent then
        has no service time.

        Raises:
          As `begin_sending`.
        """
        self.begin_sending()
        self.queue(pieces, frames)
        interest = self.interest
        # Not `in RECEIVING`: to hash a member of an enum takes as long as a call.
        self._is_reply = not (interest is _READABLE or interest is _ARRIVED or interest is _LAST_CHANCE)
