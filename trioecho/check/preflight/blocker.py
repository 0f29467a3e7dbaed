"""What keeps the suite from trying the cases: a server that echoes nothing, or hardly anything.

Where not even the simplest frame comes back, or bytes come unasked,
every case fails for this one reason; it is reported once, and the others are not tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import trio

from ..client.finding import Deviation, Kind, echo_deviation
from ..client.probe import Probe
from ..client.wire import Wire
from ..diagnosis.diagnosis_of_bytes import cause_of_bytes
from ..diagnosis.diagnosis_of_replies import same_fault
from ..diagnosis.diagnosis_of_wire import cause_of_wire

# Cases send megabytes; a server that echoes fewer bytes than this in a second is not waited for.
_LEAST_BYTES_PER_S = 5000
# How many bytes of a payload in an answer, in either case, are no chance.
_TELLING_BYTES = 3
_SAMPLE_BYTES, _SAMPLE_S = 1000, 1.0


@dataclass(frozen=True)
class Blocker:
    """Why only the simplest case is tried.

    Attributes:
      cause_id: the likely cause.
      reason: what was seen, as the end of a sentence.
      detail: what was seen of the cause, as a sentence; empty if its words say all.
      shown_by: the cases that are tried, for the evidence.
    """

    cause_id: str
    reason: str
    detail: str = ""
    shown_by: tuple[str, ...] = ("1.2",)


ONLY_FIRST = Blocker("only-first-connection", "no connection is served but the first")
ONE_BEHIND = Blocker("one-behind", "an echo comes only when the next frame does")
ONLY_AT_END = Blocker("never-answers", "echoes come only when the connection ends")


@dataclass(frozen=True)
class Answer:
    """What came for a frame.

    Attributes:
      payload: of the frame.
      data: what came, up to as many bytes as the frame has.
      ending: what came instead of more; None if as many bytes came.
      is_right: whether it was the echo.
      elapsed_s: how long it took, with the connection, if as many bytes came.
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


def blocker_in(answers: Sequence[Answer], unasked: bytes | Kind, wire: Wire) -> Blocker | None:
    """Find why the cases are not worth their time, if they are not.

    Args:
      answers: to several frames, each on a connection of its own; none is right.
      unasked: what came on a connection on which nothing was sent.
      wire: how headers are written.
    """
    if isinstance(unasked, bytes):
        return Blocker("speaks-unasked", "bytes come that no client asked for")
    if not any(answer.data for answer in answers):
        if all(answer.is_silent for answer in answers):
            return Blocker("never-answers", "connections are accepted, and no reply comes")
        if unasked in (Kind.END, Kind.RESET):
            return Blocker("closes-at-once", "every connection is closed at once, before a byte is sent")
        return Blocker("closes-at-first-frame", "every connection ends at its first frame, without a reply")
    if not any(_has_to_do_with(answer, wire) for answer in answers):
        return Blocker("answers-something-else", "the replies have nothing to do with what was sent")
    return None


def wrong_in_all(answers: Sequence[Answer], wire: Wire) -> Blocker | None:
    """Find out whether every reply is wrong in the same way: then the cases are not worth their time."""
    found = same_fault([(answer.payload, answer.data) for answer in answers], wire)
    if found is None:
        return None
    seen = found.detail[:1].lower() + found.detail[1:].rstrip(".")
    reason = f"every reply is wrong in the same way ({found.cause_id}{': ' * bool(seen)}{seen})"
    return Blocker(found.cause_id, reason, found.detail, shown_by=("1.2", "1.3", "1.8"))


def blocker_of_wire(other: Wire, wire: Wire) -> Blocker:
    """Say that the server replies to frames with other headers, so the cases are not worth their time."""
    return Blocker(
        cause_of_wire(other, wire),
        f"the server replies to frames with other headers; --format {other} tries the other rules, too",
        f"It replies to --format {other}.",
    )


def blocker_of_narrower_wire(other: Wire, wire: Wire) -> Blocker:
    """Say the same of narrower headers, with which short frames come back right by chance."""
    blocker = blocker_of_wire(other, wire)
    chance = f"Short frames of {wire} come back right, too, since their lengths begin with zeros."
    return replace(blocker, detail=f"{blocker.detail} {chance}", shown_by=("5.3",))


def _has_to_do_with(answer: Answer, wire: Wire) -> bool:
    """Return whether a wrong answer shows something about what the server does with frames."""
    if not answer.data:
        return False
    frame = wire.frame(answer.payload)
    deviation = echo_deviation(wire, Kind.WRONG, frame, answer.data, waited_s=0)
    # The end of an answer is cut off where the frame's would be.
    some = answer.payload[:_TELLING_BYTES].lower()
    is_told = len(some) == _TELLING_BYTES and some in answer.data.lower()
    return frame.startswith(answer.data) or is_told or cause_of_bytes(deviation, wire) is not None


async def too_slow(probe: Probe) -> Blocker | None:
    """Find out whether echoes trickle: then nothing except the smallest frames would come back in time."""
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
    return Blocker("trickles", f"echoes come at {rate:,.3g} bytes per second, too slowly for this case")
