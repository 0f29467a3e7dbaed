"""Find the message that a reply belongs to, where replies are no longer in the order of their messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .payloads import STAMP_BYTES
from .ring import Ring

# How many messages are remembered that were passed over and may still get a reply.
MOST_OVERDUE = 1 << 16
# How far to look for the message of a reply that cannot be told by its stamp.
_FAR = 256
# What is looked at to see whether two payloads are alike.
_SAMPLE_BYTES = 64


class MessageTimes(NamedTuple):
    """When a message was due, and when it was offered to the kernel, in ns."""

    due: int
    sent: int


class InFlight:
    """The messages of a connection that were offered to the kernel and are waited for.

    Attributes:
      runs: of messages with the same times, oldest first: the message behind the
        last one of the run, when they were due, and when they were offered.
      next: the first message that is waited for, from 0.
      stop: the first that was not offered yet.
    """

    __slots__ = ("next", "runs", "stop")

    def __init__(self, first: int = 0) -> None:
        self.runs: deque[tuple[int, int, int]] = deque()
        self.next: int = first
        self.stop: int = first

    def __len__(self) -> int:
        return self.stop - self.next

    def add(self, count: int, due: int, sent: int) -> None:
        """Note that ``count`` messages were offered that were due at the same time."""
        self.stop += count
        self.runs.append((self.stop, due, sent))

    def take_back(self) -> None:
        """Forget all that were offered and are waited for: they will be offered once more."""
        self.runs.clear()
        self.stop = self.next

    def first_sent_from(self, time: int) -> int:
        """Return the first message that was sent then or later; the next to be sent, if none was."""
        first = self.next
        for stop, _, sent in self.runs:
            if sent >= time:
                return first
            first = stop
        return self.stop

    def sent_before(self, time: int) -> int:
        """Return how many messages that are waited for were sent before that time."""
        count = 0
        for stop, _, sent in self.runs:
            if sent >= time:
                break
            count = stop - self.next
        return count

    def pop(self) -> MessageTimes:
        """Take out the first message that is waited for, and return its times."""
        stop, due, sent = self.runs[0]
        self.next += 1
        if self.next == stop:
            self.runs.popleft()
        return MessageTimes(due, sent)


class Match(NamedTuple):
    """What a reply is.

    Attributes:
      kind: "right", or a kind of error: "wrong", "swapped", "duplicated", "unexpected".
      message: whose reply it is, from 0; for "unexpected" the next that is waited for.
      times: of that message, unless it had got its reply before.
      detail: one more thing to know, in words.
    """

    kind: str
    message: int
    times: MessageTimes | None = None
    detail: str = ""


@dataclass
class Matcher:
    """Assigns replies to the messages of one connection, one after the other.

    The rules, of which the first that applies holds. A reply with exactly the content of

    1. the next message that is waited for: is right;
    2. a later message that was sent: is right, and those in between are passed over;
    3. a message that was passed over: is swapped;
    4. a message that had its reply before: is duplicated.

    A reply with another content, when a message is waited for, is a wrong reply: to the
    message whose stamp it has, else to the one that most of it agrees with, else to the
    next. When none is, it is unexpected. A message that was passed over and to which
    no reply comes until the end is missing.

    Attributes:
      in_flight: the messages that are waited for; those that get a reply or are passed
        over are taken out.
      overdue: those that were passed over, because a later one got its reply or because
        their time is over, oldest first.
      missing: those of them that were too many to remember, with their times.
    """

    connection: int
    ring: Ring
    in_flight: InFlight
    overdue: dict[int, MessageTimes] = field(default_factory=dict)
    missing: list[tuple[int, MessageTimes]] = field(default_factory=list)

    def match(self, payload: bytes) -> Match:
        """Return what a reply with this payload is."""
        waiting = range(self.in_flight.next, self.in_flight.stop)
        message = self._exactly(payload, waiting)
        if message is None:
            return self._another(payload, waiting)
        if message in waiting:
            return Match("right", message, self._answered(message))
        times = self.overdue.pop(message, None)
        return Match("duplicated" if times is None else "swapped", message, times)

    def pass_over(self, count: int) -> None:
        """Stop waiting for the next ``count`` messages."""
        for _ in range(count):
            message = self.in_flight.next
            self.overdue[message] = self.in_flight.pop()
        while len(self.overdue) > MOST_OVERDUE:
            oldest = next(iter(self.overdue))
            self.missing.append((oldest, self.overdue.pop(oldest)))

    def _answered(self, message: int) -> MessageTimes:
        self.pass_over(message - self.in_flight.next)
        return self.in_flight.pop()

    def _exactly(self, payload: bytes, waiting: range) -> int | None:
        """Return the message with this content, if it was sent."""
        if self.ring.is_stamped and len(payload) >= STAMP_BYTES:
            stamped = self.ring.candidate(self.connection, payload)
            if stamped is not None and stamped < waiting.stop and self.ring.payload(stamped) == payload:
                return stamped
            return None
        # Not unique: the first that is waited for, then the oldest that
        # was passed over, then the youngest that got a reply.
        for message in self._places(waiting):
            if self.ring.length(message) == len(payload) and self.ring.payload(message) == payload:
                return message
        return None

    def _places(self, waiting: range) -> Iterator[int]:
        yield from waiting[:_FAR]
        yield from list(self.overdue)[:_FAR]
        for message in range(waiting.start - 1, max(-1, waiting.start - 1 - _FAR), -1):
            if message not in self.overdue:
                yield message

    def _another(self, payload: bytes, waiting: range) -> Match:
        if not waiting:
            return Match("unexpected", self.in_flight.next, detail=self._owner(payload))
        message = self._likeliest(payload, waiting)
        return Match("wrong", message, self._answered(message), self._owner(payload))

    def _owner(self, payload: bytes) -> str:
        if not self.ring.is_stamped or len(payload) < STAMP_BYTES:
            return ""
        connection = int.from_bytes(payload[5:STAMP_BYTES], "little")
        # Only what a server can have mixed up: random bytes rarely give a small number.
        if connection == self.connection or connection > 1 << 16:
            return ""
        return f"it has the stamp of connection {connection}"

    def _likeliest(self, payload: bytes, waiting: range) -> int:
        stamped = self.ring.candidate(self.connection, payload)
        if stamped is not None and stamped in waiting:
            return stamped
        sample = payload[:_SAMPLE_BYTES]
        best, most = waiting.start, len(sample) // 2
        for message in waiting[:_FAR]:
            if self.ring.length(message) != len(payload):
                continue
            alike = sum(map(int.__eq__, sample, self.ring.payload(message)))
            if alike > most:
                best, most = message, alike
            # No two payloads have this number of random bytes in common.
            if alike >= max(len(sample) - 4, 2 * STAMP_BYTES):
                break
        return best
