"""The bytes of a case: the same for the same seed, and no longer than headers and limits allow."""

from __future__ import annotations

import random
import string

from ...base.random_bytes import random_bytes
from .dialogue import Dialogue
from .finding import NotApplicableError
from .settings import Settings
from .wire import Wire

# What is tried as a limit when the server's was not given.
USUAL_LIMIT = 1 << 20
# More than this is not sent in one frame.
_MOST_PAYLOAD = 64 << 20
# So long a payload has a longer header than the shortest, in any format in which that varies.
_LONG_HEADER_BYTES = 200
_SYMBOLS = (string.ascii_letters + string.digits).encode()
_LETTERS = bytes(_SYMBOLS[value % len(_SYMBOLS)] for value in range(256))


class PayloadMaker:
    """Makes a case's payloads.

    Attributes:
      wire (Wire): how headers are written.
      limit (int | None): the server's limit, if it was given.
      dialogue (Dialogue): what may be sent, and what is to come for it.
      random (random.Random): for this case's bytes; the same for the same seed.
    """

    def __init__(self, case_id: str, settings: Settings) -> None:
        self.wire: Wire = settings.wire
        self.limit: int | None = settings.max_frame_length
        self.random: random.Random = random.Random(f"{settings.seed}:{case_id}")
        self.dialogue: Dialogue = settings.dialogue.of_case(self.random)
        self._requests = 0

    def payload(self, length: int) -> bytes:
        """Make a payload that has a reply: random letters of that length; or a request, as long as it is."""
        request = self._next_request()
        return self.junk(length) if request is None else request

    def payloads(self, *lengths: int) -> list[bytes]:
        """Make payloads of these lengths, or shorter ones where headers are too narrow."""
        return [self.payload(self.fitting(length)) for length in lengths]

    def payload_of_size(self, length: int) -> bytes:
        """Make a payload that has a reply, of this length and no other.

        Raises:
          NotApplicableError: a frame of this length is not possible, or no request.
        """
        self.needs(length)
        request = self.dialogue.request_of_size(length)
        return self.junk(length) if request is None else request

    def longest(self, length: int) -> bytes:
        """Make a payload of this length or a shorter one that fits; or the longest of the requests."""
        return self.payload(self.fitting(length)) if self.dialogue.is_echo else self.dialogue.longest_request

    def text(self, text: bytes) -> bytes:
        """Return these bytes, or as many as fit; or a request."""
        request = self._next_request()
        return text[: self.fitting(len(text))] if request is None else request

    def junk(self, length: int) -> bytes:
        """Make random letters and digits, the same for the same seed: nothing that a case is not about."""
        return random_bytes(self.random, length).translate(_LETTERS)

    def _next_request(self) -> bytes | None:
        self._requests += 1
        return self.dialogue.request(self._requests - 1)

    def fitting(self, length: int) -> int:
        """Return the length, or the longest that header and limit allow."""
        return min(length, self.wire.largest_payload, self.limit or length)

    def with_long_header(self, length: int) -> int:
        """Return the length; or one whose header is longer, where that varies, since it can be cut."""
        longer = self.fitting(_LONG_HEADER_BYTES)
        return longer if len(self.wire.header(longer)) > len(self.wire.header(length)) else length

    def needs(self, length: int) -> None:
        """Require that a frame of this length is possible, and has a reply.

        Raises:
          NotApplicableError: it is not, or no request has this length.
        """
        if length > self.wire.largest_payload:
            raise NotApplicableError(f"a header of {self.wire} cannot announce {length:,} bytes")
        if self.limit is not None and length > self.limit:
            raise NotApplicableError(f"the server's limit is {self.limit:,} bytes, as given")
        if length > _MOST_PAYLOAD:
            raise NotApplicableError(f"{length:,} bytes are more than this suite sends in a frame")
        self.dialogue.request_of_size(length)
