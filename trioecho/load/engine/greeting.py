"""The first messages of every connection, before any load: a login, a session request.

Each reply, of one frame or several, is awaited before the next message is sent. No byte is taken from
the socket beyond the last reply: what else a server sends is seen by the load, as on any connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from typing import NamedTuple, Protocol

import trio

from ...base.describe import describe
from ...base.difference import describe_difference
from ...base.printable import printable_line
from ...base.quantities import plural
from ...client.strange_replies import name_of_service, no_frame
from ...errors import RemoteProtocolError
from ...framing import Frame, FrameDecoder, FrameFormat
from ..message_list import MOST_REPLY_BYTES, MessageList
from ..plan import LoadPlan
from .template_ring import TemplateRing

_RECEIVE_BYTES = 1 << 16
_SHOWN_BYTES = 100


class AsyncSocket(Protocol):
    """What is needed of a socket of Trio, or of what behaves as one."""

    def send(self, data: bytes | memoryview, /) -> Awaitable[int]: ...

    def recv(self, most: int, /) -> Awaitable[bytes]: ...


class GreetingError(Exception):
    """A server did not reply to a first message, or not as the file says.

    Attributes:
      reason (str): the end of a sentence that begins with the server's address.
      number (int): of the first message, from 0.
    """

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(reason, number)
        self.reason = reason
        self.number = number

    def __str__(self) -> str:
        return self.reason


class _Step(NamedTuple):
    """What is sent, and what is to come for it.

    Attributes:
      wire: what is sent.
      expected: the last frame of the reply, if that has to be a certain one; any header will do if its
        header is empty.
      until: how the last frame of the reply begins.
    """

    wire: bytes
    expected: Frame | None
    until: bytes

    def seen_in_words(self, seen: list[bytes]) -> str:
        """Return what came before the frame that did not come; nothing if that would be any frame."""
        if not self.until:
            return ""
        awaited = f"; no frame came that begins {self.until.hex(' ')}"
        return awaited + "".join(f", and the last one was {_shown(frame)}" for frame in seen)


class Greeting:
    """Sends the first messages of a connection, and verifies the replies.

    A reply is right if it is a frame or, where the file has a reply, if it is that one.

    Args:
      plan: of the load.
      messages: those of the plan's `service.first_messages`.

    Raises:
      ValueError: the messages are not those of the plan.
      PayloadTooLargeError: a message is longer than the header can express.
    """

    def __init__(self, plan: LoadPlan, messages: MessageList) -> None:
        if plan.service.first_messages != messages.source:
            raise ValueError("the first messages are not those of the plan: its service has to have theirs")
        self._format = plan.format
        self._timeout_s = plan.timeout_s
        self._file = printable_line(messages.source.file)
        self._seed = plan.seed
        self._messages = messages
        # Empty where templates make them for each connection.
        self._wires = [] if messages.source.templates else messages.frames(plan.format)
        self._largest = max(MOST_REPLY_BYTES, messages.source.most_reply_bytes or 0)

    async def exchange(self, connection: AsyncSocket, number: int) -> None:
        """Send each message, and await its reply; the timeout of the plan is for each of them.

        Args:
          connection: to the server.
          number: which one it is, from 0.

        When it is cancelled or fails, the connection is of no further use; closing it is left to the
        caller.

        Raises:
          GreetingError: a reply did not come in time, is wrong, or is no frame; or the connection ended.
        """
        for message, step in enumerate(self._for_connection(number)):
            where = f"first message {message + 1} of {self._file}"
            received = bytearray()
            seen: list[bytes] = []
            try:
                with trio.fail_after(self._timeout_s):
                    await _send_all(connection, step.wire)
                    reply = await self._last_reply(connection, step.until, received, seen)
            except trio.TooSlowError:
                come = f", but {plural(len(received), 'byte')} of one" if received else ""
                reason = f"sent no reply to {where} within {self._timeout_s:g} s{come}"
                raise GreetingError(f"{reason}{step.seen_in_words(seen)}", message) from None
            except RemoteProtocolError:
                what = self._in_words(bytes(received), message)
                raise GreetingError(f"{what}, after {where}", message) from None
            except OSError as error:
                reason = f"ended the connection after {where}: {describe(error)}"
                raise GreetingError(f"{reason}{step.seen_in_words(seen)}", message) from None
            wrong = "" if step.expected is None else _difference(step.expected, reply)
            if wrong:
                raise GreetingError(f"sent a wrong reply to {where}: {wrong}", message)

    def _for_connection(self, number: int) -> Iterator[_Step]:
        """Yield what is to be done for each message, when it is to be sent."""
        ring = None if self._wires else TemplateRing(self._messages, self._format, number, self._seed)
        for index, message in enumerate(self._messages.messages):
            reply, header = message.reply, message.reply_header
            if ring is None:
                wire = self._wires[index]
            else:
                wire = ring.render(index)
                if reply is not None:
                    reply, header = ring.reply(index), ring.reply_header(index)
            yield _Step(wire, None if reply is None else Frame(header or b"", reply), message.until)

    async def _last_reply(
        self, connection: AsyncSocket, until: bytes, received: bytearray, seen: list[bytes]
    ) -> Frame:
        """Receive frames until one begins as the last one does, and not a byte more.

        Args:
          connection: to the server.
          until: how the last one begins.
          received: what has come of the next one; empty at first.
          seen: the latest of those before the last one, alone; empty at first.

        Raises:
          RemoteProtocolError: what came is no frame.
          OSError: the connection has ended.
        """
        while True:
            frame = await self._receive(connection, received)
            if received.startswith(until):
                return frame
            seen[:] = [bytes(received)]
            received.clear()

    async def _receive(self, connection: AsyncSocket, received: bytearray) -> Frame:
        """Receive one frame, and not a byte more.

        Args:
          connection: to the server.
          received: what has come; empty at first.

        Raises:
          RemoteProtocolError: it is no frame.
          OSError: the connection has ended.
        """
        decoder = FrameDecoder(format=self._format, max_frame_length=self._largest)
        while (frame := decoder.next_whole_frame()) is None:
            missing = bytes_missing(received, self._format)
            data = await connection.recv(min(missing, _RECEIVE_BYTES))
            if not data:
                raise ConnectionAbortedError("it closed it without a reply")
            received += data
            decoder.receive_data(data)
        return frame

    def _in_words(self, received: bytes, number: int) -> str:
        service = name_of_service(received)
        if service is not None:
            return service
        return f"replied with {no_frame(received, self._format, self._largest, number)}"


def greeting_of(plan: LoadPlan, messages: MessageList | None) -> Greeting | None:
    """Return what is said first on every connection of a load; None if nothing is.

    Raises:
      ValueError: the messages are not those of the plan.
    """
    if messages is not None:
        return Greeting(plan, messages)
    if plan.service.first_messages is not None:
        raise ValueError("the plan has first messages: give them, too")
    return None


def bytes_missing(received: bytearray, format: FrameFormat) -> int:
    """Return how many bytes a frame surely still needs, of which these have come; at least 1.

    Raises:
      RemoteProtocolError: they are no frame.
    """
    header_bytes, length = format._measure(received, 0, len(received))
    whole = header_bytes
    if length >= 0:
        whole += length + format._bytes_behind(received, 0, header_bytes)
    return max(1, whole - len(received))


async def _send_all(connection: AsyncSocket, data: bytes) -> None:
    with memoryview(data) as view:
        sent = 0
        while sent < len(data):
            sent += await connection.send(view[sent:])


def _shown(frame: bytes) -> str:
    more = "..." if len(frame) > _SHOWN_BYTES else ""
    return f"{printable_line(repr(frame[:_SHOWN_BYTES]))}{more}"


def _difference(right: Frame, reply: Frame) -> str:
    """Return in what a reply differs from the right one; nothing if it does not."""
    if reply.payload != right.payload:
        return _payload_difference(right.payload, reply.payload)
    if right.header and reply.header != right.header:
        return f"its header is {reply.header.hex(' ')} instead of {right.header.hex(' ')}"
    return ""


def _payload_difference(expected: bytes, received: bytes) -> str:
    lengths = f"{plural(len(received), 'byte')} instead of {len(expected):,}"
    difference = describe_difference(expected, received)
    if difference is None:
        return lengths
    return difference if len(expected) == len(received) else f"{lengths}; {difference}"
