"""Requests and their replies over one connection at a time: `FrameClient`.

Which reply belongs to which request is in `trioecho.client.line`; how a connection is opened, and
how long to wait before that, is in `trioecho.client.connecting`. This module has the tasks.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType

import trio

from ..base.nursery import open_background_nursery
from ..connection.channel import FrameChannel
from ..connection.trio_errors import ConnectionLostError, RequestTimeoutError
from ..errors import ConnectionEndedError, NotConnectedError, PayloadTooLargeError
from ..framing import DEFAULT_MAX_FRAME_LENGTH, Frame, FrameBatch, FrameFormat
from ..limits import or_infinite
from .connecting import Backoff, within
from .line import Key, Line


class FrameClient:
    """Sends requests to a service, and returns the reply to each.

    Use it in an ``async with`` block, which opens the first connection. Any number of tasks may
    call `request` at once: requests go out without waiting for the replies to those before.

    Cancelling a request harms no other one. If nothing of it was sent, it is withdrawn. Otherwise
    its frame is sent to the end, its reply is received and dropped, and the connection goes on.

    When a connection has ended, each request in flight raises `NoReplyError`: the service may
    have acted on it, and only the caller knows whether it may be repeated. A request of which
    nothing was sent waits for another connection, which is opened when there is such a request.
    The wait before that is random, between 0 and 0.1 s after the first connection that failed or
    ended without a reply; the upper end doubles with each further one, up to 5 s. This is "full
    jitter" of Marc Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), with
    the shorter times of one local service.

    The end of the block waits for no replies: requests that other tasks still wait for raise
    `trio.ClosedResourceError`, the connection is closed, and no task remains.

    Args:
      connect: opens a stream to the service; called for each connection. An `OSError` of it
        means that the service cannot be reached now.
      format: how frames are written.
      max_frame_length: payload bytes that a frame may have, in either direction.
      key: returns what a request and its reply have in common, such as
        ``lambda frame: frame.payload[:4]``; it is hashable. So replies may come in any order.
        Without it they come in the order of the requests. It must return for any frame that the
        service may send: what it raises ends the client.
      max_in_flight: requests that may be sent and not replied to at a time; others wait.
        100, as the least that HTTP/2 recommends (RFC 9113, SETTINGS_MAX_CONCURRENT_STREAMS).
      request_timeout_s: how long `request` may take, in seconds, from the call to its return.
        60 s, as nginx waits for a reply (proxy_read_timeout). 0 is off, here and below.
      connect_timeout_s: how long a connection may take to be opened. 10 s.
      frame_timeout_s, write_timeout_s: clocks of a connection, as in `Limits`.
      max_failures: after so many connections in a row that could not be opened, or ended
        without a reply, requests that wait raise `NotConnectedError`. 0 opens no other
        connection after the first.

    Raises:
      ValueError: a size, a number, a clock or a format that cannot be.
      OSError: at the start of the block, the service cannot be reached.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[trio.abc.Stream]],
        *,
        format: FrameFormat | None = None,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
        key: Key | None = None,
        max_in_flight: int = 100,
        request_timeout_s: float = 60,
        connect_timeout_s: float = 10,
        frame_timeout_s: float = 60,
        write_timeout_s: float = 60,
        max_failures: int = 5,
    ) -> None:
        for name, value, least in (
            ("max_in_flight", max_in_flight, 1),
            ("request_timeout_s", request_timeout_s, 0),
            ("connect_timeout_s", connect_timeout_s, 0),
            ("max_failures", max_failures, 0),
        ):
            if not value >= least:  # NaN is not
                raise ValueError(f"{name} must be {least} or more, not {value!r}")
        self._connect = connect
        self._open: Callable[[], Awaitable[FrameChannel]] = self._open_over_stream
        self._format = format or FrameFormat()
        self._max_frame_length = max_frame_length
        self._request_timeout_s = request_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._frame_timeout_s = frame_timeout_s
        self._write_timeout_s = write_timeout_s
        self._max_failures = max_failures
        self._line = Line(max_in_flight, key)
        self._backoff = Backoff()
        self._line_has_changed = trio.Event()
        self._block: contextlib.AbstractAsyncContextManager[None] | None = None
        self._is_open = False

    async def __aenter__(self) -> FrameClient:
        if self._block is not None:
            raise RuntimeError("a client can be used once; make another one")
        self._block = self._run_block()
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None  # noqa: S101 - for type checkers: __aenter__ has set it
        return await self._block.__aexit__(kind, error, trace)

    @property
    def in_flight(self) -> int:
        """How many requests were sent and not replied to, those that nobody waits for among them."""
        return self._line.in_flight

    async def request(self, payload: bytes) -> bytes:
        """Send a request, and return the payload of its reply.

        Cancellation, as of a `trio.fail_after` around it, gives up this request alone.

        Args:
          payload: of the request; any bytes-like object.

        Raises:
          NoReplyError: the connection has ended, and the request was sent, or a part of it.
          NotConnectedError: no connection could be opened; nothing of the request was sent.
          RequestTimeoutError: a `trio.TooSlowError`; no reply within ``request_timeout_s``.
          PayloadTooLargeError: over ``max_frame_length``, or what the header can express.
          DuplicateKeyError: a request with that key has no reply yet.
          trio.ClosedResourceError: the client's block has ended, or has not begun.

        After the last three nothing was sent.
        """
        return (await self._request(payload, None)).payload

    async def request_frame(self, frame: Frame) -> Frame:
        """Send a request with a header of its own, and return the reply with its header.

        For formats whose headers are more than a length; see `FrameChannel.send_frame`.
        Otherwise as `request`.

        Raises:
          ValueError: that is no header of the client's format. Nothing was sent.
        """
        return await self._request(frame.payload, frame.header)

    async def _request(self, payload: bytes, header: bytes | None) -> Frame:
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._is_open:
            raise trio.ClosedResourceError("this client is not open: its block has ended or not begun")
        length = memoryview(payload).nbytes
        if self._max_frame_length and length > self._max_frame_length:
            raise PayloadTooLargeError(length, self._max_frame_length)
        header = self._format.encode_header(length, like=header)
        frame = Frame(header, bytes(payload), self._format._trailer_of(header))
        request = self._line.add(frame, b"".join(frame))
        self._line_has_changed.set()
        was_sent = False
        try:
            with trio.move_on_after(or_infinite(self._request_timeout_s)):
                await request.done.wait()
        finally:
            if not request.done.is_set():
                was_sent = self._line.abandon(request)
                self._line_has_changed.set()
        outcome = request.outcome
        if outcome is None:
            raise RequestTimeoutError(self._request_timeout_s, self.in_flight, was_sent=was_sent)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    # ---- the tasks ----

    @contextlib.asynccontextmanager
    async def _run_block(self) -> AsyncIterator[None]:
        channel = await within(self._connect_timeout_s, self._open)
        async with open_background_nursery() as nursery:
            nursery.start_soon(self._run, channel)
            self._is_open = True
            try:
                yield
            finally:
                self._is_open = False
                self._line.close()

    async def _open_over_stream(self) -> FrameChannel:
        stream = await self._connect()
        try:
            return FrameChannel(
                stream,
                format=self._format,
                max_frame_length=self._max_frame_length,
                frame_timeout_s=self._frame_timeout_s,
                write_timeout_s=self._write_timeout_s,
                peer="the service",
            )
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise

    async def _run(self, channel: FrameChannel) -> None:
        while True:
            self._backoff.failures += 1  # until there is a reply
            ended = await self._use(channel)
            self._line.end_connection(ended)
            channel = await self._reconnect(ended)

    async def _use(self, channel: FrameChannel) -> ConnectionEndedError:
        """Send and receive until the connection has ended; return why."""
        ended: ConnectionEndedError | None = None

        async def send() -> None:
            nonlocal ended
            try:
                await self._send_queued(channel)
            except ConnectionEndedError as error:
                ended = error
                channel.drain()  # replies that have arrived are still received

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                try:
                    while True:
                        self._line.receive(await channel.receive_frame())
                        self._backoff.failures = 0
                        self._line_has_changed.set()
                except ConnectionEndedError as error:
                    ended = ended or error
                nursery.cancel_scope.cancel()
        finally:
            with contextlib.suppress(ConnectionEndedError):
                await trio.aclose_forcefully(channel)
        assert ended is not None  # noqa: S101 - for type checkers: nothing else ends the loop
        return ended

    async def _send_queued(self, channel: FrameChannel) -> None:
        while True:
            await self._wait_for_line(lambda: self._line.can_send or self._line.is_stuck)
            if self._line.is_stuck:
                raise ConnectionLostError("no reply has come to any request that may be in flight")
            requests = self._line.take()
            await channel.send_batch(FrameBatch(b"".join(each.wire for each in requests), len(requests)))

    async def _reconnect(self, ended: ConnectionEndedError) -> FrameChannel:
        """Wait until a request is queued, and open a connection for it."""
        cause: Exception = ended
        while True:
            await self._wait_for_line(lambda: self._line.has_queued)
            if (failures := self._backoff.failures) >= self._max_failures:
                self._end_queued(failures, cause)
                self._backoff.failures = 0
                continue
            await trio.sleep(self._backoff.next_wait_s())
            if not self._line.has_queued:
                continue
            try:
                return await within(self._connect_timeout_s, self._open)
            except OSError as error:
                cause = error
                self._backoff.failures += 1

    def _end_queued(self, failures: int, cause: Exception) -> None:
        def make_error() -> NotConnectedError:
            error = NotConnectedError(failures)
            error.__cause__ = cause
            return error

        self._line.end_queued(make_error)

    async def _wait_for_line(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._line_has_changed = trio.Event()
            await self._line_has_changed.wait()
