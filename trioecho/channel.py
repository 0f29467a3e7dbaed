"""Frames over a connection: `FrameChannel`, a Trio channel of payloads.

What a byte does on its way through an echo server::

    kernel -> Transport.receive_nowait -> FrameDecoder -+
                                                        | a run of whole frames
    kernel <- Transport.send_nowait    <----------------+

What is to be done stands in generators, the steps (`trioecho.steps`). Who waits,
and resumes them, is a driver: the connection's task, which awaits the transport,
for every kind of connection (`FrameChannel._drive`), or the hub, for many plain
sockets at a time (`trioecho.hub`). The steps note until when they may wait, so a
clock costs nothing until it may have run out.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator

import trio

from .errors import ClockError, FrameTimeoutError, IdleTimeoutError, PayloadTooLargeError, WriteTimeoutError
from .framing import DEFAULT_MAX_FRAME_LENGTH, FrameDecoder, FrameFormat, FrameRun, encode_frame
from .hub import Hub
from .limits import or_infinite
from .steps import Steps, Wait
from .transport import SocketTransport, Transport, open_transport

# A peer that has been silent for so long when a drain begins is taken as idle,
# not as one that was still sending.
QUIET_S = 0.5

OnSent = Callable[[int, int, "float | None", float], object]


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
      hub: who resumes `echo` on a plain socket; None for the task that calls it.
      on_sent: called after every send, also one that failed halfway, with the
        number of whole frames that were accepted by the kernel, the bytes of
        them on the wire, their service time in seconds (from when the bytes
        received last were taken from the kernel to now, without the time spent
        blocked; None when nothing was received yet), and the seconds that this
        send was blocked by a peer that did not read. Must return at once.

    Raises:
      ValueError: a size or a format that cannot be.
    """

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
        on_sent: OnSent | None = None,
    ) -> None:
        self._format = format or FrameFormat()
        self._max_frame_length = max_frame_length or self._format.max_payload_length
        self._decoder = FrameDecoder(format=self._format, max_frame_length=self._max_frame_length)
        self._transport = stream if isinstance(stream, Transport) else open_transport(stream)
        self._idle_timeout_s = or_infinite(idle_timeout_s)
        self._frame_timeout_s = or_infinite(frame_timeout_s)
        self._write_timeout_s = or_infinite(write_timeout_s)
        self._shortest_clock_s = min(self._idle_timeout_s, self._frame_timeout_s, self._write_timeout_s)
        self._hub = hub
        self._on_sent = on_sent
        self.peer: str = peer

        self._is_receiving = False
        self._is_sending = False
        self._is_torn = False  # a frame was sent in part, or may have been
        self._has_sent_eof = False
        self._is_closed = False
        self._has_received_eof = False
        self._is_draining = False
        self._drain_bytes_left: int | None = None  # None until the first receive of the drain
        self._wait: trio.CancelScope | None = None  # around a wait that a drain ends
        self._received_at: float | None = None
        # The same as trio.current_time(), which looks for the clock at every call.
        self._current_time = trio.lowlevel.current_clock().current_time
        self._opened_at = self._current_time()
        self._blocked_s = 0.0  # in sends, so far
        self._blocked_s_at_receive = 0.0
        self._blocked_since = math.inf  # now, in a send
        self._listened_until = self._opened_at
        self._receive_deadline = math.inf
        self._timed_frame = -1  # the number of the frame whose deadline that is

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
            # Messages that lie ready must not let a task run for ever.
            await trio.lowlevel.checkpoint()
            while (message := self._decoder.next_frame()) is None:
                await self._drive(self._receive_more())
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
            while (run := self._decoder.next_run()) is None:
                await self._drive(self._receive_more())
            return run
        finally:
            self._is_receiving = False

    def _begin_receiving(self) -> None:
        if self._is_closed:
            raise trio.ClosedResourceError("this channel was already closed")
        if self._is_receiving:
            raise trio.BusyResourceError("another task is receiving from this channel")
        self._is_receiving = True

    def _receive_more(self) -> Steps:
        """Feed the decoder with what comes next."""
        data = yield from self._receive_data()
        if data:
            self._decoder.receive_data(data)

    def _receive_data(self) -> Generator[Wait, None, bytes | memoryview]:
        """What comes next; nothing when the peer has ended inside a frame.

        Raises:
          trio.EndOfChannel: it has ended between frames; or a drain did.
        """
        data = None
        self._start_receive_clock()
        while data is None:
            if self._has_received_eof:
                raise trio.EndOfChannel
            if self._is_draining:
                data = yield from self._receive_arrived()
            else:
                yield Wait.READABLE
                data = self._transport.receive_nowait()
        self._note_received(data)
        if not data:
            self._decoder.end_of_data()
            if not self._decoder.buffered_bytes:
                raise trio.EndOfChannel
        return data

    def _receive_arrived(self) -> Generator[Wait, None, bytes | memoryview]:
        """In a drain: the next of the bytes that had arrived when it began.

        They cannot be more than the kernel's buffer holds, so a peer that never
        stops sending cannot keep a drain from ending.
        """
        if self._drain_bytes_left is None:
            self._drain_bytes_left = self._transport.receive_capacity
        if self._drain_bytes_left > 0:
            yield Wait.ARRIVED
            data = self._transport.receive_nowait()
            if data is not None:
                self._drain_bytes_left -= len(data)
                return data
        raise trio.EndOfChannel

    def _note_received(self, data: bytes | memoryview) -> None:
        self._received_at = self._listened_until = self._current_time()
        self._blocked_s_at_receive = self._blocked_s
        if not data:
            self._has_received_eof = True

    def _start_receive_clock(self) -> None:
        now = self._current_time()
        if not self._decoder.buffered_bytes:
            self._receive_deadline = now + self._idle_timeout_s
        elif self._timed_frame != self._decoder.frames_decoded:
            self._timed_frame = self._decoder.frames_decoded
            self._receive_deadline = now + self._frame_timeout_s
        else:
            # Time in which this side did not listen is not held against the peer.
            self._receive_deadline += now - self._listened_until

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
        self._begin_sending()
        await self._drive(self._send_frames(frame, 1, Wait.TURN))

    async def send_run(self, run: FrameRun) -> None:
        """Send frames that were received with `receive_run`, as they are.

        A checkpoint only if the kernel does not accept all at once. Otherwise as `send`.
        """
        self._begin_sending()
        await self._drive(self._send_frames(run.data, run.frame_count))

    def _begin_sending(self) -> None:
        if self._is_closed or self._has_sent_eof:
            raise trio.ClosedResourceError("this channel was already closed, or its sending half was")
        if self._is_torn:
            raise trio.BrokenResourceError(
                "an earlier send was cancelled or failed, perhaps inside a frame: nothing may follow it"
            )
        if self._is_sending:
            raise trio.BusyResourceError("another task is sending on this channel")
        self._is_sending = True

    def _send_frames(self, data: bytes | memoryview, frames: int, *first: Wait) -> Steps:
        sent = 0
        blocked_s_before = self._blocked_s
        try:
            yield from first
            sent = self._transport.send_nowait(data)
            if sent < len(data) and isinstance(data, memoryview) and not data.readonly:
                data = bytes(data)  # it lies in a buffer that others will receive into meanwhile
            while sent < len(data):
                self._blocked_since = self._current_time()
                try:
                    yield Wait.WRITABLE
                finally:
                    self._blocked_s += self._current_time() - self._blocked_since
                    self._blocked_since = math.inf
                sent += self._transport.send_nowait(memoryview(data)[sent:])
        except BaseException:
            self._is_torn = True
            frames, sent = self._whole_frames(data, sent)
            raise
        finally:
            self._is_sending = False
            if self._on_sent is not None:
                service_s = None
                if self._received_at is not None:
                    blocked_since_receive_s = self._blocked_s - self._blocked_s_at_receive
                    service_s = max(0.0, self._current_time() - self._received_at - blocked_since_receive_s)
                self._on_sent(frames, sent, service_s, self._blocked_s - blocked_s_before)

    def _whole_frames(self, data: bytes | memoryview, accepted: int) -> tuple[int, int]:
        """How many frames, and bytes of them, are whole in the first ``accepted`` bytes."""
        decoder = FrameDecoder(format=self._format, max_frame_length=self._max_frame_length)
        decoder.receive_data(data[:accepted])
        run = decoder.next_run()
        return (run.frame_count, len(run.data)) if run else (0, 0)

    async def send_eof(self) -> None:
        """Half-close: tell the peer that no more messages will come; still receive.

        Raises:
          LocalProtocolError: the stream has no half-close (TLS); use `aclose`.
          trio.BrokenResourceError: the connection is lost, or a send was torn.
          trio.ClosedResourceError: the channel was closed.
        """
        if self._has_sent_eof and not self._is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._begin_sending()
        try:
            await self._transport.send_eof()
            self._has_sent_eof = True
        finally:
            self._is_sending = False

    # ---- echoing ----

    async def echo(self) -> None:
        """Send back every frame, as it is, until the peer has ended or the server drains.

        As `receive_run` and `send_run` in a loop, but faster where there is a hub.

        Raises:
          Whatever these two raise, except `trio.EndOfChannel`.
        """
        self._begin_receiving()
        try:
            with contextlib.closing(self._echo()) as steps:
                wait = next(steps)
                if self._hub is not None and isinstance(self._transport, SocketTransport):
                    wait = await self._ride(self._hub, self._transport, steps, wait)
                await self._wait_for(wait)
                await self._drive(steps)
        except trio.EndOfChannel:
            pass
        finally:
            self._is_receiving = False

    def _echo(self) -> Steps:
        while True:
            # Something may be left of what was received before, or a refusal to tell of.
            run = self._decoder.next_run() if self._decoder.buffered_bytes else None
            while run is None:
                data = yield from self._receive_data()
                run = self._decoder.receive_run(data) if data else self._decoder.next_run()
            self._begin_sending()
            yield from self._send_frames(run.data, run.frame_count)

    # ---- driving ----

    async def _drive(self, steps: Steps) -> None:
        """Run steps to their end in this task, within the clocks."""
        with contextlib.closing(steps):
            for wait in steps:
                await self._wait_for(wait)

    async def _ride(self, hub: Hub, transport: SocketTransport, steps: Steps, wait: Wait) -> Wait:
        """Let the hub run steps, within the clocks, until a drain begins; what they wait for then."""
        with hub.riding(transport.socket, steps, wait) as ride:
            while not ride.has_ended.is_set() and not self._is_draining:
                # Meanwhile the steps may come to wait for something else, whose
                # clock ends earlier; but not before the shortest clock has run.
                look_again_at = self._current_time() + self._shortest_clock_s
                deadline = min(look_again_at, self._deadline(ride.wait))
                with trio.CancelScope(deadline=deadline) as self._wait:
                    await ride.has_ended.wait()
                if self._wait.cancelled_caught:
                    self._check_why_woken(ride.wait)
        failure, ride.failure = ride.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # or its traceback would keep all of this alive, in a circle
        return ride.wait

    async def _wait_for(self, wait: Wait) -> None:
        """Wait for something; for readable only until a drain begins.

        Raises:
          ClockError: it took longer than the clock allows.
        """
        if wait is Wait.READABLE and not self._is_draining:
            try:
                with trio.CancelScope(deadline=self._deadline(wait)) as self._wait:
                    await self._transport.wait_readable()
            finally:
                self._listened_until = self._current_time()
            if self._wait.cancelled_caught:
                self._check_why_woken(wait)
        elif wait is Wait.WRITABLE:
            with trio.CancelScope(deadline=self._deadline(wait)) as clock:
                await self._transport.wait_writable()
            if clock.cancelled_caught:
                raise self._clock_error(wait)
        elif wait is Wait.ARRIVED:
            await self._transport.wait_arrived()
        else:
            await trio.lowlevel.checkpoint()

    def _check_why_woken(self, wait: Wait) -> None:
        """After a wait that was cut short: raise, if going on is not possible."""
        if self._is_closed:
            raise trio.ClosedResourceError("this channel was closed")
        # Who waits in the hub may have moved its deadline on meanwhile.
        if not self._is_draining and self._current_time() >= self._deadline(wait):
            raise self._clock_error(wait)

    def _deadline(self, wait: Wait) -> float:
        if wait is Wait.WRITABLE:
            return self._blocked_since + self._write_timeout_s
        return self._receive_deadline

    def _clock_error(self, wait: Wait) -> ClockError:
        if wait is Wait.WRITABLE:
            return WriteTimeoutError(self._write_timeout_s)
        if self._decoder.buffered_bytes:
            return FrameTimeoutError(self._frame_timeout_s)
        return IdleTimeoutError(self._idle_timeout_s)

    # ---- ending ----

    def drain(self) -> None:
        """Let `receive` give what has already arrived, and then end.

        Returns at once. Frames whose last byte is in the kernel's buffer by now
        are still received; after them, `trio.EndOfChannel`. A wait for more is
        ended. Sending goes on as before. This is how a server stops.
        """
        self._is_draining = True
        if self._wait is not None:
            self._wait.cancel()

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
            if not (self._is_torn or self._is_sending or self._is_closed):
                # Lost, or closed by another task meanwhile: there is no more to be done.
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    if self._transport.can_half_close:
                        await self.send_eof()
                        has_ended_or_is_silent = await self._linger(self._current_time() + linger_s)
                    else:
                        with trio.move_on_after(linger_s):
                            await self._transport.aclose()
        finally:
            await self.aclose()
        return has_ended_or_is_silent

    async def _linger(self, until: float) -> bool:
        """Read and discard; whether the peer has ended, or has fallen silent, before the end."""
        # If another task still receives, it will see the peer's end.
        while not self._has_received_eof and not self._is_receiving:
            # What is here already comes first: while this side was blocked it did
            # not listen, so that it has heard nothing does not mean silence.
            data = self._transport.receive_nowait()
            if data is not None:
                if self._current_time() >= until:
                    return False
                self._note_received(data)
                await trio.lowlevel.checkpoint()
                continue
            silent_at = (self._received_at or self._opened_at) + QUIET_S
            self._receive_deadline = min(until, silent_at) if self._is_draining else until
            now = self._current_time()
            if now >= self._receive_deadline:
                return now >= silent_at
            with trio.CancelScope(deadline=self._receive_deadline) as self._wait:
                await self._transport.wait_readable()
        return True

    async def aclose(self) -> None:
        """Close the connection at once; one with a torn frame is reset, so the peer knows.

        When cancelled, the connection is closed all the same. May be called twice.
        """
        if self._is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._is_closed = True
        if self._wait is not None:
            self._wait.cancel()  # who waits shall see that it is closed
        if self._is_torn or self._is_sending:
            await self._transport.abort()
        else:
            await self._transport.aclose()

    async def abort(self) -> None:
        """Close the connection at once, with a reset."""
        self._is_torn = True
        await self.aclose()
