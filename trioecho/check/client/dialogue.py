"""What a client sends, and what it is to get: an echo, or a reply that a polite client got before."""

from __future__ import annotations

import random
from typing import Protocol

from .opening import FirstMessage


class Reader(Protocol):
    """Makes what comes on a connection comparable with what is expected, piece by piece."""

    @property
    def held_bytes(self) -> int:
        """How many bytes were not returned yet."""
        raise NotImplementedError

    def read(self, piece: bytes) -> bytes:
        """Return the next bytes as they are compared; there may be fewer, until a frame is whole."""
        raise NotImplementedError

    def rest(self) -> bytes:
        """Return the bytes that were not returned yet, when no more come."""
        raise NotImplementedError

    def skip_missing(self) -> bytes:
        """Return the whole replies that came although earlier ones are missing, and expect those no more."""
        raise NotImplementedError


class Dialogue:
    """What a client sends, and what it is to get for it: here any bytes, and their echo.

    Attributes:
      noun: what comes for a frame, for people.
      is_echo: whether any bytes may be sent.
      has_identifiers: whether every reply says which request it is for.
      order_in_words: what was seen of the order of replies that were right.
      first_messages: what is sent first on every connection, before what a case sends.
    """

    noun: str = "echo"
    is_echo: bool = True
    has_identifiers: bool = False
    order_in_words: str = "in order"
    first_messages: tuple[FirstMessage, ...] = ()

    def of_case(self, source: random.Random, /) -> Dialogue:
        """Return the same for one case, whose bytes follow from this source."""
        return self

    def request(self, number: int, /) -> bytes | None:
        """Return the payload of a case's request with this number; None if the case makes its own."""
        return None

    @property
    def has_known_lengths(self) -> bool:
        """Whether a reply is found among others by its place, or by what is in it."""
        return True

    @property
    def longest_request(self) -> bytes:
        """The longest of the requests, if there are any."""
        return b""

    def request_of_size(self, length: int, /) -> bytes | None:
        """Return a request with so many bytes of payload; None if the case makes its own.

        Raises:
          NotApplicableError: there is none.
        """
        return None

    def replies(self, sent: bytes, /) -> bytes:
        """Return what is to come for whole frames."""
        return sent

    def reader(self, sent: bytes, /, behind: bytes = b"") -> Reader:
        """Return what reads the replies to whole frames, which may be sent again and again.

        What it has of the reply to those ``behind`` them is left for `Reader.rest`.
        """
        return _AsItIs()

    def knows(self, payload: bytes, /) -> bool:
        """Return whether it is known what is to come for this payload."""
        return True

    def needs_echo(self) -> None:
        """Require that any bytes may be sent.

        Raises:
          NotApplicableError: they may not.
        """

    def is_refusal(self, received: bytes, /) -> bool:
        """Return whether what came for no whole frame may say why that is refused; an echo does not."""
        return not received

    def has_reply_to(self, sent: bytes, received: bytes, /) -> bool:
        """Return whether a reply to these frames is in what was received, if its bytes show it."""
        return sent in received

    def comes_again(self, before: bytes, received: bytes, /) -> bool:
        """Return whether what was received begins with, or has, what came before."""
        return bool(before) and received.startswith(before[: len(received)])

    def is_mixed_up(self, received: bytes, /) -> bool:
        """Return whether a wrong reply has the identifier of its request, and is else that to another."""
        return False


class _AsItIs:
    """Compares what comes as it is."""

    held_bytes = 0

    def read(self, piece: bytes) -> bytes:
        return piece

    def rest(self) -> bytes:
        return b""

    def skip_missing(self) -> bytes:
        return b""


ECHO = Dialogue()
