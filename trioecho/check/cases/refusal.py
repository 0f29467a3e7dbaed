"""Recognize a server that says why it refuses a frame, where the end of the stream would say all."""

from __future__ import annotations

from ..client.probe import Probe

REFUSAL_SAID = "refusal-said"


def says_refusal(probe: Probe, sent: bytes, received: bytes) -> bool:
    """Return whether what came for bytes that are no frame is a message of the server's own.

    A server that misreads a length sends back what it got, or a part of it; here nothing of that is in
    what came, be it a frame or text without a header.
    """
    if not probe.dialogue.is_echo or not received:
        return False
    payloads, rest = probe.wire.split(received)
    said = b"".join(payloads) if payloads and not rest else received
    return bool(said) and said not in sent and received[: probe.wire.header_bytes] not in sent


def cause_of_refusal(probe: Probe, sent: bytes, received: bytes) -> str | None:
    """Return the cause's id if a server says why it refuses; None if it does not."""
    return REFUSAL_SAID if says_refusal(probe, sent, received) else None
