"""What is wrong with a server that replies to frames with headers of another kind."""

from __future__ import annotations

from ..client.wire import Wire


def cause_of_wire(other: Wire, wire: Wire) -> str:
    """Name what is wrong with headers that are written in another way."""
    if other.header_bytes != wire.header_bytes:
        return "other-header-width"
    return "little-endian" if other.byte_order != wire.byte_order else "length-includes-header"
