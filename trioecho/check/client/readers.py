"""Makes replies comparable, frame by frame, with those that came first and in the order of requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from .learned import LearnedRequest
from .wire import Wire

# A frame whose length varies is not waited for beyond so many bytes more than the longest before.
_MOST_LONGER_BYTES = 1 << 20


class Sent(NamedTuple):
    """A request that was sent.

    Attributes:
      request: which.
      identifier: that it had; empty if it had none.
    """

    request: LearnedRequest
    identifier: bytes = b""

    @property
    def reply(self) -> bytes:
        """The frame that is to come for it."""
        return self.request.reply_with_id(self.identifier)


class OrderSeen:
    """What was seen of the order of replies that have identifiers.

    Attributes:
      is_other: whether any came before one to an earlier request of its connection.
    """

    def __init__(self) -> None:
        self.is_other: bool = False


class ReplyReader:
    """Puts the reply that came first in the place of each that is like it."""

    def __init__(self, sent: Sequence[Sent], known: Sequence[LearnedRequest], wire: Wire) -> None:
        self._sent = sent
        self._known = known
        self._wire = wire
        self._number = 0
        self._held = b""
        self._usual_bytes = max(len(request.reply) for request in known)

    @property
    def held_bytes(self) -> int:
        """How many bytes of a frame have come that is not whole."""
        return len(self._held)

    def read(self, piece: bytes) -> bytes:
        """Return the frames that are whole, and keep the rest."""
        self._held += piece
        at, read = 0, []
        while size := self._size_at(at):
            read.append(self._take(self._held[at : at + size]))
            at += size
        self._held = self._held[at:]
        if len(self._held) > self._usual_bytes + _MOST_LONGER_BYTES:
            read.append(self.rest())
        return b"".join(read)

    def rest(self) -> bytes:
        """Return what is left of a frame that is not whole."""
        rest, self._held = self._held, b""
        return rest

    def skip_missing(self) -> bytes:
        """Return nothing: replies come in the order of their requests."""
        return b""

    def _size_at(self, at: int) -> int:
        # To look at a copy of all that is left would take time that grows with its square.
        usual = self._held[at : at + self._usual_bytes]
        first = self._wire.first(usual) or self._wire.first(self._held[at:])
        return 0 if first is None else first[1]

    def _take(self, frame: bytes) -> bytes:
        """Return what is compared in the place of the next frame that came."""
        self._number += 1
        return self._comparable(frame, self._sent[(self._number - 1) % len(self._sent)])

    def _comparable(self, frame: bytes, sent: Sent) -> bytes:
        if sent.request.is_like(frame):
            return sent.reply
        # That it is the reply to another request says what is wrong.
        other = next((each for each in self._known if each.is_like(frame)), None)
        if other is None:
            return sent.request.comparable(frame)
        return other.reply_with_id(other.reply_id(frame) or b"")


class MatchingReader(ReplyReader):
    """Puts replies in the order of their requests, by their identifiers.

    What belongs to no request, or comes a second time, stays where it came.
    """

    def __init__(
        self,
        sent: Sequence[Sent],
        known: Sequence[LearnedRequest],
        wire: Wire,
        order: OrderSeen,
        later: Collection[bytes] = (),
    ) -> None:
        super().__init__(sent, known, wire)
        self._order = order
        self._later = later
        self._for_later = b""
        self._places: dict[bytes, list[int]] = defaultdict(list)
        for place, each in enumerate(sent):
            self._places[each.identifier].append(place)
        self._came: dict[bytes, int] = defaultdict(int)
        self._early: dict[int, bytes] = {}

    def rest(self) -> bytes:
        """Return the replies that came before others that did not, and what is left of a frame."""
        return self.skip_missing() + self._for_later + super().rest()

    def skip_missing(self) -> bytes:
        """Return the replies that came before others that did not, and expect those no more."""
        early = b"".join(frame for _, frame in sorted(self._early.items()))
        self._early.clear()
        return early

    def _take(self, frame: bytes) -> bytes:
        identifier = self._known[0].reply_id(frame)
        places = self._places.get(identifier or b"")
        if identifier in self._later:
            self._for_later += frame
            return b""
        if identifier is None or not places:
            return frame
        rounds, which = divmod(self._came[identifier], len(places))
        self._came[identifier] += 1
        place = rounds * len(self._sent) + places[which]
        self._early[place] = self._comparable(frame, self._sent[places[which]])
        ready = []
        while (next_frame := self._early.pop(self._number, None)) is not None:
            ready.append(next_frame)
            self._number += 1
        self._order.is_other |= bool(ready and self._early) or len(ready) > 1
        return b"".join(ready)
