"""What identifiers prove about replies that are not as expected."""

from __future__ import annotations

from .dialogue import Dialogue
from .finding import Deviation, common_length
from .wire import Wire


def cause_by_identifier(deviation: Deviation, before: bytes, dialogue: Dialogue, wire: Wire) -> str | None:
    """Return the cause of other bytes, if identifiers leave no doubt of it.

    Args:
      deviation: what was expected, and what came.
      before: the replies that had come before on the connection.
      dialogue: what was sent.
      wire: how frames are written.
    """
    if not dialogue.has_identifiers:
        return None
    expected, received = deviation.expected_bytes, deviation.received_bytes
    right = sum(map(len, wire.whole_frames(expected[: common_length(expected, received)])))
    if dialogue.comes_again(before + expected[:right], received[right:]):
        return "reply-twice"
    return "other-reply" if dialogue.is_mixed_up(received[right:]) else None
