"""A connection whose replies are not known beforehand: each belongs to the oldest message without one.

Order cannot be verified then, nor can it be seen which reply is missing: where one never comes,
those to later messages are taken for those before them, so that latencies are rather too long,
and the last message of the connection is the one that is missing. So a message is never passed
over: its reply may come late.
"""

from __future__ import annotations

from typing import NoReturn

from ...errors import RemoteProtocolError
from ...framing import Frame, FrameBatch, FrameDecoder, FrameFormat
from .connection import MOST_TIMEOUTS, LoadConnection
from .connection_parts import ConnectionParts
from .inspection import Inspection
from .matching import InFlight, MessageTimes
from .payload import message_of, reply_of
from .reply_check import MORE, ReplyCheck
from .ring import Ring
from .tally import LoadTally


class InOrderInspection(Inspection):
    """Counts replies, or has each judged, and assigns them to messages in order."""

    __slots__ = ("_check", "_earlier_bytes", "_frames", "_with_headers")

    def __init__(
        self,
        number: int,
        ring: Ring,
        in_flight: InFlight,
        tally: LoadTally,
        *,
        format: FrameFormat,
        largest: int,
        check: ReplyCheck | None,
    ) -> None:
        super().__init__(number, ring, in_flight, tally, format=format, largest=largest)
        self._check = check
        self._earlier_bytes = 0  # of replies to the same message
        self._with_headers = not format.is_plain
        self._frames = FrameDecoder(format=format, max_frame_length=largest)

    def look(self, chunk: memoryview, now: int) -> None:
        """Look at what came next.

        Raises:
          RemoteProtocolError: it has no frames in it; those before it were counted.
        """
        decoder = self._frames
        decoder.receive_data(chunk)
        taken = 0
        try:
            if self._check is None:
                while (batch := decoder.next_batch()) is not None:
                    taken += len(batch.data)
                    self._count_batch(batch, now)
            else:
                while (frame := decoder.next_whole_frame()) is not None:
                    size = sum(map(len, frame))
                    taken += size
                    self._count_reply(self._check, frame, size, now)
        finally:
            if self.tail or taken != len(chunk):
                self.tail.extend(chunk)
                del self.tail[:taken]

    def _count_batch(self, batch: FrameBatch, now: int) -> None:
        """Count replies of which nothing but their number matters."""
        in_flight, tally, runs = self._in_flight, self._tally, self._in_flight.runs
        data, count = batch
        message, stop = in_flight.next, in_flight.next + count
        stages = tally.stages
        # The first message is the oldest: if it is neither late nor of the warm-up, none of them is.
        if stop > in_flight.stop or now - runs[0][2] > tally.timeout_ns or runs[0][1] < tally.measured_from:
            self._count_one_by_one(data, now)
            return
        if stages is not None:
            if stages.at(runs[0][1]) is not stages.at(runs[-1][1]):
                self._count_one_by_one(data, now)
                return
            stages.add_right_replies(count, len(data), runs[0][1], now)
        while message < stop:
            run_stop, due, sent = runs[0]
            if run_stop <= stop:
                runs.popleft()
            last = run_stop if run_stop < stop else stop
            tally.latency_ns.record(now - due, last - message)
            if tally.is_open:
                tally.from_send_ns.record(now - sent, last - message)
            if stages is not None:
                stages.add_replies(last - message, due, sent, now)
            message = last
        in_flight.next = stop
        tally.messages += count
        tally.bytes += len(data)
        tally.last_reply_at = now

    def _count_one_by_one(self, data: bytes | memoryview, now: int) -> None:
        """Count replies of which some are late, of the warm-up, too many, or of different stages."""
        decoder = FrameDecoder(format=self._format, max_frame_length=self._largest)
        decoder.receive_data(data)
        while (frame := decoder.next_whole_frame()) is not None:
            self._count_reply(None, frame, sum(map(len, frame)), now)

    def _count_reply(self, check: ReplyCheck | None, reply: Frame, size: int, now: int) -> None:
        in_flight, tally = self._in_flight, self._tally
        message = in_flight.next
        if not len(in_flight):
            tally.add_error("unexpected", self._number, message, received=reply.payload)
            return
        kind, detail = ("right", "") if check is None else self._judge(check, message, reply)
        size += self._earlier_bytes
        if kind == MORE.kind:
            self._earlier_bytes = size
            return
        self._earlier_bytes = 0
        due, sent = in_flight.pop()
        if kind != "right":
            tally.add_error(kind, self._number, message, detail=detail, due=due)
        elif now - sent > tally.timeout_ns:
            self.count_late(message, message + 1, due, sent, now)
        else:
            tally.add_reply(due, sent, now, right_bytes=size)

    def _judge(self, check: ReplyCheck, message: int, reply: Frame) -> tuple[str, str]:
        if not self._with_headers:
            return check(self._ring.payload(message), reply.payload)
        given = message_of(self._ring, message, self._format)
        return check(given, reply_of(reply.payload, reply.header, self._format))

    def pass_over(self, count: int) -> NoReturn:
        """Raise: no message is passed over here."""
        raise TypeError("a reply that is known by its place alone cannot be passed over")

    def add_error(
        self,
        kind: str,
        message: int,
        times: MessageTimes | None = None,
        *,
        received: bytes | None = None,
        detail: str = "",
    ) -> None:
        """Count an error of a message, without the content that its reply should have: nobody knows it."""
        if received is not None:
            detail = f"{len(received):,} bytes of it had come" + (f"; {detail}" if detail else "")
        due = None if times is None else times.due
        self._tally.add_error(kind, self._number, message, detail=detail, due=due)


class InOrderConnection(LoadConnection):
    """Takes replies in their order, whatever is in them.

    Args:
      check: judges each; None to count them.
    """

    __slots__ = ()

    def __init__(self, parts: ConnectionParts, *, check: ReplyCheck | None) -> None:
        super().__init__(parts)
        self._inspection = InOrderInspection(
            parts.number,
            parts.ring,
            self.in_flight,
            parts.tally,
            format=parts.format,
            largest=parts.largest_reply,
            check=check,
        )
        self._is_inspecting = True

    def _keep_round(self) -> None:
        pass

    def _take(self, chunk: memoryview, now: int) -> None:
        try:
            self._inspection.look(chunk, now)
        except RemoteProtocolError:
            self._end("framing_lost", f"received {self._inspection.describe_tail()}")

    def check_timeouts(self) -> None:
        """Give up when nothing comes at all for three timeouts."""
        now = self._clock()
        runs, timeout_ns = self.in_flight.runs, self._tally.timeout_ns
        is_overdue = bool(runs) and now - runs[0][2] > timeout_ns
        if self.is_over or not (is_overdue or self.is_blocked):
            return
        if is_overdue and self._silent_since is None:
            self._silent_since = now
        if self._silent_since is not None and now - self._silent_since >= (MOST_TIMEOUTS - 1) * timeout_ns:
            self._end("connection_stalled", f"nothing came for {MOST_TIMEOUTS} timeouts")
