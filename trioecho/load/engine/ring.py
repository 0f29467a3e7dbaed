"""What a connection sends, round after round: made payloads (`payloads`), or the user's own messages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from ...base.message import Message
from ...framing import FrameFormat
from ..message_list import MessageList


class Ring(Protocol):
    """The frames of one connection, of any round. Message n is in round n // frames.

    Attributes:
      frames: how many there are in a round.
      size: bytes of a round on the wire.
      ends: where each frame of a round ends on the wire.
      starts: where each begins; one more than there are frames.
      is_stamped: whether payloads of `STAMP_BYTES` and more are unique, and `candidate` finds them.
    """

    frames: int
    size: int
    ends: list[int]
    starts: list[int]
    is_stamped: bool

    def round(self, number: int) -> bytes:
        """Return all frames of a round, as they are on the wire."""

    def payload(self, message: int) -> bytes:
        """Return the payload of a message, counted from 0."""

    def length(self, message: int) -> int:
        """Return how many bytes a payload has."""

    def candidate(self, connection: int, payload: bytes) -> int | None:
        """Return the message whose stamp a payload has, whatever follows it; None if it has none."""

    def header(self, message: int) -> bytes | None:
        """Return the header that is given for a message; None if any will do that has the right length."""


# A round of a short file has it several times, up to this number of messages and bytes: what is
# in flight is then mostly one piece of a round, and is sent and compared as one.
_ROUND_FRAMES = 256
_ROUND_BYTES = 1 << 16


class MessageRing:
    """Messages that are the same in every round; all connections share one.

    Attributes are those of `Ring`.

    Args:
      payloads: of the messages.
      wires: their frames.
      headers: those that are given; None, or empty, where any will do that has the right length.
    """

    __slots__ = ("_headers", "_payloads", "_wire", "ends", "frames", "is_stamped", "size", "starts")

    def __init__(
        self, payloads: Sequence[bytes], wires: Sequence[bytes], headers: Sequence[bytes | None] = ()
    ) -> None:
        times = max(1, min(_ROUND_FRAMES // len(payloads), _ROUND_BYTES // sum(map(len, wires))))
        wires = [*wires] * times
        self.frames: int = len(wires)
        self.starts: list[int] = [0, *accumulate(map(len, wires))]
        self.ends: list[int] = self.starts[1:]
        self.size: int = self.ends[-1]
        self.is_stamped: bool = False
        self._payloads = payloads
        self._wire = b"".join(wires)
        self._headers = headers if any(header is not None for header in headers) else ()

    def round(self, number: int) -> bytes:
        """Return all frames, which are those of every round."""
        return self._wire

    def payload(self, message: int) -> bytes:
        """Return the payload of a message, counted from 0."""
        return self._payloads[message % len(self._payloads)]

    def length(self, message: int) -> int:
        """Return how many bytes a payload has."""
        return len(self._payloads[message % len(self._payloads)])

    def candidate(self, connection: int, payload: bytes) -> int | None:
        """Return None: these payloads have no stamp."""
        return None

    def header(self, message: int) -> bytes | None:
        """Return the header that is given for a message; None if any will do."""
        return self._headers[message % len(self._headers)] if self._headers else None


def sent_ring(messages: MessageList, format: FrameFormat) -> MessageRing:
    """Return what is sent."""
    payloads = [message.payload for message in messages.messages]
    headers = [message.header for message in messages.messages]
    return MessageRing(payloads, messages.frames(format), headers)


def reply_ring(messages: MessageList, format: FrameFormat) -> MessageRing:
    """Return what is to come for it.

    Raises:
      ValueError: a message has no reply.
    """
    wires = messages.reply_frames(format)
    headers = [message.reply_header for message in messages.messages]
    return MessageRing([_reply_of(message) for message in messages.messages], wires, headers)


def _reply_of(message: Message) -> bytes:
    return message.reply or b""
