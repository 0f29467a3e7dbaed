"""Look at what comes on a connection frame by frame, where it is not what was sent."""

from __future__ import annotations

from collections.abc import Collection

from ...client.strange_replies import no_frame
from ...errors import RemoteProtocolError
from ...framing import Frame, FrameDecoder, FrameFormat
from .matching import InFlight, Matcher, MessageTimes
from .ring import Ring
from .tally import LoadTally


class Inspection:
    """Looks at frames one by one, and counts what is wrong, late or missing on one connection.

    Attributes:
      tail: the bytes of a frame that is not complete yet.
    """

    __slots__ = (
        "_decoder",
        "_format",
        "_in_flight",
        "_largest",
        "_matcher",
        "_number",
        "_ring",
        "_tally",
        "tail",
    )

    def __init__(
        self,
        number: int,
        ring: Ring,
        in_flight: InFlight,
        tally: LoadTally,
        *,
        format: FrameFormat,
        largest: int,
    ) -> None:
        self.tail: bytearray = bytearray()
        self._number = number
        self._ring = ring
        self._in_flight = in_flight
        self._tally = tally
        self._format = format
        self._largest = largest
        self._matcher = Matcher(number, ring, in_flight)
        self._decoder: FrameDecoder | None = None

    def begin(self, tail: bytes) -> None:
        """Begin with what has come of a frame before."""
        self._decoder = FrameDecoder(format=self._format, max_frame_length=self._largest)
        self._decoder.receive_data(tail)
        self.tail = bytearray(tail)

    def look(self, chunk: memoryview, now: int) -> None:
        """Look at what came next.

        Raises:
          RemoteProtocolError: it has no frames in it; those before it were counted.
        """
        decoder = self._decoder
        if decoder is None:
            raise TypeError("an inspection has to begin")
        decoder.receive_data(chunk)
        taken = 0
        try:
            while (frame := decoder.next_whole_frame()) is not None:
                size = sum(map(len, frame))
                taken += size
                self._take_reply(frame, size, now)
        finally:
            self.tail += chunk
            del self.tail[:taken]

    def describe_tail(self) -> str:
        """Return why the tail is no reply, in words."""
        return no_frame(bytes(self.tail), self._format, self._largest, self._in_flight.next)

    def end(self) -> None:
        """Stop looking: what comes is what was sent again. The caller takes the tail over."""
        self._decoder = None
        self.tail = bytearray()

    def _take_reply(self, frame: Frame, size: int, now: int) -> None:
        """Count a reply, of which the whole frame has ``size`` bytes."""
        payload = frame.payload
        kind, message, times, detail = self._matcher.match(payload)
        tally = self._tally
        if kind in ("right", "swapped") and (wrong := wrong_header(self._ring, message, frame)):
            kind, detail = "wrong", wrong
        if kind in ("right", "swapped") and times is not None and now - times.sent > tally.timeout_ns:
            kind = "late"
        if times is not None and kind != "wrong":
            tally.add_reply(*times, now, right_bytes=size if kind == "right" else None)
        if kind in ("late", "swapped") and times is not None:
            detail = after(now - times.sent)
        if kind != "right":
            self.add_error(kind, message, times, received=payload, detail=detail)
        self._count_forgotten()

    def _count_forgotten(self) -> None:
        for message, times in self._matcher.missing:
            self.add_error("missing", message, times)
        self._matcher.missing.clear()

    def count_late(self, first: int, stop: int, due: int, sent: int, now: int) -> None:
        """Count messages whose replies have come too late."""
        for message in range(first, stop):
            self._tally.add_reply(due, sent, now)
            self.add_error("late", message, MessageTimes(due, sent), detail=after(now - sent))

    def pass_over(self, count: int) -> None:
        """Stop waiting for the next ``count`` messages; their replies may still come, late."""
        self._matcher.pass_over(count)
        self._count_forgotten()

    @property
    def overdue(self) -> Collection[int]:
        """The messages that were passed over, and to which a reply may still come."""
        return self._matcher.overdue

    def may_still_come(self, now: int) -> bool:
        """Return whether a reply may still come to a message that was passed over."""
        overdue = self._matcher.overdue
        return bool(overdue) and now - overdue[next(reversed(overdue))].sent <= self._tally.timeout_ns

    def is_owed(self) -> bool:
        """Return whether there are replies that have not come, or not wholly."""
        return bool(len(self._in_flight) or self._matcher.overdue or self.tail)

    def finish(self, reason: str, *, kind: str = "missing") -> None:
        """Count what has come in part as torn, and what has not come as of that kind: nothing more comes.

        What was passed over before is missing all the same.
        """
        in_flight = self._in_flight
        if self.tail and len(in_flight):
            received = bytes(self.tail[self._header_bytes_of_tail() :])
            torn = in_flight.next
            self.add_error("torn", torn, in_flight.pop(), received=received, detail=reason)
        elif self.tail:
            self.add_error("unexpected", in_flight.next, received=bytes(self.tail), detail=reason)
        missing = self._matcher.missing
        missing += self._matcher.overdue.items()
        missing.sort()
        self._matcher.overdue.clear()
        self._count_forgotten()
        for _ in range(len(in_flight)):
            message = in_flight.next
            self.add_error(kind, message, in_flight.pop())

    def _header_bytes_of_tail(self) -> int:
        """Return how much of what has come of a frame is its header."""
        try:
            return self._format._measure(self.tail, 0, len(self.tail))[0]
        except RemoteProtocolError:
            return 0

    def add_error(
        self,
        kind: str,
        message: int,
        times: MessageTimes | None = None,
        *,
        received: bytes | None = None,
        detail: str = "",
    ) -> None:
        """Count an error of a message, from 0, with its times if it has them, and bytes if they are kept."""
        expected = None
        if self._tally.wants(kind) and kind not in ("duplicated", "unexpected"):
            expected = self._ring.payload(message)
        due = None if times is None else times.due
        self._tally.add_error(kind, self._number, message, expected, received, detail, due=due)


def wrong_header(ring: Ring, message: int, reply: Frame) -> str:
    """Return what is wrong with the header of a reply, in words, if a certain one is to come."""
    header = ring.header(message)
    if header is None or header == reply.header:
        return ""
    return f"its header is {reply.header.hex(' ')} instead of {header.hex(' ')}"


def after(ns: int) -> str:
    """Return how late a reply was, in words."""
    return f"after {ns / 1e6:,.1f} ms"
