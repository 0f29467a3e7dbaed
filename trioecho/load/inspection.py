"""What comes on a connection, frame by frame: where it is not what was sent, what is it then?"""

from __future__ import annotations

from ..framing import FrameDecoder, FrameFormat
from .matching import Match, Matcher, UnderWay
from .payloads import Reel
from .tally import Tally


class Inspection:
    """Looks at frames one by one, and counts what is wrong, late or missing on one connection.

    Attributes:
      tail: the bytes of a frame that is not complete yet.
    """

    __slots__ = (
        "_decoder",
        "_format",
        "_largest",
        "_matcher",
        "_number",
        "_reel",
        "_tally",
        "_under_way",
        "tail",
    )

    def __init__(
        self,
        number: int,
        reel: Reel,
        under_way: UnderWay,
        tally: Tally,
        *,
        format: FrameFormat,
        largest: int,
    ) -> None:
        self.tail: bytearray = bytearray()
        self._number = number
        self._reel = reel
        self._under_way = under_way
        self._tally = tally
        self._format = format
        self._largest = largest
        self._matcher = Matcher(number, reel, under_way)
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
            while (payload := decoder.next_frame()) is not None:
                taken += self._format.header_bytes + len(payload)
                self._count(self._matcher.match(payload), payload, now)
        finally:
            self.tail += chunk
            del self.tail[:taken]

    def end(self) -> None:
        """What comes is what was sent again; who inspected it knows what to do with the tail."""
        self._decoder = None
        self.tail = bytearray()

    def _count(self, match: Match, payload: bytes, now: int) -> None:
        kind, message, times, detail = match
        tally = self._tally
        if kind in ("right", "swapped") and times is not None and now - times.sent > tally.timeout_ns:
            kind = "late"
        if times is not None and kind != "wrong" and tally.add_reply(*times, now) and kind == "right":
            tally.messages += 1
            tally.bytes += self._format.header_bytes + len(payload)
        if kind in ("late", "swapped") and times is not None:
            detail = _after(now - times.sent)
        if kind != "right":
            self.add_error(kind, message, received=payload, detail=detail)
        self._count_forgotten()

    def _count_forgotten(self) -> None:
        for message in self._matcher.missing:
            self.add_error("missing", message)
        self._matcher.missing.clear()

    def count_late(self, first: int, stop: int, due: int, sent: int, now: int) -> None:
        """These messages have had their replies, too late."""
        for message in range(first, stop):
            self._tally.add_reply(due, sent, now)
            self.add_error("late", message, detail=_after(now - sent))

    def pass_over(self, count: int) -> None:
        """Wait no longer for the next so many messages; their replies may still come, late."""
        self._matcher.pass_over(count)
        self._count_forgotten()

    def may_still_come(self, now: int) -> bool:
        """Whether a reply may still come to a message that was passed over."""
        overdue = self._matcher.overdue
        return bool(overdue) and now - overdue[next(reversed(overdue))].sent <= self._tally.timeout_ns

    def is_owed(self) -> bool:
        """Whether replies have not come, or not wholly."""
        return bool(len(self._under_way) or self._matcher.overdue or self.tail)

    def finish(self, reason: str) -> None:
        """Nothing more will come: what has come in part is torn, what has not come is missing."""
        under_way = self._under_way
        if self.tail and len(under_way):
            received = bytes(self.tail[self._format.header_bytes :])
            self.add_error("torn", under_way.next, received=received, detail=reason)
            under_way.pop()
        elif self.tail:
            self.add_error("unexpected", under_way.next, received=bytes(self.tail), detail=reason)
        missing = self._matcher.missing
        for _ in range(len(under_way)):
            missing.append(under_way.next)
            under_way.pop()
        missing += self._matcher.overdue
        missing.sort()
        self._matcher.overdue.clear()
        self._count_forgotten()

    def add_error(self, kind: str, message: int, *, received: bytes | None = None, detail: str = "") -> None:
        """Count an error of a message, from 0, with the bytes if they are to be kept."""
        expected = None
        if self._tally.wants(kind) and kind not in ("duplicated", "unexpected"):
            expected = self._reel.payload(message)
        self._tally.add_error(kind, self._number, message, expected, received, detail)


def _after(ns: int) -> str:
    return f"after {ns / 1e6:,.1f} ms"
