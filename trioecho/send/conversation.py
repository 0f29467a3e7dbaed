"""A conversation: messages are sent, replies are received, until it is over."""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import trio

from ..base.nursery import open_background_nursery
from ..base.quantities import plural
from ..connection.channel import FrameChannel
from ..connection.trio_errors import EndOfMessagesError
from ..errors import ConnectionEndedError, LocalProtocolError
from ..framing import Frame


class TooFewRepliesError(Exception):
    """The conversation has ended before there was a reply to each message.

    Attributes:
      sent (int): messages.
      received (int): replies.
      reason (str): why it has ended.
    """

    def __init__(self, sent: int, received: int, reason: str) -> None:
        super().__init__(sent, received, reason)
        self.sent = sent
        self.received = received
        self.reason = reason

    def __str__(self) -> str:
        replies = "1 reply" if self.received == 1 else f"{self.received:,} replies"
        return f"{self.reason}, after {replies} to {plural(self.sent, 'message')}"


@dataclass(frozen=True)
class Ending:
    """When a conversation is over.

    Attributes:
      at_last_reply: whether it is over when all is sent and there are as many replies as messages.
      silence_s: it is over, too, when all is sent and nothing has come for so long.
      needs_replies: whether it is an error if it ends with fewer replies than messages. Then the
        silence counts before the last message, too, when a reply is due.
    """

    at_last_reply: bool = True
    silence_s: float = 10.0
    needs_replies: bool = True


class Conversation:
    """Messages and replies over one channel.

    Args:
      channel: connected to the service.
      ending: when it is over.
      on_reply: is called with each reply, and must return soon.

    Attributes:
      sent: messages that were sent.
      received: replies that were received.
    """

    def __init__(self, channel: FrameChannel, ending: Ending, on_reply: Callable[[Frame], object]) -> None:
        self._channel = channel
        self._ending = ending
        self._on_reply = on_reply
        self._all_is_sent = False
        # When the last reply has come, or has become due, or all was sent.
        self._active_at = trio.current_time()
        self._receiving = trio.CancelScope()
        self._failure: Exception | None = None
        self._reply_has_come = trio.Event()
        self.sent: int = 0
        self.received: int = 0

    async def run(self, messages: AsyncGenerator[Frame, None], *, half_close: bool) -> None:
        """Send messages as they come, and receive replies meanwhile.

        Args:
          messages: what to send; it is closed at the end. A frame whose header is empty gets that of
            its payload.
          half_close: whether to end the stream behind the last message, so that the service
            knows that there are no more.

        Raises:
          TooFewRepliesError: it was over too early.
          ConnectionEndedError: the service has sent what is no frame, or the connection is lost.
          PayloadTooLargeError: a message cannot be sent.
          ValueError, OSError: ``messages`` raised it, or a header is not of the channel's format.
        """

        async def send() -> None:
            try:
                await self._send(messages, half_close=half_close)
            except trio.BrokenResourceError:
                pass  # receiving fails as well, and knows more
            except (ConnectionEndedError, LocalProtocolError, ValueError, OSError) as error:
                self._failure = error
                self._receiving.cancel()

        async with open_background_nursery() as nursery:
            nursery.start_soon(send)
            await self._receive()
        if self._failure is not None:
            raise self._failure

    async def wait_for_replies(self) -> None:
        """Wait until there are as many replies as messages."""
        while self.received < self.sent:
            await self._reply_has_come.wait()

    async def _send(self, messages: AsyncGenerator[Frame, None], *, half_close: bool) -> None:
        async with contextlib.aclosing(messages):
            async for message in messages:
                if message.header:
                    await self._channel.send_frame(message)
                else:
                    await self._channel.send(message.payload)
                if self.received >= self.sent:
                    self._active_at = trio.current_time()  # now a reply is due
                self.sent += 1
                self._receiving.deadline = self._deadline
        self._all_is_sent = True
        self._active_at = trio.current_time()
        self._receiving.deadline = self._deadline
        if half_close:
            await self._channel.send_eof()

    async def _receive(self) -> None:
        while self._failure is None and trio.current_time() < self._deadline:
            with trio.CancelScope(deadline=self._deadline) as self._receiving:
                try:
                    reply = await self._channel.receive_frame()
                except EndOfMessagesError:
                    self._check_end("the service closed the connection")
                    return
                self._active_at = trio.current_time()
                self.received += 1
                self._on_reply(reply)
                self._reply_has_come.set()
                self._reply_has_come = trio.Event()
        if self._failure is None:
            self._check_end(f"nothing came for {self._ending.silence_s:g} s")

    @property
    def _deadline(self) -> float:
        """When it is over, if nothing comes or is sent until then."""
        ending, is_reply_due = self._ending, self.received < self.sent
        if self._all_is_sent and ending.at_last_reply and not is_reply_due:
            return -math.inf
        if self._all_is_sent or (ending.needs_replies and is_reply_due):
            return self._active_at + ending.silence_s
        return math.inf

    def _check_end(self, reason: str) -> None:
        if not self._all_is_sent or (self._ending.needs_replies and self.received < self.sent):
            raise TooFewRepliesError(self.sent, self.received, reason)
