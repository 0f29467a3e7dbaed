"""A request that a service replies to, and what is known of the replies, learned before any case."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .correlation import Correlation, Place
from .wire import FramedPayload, Wire

# A number that changes carries into its next digit or byte, which may stand behind a colon or a point.
_CARRIES_BYTES = 8
# What numbers and times have in them as text; as bytes they mostly have four, in either order.
_OF_NUMBERS, _NUMBER_BYTES = b"0123456789.:,-/TZ", 4

# With these in the place of a length, or of what must be there, a request is no frame.
_ANY_IDS = (b"\x01", b"\x7f")


class LearnedRequest:
    """A request, and what is known of the reply to it.

    Attributes:
      payload: of the request.
      frame: the request as it is sent; where it has an identifier, with that of the user's request.
      given: the payload of the right reply, where the user gave it.
      reply: the frame that came first; empty until one has come.
      varying: offsets in it of the bytes that were not always the same, or are of such a number.
      has_varying_length: whether replies were not always as long; then only the beginnings of
        their payloads are compared.
      same_until: offset at which such a reply begins to differ.
      id_at: offset of the identifier in the request's frame; None if it has none.
    """

    def __init__(
        self,
        payload: bytes,
        wire: Wire,
        given: bytes | None = None,
        correlation: Correlation | None = None,
    ) -> None:
        self.payload: bytes = payload
        self.frame: bytes = wire.frame(payload)
        self.given: bytes | None = given
        self.reply: bytes = b""
        self.varying: set[int] = set()
        self.has_varying_length: bool = False
        self.same_until: int = 0
        self.id_at: int | None = None
        self._header_bytes = wire.header_bytes
        self._wire = wire
        self._id_bytes = 0
        self._reply_place: Place | None = None
        self._payload_at = wire.payload_at(self.frame)
        if correlation is not None:
            self._reply_place = correlation.reply
            self._id_bytes = correlation.request.width
            end = self._payload_at + len(payload)
            self.id_at = correlation.request.within(self.frame, self._payload_at, end)
            if self.id_at is None:
                raise ValueError(f"it does not have {correlation.request.in_words}")
            if any(wire.split(self.with_id(any_id * self._id_bytes).frame)[1] for any_id in _ANY_IDS):
                raise ValueError(f"{correlation.request.in_words} say how long it is, or that it is a frame")

    # ---- identifiers ----

    @property
    def id_sent(self) -> bytes:
        """The identifier in the user's request; empty if it has none."""
        return b"" if self.id_at is None else self.frame[self.id_at : self.id_at + self._id_bytes]

    def with_id(self, identifier: bytes) -> FramedPayload:
        """Return the request with this identifier; as it is, if it has none."""
        if self.id_at is None:
            return FramedPayload(self.payload, self.frame)
        frame = _replaced(self.frame, self.id_at, identifier)
        return FramedPayload(frame[self._payload_at : self._payload_at + len(self.payload)], frame)

    def id_in(self, sent: bytes, at: int) -> bytes | None:
        """Return the identifier of this request in what is sent at an offset; None if another is there."""
        if self.id_at is None:
            return b"" if sent.startswith(self.frame, at) else None
        end = self.id_at + self._id_bytes
        is_this = sent.startswith(self.frame[: self.id_at], at) and sent.startswith(
            self.frame[end:], at + end
        )
        found = sent[at + self.id_at : at + end]
        return found if is_this and len(found) == self._id_bytes else None

    def reply_id(self, reply: bytes) -> bytes | None:
        """Return the identifier in the frame of a reply; None if that is too short for one."""
        if self._reply_place is None:
            return b""
        at = self._reply_id_at(reply)
        return None if at is None else reply[at : at + self._id_bytes]

    def reply_with_id(self, identifier: bytes) -> bytes:
        """Return the reply that came first, as one with this identifier."""
        return self._identified(self.reply, identifier)

    def normal(self, reply: bytes) -> bytes:
        """Return a reply as one to the user's request, whatever its identifier."""
        return self._identified(reply, self.id_sent)

    def _identified(self, reply: bytes, identifier: bytes) -> bytes:
        at = None if self._reply_place is None else self._reply_id_at(reply)
        return reply if at is None else _replaced(reply, at, identifier)

    def _reply_id_at(self, reply: bytes) -> int | None:
        first = self._wire.first(reply)
        if first is None or self._reply_place is None:
            return None
        payload_at = self._wire.payload_at(reply)
        return self._reply_place.within(reply, payload_at, payload_at + len(first[0]))

    # ---- learning ----

    def learn(self, reply: bytes) -> None:
        """Note a reply that a polite client has got."""
        reply = self.normal(reply)
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
        reply = self.normal(reply)
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
        """Return whether a frame may be the reply, as far as is compared, whatever its identifier."""
        frame = self.normal(frame)
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


def _replaced(frame: bytes, at: int, identifier: bytes) -> bytes:
    return frame[:at] + identifier + frame[at + len(identifier) :]


def have_digits(requests: Iterable[LearnedRequest]) -> bool:
    """Return whether the identifiers in all users' requests are decimal digits."""
    return all(request.id_sent.isdigit() for request in requests)
