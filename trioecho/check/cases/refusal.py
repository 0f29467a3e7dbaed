"""Recognize a server that says why it refuses a frame, where the end of the stream would say all."""

from __future__ import annotations

from ..client.own_message import is_own_message
from ..client.probe import Probe

REFUSAL_SAID = "refusal-said"


def says_refusal(probe: Probe, sent: bytes, received: bytes) -> bool:
    """Return whether what came for no frame, or for one too long, is a message of the server's own."""
    return probe.dialogue.is_echo and is_own_message(probe.wire, sent, received)


def cause_of_refusal(probe: Probe, sent: bytes, received: bytes) -> str | None:
    """Return the cause's id if a server says why it refuses; None if it does not."""
    return REFUSAL_SAID if says_refusal(probe, sent, received) else None
