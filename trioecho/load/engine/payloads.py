"""Make what is sent: for every connection a ring of frames, new in every round, and known beforehand.

A payload of 8 bytes or more is unique. It begins with a stamp:

::

    +----------------+-------+----------------+------------------------------+
    | round, 4 bytes | index | connection,    | random bytes: a place on the |
    | big-endian     |       | 3 bytes, l.-e. | tape, by connection, index   |
    +----------------+-------+----------------+------------------------------+

Message n (from 0) of a connection is at index n % K in round n // K, with K frames
on its ring. Payloads of 4 to 7 bytes are cut off from this; of shorter ones all bytes
are the lowest of the message's number (big-endian). A ring differs from round to
round only in the 4 bytes of the rounds, so the frames of a round are one ``join``,
and replies can be compared with it as they come, whatever the cuts.

Everything follows from the plan: `rebuild_payload` gives any message again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import accumulate

from ...base.random_bytes import random_bytes
from ...framing import FrameFormat
from ..plan import LoadPlan

ROUND_BYTES = 4
STAMP_BYTES = 8
_MOST_FRAMES = 256  # their index is one byte
_LEAST_FRAMES = 2  # so that a message's neighbours differ from it, and not in the stamp alone
# What the rings of all connections together may take, without the rounds that are sent and received.
_ALL_RINGS_BYTES = 32 << 20
# What the rings of many connections may take time to make.
_ALL_RINGS_FRAMES = 1 << 18
# Places on the tape where a payload may begin.
_PLACES = 1 << 16


def frames_on_ring(plan: LoadPlan) -> int:
    """Return after how many messages a connection begins a new round; at most 256."""
    frame_bytes = plan.sizes.mean + plan.format.header_bytes
    by_bytes = int(_ALL_RINGS_BYTES / plan.connections / frame_bytes)
    return max(_LEAST_FRAMES, min(_MOST_FRAMES, by_bytes, _ALL_RINGS_FRAMES // plan.connections))


def needed_memory(plan: LoadPlan) -> int:
    """Return about how many bytes of memory the messages of a plan take, in all processes."""
    if plan.source is not None:  # as messages, and as the round that all connections of a process send
        return 2 * plan.processes * (plan.source.all_bytes + plan.source.messages * plan.format.header_bytes)
    frames = frames_on_ring(plan)
    ring_bytes = frames * (plan.sizes.mean + plan.format.header_bytes)
    # The ring itself, the round that is sent, that which is received, and all in between.
    rounds = 3 + plan.pipeline // frames
    tapes = plan.processes * (_PLACES + plan.sizes.most)
    return round(plan.connections * rounds * ring_bytes) + tapes


def rebuild_payload(plan: LoadPlan, connection: int, number: int) -> bytes:
    """Return the payload of a message: of a connection (from 0), the n-th (from 1, warm-up included).

    That is how a run's discrepancies name them. Slow: for looking at single messages.

    Raises:
      ValueError: there is no such message, or the plan has messages of the user's own.
    """
    if plan.source is not None:
        raise ValueError(f"the messages of this plan were not made; they came from {plan.source.file}")
    if not 0 <= connection < plan.connections or number < 1:
        raise ValueError(f"this plan has no message {number} on connection {connection}")
    return PayloadRings(plan).ring(connection).payload(number - 1)


class PayloadRings:
    """The rings of all connections of a plan, which share one tape of random bytes."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._frames = frames_on_ring(plan)
        self._tape = random_bytes(random.Random(plan.seed), _PLACES + plan.sizes.most)

    def ring(self, connection: int) -> PayloadRing:
        """Return the ring of one connection."""
        lengths = self._lengths(connection)
        bodies = (self._body(connection, index, length) for index, length in enumerate(lengths))
        return PayloadRing(self._plan.format, lengths, bodies)

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


class PayloadRing:
    """The frames of one connection, of any round.

    Attributes:
      frames: how many there are in a round.
      size: bytes of a round on the wire.
      ends: where each frame of a round ends on the wire.
      starts: where each begins; one more than there are frames.
      lengths: of their payloads.
      is_stamped: True: payloads have stamps, if they are long enough.
    """

    __slots__ = (
        "_piece_of",
        "_pieces",
        "_short",
        "ends",
        "frames",
        "is_stamped",
        "lengths",
        "size",
        "starts",
    )

    def __init__(self, format: FrameFormat, lengths: list[int], bodies: Iterable[bytes]) -> None:
        self.frames: int = len(lengths)
        self.lengths: list[int] = lengths
        self.is_stamped: bool = True
        self.starts: list[int] = [0, *accumulate(map(format.frame_length, lengths))]
        self.ends: list[int] = self.starts[1:]
        self.size: int = self.ends[-1]
        # What stands between the places of the round's number: the rest of one payload and
        # all up to the next place. And for each frame the piece that begins with its rest.
        self._pieces: list[bytes] = []
        self._piece_of: list[int] = []
        # Where in a round, and at which index, a payload is too short for a place.
        self._short: list[tuple[int, int]] = []
        piece, trailer = b"", format.trailer
        for index, (length, body) in enumerate(zip(lengths, bodies, strict=True)):
            piece += format.encode_header(length)
            if length >= ROUND_BYTES:
                self._pieces.append(piece)
                piece = body
            elif length:
                self._short.append((self.ends[index] - len(trailer) - length, index))
                piece += bytes(length)
            piece += trailer
            self._piece_of.append(len(self._pieces))
        self._pieces.append(piece)

    def round(self, number: int) -> bytes:
        """Return all frames of a round, as they are on the wire."""
        wire = _as_bytes(number).join(self._pieces)
        if not self._short:
            return wire
        patched = bytearray(wire)
        for place, index in self._short:
            payload = self.payload(number * self.frames + index)
            patched[place : place + len(payload)] = payload
        return bytes(patched)

    def payload(self, message: int) -> bytes:
        """Return the payload of a message, counted from 0."""
        number, index = divmod(message, self.frames)
        length = self.lengths[index]
        if length < ROUND_BYTES:
            return _as_bytes(message)[ROUND_BYTES - length :]
        return _as_bytes(number) + self._pieces[self._piece_of[index]][: length - ROUND_BYTES]

    def length(self, message: int) -> int:
        """Return how many bytes a payload has."""
        return self.lengths[message % self.frames]

    def candidate(self, connection: int, payload: bytes) -> int | None:
        """Return the message whose stamp a payload has, whatever follows it; None if it has none."""
        if len(payload) < STAMP_BYTES or int.from_bytes(payload[5:STAMP_BYTES], "little") != connection:
            return None
        index = payload[ROUND_BYTES]
        if index >= self.frames:
            return None
        return int.from_bytes(payload[:ROUND_BYTES], "big") * self.frames + index

    def header(self, message: int) -> bytes | None:
        """Return None: no header is given."""
        return None


def _as_bytes(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(ROUND_BYTES, "big")
