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

from ..base.kept_failure import raise_kept_failure
from .exchange import Exchange
from .handlers import checked_payload
from .sending import SEND_ERRORS, Sending
from .task_driver import TaskDriver
from .transport import Transport
from .turn_limits import ENOUGH_BYTES, TURN_MESSAGES

Reply = Callable[[bytes], Awaitable[bytes]]


class Replies:
    """Makes replies to messages, and sends them.

    Attributes:
      reply: makes them.
      has_failed: whether ``reply`` has raised something, which is then not the connection's.
      failure: what a send has raised while a reply was suspended.

    Args:
      reply: as above.
      exchange, transport, driver: the connection's.
    """

    def __init__(
        self,
        reply: Reply,
        exchange: Exchange,
        transport: Transport,
        driver: TaskDriver,
    ) -> None:
        self.reply: Reply = reply
        self.has_failed: bool = False
        self._exchange = exchange
        self._transport = transport
        self._driver = driver
        self._max_frame_length = exchange.max_frame_length
        self._pack_header = exchange.format._pack
        self._trailer = exchange.format.trailer  # of every frame; empty in most formats
        self._counted_header_bytes = exchange.format._counted_header_bytes
        # Where a send may have to wait, nothing can be sent when a reply is suspended.
        self._enough_bytes = ENOUGH_BYTES if transport.can_send_nowait else 0
        self._collected: list[bytes] = []  # headers and payloads, in turn
        self.failure: BaseException | None = None

    def put(self, payload: bytes) -> None:
        """Leave the only reply there is to the exchange, to be sent when that goes on.

        Raises:
          PayloadTooLargeError: it is too large.
        """
        if type(payload) is not bytes or len(payload) > self._max_frame_length:
            payload = checked_payload(self.reply, payload, self._max_frame_length)
        header = self._pack_header(len(payload) + self._counted_header_bytes)
        self._exchange.reply(header + payload + self._trailer if self._trailer else header + payload, 1)

    async def make_all(self, messages: Sequence[bytes]) -> None:
        """Make the reply to each message, in order, and leave them to the exchange to send.

        When that fails, messages for which no reply was begun go back to the decoder.

        Raises:
          PayloadTooLargeError: a reply is too large; those before it were sent.
          Whatever ``reply`` raises; likewise. And what a send raises.
        """
        rest = iter(messages)
        try:
            await _with_on_suspend(self._make(rest, len(messages)), self._send_at_once)
        except Exception:
            self._exchange.decoder.unread(list(rest))
            with contextlib.suppress(*SEND_ERRORS):  # what came first is raised
                await self._send()
            raise
        except BaseException:
            self._exchange.decoder.unread(list(rest))
            self._send_at_once()
            raise
        if self._exchange.sending is Sending.FREE:
            self._put_collected()
        else:  # some are still on their way, or cannot be
            await self._send()

    async def _make(self, messages: Iterator[bytes], count: int) -> None:
        reply, pack_header, collect = self.reply, self._pack_header, self._collected.append
        counted_header_bytes, trailer = self._counted_header_bytes, self._trailer
        most_bytes, bytes_left = self._max_frame_length, self._enough_bytes
        for left in range(count, 0, -TURN_MESSAGES):
            for message in itertools.islice(messages, TURN_MESSAGES):
                try:
                    payload = await reply(message)
                except BaseException:
                    self.has_failed = True
                    raise
                if type(payload) is not bytes or len(payload) > most_bytes:
                    payload = checked_payload(self.reply, payload, self._max_frame_length)
                length = len(payload)
                collect(pack_header(length + counted_header_bytes))
                collect(payload + trailer if trailer else payload)
                bytes_left -= length
                if bytes_left <= 0 or self.failure is not None:
                    await self._send()
                    bytes_left = self._enough_bytes
            if left > TURN_MESSAGES:
                await trio.lowlevel.checkpoint()

    def _send_at_once(self) -> None:
        """Send what is collected, as far as it goes without waiting; a failure is raised by `_send`.

        It is not raised here, because a reply may be suspended that must come to its end.
        """
        if self._exchange.sending is Sending.FREE:
            self._put_collected()
            try:
                send_reply_nowait(self._exchange, self._transport)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self.failure = error

    def _put_collected(self) -> None:
        if self._collected:  # a reply may wait already, with no message left to reply to
            self._exchange.reply(b"".join(self._collected), len(self._collected) // 2)
            self._collected.clear()

    async def _send(self) -> None:
        """Send what is left of what was sent at once, and then what is collected."""
        raise_kept_failure(self)
        await self._send_reply()
        self._put_collected()
        await self._send_reply()

    async def _send_reply(self) -> None:
        self._exchange.queue_reply()
        if self._exchange.has_reply_to_send:
            await self._driver.send_unsent()


def send_reply_nowait(exchange: Exchange, transport: Transport) -> None:
    """Send the reply, or what is left of it, as far as that is accepted without a wait.

    Raises:
      trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError: it cannot be sent.
    """
    exchange.queue_reply()
    if exchange.has_reply_to_send:
        try:
            exchange.sent(transport.send_nowait(exchange.unsent_bytes), trio.current_time())
        except BaseException:
            exchange.give_up(trio.current_time())
            raise


@types.coroutine
def _with_on_suspend(
    coroutine: Coroutine[Any, Any, None], on_suspend: Callable[[], None]
) -> Generator[Any, Any, None]:
    """Await a coroutine, and call a function whenever it is suspended, before Trio sees that it is."""
    resume: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        try:
            trap = resume(value)
        except StopIteration:
            return
        on_suspend()
        try:
            value = yield trap
            resume = coroutine.send
        except BaseException as error:  # noqa: BLE001 - the coroutine gets it
            value = error
            resume = coroutine.throw
