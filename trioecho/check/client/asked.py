"""Requests that a service replies to, and what is known of the replies, learned before any case."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...base.quantities import plural
from .dialogue import Dialogue, Reader
from .finding import NotApplicableError
from .wire import Wire

# A number that changes carries into its next digit or byte, which may stand behind a colon or a point.
_CARRIES_BYTES = 8
# What numbers and times have in them as text; as bytes they mostly have four, in either order.
_OF_NUMBERS, _NUMBER_BYTES = b"0123456789.:,-/TZ", 4
# A frame whose length varies is not waited for beyond so many bytes more than the longest before.
_MOST_LONGER_BYTES = 1 << 20


class LearnedRequest:
    """A request, and what is known of the reply to it.

    Attributes:
      payload: of the request.
      frame: the request as it is sent.
      given: the payload of the right reply, where the user gave it.
      reply: the frame that came first; empty until one has come.
      varying: offsets in it of the bytes that were not always the same, or are of such a number.
      has_varying_length: whether replies were not always as long; then only the beginnings of
        their payloads are compared.
      same_until: offset at which such a reply begins to differ.
    """

    def __init__(self, payload: bytes, wire: Wire, given: bytes | None = None) -> None:
        self.payload: bytes = payload
        self.frame: bytes = wire.frame(payload)
        self.given: bytes | None = given
        self.reply: bytes = b""
        self.varying: set[int] = set()
        self.has_varying_length: bool = False
        self.same_until: int = 0
        self._header_bytes = wire.header_bytes

    def learn(self, reply: bytes) -> None:
        """Note a reply that a polite client has got."""
        self.reply = self.reply or reply
        if len(reply) != len(self.reply):
            self.has_varying_length = True
        self._differ_in(self._differing(reply))

    def widen(self) -> None:
        """Take for varying also the other digits, or bytes, of a number of which some have varied."""
        self.varying |= {near for at in self.varying for near in self._same_number(at)}
        if self.has_varying_length and self.same_until < len(self.reply):
            self.same_until = min(self.same_until, self._same_number(self.same_until).start)

    def _same_number(self, at: int) -> range:
        if self.reply[at] not in _OF_NUMBERS and self.has_varying_length:
            at = self._first_of_number(at)
            return range(at, at + 1)
        if self.reply[at] not in _OF_NUMBERS:
            least = max(self._header_bytes, at - _NUMBER_BYTES + 1)
            return range(min(least, at), min(len(self.reply), at + _NUMBER_BYTES))
        start, end = self._first_of_number(at), at
        while end < len(self.reply) and self.reply[end] in _OF_NUMBERS:
            end += 1
        return range(start, end)

    def _first_of_number(self, at: int) -> int:
        while at > self._header_bytes and self.reply[at - 1] in _OF_NUMBERS:
            at -= 1
        return at

    def learn_later(self, reply: bytes) -> bool:
        """Note a later reply to a polite client; return whether replies may differ in more than was known.

        More may differ only near to what did: a time of day, or a count, that has carried. The length
        may, of a reply in which something did. All else is for the cases to blame.
        """
        if not self.varying and not self.has_varying_length:
            return False
        known = self.varying | ({self.same_until} if self.has_varying_length else set())
        is_longer = len(reply) != len(self.reply) and not self.has_varying_length
        more = {at for at in self._differing(reply) if at < self.same_until} - self.varying
        first = {min(more)} if more and (is_longer or self.has_varying_length) else more
        if any(min(abs(at - each) for each in known) > _CARRIES_BYTES for at in first):
            return False
        self.has_varying_length |= is_longer
        self._differ_in(more)
        self.widen()
        return bool(more) or is_longer

    def _differ_in(self, places: Collection[int]) -> None:
        if not self.has_varying_length:
            self.varying |= set(places)
            self.same_until = len(self.reply)
        else:
            first = min((*places, *self.varying, self.same_until or len(self.reply)))
            self.same_until = max(first, self._header_bytes)

    def _differing(self, reply: bytes) -> set[int]:
        """Return where a reply differs from the first; where lengths differ, behind the header."""
        start = 0 if len(reply) == len(self.reply) else self._header_bytes
        least = min(len(reply), len(self.reply))
        places = {at for at in range(start, least) if reply[at] != self.reply[at]}
        return places if len(reply) == len(self.reply) else places | {least}

    def is_like(self, frame: bytes) -> bool:
        """Return whether a frame may be the reply, as far as is compared."""
        if not self.has_varying_length and len(frame) != len(self.reply):
            return False
        return all(frame[here] == self.reply[here] for here in self._compared)

    def comparable(self, frame: bytes) -> bytes:
        """Return a frame that is not like the reply, with the reply's bytes where they are not compared."""
        if self.has_varying_length or len(frame) != len(self.reply):
            return frame
        return bytes(self.reply[at] if at in self.varying else byte for at, byte in enumerate(frame))

    @property
    def _compared(self) -> list[slice]:
        if self.has_varying_length:
            return [slice(self._header_bytes, self.same_until)]
        edges = [0, *(edge for places in self.left_out for edge in places), len(self.reply)]
        return [slice(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]

    @property
    def compared(self) -> bytes:
        """What is compared of the reply."""
        return b"".join(self.reply[here] for here in self._compared)

    @property
    def left_out(self) -> tuple[tuple[int, int], ...]:
        """The bytes of the reply's frame that vary: offsets of the first, and of the one after the last."""
        if self.has_varying_length:
            return ((self.same_until, len(self.reply)),)
        ranges: list[tuple[int, int]] = []
        for at in sorted(self.varying):
            if ranges and ranges[-1][1] == at:
                ranges[-1] = (ranges[-1][0], at + 1)
            else:
                ranges.append((at, at + 1))
        return tuple(ranges)


class Asked(Dialogue):
    """Requests in the place of any bytes, and learned replies in the place of echoes.

    Attributes:
      requests: at least one; no two alike.
      source: where they are from, for people.
      options: what asks the same on the command line.
    """

    noun = "reply"
    is_echo = False

    def __init__(
        self, requests: Sequence[LearnedRequest], wire: Wire, source: str, options: tuple[str, ...] = ()
    ) -> None:
        self.requests: tuple[LearnedRequest, ...] = tuple(requests)
        self.source: str = source
        self.options: tuple[str, ...] = options
        self._wire = wire
        self._by_payload = {request.payload: request for request in self.requests}
        # One frame may be the beginning of another only where formats are odd; the longer is meant then.
        self._longest_first = sorted(self.requests, key=lambda request: -len(request.frame))

    @property
    def tells_apart(self) -> bool:
        """Whether one reply can be told from another, so that their order is seen."""
        return len({request.compared for request in self.requests}) > 1

    def request(self, number: int, /) -> bytes | None:
        return self.requests[number % len(self.requests)].payload

    @property
    def has_known_lengths(self) -> bool:
        return not any(request.has_varying_length for request in self.requests)

    @property
    def longest_request(self) -> bytes:
        return max((request.payload for request in self.requests), key=len)

    def request_of_size(self, length: int, /) -> bytes | None:
        for request in self.requests:
            if len(request.payload) == length:
                return request.payload
        raise NotApplicableError(f"no request has {plural(length, 'byte')}")

    def replies(self, sent: bytes, /) -> bytes:
        return b"".join(request.reply for request in self._requests_in(sent))

    def reader(self, sent: bytes, /) -> Reader:
        if not any(request.left_out for request in self.requests):
            return super().reader(sent)
        return _FrameReader(self._requests_in(sent), self.requests, self._wire)

    def knows(self, payload: bytes, /) -> bool:
        return payload in self._by_payload

    def needs_echo(self) -> None:
        raise NotApplicableError("only the requests are sent, and this needs an echo of other bytes")

    def is_refusal(self, received: bytes, /) -> bool:
        payloads, rest = self._wire.split(received)
        return not received or (len(payloads) == 1 and not rest)

    def _requests_in(self, sent: bytes) -> list[LearnedRequest]:
        """Return the requests of a stream of their frames.

        Raises:
          ValueError: it has something else in it.
        """
        requests = []
        at = 0
        while at < len(sent):
            request = next((each for each in self._longest_first if sent.startswith(each.frame, at)), None)
            if request is None:
                raise ValueError(f"what is sent at byte {at} is none of the requests")
            requests.append(request)
            at += len(request.frame)
        return requests


class _FrameReader:
    """Puts the reply that came first in the place of each that is like it."""

    def __init__(
        self, expected: Sequence[LearnedRequest], known: Sequence[LearnedRequest], wire: Wire
    ) -> None:
        self._expected = expected
        self._known = known
        self._wire = wire
        self._number = 0
        self._held = b""
        self._usual_bytes = max(len(request.reply) for request in known)

    def read(self, piece: bytes) -> bytes:
        """Return the frames that are whole, and keep the rest."""
        self._held += piece
        at, read = 0, []
        while size := self._size_at(at):
            read.append(self._comparable(self._held[at : at + size]))
            at += size
        self._held = self._held[at:]
        if len(self._held) > self._usual_bytes + _MOST_LONGER_BYTES:
            read.append(self.rest())
        return b"".join(read)

    def rest(self) -> bytes:
        """Return what is left of a frame that is not whole."""
        rest, self._held = self._held, b""
        return rest

    def _size_at(self, at: int) -> int:
        # To look at a copy of all that is left would take time that grows with its square.
        usual = self._held[at : at + self._usual_bytes]
        first = self._wire.first(usual) or self._wire.first(self._held[at:])
        return 0 if first is None else first[1]

    def _comparable(self, frame: bytes) -> bytes:
        request = self._expected[self._number % len(self._expected)]
        self._number += 1
        if request.is_like(frame):
            return request.reply
        # That it is the reply to another request says what is wrong.
        other = next((each for each in self._known if each.is_like(frame)), None)
        return request.comparable(frame) if other is None else other.reply
