"""What came where a reply should come, in words: its protocol, or why it is no frame."""

from __future__ import annotations

import re

from ..framing import FrameFormat
from ..framing.diagnosis import RAISE_LIMIT, diagnose, in_words
from ..framing.foreign_protocols import describe_text, recognize, shown


def name_of_service(first_bytes: bytes) -> str | None:
    """Return what a server is that sends this first, as the end of a sentence; None if it is not known.

    A service that is known by name, or replies with text, is no service of frames.
    """
    protocol = recognize(first_bytes)
    if protocol is not None:
        return f"is {protocol.article} {protocol.name} server"
    if re.match(rb"\s*<(!doctype )?html", first_bytes, re.IGNORECASE):
        return "is an HTTP server"  # an old version of the protocol has no more than the page
    text = describe_text(first_bytes)
    return None if text is None else f"replies with {text}, not with frames: {shown(first_bytes)}"


def no_frame(first_bytes: bytes, format: FrameFormat, largest: int, frames_before: int = 0) -> str:
    """Return why these bytes are no reply, and what they may be, the likelier first.

    Args:
      first_bytes: what came.
      format: how headers should be.
      largest: payload bytes of the largest message.
      frames_before: how many replies were good before.
    """
    causes = [
        cause for cause in diagnose(first_bytes, format, largest, frames_before) if cause != RAISE_LIMIT
    ]
    what = f"what is no frame of {format} with at most {largest:,} bytes, {shown(first_bytes)}"
    return f"{what}: {in_words(causes)}" if causes else what
