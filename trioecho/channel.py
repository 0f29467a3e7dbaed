"""Frames over a connection: `FrameChannel`, a Trio channel of payloads.

What is done with a connection's bytes stands in `trioecho.exchange`, as steps.
Here is who waits for them: the connection's task, which awaits the transport,
for every kind of connection (`FrameChannel._drive`), or the hub, for many plain
sockets at a time (`FrameChannel._ride`, `trioecho.hub`); and how a connection ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import trio

from .errors import PayloadTooLargeError
from .exchange import Exchange, OnSent, Sending
from .framing import DEFAULT_MAX_FRAME_LENGTH, BlockPool, FrameFormat, FrameRun, encode_frame
from .hub import EVENTS, Hub, Lane, Ride, Seat
from .replies import Replies
from .steps import Steps, Wait
from .transport import SocketTransport, Transport, open_transport

# A peer that has been silent for so long when a drain begins is taken as idle,
# not as one that was still sending.
QUIET_S = 0.5

# A connection that is closed in one of these was in the middle of a frame.
_UNFINISHED = (Sending.BUSY, Sending.TORN)


def _nobody_waits() -> None:
    pass


class FrameChannel(trio.abc.Channel[bytes]):
    """Sends and receives whole messages over any Trio stream, a frame for each.

    ``async for message in channel`` gives payloads until the peer has ended its
    stream at the end of a frame; that is `trio.EndOfChannel` for `receive`.

    Several tasks may use a channel, one sending and one receiving at a time.

    Args:
      stream: a connected stream. The channel owns it from now on; do not use it
        any more. A plain `trio.SocketStream` is the fastest.
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have, in either direction;
        0 for what the header can express.
      idle_timeout_s, frame_timeout_s, write_timeout_s: the clocks, in seconds, as
        in `Limits`; 0, the default here, is off.
      peer: what to call the other side in messages to people.
      hub: who waits for a plain socket; None for Trio, in the task that receives.
      pool: memory for large frames, which the channels of a thread can share.
      on_sent: called after every send, also one that failed halfway, or after some of
        them, with the number of whole frames that were accepted by the kernel, the
        bytes of them on the wire, the seconds that these sends were blocked by a peer
        that did not read, a sequence of service times in seconds, and one of the
        number of frames that each of these is for. Service time is from when the
        bytes received last were taken from the kernel to when the frames were
        accepted, without the time spent blocked; there is none when nothing was
        received yet. Must return at once, keep neither sequence, and not raise.

    Raises:
      ValueError: a size or a format that cannot be.
    """

    __slots__ = (
        "__weakref__",
        "_exchange",
        "_format",
        "_hub",
        "_is_receiving",
        "_max_frame_length",
        "_place",
        "_wake",
        "peer",
    )

    def __init__(
        self,
        stream: trio.abc.Stream | Transport,
        *,
        format: FrameFormat | None = None,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
        idle_timeout_s: float = 0,
        frame_timeout_s: float = 0,
        write_timeout_s: float = 0,
        peer: str = "the peer",
        hub: Hub | None = None,
        pool: BlockPool | None = None,
        on_sent: OnSent | None = None,
    ) -> None:
        self._format = format or FrameFormat()
        self._max_frame_length = max_frame_length or self._format.max_payload_length
        self._exchange = Exchange(
            stream if isinstance(stream, Transport) else open_transport(stream),
            format=self._format,
            max_frame_length=self._max_frame_length,
            idle_timeout_s=idle_timeout_s,
            frame_timeout_s=frame_timeout_s,
            write_timeout_s=write_timeout_s,
            pool=pool,
            on_sent=on_sent,
        )
        self._hub = hub
        self._place: Ride | Seat | None = None  # in the hub
        self.peer: str = peer
        self._is_receiving = False
        self._wake: Callable[[], None] = _nobody_waits  # ends a wait that a drain ends

    def __repr__(self) -> str:
        return f"<FrameChannel with {self.peer}>"

    # ---- receiving ----

    async def receive(self) -> bytes:
        """Wait for the next message and return its payload, which may be empty.

        Cancellation loses nothing: the next call goes on where this one was.

        Raises:
          trio.EndOfChannel: the peer has ended its stream after a whole frame,
            or the server drains and nothing more has arrived.
          RemoteProtocolError: `FrameTooLargeError`, `FrameTooSmallError` or
            `IncompleteFrameError`; the same at every further call.
          ClockError: `IdleTimeoutError` or `FrameTimeoutError`.
          trio.BrokenResourceError: the connection is lost.
          trio.ClosedResourceError: the channel was closed.
          trio.BusyResourceError: another task is receiving.
        """
        self._begin_receiving()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            message = self._exchange.decoder.next_frame()
            if message is not None:
                # Messages that lie ready must not let a task run for ever.
                await trio.lowlevel.cancel_shielded_checkpoint()
            while message is None:
                await self._drive(self._exchange.receive_more())
                message = self._exchange.decoder.next_frame()
            return message
        finally:
            self._is_receiving = False

    async def receive_run(self) -> FrameRun:
        """Wait until at least one frame is complete; return all that are, as one piece of wire.

        For who passes frames on as they are, with `send_run`: the work is per
        receive, not per frame. Everything else is as for `receive`.
        """
        self._begin_receiving()
        try:
            while (run := self._exchange.decoder.next_run()) is None:
                await self._drive(self._exchange.receive_more())
            return run
        finally:
            self._is_receiving = False

    def _begin_receiving(self) -> None:
        if self._exchange.is_closed:
            raise trio.ClosedResourceError("this channel was already closed")
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this channel")
        self._is_receiving = True

    # ---- sending ----

    async def send(self, value: bytes) -> None:
        """Send one message; returns when the kernel has accepted all of its frame.

        A send that is cancelled or fails may have sent a part of the frame. No
        byte ever follows it: every later send raises `trio.BrokenResourceError`,
        and closing the channel resets the connection.

        Args:
          value: the payload; any bytes-like object.

        Raises:
          PayloadTooLargeError: over ``max_frame_length`` or what the header can
            express. Nothing was sent, and the channel can be used as before.
          WriteTimeoutError: nothing more could be sent for ``write_timeout_s``.
          trio.BrokenResourceError: the connection is lost, or was torn before.
          trio.ClosedResourceError: after `send_eof` or `aclose`.
          trio.BusyResourceError: another task is sending.
        """
        length = memoryview(value).nbytes
        if length > self._max_frame_length:
            raise PayloadTooLargeError(length, self._max_frame_length)
        frame = encode_frame(value, format=self._format)
        self._exchange.begin_sending()
        await self._drive(self._exchange.send_frames([frame], 1, give_way=True))

    async def send_run(self, run: FrameRun) -> None:
        """Send frames that were received with `receive_run`, as they are.

        A checkpoint only if the kernel does not accept all at once. Otherwise as `send`.
        """
        self._exchange.begin_sending()
        await self._drive(self._exchange.send_frames([run.data], run.frame_count))

    async def send_eof(self) -> None:
        """Half-close: tell the peer that no more messages will come; still receive.

        Raises:
          LocalProtocolError: the stream has no half-close (TLS); use `aclose`.
          trio.BrokenResourceError: the connection is lost, or a send was torn.
          trio.ClosedResourceError: the channel was closed.
        """
        if self._exchange.sending is Sending.ENDED and not self._exchange.is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._exchange.begin_sending()
        try:
            await self._exchange.transport.send_eof()
        except BaseException:
            self._exchange.sending = Sending.FREE  # nothing was torn; it can be tried again
            raise
        self._exchange.sending = Sending.ENDED

    # ---- echoing ----

    def echo(self) -> Awaitable[None]:
        """Send back every frame, as it is, until the peer has ended or the server drains.

        As `receive_run` and `send_run` in a loop, but faster where there is a hub.

        Raises:
          Whatever these two raise, except `trio.EndOfChannel`.
        """
        # Not an async function, whose frame an idle connection would hold; nor is `answer`.
        return self._run(self._exchange.echo())

    # ---- answering ----

    def answer(self, reply: Callable[[bytes], Awaitable[bytes]]) -> Awaitable[None]:
        """Send ``await reply(message)`` for every message, in order, until the peer ends or a drain does.

        As `receive` and `send` in a loop, but faster: replies to messages that
        came together are sent together. No reply waits for a later one to be
        made: when ``reply`` is suspended, those before are sent. When it fails or
        is cancelled, messages for which no reply was begun can still be received.

        Raises:
          Whatever ``reply`` raises, after the replies before that were sent.
          Whatever `receive` and `send` raise, except `trio.EndOfChannel`.
        """
        replies = Replies(reply, self._exchange, self._drive, self._format, self._max_frame_length)
        return self._run(self._exchange.converse(), replies)

    # ---- driving ----

    async def _drive(self, steps: Steps) -> None:
        """Run steps to their end in this task, within the clocks."""
        with contextlib.closing(steps):
            for wait in steps:
                await self._wait_for(wait)

    async def _run(self, steps: Steps, replies: Replies | None = None) -> None:
        """Run steps that receive, to their end, in the hub as long as possible.

        Args:
          steps: to be run; only here.
          replies: makes them, when the steps wait for that.
        """
        self._begin_receiving()
        exchange = self._exchange
        try:
            with contextlib.closing(steps):
                wait = next(steps, None)
                while wait is not None:
                    if replies is not None and exchange.messages:
                        await replies.make_all(exchange.take_messages())
                    elif wait in EVENTS and not exchange.is_draining and (in_hub := self._in_hub()):
                        wait = await self._ride(*in_hub, steps, wait, replies)
                        continue
                    else:
                        await self._wait_for(wait)
                    wait = next(steps, None)
        finally:
            self._is_receiving = False
            exchange.break_off()

    async def _ride(
        self, hub: Hub, transport: SocketTransport, steps: Steps, wait: Wait, replies: Replies | None
    ) -> Wait | None:
        """Let the hub run steps, within the clocks, until they, or the hub, end or a drain begins.

        Returns:
          What they wait for then; None at their end.
        """
        exchange = self._exchange
        self._leave_place()
        lane = Lane(exchange, transport, echoes=replies is None)
        with hub.riding(transport.socket, steps, wait, exchange.deadline, lane) as ride:
            self._place = ride
            self._wake = ride.wake
            while True:
                await ride.parked()
                if ride.is_woken:
                    ride.is_woken = False
                    self._check_why_woken(ride.wait)
                    if ride.is_over or exchange.is_draining or hub.has_ended:
                        break
                if replies is not None and exchange.messages:
                    messages, exchange.messages = exchange.messages, ()
                    if len(messages) == 1:  # nobody has to be told when it is suspended
                        replies.put(await replies.reply(messages[0]))
                    else:
                        await replies.make_all(messages)
                    messages = ()  # or a connection that is idle would keep them
                    hub.go_on(ride)
        self._place = None
        failure, ride.failure = ride.failure, None
        if failure is None:
            return ride.steps_wait
        if isinstance(failure, StopIteration):
            return None
        try:
            raise failure
        finally:
            del failure  # or its traceback would keep all of this alive, in a circle

    def _wait_for(self, wait: Wait) -> Awaitable[object]:
        """Wait for something; for readable only until a drain begins. To be awaited at once.

        Raises:
          ClockError: it took longer than the clock allows.
        """
        if wait is Wait.READABLE and not self._exchange.is_draining:
            seat = self._take_seat()
            return self._wait_readable() if seat is None else self._sit(seat)
        if wait is Wait.WRITABLE:
            return self._wait_writable()
        if wait is Wait.ARRIVED:
            return self._exchange.transport.wait_arrived()
        return trio.lowlevel.checkpoint()  # noqa: ASYNC105 - it is awaited by who calls this

    async def _wait_readable(self) -> None:
        with trio.CancelScope(deadline=self._exchange.deadline(Wait.READABLE)) as clock:
            self._wake = clock.cancel
            await self._exchange.transport.wait_readable()
        if clock.cancelled_caught:
            self._check_why_woken(Wait.READABLE)

    async def _wait_writable(self) -> None:
        with trio.CancelScope(deadline=self._exchange.deadline(Wait.WRITABLE)) as clock:
            await self._exchange.transport.wait_writable()
        if clock.cancelled_caught:
            raise self._exchange.clock_error(Wait.WRITABLE)

    async def _sit(self, seat: Seat) -> None:
        """Wait in the hub until the socket is readable, or until woken."""
        await seat.readable()
        if seat.is_woken:
            seat.is_woken = False
            self._check_why_woken(Wait.READABLE)

    def _take_seat(self) -> Seat | None:
        """A place in the hub, if there is one."""
        if (in_hub := self._in_hub()) is None:
            return None
        if isinstance(self._place, Seat):
            return self._place
        hub, transport = in_hub
        self._place = seat = hub.seat(transport.socket, self._exchange.deadline)
        self._wake = seat.wake
        return seat

    def _in_hub(self) -> tuple[Hub, SocketTransport] | None:
        """The hub, and what it is to wait for; None where the task itself waits."""
        transport = self._exchange.transport
        if self._hub is None or self._hub.has_ended or not isinstance(transport, SocketTransport):
            return None
        # Another task may have closed it meanwhile; the transport tells of that.
        return None if self._exchange.is_closed else (self._hub, transport)

    def _leave_place(self) -> None:
        if self._place is not None:
            self._place.leave()
            self._place = None

    def _check_why_woken(self, wait: Wait) -> None:
        """After a wait that was cut short: raise, if going on is not possible."""
        if self._exchange.is_closed:
            raise trio.ClosedResourceError("this channel was closed")
        # Who waits in the hub may have moved its deadline on meanwhile.
        if not self._exchange.is_draining and trio.current_time() >= self._exchange.deadline(wait):
            raise self._exchange.clock_error(wait)

    # ---- ending ----

    def drain(self) -> None:
        """Let `receive` give what has already arrived, and then end.

        Returns at once. Frames whose last byte is in the kernel's buffer by now
        are still received; after them, `trio.EndOfChannel`. A wait for more is
        ended. Sending goes on as before. This is how a server stops.
        """
        self._exchange.is_draining = True
        self._wake()

    async def finish(self, *, linger_s: float) -> bool:
        """Close so that what was sent arrives: half-close, linger, close.

        A socket that is closed while its peer still sends is reset, and a reset
        may destroy what the peer has not read yet. So this first reads on, and
        discards, until the peer has ended as well, for ``linger_s`` seconds at
        most; in a drain, also no longer than until the peer has been silent for
        half a second. A channel with a torn frame is reset at once. TLS has no
        half-close, but a farewell of its own, which gets ``linger_s`` seconds.

        Returns:
          False if the linger was cut while the peer was still sending, so that
          the close was a reset; else True.

        When cancelled, the connection is closed all the same.
        """
        has_ended_or_is_silent = True
        try:
            if not (self._exchange.is_closed or self._exchange.sending in _UNFINISHED):
                # Lost, or closed by another task meanwhile: there is no more to be done.
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    if self._exchange.transport.can_half_close:
                        await self.send_eof()
                        has_ended_or_is_silent = await self._linger(trio.current_time() + linger_s)
                    else:
                        with trio.move_on_after(linger_s):
                            await self._exchange.transport.aclose()
        finally:
            await self.aclose()
        return has_ended_or_is_silent

    async def _linger(self, until: float) -> bool:
        """Read and discard; whether the peer has ended, or has fallen silent, before the end."""
        # If another task still receives, it will see the peer's end.
        while not self._exchange.has_received_eof and not self._is_receiving:
            # What is here already comes first: while this side was blocked it did
            # not listen, so that it has heard nothing does not mean silence.
            data = self._exchange.transport.receive_nowait()
            if data is not None:
                if trio.current_time() >= until:
                    return False
                self._exchange.note_received(data)
                await trio.lowlevel.checkpoint()
                continue
            silent_at = (self._exchange.heard_at or self._exchange.opened_at) + QUIET_S
            self._exchange.receive_deadline = min(until, silent_at) if self._exchange.is_draining else until
            now = trio.current_time()
            if now >= self._exchange.receive_deadline:
                return now >= silent_at
            with trio.CancelScope(deadline=self._exchange.receive_deadline) as silence:
                self._wake = silence.cancel
                await self._exchange.transport.wait_readable()
        return True

    async def aclose(self) -> None:
        """Close the connection at once; one with a torn frame is reset, so the peer knows.

        When cancelled, the connection is closed all the same. May be called twice.
        """
        if self._exchange.is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._exchange.is_closed = True
        self._wake()  # who waits shall see that it is closed
        self._leave_place()
        if self._exchange.sending in _UNFINISHED:
            await self._exchange.transport.abort()
        else:
            await self._exchange.transport.aclose()

    async def abort(self) -> None:
        """Close the connection at once, with a reset."""
        self._exchange.sending = Sending.TORN
        await self.aclose()
