"""Messages of which some are made by templates, when they are sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from ...base.message_template import Template, Values
from ...framing import FrameFormat, encode_frame
from ..message_list import MessageList

# Times that are kept, beside those that are still needed, before they are looked through.
_SPARE_TIMES = 1 << 12


def time_in_ms() -> int:
    """Return the time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class TemplateRing:
    """The messages of one connection; as `RenderedRing`.

    Everything but the time follows from the arguments, so it is made again for the comparison with
    a reply; the times of messages are kept while that may be needed.

    Args:
      messages: which are sent one after the other, and then again from the first.
      format: of their frames.
      connection: which one, from 0.
      seed: of the run.
      clock_ms: milliseconds since 1970.
    """

    def __init__(
        self,
        messages: MessageList,
        format: FrameFormat,
        connection: int,
        seed: int,
        clock_ms: Callable[[], int] = time_in_ms,
    ) -> None:
        self.frames: int = 1
        self.size: int = 0
        self.starts: list[int] = [0, 0]
        self.ends: list[int] = [0]
        self.is_stamped: bool = False
        self._messages = messages.messages
        self._format = format
        self._connection = connection
        self._seed = seed
        self._clock_ms = clock_ms
        self._has_time = any(
            template.has_time for message in messages.messages for template in message.templates
        )
        self._times: dict[int, int] = {}
        self._most_times = _SPARE_TIMES
        self._last = (-1, b"")

    def round(self, number: int) -> bytes:
        """Return nothing: no message is known before it is sent."""
        return b""

    def render(self, message: int) -> bytes:
        """Make the frame of a message, counted from 0, which is about to be sent."""
        if self._has_time:
            self._times[message] = self._clock_ms()
        if self._messages[message % len(self._messages)].is_raw:
            return self.payload(message)
        return encode_frame(self.payload(message), format=self._format, header=self.header(message))

    def payload(self, message: int) -> bytes:
        """Return the payload of a message that was made, counted from 0."""
        last, payload = self._last
        if last == message:
            return payload
        made_from = self._messages[message % len(self._messages)]
        payload = self._made(message, made_from.payload, made_from.template)
        self._last = message, payload
        return payload

    def reply(self, message: int) -> bytes:
        """Return the payload of the right reply to a message that was made."""
        made_from = self._messages[message % len(self._messages)]
        return self._made(message, made_from.reply or b"", made_from.reply_template)

    def header(self, message: int) -> bytes | None:
        """Return the header that is given for a message; None if any will do that has the right length."""
        made_from = self._messages[message % len(self._messages)]
        given = self._made_header(message, made_from.header, made_from.header_template)
        return None if given is None else self._format.encode_header(self.length(message), like=given)

    def reply_header(self, message: int) -> bytes | None:
        """Return the same for its reply."""
        made_from = self._messages[message % len(self._messages)]
        given = self._made_header(message, made_from.reply_header, made_from.reply_header_template)
        return None if given is None else self._format.encode_header(len(self.reply(message)), like=given)

    def length(self, message: int) -> int:
        """Return how many bytes a payload has."""
        return len(self.payload(message))

    def candidate(self, connection: int, payload: bytes) -> int | None:
        """Return None: these payloads have no stamp."""
        return None

    def forget(self, before: int, overdue: Collection[int]) -> None:
        """Forget when messages were made to which no reply is awaited any more.

        Args:
          before: the first that is awaited, from 0.
          overdue: those before it that may still be replied to.
        """
        times = self._times
        if len(times) > self._most_times:
            kept = {made: at for made, at in times.items() if made >= before or made in overdue}
            self._times = kept
            self._most_times = 2 * len(kept) + _SPARE_TIMES

    def _made_header(self, message: int, header: bytes | None, template: Template | None) -> bytes | None:
        return header if template is None else self._made(message, b"", template)

    def _made(self, message: int, data: bytes, template: Template | None) -> bytes:
        if template is None:
            return data
        time_ms = self._times.get(message, 0)
        return template.render(Values(self._seed, self._connection, message + 1, time_ms))


class TemplateReplies:
    """The replies to messages of a `TemplateRing`, in the place of the messages. As `Ring`."""

    def __init__(self, ring: TemplateRing) -> None:
        self.frames: int = 1
        self.size: int = 0
        self.starts: list[int] = [0, 0]
        self.ends: list[int] = [0]
        self.is_stamped: bool = False
        self.payload: Callable[[int], bytes] = ring.reply
        self.header: Callable[[int], bytes | None] = ring.reply_header

    def round(self, number: int) -> bytes:
        """Return nothing."""
        return b""

    def length(self, message: int) -> int:
        """Return how many bytes a reply has."""
        return len(self.payload(message))

    def candidate(self, connection: int, payload: bytes) -> int | None:
        """Return None: replies have no stamp."""
        return None
