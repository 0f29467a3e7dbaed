"""What a protocol's polite requests are made of."""

from __future__ import annotations

from dataclasses import dataclass

from ..opening import FirstMessage


@dataclass(frozen=True)
class PoliteRequests:
    """Requests that every server of a protocol replies to, and that change nothing.

    Attributes:
      about: what is asked, for people.
      frames: the requests, as they are on the wire; of the format that has the protocol's name.
      correlate: where they have an identifier that comes back, as ``--correlate`` has it; empty
        if they have none.
      first_messages: what opens a session, on every connection.
    """

    about: str
    frames: tuple[bytes, ...]
    correlate: str = ""
    first_messages: tuple[FirstMessage, ...] = ()


def number(value: int, width: int) -> bytes:
    """Write a number, the most significant byte first."""
    return value.to_bytes(width, "big")


def behind_length(payload: bytes, width: int) -> bytes:
    """Put a payload behind its length."""
    return number(len(payload), width) + payload
