"""What is sent: for every connection a reel of frames, new in every round, and known beforehand.

A payload of 8 bytes or more is unique. It begins with a stamp:

::

    +----------------+-------+----------------+------------------------------+
    | round, 4 bytes | index | connection,    | random bytes: a place on the |
    | big-endian     |       | 3 bytes, l.-e. | tape, by connection, index   |
    +----------------+-------+----------------+------------------------------+

Message n (from 0) of a connection is at index n % K in round n // K, with K frames
on its reel. Payloads of 4 to 7 bytes are cut off from this; of shorter ones all bytes
are the lowest of the message's number (big-endian). A reel differs from round to
round only in the 4 bytes of the rounds, so the frames of a round are one ``join``, at
memory speed, and replies can be compared with it as they come, whatever the cuts.

Everything follows from the plan: `message_payload` gives any message again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import accumulate

from ..framing import FrameFormat
from .plan import LoadPlan

ROUND_BYTES = 4
STAMP_BYTES = 8
_MOST_FRAMES = 256  # their index is one byte
_LEAST_FRAMES = 2  # so that a message's neighbours differ from it, and not in the stamp alone
# What the reels of all connections together may take (and again what is under way).
_ALL_REELS_BYTES = 32 << 20
# What the reels of many connections may take time to make.
_ALL_REELS_FRAMES = 1 << 18
# Places on the tape where a payload may begin.
_PLACES = 1 << 16


def frames_on_reel(plan: LoadPlan) -> int:
    """After how many messages a connection begins a new round; at most 256."""
    frame_bytes = plan.sizes.mean + plan.format.header_bytes
    by_bytes = int(_ALL_REELS_BYTES / plan.connections / frame_bytes)
    return max(_LEAST_FRAMES, min(_MOST_FRAMES, by_bytes, _ALL_REELS_FRAMES // plan.connections))


def message_payload(plan: LoadPlan, connection: int, number: int) -> bytes:
    """The payload of a message: of a connection (from 0), the n-th (from 1, warm-up included).

    That is how a run's discrepancies name them. Slow: for looking at single messages.

    Raises:
      ValueError: there is no such message.
    """
    if not 0 <= connection < plan.connections or number < 1:
        raise ValueError(f"this plan has no message {number} on connection {connection}")
    return Library(plan).reel(connection).payload(number - 1)


class Library:
    """Makes the reels of a plan, which share one tape of random bytes."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._frames = frames_on_reel(plan)
        self._tape = random.Random(plan.seed).randbytes(_PLACES + plan.sizes.most)

    def reel(self, connection: int) -> Reel:
        """The reel of one connection."""
        lengths = self._lengths(connection)
        bodies = (self._body(connection, index, length) for index, length in enumerate(lengths))
        return Reel(self._plan.format, lengths, bodies)

    def _body(self, connection: int, index: int, length: int) -> bytes:
        place = _place(connection, index)
        id_bytes = bytes((index,)) + connection.to_bytes(STAMP_BYTES - ROUND_BYTES - 1, "little")
        random_bytes = self._tape[place : place + max(0, length - STAMP_BYTES)]
        return (id_bytes + random_bytes)[: max(0, length - ROUND_BYTES)]

    def _lengths(self, connection: int) -> list[int]:
        # Not drawn at random but spread over the distribution evenly, over all
        # connections as well: so the mix is as asked for, and not only on average.
        plan, frames = self._plan, self._frames
        shift = (connection + 0.5) / plan.connections
        lengths = [plan.sizes.at((index + shift) / frames) for index in range(frames)]
        random.Random(plan.seed << 24 | connection).shuffle(lengths)
        return lengths


def _place(connection: int, index: int) -> int:
    # Two odd constants spread connections and indexes over the tape (Knuth's
    # multiplicative hashing).
    return ((connection * 0x9E3779B1 + index * 0x85EBCA6B) >> 8) % _PLACES


class Reel:
    """The frames of one connection, of any round.

    Attributes:
      frames: how many there are in a round.
      size: bytes of a round on the wire.
      ends: where each frame of a round ends on the wire.
      starts: where each begins; one more than there are frames.
      lengths: of their payloads.
    """

    __slots__ = ("_piece_of", "_pieces", "_short", "ends", "frames", "lengths", "size", "starts")

    def __init__(self, format: FrameFormat, lengths: list[int], bodies: Iterable[bytes]) -> None:
        self.frames: int = len(lengths)
        self.lengths: list[int] = lengths
        self.starts: list[int] = [0, *accumulate(length + format.header_bytes for length in lengths)]
        self.ends: list[int] = self.starts[1:]
        self.size: int = self.ends[-1]
        # What stands between the places of the round's number: the rest of one
        # payload and all up to the next place. And which piece begins with whose rest.
        self._pieces: list[bytes] = []
        self._piece_of: list[int] = []
        # Where in a round, and at which index, a payload is too short for a place.
        self._short: list[tuple[int, int]] = []
        piece = b""
        for index, (length, body) in enumerate(zip(lengths, bodies, strict=True)):
            piece += format.encode_header(length)
            if length >= ROUND_BYTES:
                self._pieces.append(piece)
                piece = body
            elif length:
                self._short.append((self.ends[index] - length, index))
                piece += bytes(length)
            self._piece_of.append(len(self._pieces))
        self._pieces.append(piece)

    def round(self, number: int) -> bytes:
        """All frames of a round, as they are on the wire."""
        wire = _as_bytes(number).join(self._pieces)
        if not self._short:
            return wire
        patched = bytearray(wire)
        for place, index in self._short:
            payload = self.payload(number * self.frames + index)
            patched[place : place + len(payload)] = payload
        return bytes(patched)

    def payload(self, message: int) -> bytes:
        """The payload of a message, counted from 0."""
        number, index = divmod(message, self.frames)
        length = self.lengths[index]
        if length < ROUND_BYTES:
            return _as_bytes(message)[ROUND_BYTES - length :]
        return _as_bytes(number) + self._pieces[self._piece_of[index]][: length - ROUND_BYTES]

    def candidate(self, connection: int, payload: bytes) -> int | None:
        """The message whose stamp a payload has, whatever the rest; None if it has none of this reel."""
        if len(payload) < STAMP_BYTES or int.from_bytes(payload[5:STAMP_BYTES], "little") != connection:
            return None
        index = payload[ROUND_BYTES]
        if index >= self.frames:
            return None
        return int.from_bytes(payload[:ROUND_BYTES], "big") * self.frames + index


def _as_bytes(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(ROUND_BYTES, "big")
