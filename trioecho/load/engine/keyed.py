"""A connection whose replies come in any order: each is known by a key that its message has, too.

Every message ends as one of these:

- its reply comes, and is judged as the plan says: right, wrong, late or unchecked;
- no reply comes (missing), or not wholly (torn);
- another message with its key was in flight when it was sent, so replies cannot be told apart (same_key);
- the function raised an exception instead of giving a key (unchecked).

A reply with the key of a message that had its reply before, not long ago, is duplicated; with another
key it is unexpected. If the function raises for a reply, that is unchecked, and its message will be missing.
"""

from __future__ import annotations

from collections.abc import Collection

from ...framing import Frame, FrameFormat
from .connection import LoadConnection
from .connection_parts import ConnectionParts
from .inspection import Inspection, after, wrong_header
from .keyed_messages import KEYLESS, KeyedInFlight, KeyFunction, NoKeyError, shown_key
from .matching import InFlight, MessageTimes
from .payload import message_of, reply_of
from .rendered import RenderedSending
from .reply_check import ReplyCheck
from .ring import Ring
from .tally import LoadTally


class KeyedInspection(Inspection):
    """Finds the message of each reply by its key, and judges the reply.

    Args:
      replies: what each reply is compared with; None where it is not.
      check: judges it where it is not compared; None if any is right.
      key_of: gives keys.
    """

    __slots__ = ("_check", "_key_of", "_messages", "_replies")

    def __init__(
        self,
        number: int,
        ring: Ring,
        in_flight: KeyedInFlight,
        tally: LoadTally,
        *,
        format: FrameFormat,
        largest: int,
        replies: Ring | None,
        check: ReplyCheck | None,
        key_of: KeyFunction,
    ) -> None:
        super().__init__(number, ring, in_flight, tally, format=format, largest=largest)
        self._messages = in_flight
        self._replies = replies
        self._check = check
        self._key_of = key_of
        self.begin(b"")

    def _take_reply(self, frame: Frame, size: int, now: int) -> None:
        payload, messages = frame.payload, self._messages
        problem = ""
        found = None
        try:
            key = self._key_of(reply_of(payload, frame.header, self._format))
            found = messages.take(key)
        except NoKeyError as error:
            problem = str(error)
        found = found or messages.take(KEYLESS)
        if found is not None:
            message, (_, times, kind, detail) = found
            if not kind:
                kind, detail = self._judge(message, frame, is_late=now - times.sent > self._tally.timeout_ns)
            if kind in ("right", "late"):
                self._tally.add_reply(*times, now, right_bytes=size if kind == "right" else None)
            if kind == "late":
                detail = after(now - times.sent)
            if kind != "right":
                self.add_error(kind, message, times, received=payload, detail=detail)
        elif problem:
            self._tally.add_error("unchecked", self._number, messages.stop - 1, None, payload, problem)
        else:
            answered = messages.answered(key)
            kind = "unexpected" if answered is None else "duplicated"
            message = messages.stop if answered is None else answered
            detail = f"no message in flight has its key {shown_key(key)}"
            self.add_error(kind, message, received=payload, detail=detail)
        self._count_forgotten()

    def _judge(self, message: int, reply: Frame, *, is_late: bool) -> tuple[str, str]:
        """Return what a reply is, and a detail, in words."""
        if self._replies is not None:
            wrong = wrong_header(self._replies, message, reply)
            if wrong or self._replies.payload(message) != reply.payload:
                return "wrong", wrong
        elif self._check is not None:
            given = message_of(self._ring, message, self._format)
            verdict = self._check(given, reply_of(reply.payload, reply.header, self._format))
            if verdict.kind != "right":
                return verdict
        return "late" if is_late else "right", ""

    @property
    def overdue(self) -> Collection[int]:
        """The messages before the next to which a reply may still come."""
        return self._messages.known

    def pass_over(self, count: int) -> None:
        """Stop waiting for the ``count`` oldest messages; their replies may still come, late."""
        self._messages.pass_over(count)
        self._count_forgotten()

    def may_still_come(self, now: int) -> bool:
        """Return whether a reply may still come to a message that was passed over."""
        overdue = self._messages.overdue
        return bool(overdue) and now - overdue[next(reversed(overdue))].times.sent <= self._tally.timeout_ns

    def is_owed(self) -> bool:
        """Return whether there are replies that have not come, or not wholly."""
        return bool(self._messages.known or self.tail)

    def finish(self, reason: str, *, kind: str = "missing") -> None:
        """Count what has come in part as torn, which is then the reply to the oldest message.

        What has not come is of that kind; what was passed over before is missing all the same.
        """
        messages = self._messages
        received = bytes(self.tail[self._header_bytes_of_tail() :])
        if self.tail and messages.waiting:
            message, sent = messages.take_oldest()
            self.add_error("torn", message, sent.times, received=received, detail=reason)
        elif self.tail:
            self.add_error("unexpected", messages.stop, received=bytes(self.tail), detail=reason)
        messages.missing += [(message, sent.times) for message, sent in messages.overdue.items()]
        messages.overdue.clear()
        self._count_forgotten()
        while messages.waiting:
            message, sent = messages.take_oldest()
            self.add_error(sent.kind or kind, message, sent.times, detail=sent.detail)

    def _count_forgotten(self) -> None:
        for message, times in sorted(self._messages.missing):
            self.add_error("missing", message, times)
        self._messages.missing.clear()

    def add_error(
        self,
        kind: str,
        message: int,
        times: MessageTimes | None = None,
        *,
        received: bytes | None = None,
        detail: str = "",
    ) -> None:
        """Count an error of a message, with the bytes where it is known which should have come."""
        due = None if times is None else times.due
        expected = None
        if kind in ("wrong", "missing", "torn") and self._replies is not None and self._tally.wants(kind):
            expected = self._replies.payload(message)
        elif kind not in ("duplicated", "unexpected"):
            received = None
        self._tally.add_error(kind, self._number, message, expected, received, detail, due=due)


class KeyedConnection(LoadConnection):
    """Takes replies in any order.

    Args:
      replies, check, key_of: as of `KeyedInspection`.
    """

    __slots__ = ()

    in_flight: InFlight

    def __init__(
        self,
        parts: ConnectionParts,
        *,
        replies: Ring | None,
        check: ReplyCheck | None,
        key_of: KeyFunction,
    ) -> None:
        super().__init__(parts)
        in_flight = KeyedInFlight(
            key_of, lambda message: message_of(parts.ring, message, parts.format), parts.first
        )
        self.in_flight = in_flight
        self._inspection = KeyedInspection(
            parts.number,
            parts.ring,
            in_flight,
            parts.tally,
            format=parts.format,
            largest=parts.largest_reply,
            replies=replies,
            check=check,
            key_of=key_of,
        )
        self._is_inspecting = True

    def _keep_round(self) -> None:
        pass

    def _inspect_no_longer_if_right(self) -> None:
        pass

    def _has_ended_in_order(self) -> bool:
        return False  # the messages that it has replied to say nothing of those before or after them


class RenderedKeyedConnection(RenderedSending, KeyedConnection):
    """The same for messages that are made when they are sent."""
