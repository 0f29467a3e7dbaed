"""What a proxy has recorded, to be sent again: the messages of each connection, and when each was sent."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..base.message import Message
from ..base.message_file import MAX_MESSAGES, MAX_MESSAGES_BYTES
from ..base.printable import printable_line
from ..base.quantities import plural
from ..base.timed_recording import TO_SERVER, TimedRecordingError, read_recording
from ..errors import ProtocolError
from ..framing import FrameFormat
from .message_list import MessageList, MessageSource, WireKeeper


@dataclass(frozen=True)
class Replay:
    """How a recording is sent again.

    Attributes:
      length_s: from its first message to its last, as recorded.
      speed: 1 for the recorded times, 2 for half of them; 0 for as fast as it goes.
    """

    length_s: float
    speed: float

    @property
    def planned_s(self) -> float:
        """The time from the first message to the last, as it is to be; 0 where that is not known."""
        return self.length_s / self.speed if self.speed else 0.0


@dataclass(frozen=True)
class RecordedTraffic:
    """The messages of a recording.

    Attributes:
      source: what a plan and a result have of them.
      connections: the messages of each connection that has some, with the replies where there is one for
        each, in the order in which they began.
      times: when each message was whole, in ns since the first one, and its connection, from 0.
      first: the number of the first connection; above 0 for a part of a recording.
    """

    source: MessageSource
    connections: Sequence[MessageList]
    times: Sequence[tuple[int, int]]
    first: int = 0

    def messages_of(self, number: int) -> MessageList:
        """Return the messages of a connection."""
        return self.connections[number - self.first]

    def part(self, first: int, count: int) -> RecordedTraffic:
        """Return what some of the connections have sent, at the same times; the source stays that of all."""
        times = [(time_ns, number) for time_ns, number in self.times if first <= number < first + count]
        start = first - self.first
        return replace(self, connections=self.connections[start : start + count], times=times, first=first)

    @property
    def length_s(self) -> float:
        """Seconds from the first message to the last."""
        return self.times[-1][0] / 1e9


class _Side:
    """The frames that one side of a connection has sent."""

    def __init__(self, format: FrameFormat) -> None:
        self._keeper = WireKeeper(format, MAX_MESSAGES_BYTES)
        self._has_headers = not format.is_plain
        self.payloads: list[bytes] = []

    def receive(self, data: bytes) -> int:
        """Return how many frames are whole now that were not before.

        Raises:
          ProtocolError: they are no frames of this format.
        """
        before = len(self.payloads)
        self._keeper.receive_data(data)
        while payloads := self._keeper.next_frames():
            self.payloads += payloads
        return len(self.payloads) - before

    @property
    def wires(self) -> list[bytes]:
        return self._keeper.wires

    def header(self, number: int) -> bytes | None:
        return self._keeper.headers[number] if self._has_headers else None


def read_recorded_traffic(
    path: str | os.PathLike[str], format: FrameFormat, *, with_replies: bool = False
) -> RecordedTraffic:
    """Read what clients have sent, and what came back, of a file of ``trioecho proxy --record``.

    A frame that its connection did not end is left out.

    Args:
      path: the file; it is read bit by bit, and its messages are kept.
      format: of frames.
      with_replies: whether each message must have its reply: the first frame of the server is that of
        the first message, and so on.

    Raises:
      TimedRecordingError: it cannot be read, breaks off, is too large, has no message, or what passed
        are no frames of this format; or a message lacks its reply, or there is one too many.
    """
    name = os.fspath(path)
    sides: dict[int, dict[str, _Side]] = {}
    sent: list[tuple[int, int]] = []
    kept_bytes = 0
    for piece in read_recording(path):
        kept_bytes += len(piece.data)
        if kept_bytes > MAX_MESSAGES_BYTES:
            reason = f"it has more than {MAX_MESSAGES_BYTES >> 20} MiB, all of which is kept in memory"
            raise TimedRecordingError(name, piece.line, reason)
        of_connection = sides.setdefault(piece.connection, {})
        side = of_connection.setdefault(piece.direction, _Side(format))
        try:
            count = side.receive(piece.data)
        except ProtocolError as error:
            where = f"connection {piece.connection}, {piece.direction}"
            raise TimedRecordingError(
                name, piece.line, f"{where}: {error}; give the --format of these frames"
            ) from None
        if piece.direction == TO_SERVER:
            sent += [(piece.time_ns, piece.connection)] * count
            if len(sent) > MAX_MESSAGES:
                reason = f"it has more than {MAX_MESSAGES:,} messages, all of which are kept in memory"
                raise TimedRecordingError(name, piece.line, reason)
    if not sent:
        raise TimedRecordingError(name, 0, "it has no whole message of a client")
    places = {number: place for place, number in enumerate(dict.fromkeys(number for _, number in sent))}
    lists = [_messages_of(name, number, sides[number], with_replies=with_replies) for number in places]
    began = sent[0][0]
    times = [(time_ns - began, places[number]) for time_ns, number in sent]
    return RecordedTraffic(_source_of(name, lists, times), lists, times)


def _messages_of(name: str, number: int, sides: dict[str, _Side], *, with_replies: bool) -> MessageList:
    sent = sides.pop(TO_SERVER)
    replies = next(iter(sides.values()), None)
    reply_count = 0 if replies is None else len(replies.payloads)
    if with_replies and reply_count != len(sent.payloads):
        raise TimedRecordingError(
            name,
            0,
            f"connection {number} has {plural(len(sent.payloads), 'message')} and "
            f"{reply_count:,} replies, which cannot be compared one by one; give --reply count",
        )
    messages = []
    for place, payload in enumerate(sent.payloads):
        message = Message(payload, header=sent.header(place))
        if with_replies and replies is not None:
            message = message._replace(reply=replies.payloads[place], reply_header=replies.header(place))
        messages.append(message)
    return MessageList(f"{name}, connection {number}", messages, sent.wires)


def _source_of(name: str, lists: Sequence[MessageList], times: Sequence[tuple[int, int]]) -> MessageSource:
    digest = hashlib.sha256()
    for each in lists:
        digest.update(bytes.fromhex(each.source.sha256))
    for time_ns, connection in times:
        digest.update(b"%d %d\n" % (time_ns, connection))
    sources = [each.source for each in lists]
    replies = [source.most_reply_bytes for source in sources if source.most_reply_bytes is not None]
    return MessageSource(
        printable_line(name),
        digest.hexdigest(),
        sum(source.messages for source in sources),
        min(source.least_bytes for source in sources),
        max(source.most_bytes for source in sources),
        sum(source.all_bytes for source in sources),
        max(replies, default=None),
    )
