"""What a handler of messages replies, and how it goes out: together, but never later than need be.

Replies to messages that came together are sent together, which costs a fraction
of sending them one by one. They do not wait for each other, though: when the
function that makes one of them is suspended, those before it are sent at once.
"""

from __future__ import annotations

import contextlib
import itertools
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, Sequence
from typing import Any

import trio

from .errors import ClockError, PayloadTooLargeError
from .exchange import Exchange, Sending
from .framing import FrameFormat
from .steps import Steps

# More than that is not collected.
_ENOUGH_BYTES = 1 << 16
# After so many messages that came together, other tasks have their turn.
_TURN = 64
_CANNOT_SEND = (ClockError, trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)

Reply = Callable[[bytes], Awaitable[bytes]]
Drive = Callable[[Steps], Awaitable[None]]


class Replies:
    """Makes replies to messages, and sends them.

    Args:
      reply: makes them.
      exchange: sends them.
      drive: waits for the exchange.
      format, max_frame_length: as the exchange has them.
    """

    def __init__(
        self, reply: Reply, exchange: Exchange, drive: Drive, format: FrameFormat, max_frame_length: int
    ) -> None:
        self.reply = reply
        self._exchange = exchange
        self._drive = drive
        self._max_frame_length = min(max_frame_length, format.max_payload_length)
        self._pack_header = format._header.pack
        self._counted_header_bytes = format._counted_header_bytes
        # Where a send may have to wait, nothing can be sent when a reply is suspended.
        self._enough_bytes = _ENOUGH_BYTES if exchange.transport.can_send_at_once else 0
        self._collected: list[bytes] = []  # headers and payloads, in turn
        self._failure: Exception | None = None  # of a send

    def put(self, payload: bytes) -> None:
        """Give the exchange the only reply there is, to be sent when that goes on.

        Raises:
          PayloadTooLargeError: it is.
        """
        if type(payload) is not bytes or len(payload) > self._max_frame_length:
            payload = self._checked(payload)
        self._exchange.answer = self._pack_header(len(payload) + self._counted_header_bytes) + payload
        self._exchange.answer_frames = 1

    async def make_all(self, messages: Sequence[bytes]) -> None:
        """Make the reply to each message, in order, and give them to the exchange to send.

        When that fails, messages for which no reply was begun go back to the decoder.

        Raises:
          PayloadTooLargeError: a reply is; those before it were sent.
          Whatever ``reply`` raises; likewise. And what a send raises.
        """
        rest = iter(messages)
        try:
            await _with_farewell(self._make(rest, len(messages)), self._send_at_once)
        except Exception:
            self._exchange.decoder.put_back(list(rest))
            with contextlib.suppress(*_CANNOT_SEND):  # what came first is raised
                await self._drive(self._send())
            raise
        except BaseException:
            self._exchange.decoder.put_back(list(rest))
            self._send_at_once()
            raise
        if self._exchange.sending is Sending.FREE:
            self._put_collected()
        else:  # some are still on their way, or cannot be
            await self._drive(self._send())

    async def _make(self, messages: Iterator[bytes], count: int) -> None:
        reply, pack_header, collect = self.reply, self._pack_header, self._collected.append
        counted_header_bytes = self._counted_header_bytes
        most_bytes, bytes_left = self._max_frame_length, self._enough_bytes
        for left in range(count, 0, -_TURN):
            for message in itertools.islice(messages, _TURN):
                payload = await reply(message)
                if type(payload) is not bytes or len(payload) > most_bytes:
                    payload = self._checked(payload)
                length = len(payload)
                collect(pack_header(length + counted_header_bytes))
                collect(payload)
                bytes_left -= length
                if bytes_left <= 0 or self._failure is not None:
                    await self._drive(self._send())
                    bytes_left = self._enough_bytes
            if left > _TURN:
                await trio.lowlevel.checkpoint()

    def _checked(self, payload: bytes) -> bytes:
        """A reply of any type, as bytes: it may be a buffer that the next one is made in."""
        payload = memoryview(payload).tobytes()
        if len(payload) > self._max_frame_length:
            raise PayloadTooLargeError(len(payload), self._max_frame_length)
        return payload

    def _send_at_once(self) -> None:
        """Send what is collected, as far as it goes without waiting; a failure is raised by `_send`.

        Not here, because a reply may be suspended that must come to its end.
        """
        if self._exchange.sending is Sending.FREE:
            self._put_collected()
            try:
                self._exchange.send_answer_at_once()
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._failure = error

    def _put_collected(self) -> None:
        if self._collected:  # an answer may wait already, with no message left to reply to
            self._exchange.answer = b"".join(self._collected)
            self._exchange.answer_frames = len(self._collected) // 2
            self._collected.clear()

    def _send(self) -> Steps:
        """Send what is left of what was sent at once, and then what is collected."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            try:
                raise failure
            finally:
                del failure  # or its traceback would keep all of this alive, in a circle
        yield from self._exchange.send_answer()
        self._put_collected()
        yield from self._exchange.send_answer()


@types.coroutine
def _with_farewell(
    coroutine: Coroutine[Any, Any, None], farewell: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Await a coroutine, and call a function whenever it is suspended, before Trio sees that it is."""
    resume: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        try:
            trap = resume(value)
        except StopIteration:
            return
        farewell()
        try:
            value = yield trap
            resume = coroutine.send
        except BaseException as error:  # noqa: BLE001 - the coroutine gets it
            value = error
            resume = coroutine.throw
