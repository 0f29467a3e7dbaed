"""Requests in the place of any bytes, and the replies that a polite client has got in the place of echoes."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence

from ...base.quantities import plural
from .correlation import Correlation, Identifiers
from .dialogue import Dialogue, Reader
from .finding import NotApplicableError
from .learned import LearnedRequest, have_digits
from .opening import FirstMessage
from .readers import MatchingReader, OrderSeen, ReplyReader, Sent
from .wire import FramedPayload, Wire


class Asked(Dialogue):
    """Requests in the place of any bytes, and learned replies in the place of echoes.

    Attributes:
      requests: at least one; no two alike.
      source: where they are from, for people.
      options: what asks the same on the command line.
      correlation: where requests and replies have an identifier; None if they have none. Then each
        request that is sent has another, and replies may come in any order.
      first_messages: what is sent first on every connection.
      order: what was seen of the order of replies that have identifiers.
    """

    noun = "reply"
    is_echo = False

    def __init__(
        self,
        requests: Sequence[LearnedRequest],
        wire: Wire,
        source: str,
        options: tuple[str, ...] = (),
        correlation: Correlation | None = None,
        first_messages: Sequence[FirstMessage] = (),
    ) -> None:
        self.requests: tuple[LearnedRequest, ...] = tuple(requests)
        self.source: str = source
        self.options: tuple[str, ...] = options
        self.correlation: Correlation | None = correlation
        self.first_messages: tuple[FirstMessage, ...] = tuple(first_messages)
        self._wire = wire
        self.order: OrderSeen = OrderSeen()
        self.has_identifiers: bool = correlation is not None
        self.order_in_words: str = "in order" if correlation is None else "each once, by its identifier"
        self._identifiers: Identifiers | None = None
        # One frame may be the beginning of another only where formats are odd; the longer is meant then.
        self._longest_first = sorted(self.requests, key=lambda request: -len(request.frame))

    def of_case(self, source: random.Random, /) -> Asked:
        """Return the same for one case, with identifiers of its own."""
        if self.correlation is None:
            return self
        own = copy.copy(self)
        width = self.correlation.request.width
        are_digits = have_digits(self.requests)
        own._identifiers = Identifiers(width, source, kinds=len(self.requests), are_digits=are_digits)
        return own

    @property
    def tells_apart(self) -> bool:
        """Whether one reply can be told from another, so that none can be missing or come twice unseen."""
        return self.correlation is not None or len({request.compared for request in self.requests}) > 1

    def fresh(self, request: LearnedRequest) -> FramedPayload:
        """Return a request with an identifier that no other has, if requests have any."""
        if self._identifiers is None:
            return request.with_id(b"")
        return request.with_id(self._identifiers.fresh(self.requests.index(request)))

    def request(self, number: int, /) -> bytes | None:
        return self.fresh(self.requests[number % len(self.requests)])

    @property
    def has_known_lengths(self) -> bool:
        return self.correlation is not None or not any(each.has_varying_length for each in self.requests)

    @property
    def longest_request(self) -> bytes:
        return self.fresh(max(self.requests, key=lambda request: len(request.payload)))

    def request_of_size(self, length: int, /) -> bytes | None:
        for request in self.requests:
            if len(request.payload) == length:
                return self.fresh(request)
        raise NotApplicableError(f"no request has {plural(length, 'byte')}")

    def replies(self, sent: bytes, /) -> bytes:
        return b"".join(each.reply for each in self._requests_in(sent))

    def reader(self, sent: bytes, /, behind: bytes = b"") -> Reader:
        if self.correlation is not None:
            later = {each.identifier for each in self._requests_in(behind)}
            return MatchingReader(self._requests_in(sent), self.requests, self._wire, self.order, later)
        if not any(request.left_out for request in self.requests):
            return super().reader(sent)
        return ReplyReader(self._requests_in(sent), self.requests, self._wire)

    def knows(self, payload: bytes, /) -> bool:
        return isinstance(payload, FramedPayload)

    def needs_echo(self) -> None:
        raise NotApplicableError("only the requests are sent, and this needs an echo of other bytes")

    def is_refusal(self, received: bytes, /) -> bool:
        payloads, rest = self._wire.split(received)
        return not received or (len(payloads) == 1 and not rest)

    def has_reply_to(self, sent: bytes, received: bytes, /) -> bool:
        if self.correlation is None:
            return False
        return not self._ids_in(received).isdisjoint(each.identifier for each in self._requests_in(sent))

    def comes_again(self, before: bytes, received: bytes, /) -> bool:
        if self.correlation is None:
            return super().comes_again(before, received)
        return not self._ids_in(received).isdisjoint(self._ids_in(before))

    def is_mixed_up(self, received: bytes, /) -> bool:
        frame = next(self._wire.whole_frames(received), b"")
        identifier = self.requests[0].reply_id(frame)
        return identifier is not None and any(
            frame == each.reply_with_id(identifier) for each in self.requests
        )

    def _ids_in(self, replies: bytes) -> set[bytes]:
        found = map(self.requests[0].reply_id, self._wire.whole_frames(replies))
        return {identifier for identifier in found if identifier is not None}

    def _requests_in(self, sent: bytes) -> list[Sent]:
        """Return the requests of a stream of their frames.

        Raises:
          ValueError: it has something else in it.
        """
        requests = []
        at = 0
        while at < len(sent):
            found = self._request_at(sent, at)
            if found is None:
                raise ValueError(f"what is sent at byte {at} is none of the requests")
            requests.append(found)
            at += len(found.request.frame)
        return requests

    def _request_at(self, sent: bytes, at: int) -> Sent | None:
        for request in self._longest_first:
            if (identifier := request.id_in(sent, at)) is not None:
                return Sent(request, identifier)
        return None
