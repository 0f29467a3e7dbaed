"""Frames over a connection: `FrameChannel`, a Trio channel of payloads.

What is done with a connection's bytes is in `trioecho.connection.exchange`, and who moves
them is in `trioecho.connection.connection_task`. This module has what a caller uses, and how
a connection ends.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import trio

from ..errors import ConnectionEndedError, PayloadTooLargeError
from ..framing import DEFAULT_MAX_FRAME_LENGTH, BlockPool, Frame, FrameBatch, FrameFormat, encode_frame
from ..limits import Limits
from .calls import Calls, OnSlowCall
from .connection_info import ConnectionInfo, connection_info
from .connection_task import ConnectionTask
from .handlers import AsyncReply, PlainReply, checked_reply
from .interest import Use
from .reactor import Reactor
from .replies import Replies
from .sending import OnSent, Sending
from .transport import Transport, open_transport

# A peer that has been silent for so long when a drain begins is taken as idle,
# not as one that was still sending.
QUIET_S = 0.5
# How often a drain looks whether a peer has taken what was sent: nothing wakes it up then.
UNTAKEN_LOOK_S = 0.05
_Message = TypeVar("_Message", bytes, Frame)


class FrameChannel(ConnectionTask, trio.abc.Channel[bytes]):
    """Sends and receives whole messages over any Trio stream, a frame for each.

    ``async for message in channel`` gives payloads until the peer has ended its
    stream at the end of a frame; that is `EndOfMessagesError` for `receive`.
    Every end of the connection, this one too, is a `ConnectionEndedError`.

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

    Raises:
      ValueError: a size or a format that cannot be.
    """

    __slots__ = ("__weakref__", "peer")

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        format: FrameFormat | None = None,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
        idle_timeout_s: float = 0,
        frame_timeout_s: float = 0,
        write_timeout_s: float = 0,
        peer: str = "the peer",
    ) -> None:
        limits = Limits(
            max_frame_length=max_frame_length,
            idle_timeout_s=idle_timeout_s,
            frame_timeout_s=frame_timeout_s,
            write_timeout_s=write_timeout_s,
        )
        super().__init__(open_transport(stream), format or FrameFormat(), limits)
        self.peer: str = peer

    @classmethod
    def _of_server(
        cls,
        transport: Transport,
        format: FrameFormat,
        limits: Limits,
        peer: str,
        *,
        reactor: Reactor | None,
        pool: BlockPool | None,
        on_sent: OnSent | None,
        on_slow_call: OnSlowCall | None = None,
    ) -> FrameChannel:
        """Make a channel that shares a reactor, memory and a count with others of one server."""
        channel = cls.__new__(cls)
        ConnectionTask.__init__(
            channel,
            transport,
            format,
            limits,
            reactor=reactor,
            pool=pool,
            on_sent=on_sent,
            on_slow_call=on_slow_call,
        )
        channel.peer = peer
        return channel

    def __repr__(self) -> str:
        return f"<FrameChannel with {self.peer}>"

    @property
    def info(self) -> ConnectionInfo:
        """What is known of the connection: its other side's address, and whether it is under TLS."""
        return connection_info(self._transport, self.peer)

    # ---- receiving ----

    async def receive(self) -> bytes:
        """Wait for the next message and return its payload, which may be empty.

        Cancellation loses nothing: the next call goes on where this one was.

        Raises:
          EndOfMessagesError: a `trio.EndOfChannel`; the peer has ended its stream after a whole frame,
            or the server drains, and what had arrived was received, as had the rest of a
            frame that had begun.
          RemoteProtocolError: `FrameTooLargeError`, `FrameTooSmallError` or
            `IncompleteFrameError`; the same at every further call.
          PeerTimeoutError: `IdleTimeoutError` or `FrameTimeoutError`.
          ConnectionLostError: a `trio.BrokenResourceError`; the connection is lost.
          trio.ClosedResourceError: the channel was closed.
          trio.BusyResourceError: another task is receiving.
        """
        return await self._receive_next(self._exchange.decoder.next_frame)

    async def receive_frame(self) -> Frame:
        """Wait for the next message and return it with its header.

        For formats whose headers are more than a length: they have types, flags or
        identifiers in them, which `send_frame` can send back. Otherwise as `receive`.
        """
        return await self._receive_next(self._exchange.decoder.next_whole_frame)

    async def _receive_next(self, next_message: Callable[[], _Message | None]) -> _Message:
        self._begin_receiving()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            message = next_message()
            if message is not None:
                # Messages that lie ready must not let a task run for ever.
                await trio.lowlevel.cancel_shielded_checkpoint()
                return message
            return await self._receive_until(next_message)
        except ConnectionEndedError as error:
            self._note_raised(error)
            raise
        finally:
            self._is_receiving = False

    async def receive_batch(self) -> FrameBatch:
        """Wait until at least one frame is complete; return all that are, as one piece of wire.

        For a caller that passes frames on as they are, with `send_batch`: the work is per
        receive, not per frame. A checkpoint only if no frame is complete yet. Otherwise as
        `receive`.
        """
        self._begin_receiving()
        try:
            if (batch := self._exchange.decoder.next_batch()) is not None:
                return batch
            return await self._receive_until(self._exchange.decoder.next_batch)
        except ConnectionEndedError as error:
            self._note_raised(error)
            raise
        finally:
            self._is_receiving = False

    # ---- sending ----

    async def send(self, value: bytes) -> None:
        """Send one message; returns when the kernel has accepted all of its frame.

        A send that is cancelled or fails may have sent a part of the frame. No
        byte ever follows it: every later send raises `ConnectionLostError`,
        and closing the channel resets the connection.

        Args:
          value: the payload; any bytes-like object.

        Raises:
          PayloadTooLargeError: over ``max_frame_length`` or what the header can
            express. Nothing was sent, and the channel can be used as before.
          WriteTimeoutError: nothing more could be sent for ``write_timeout_s``.
          ConnectionLostError: a `trio.BrokenResourceError`; the connection is lost, or was torn before.
          trio.ClosedResourceError: after `send_eof` or `aclose`.
          trio.BusyResourceError: another task is sending.
        """
        await self._send_message(value, None)

    async def send_frame(self, frame: Frame) -> None:
        """Send one message with a header of its own: the length in it is written anew, the rest is kept.

        So the header of a frame that was received can be sent back with another payload.
        What follows the payload is as the format says. Otherwise as `send`.

        Raises:
          ValueError: that is no header of this channel's format. Nothing was sent.
        """
        await self._send_message(frame.payload, frame.header)

    async def _send_message(self, payload: bytes, header: bytes | None) -> None:
        exchange = self._exchange
        length = memoryview(payload).nbytes
        if length > exchange.max_frame_length:
            raise PayloadTooLargeError(length, exchange.max_frame_length)
        wire = encode_frame(payload, format=exchange.format, header=header)
        await self._send([wire], 1, gives_way=True)

    async def send_batch(self, batch: FrameBatch) -> None:
        """Send frames that were received with `receive_batch`, as they are.

        A checkpoint only if the kernel does not accept all at once. Otherwise as `send`.
        """
        await self._send([batch.data], batch.frame_count, gives_way=False)

    async def _send(self, pieces: Sequence[bytes | memoryview], frames: int, *, gives_way: bool) -> None:
        exchange = self._exchange
        try:
            exchange.send_for_task(pieces, frames)
            if gives_way:
                try:
                    await trio.lowlevel.checkpoint()
                except BaseException:
                    exchange.tear(self._now())
                    raise
            await self._driver.send_unsent()
        except ConnectionEndedError as error:
            self._note_raised(error)
            raise

    async def send_eof(self) -> None:
        """Half-close: report to the peer that no more messages will come; still receive.

        Raises:
          LocalProtocolError: the stream has no half-close (TLS); use `aclose`.
          ConnectionLostError: a `trio.BrokenResourceError`; the connection is lost, or a send was torn.
          trio.ClosedResourceError: the channel was closed.
        """
        if self._exchange.sending is Sending.ENDED and not self._exchange.is_closed:
            await trio.lowlevel.checkpoint()
            return
        try:
            self._exchange.begin_sending()
            try:
                await self._transport.send_eof()
            except BaseException:
                self._exchange.end_stream(is_ended=False)
                raise
        except ConnectionEndedError as error:
            self._note_raised(error)
            raise
        self._exchange.end_stream(is_ended=True)

    # ---- echoing and replying ----

    def echo(self) -> Awaitable[None]:
        """Send back every frame, as it is, until the peer has ended or the server drains.

        As `receive_batch` and `send_batch` in a loop, but faster where there is a reactor.

        Raises:
          Whatever these two raise, except `EndOfMessagesError`.
        """
        # Not an async function, whose frame an idle connection would hold; nor is `reply_with`.
        return self._run(Use.ECHO)

    def reply_with(self, reply: Callable[[bytes], bytes | Awaitable[bytes]]) -> Awaitable[None]:
        """Send ``reply(message)`` for every message, in order, until the peer ends or a drain does.

        As `receive` and `send` in a loop, but faster: replies to messages that came together are
        sent together.

        An async function is awaited in the task that awaits this. It may wait; no reply waits
        for a later one to be made: when ``reply`` is suspended, those before are sent. When it
        fails or is cancelled, messages for which no reply was begun can still be received.

        A function that is not async is called as soon as its messages have come, which is
        faster still. While it runs, nothing else does, on no connection: it has to return at
        once. What it does not do: wait, for a file, a lock or a database; compute for longer than
        a millisecond. A server logs once that its function was slow. It may be called in another task,
        so cancel scopes and context variables of the caller are not there. If it fails, the same is true
        as of an async one.

        Args:
          reply: the function; async, or annotated to return an awaitable, or not.

        Raises:
          TypeError: ``reply`` is not a function of one message; or, at the first one that shows
            it, a reply is not bytes-like.
          PayloadTooLargeError: a reply is too large, after those before it were sent.
          Whatever ``reply`` raises, after the replies before that were sent.
          Whatever `receive` and `send` raise, except `EndOfMessagesError`.
        """
        return self._reply_with(checked_reply(reply))

    def _reply_with(self, reply: AsyncReply | PlainReply) -> Awaitable[None]:
        exchange = self._exchange
        if isinstance(reply, AsyncReply):
            return self._run(Use.REPLY, Replies(reply.function, exchange, self._transport, self._driver))
        calls = Calls(
            reply.function,
            format=exchange.format,
            max_frame_length=exchange.max_frame_length,
            on_slow=self._on_slow_call,
        )
        return self._run(Use.REPLY, calls=calls)

    # ---- ending ----

    def drain(self) -> None:
        """Let `receive` give what has already arrived, and the frame that has begun, and then end.

        Returns at once. Frames of which at least the first byte is in the kernel's buffer
        by now are still received; after them, `EndOfMessagesError`. So `receive` waits on
        for the rest of a frame that has begun, and only for that. The frame clock bounds
        this wait. Where it is off, as it is by default, a peer that never sends the rest
        lets `receive` wait for ever: put a cancel scope around it. Sending goes on as
        before. This is how a server stops.
        """
        if not self._exchange.is_closed:
            self._exchange.drain()
            self._wake()

    async def finish(self, *, linger_s: float) -> bool:
        """Close so that what was sent arrives: half-close, linger, close.

        A socket that is closed while its peer still sends is reset, and a reset
        may destroy what the peer has not read yet. So this first reads on, and
        discards, until the peer has ended as well, for ``linger_s`` seconds at
        most. In a drain that is no longer than until the peer has taken everything (where its
        system tells) and has then been silent for half a second; while it takes something, the
        ``linger_s`` seconds begin anew. A channel with a torn frame is reset at once. TLS has no
        half-close, but a closing message of its own, which gets ``linger_s`` seconds.

        Returns:
          False if the linger was cut while the peer was still sending, so that
          the close was a reset; else True.

        When cancelled, the connection is closed all the same.
        """
        has_ended_or_is_silent = True
        try:
            if not (self._exchange.is_closed or self._exchange.is_unfinished):
                # Lost, or closed by another task meanwhile: there is no more to be done.
                with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    if self._transport.can_half_close:
                        until = trio.current_time() + linger_s
                        with trio.CancelScope(deadline=until) as ending:  # TLS has a last record to send
                            await self.send_eof()
                        if ending.cancelled_caught:
                            has_ended_or_is_silent = False
                        else:
                            has_ended_or_is_silent = await self._linger(until, linger_s)
                    else:
                        with trio.move_on_after(linger_s):
                            await self._transport.aclose()
        finally:
            await self.aclose()
        return has_ended_or_is_silent

    async def _linger(self, until: float, linger_s: float) -> bool:
        """Read and discard; return whether the peer has ended, or has fallen silent, before the end."""
        exchange = self._exchange
        untaken, taken_at = math.inf, exchange.opened_at
        # If another task still receives, it will see the peer's end.
        while not exchange.has_received_eof and not self._is_receiving:
            # What is here already comes first: while this side was blocked it did
            # not listen, so that it has heard nothing does not mean silence.
            data = self._transport.receive_nowait()
            if data is None:
                now, deadline, is_silent = self._now(), until, False
                left = self._transport.count_untaken() if exchange.is_draining else 0
                if left:  # a peer that is still to take something reads, and may go on after that
                    if left < untaken:
                        untaken, until = left, max(until, now + linger_s)
                    taken_at = now
                    deadline = min(until, now + UNTAKEN_LOOK_S)
                elif exchange.is_draining:
                    silent_at = max(exchange.last_received_at, taken_at) + QUIET_S
                    deadline, is_silent = min(until, silent_at), now >= silent_at
                if now >= deadline:
                    return is_silent
                data = await self._driver.receive_until(deadline)
            if data is not None:
                if self._now() >= until:
                    return False
                exchange.note_discarded(data, self._now())
                await trio.lowlevel.checkpoint()
        return True

    async def aclose(self) -> None:
        """Close the connection at once; one with a torn frame is reset, so the peer knows.

        When cancelled, the connection is closed all the same. May be called twice.
        """
        if self._exchange.is_closed:
            await trio.lowlevel.checkpoint()
            return
        self._exchange.close()
        self._wake()  # a task that waits will see that it is closed
        self._leave_reactor()
        try:
            if self._exchange.is_unfinished:
                await self._transport.abort()
            else:
                await self._transport.aclose()
        except ConnectionEndedError as error:
            self._note_raised(error)
            raise

    async def abort(self) -> None:
        """Close the connection at once, with a reset."""
        self._exchange.abort()
        await self.aclose()
