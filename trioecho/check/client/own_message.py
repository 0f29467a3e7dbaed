"""A message of the server's own in the place of an echo, as one that says why a frame is refused."""

from __future__ import annotations

from .wire import Wire

# So much of what was sent is not in a message by chance.
_TELLING_BYTES = 16


def is_own_message(wire: Wire, sent: bytes, received: bytes) -> bool:
    """Return whether nothing of what was sent is in what came, be it a frame or text without a header.

    A server that misreads a length, or cuts off, sends back what it got, or a part of it.
    """
    width = max(wire.payload_at(received), wire.header_bytes)  # text has no header
    payloads, rest = wire.split(received)
    parts = [*payloads, rest[width:]] if payloads else [received, received[width:]]
    is_sent_back = any(part and part[:_TELLING_BYTES] in sent for part in parts)
    return bool(parts[0]) and received[:width] not in sent and not is_sent_back
