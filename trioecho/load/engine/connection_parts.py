"""What connections of every kind are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...framing import FrameFormat
from .ring import Ring
from .sending import Socket
from .tally import LoadTally


@dataclass(frozen=True)
class ConnectionParts:
    """What a connection is made of, whatever its replies are.

    Attributes:
      number: which connection of the load, from 0.
      socket: connected, and non-blocking.
      ring: the messages that it sends.
      tally: where it counts.
      format: of the frames.
      largest_reply: bytes that the payload of a reply has at most.
      buffer: to receive into; connections share it.
      clock: ns.
      first: its first message, from 0; another one of that number may have sent those before it.
    """

    number: int
    socket: Socket
    ring: Ring
    tally: LoadTally
    format: FrameFormat
    largest_reply: int
    buffer: memoryview
    clock: Callable[[], int]
    first: int = 0
