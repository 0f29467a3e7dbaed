"""What keeps the suite from trying the cases: a server that echoes nothing, or hardly anything.

Where not even the simplest frame comes back, or bytes come that nobody asked for,
every case fails for this one reason; it is told once, and the others are not tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from .diagnosis_of_bytes import cause_of_bytes
from .finding import Deviation, Kind, echo_deviation
from .probe import Probe
from .wire import Wire

# Cases send megabytes; whoever echoes fewer bytes than this in a second is not waited for.
_LEAST_BYTES_PER_S = 5000
_SAMPLE_BYTES, _SAMPLE_S = 1000, 1.0


@dataclass(frozen=True)
class Obstacle:
    """Why only the simplest case is tried.

    Attributes:
      cause_id: the likely cause.
      reason: what was seen, as the end of a sentence.
    """

    cause_id: str
    reason: str


ONLY_FIRST = Obstacle("only-first-connection", "no connection is served but the first")
ONE_BEHIND = Obstacle("one-behind", "an echo comes only when the next frame does")
ONLY_AT_END = Obstacle("never-answers", "echoes come only when the connection ends")


@dataclass(frozen=True)
class Answer:
    """What came for a frame.

    Attributes:
      payload: of the frame.
      data: what came, up to as many bytes as the frame has.
      ending: what came instead of more; None if so many bytes came.
      is_right: whether it was the echo.
      elapsed_s: how long it took, with the connection, if so many bytes came.
      spread_s: how much of that passed after the first bytes.
    """

    payload: bytes
    data: bytes
    ending: Kind | None
    is_right: bool = False
    elapsed_s: float = 0.0
    spread_s: float = 0.0

    @property
    def is_silent(self) -> bool:
        """Whether the server just said nothing."""
        return self.ending is Kind.SILENCE and not self.data


def obstacle_in(answers: Sequence[Answer], unasked: bytes | Kind, wire: Wire) -> Obstacle | None:
    """Why the cases are not worth their time, if they are not.

    Args:
      answers: to several frames, each on a connection of its own; none is right.
      unasked: what came on a connection on which nothing was sent.
      wire: how headers are written.
    """
    if isinstance(unasked, bytes):
        return Obstacle("speaks-unasked", "bytes come that nobody asked for")
    if not any(answer.data for answer in answers):
        if all(answer.is_silent for answer in answers):
            return Obstacle("never-answers", "connections are accepted, and nothing is answered")
        if unasked in (Kind.END, Kind.RESET):
            return Obstacle("closes-at-once", "every connection is closed at once, before a byte is sent")
        return Obstacle(
            "closes-at-first-frame", "every connection ends at its first frame, without an answer"
        )
    if not any(_has_to_do_with(answer, wire) for answer in answers):
        return Obstacle("answers-something-else", "the answers have nothing to do with what was sent")
    return None


def _has_to_do_with(answer: Answer, wire: Wire) -> bool:
    """Whether an answer that is not right tells something about what the server does with frames."""
    if not answer.data:
        return False
    frame = wire.frame(answer.payload)
    deviation = echo_deviation(wire, Kind.WRONG, frame, answer.data, waited_s=0)
    # The end of an answer is cut off where the frame's would be.
    some = answer.payload[:2]
    return frame.startswith(answer.data) or some in answer.data or cause_of_bytes(deviation, wire) is not None


async def too_slow(probe: Probe) -> Obstacle | None:
    """Whether echoes trickle: then nothing but the smallest frames would come back in time."""
    frame = probe.wire.frame(probe.payload(probe.fitting(_SAMPLE_BYTES)))
    received = 0
    began = now = trio.current_time()
    try:
        async with probe.connect() as peer:
            await peer.send(frame)
            with trio.move_on_after(probe.patience_s):
                while received < len(frame) and now - began < _SAMPLE_S:
                    piece = await peer.receive()
                    if isinstance(piece, Kind):
                        return None  # the cases are about that
                    if not received:
                        began = trio.current_time()
                    received += len(piece)
                    now = trio.current_time()
    except Deviation:
        return None
    if received >= _LEAST_BYTES_PER_S * (now - began):
        return None
    rate = received / (now - began)
    return Obstacle("trickles", f"echoes come at {rate:,.3g} bytes per second, too slowly for this case")
