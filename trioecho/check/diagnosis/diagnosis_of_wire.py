"""What is wrong with a server that replies to frames with headers of another kind."""

from __future__ import annotations

from ...base.quantities import plural
from ..client.wire import Wire


def cause_of_wire(other: Wire, wire: Wire) -> str:
    """Name what is wrong with headers that are written in another way."""
    if other.header_bytes != wire.header_bytes:
        return "other-header-width"
    return "little-endian" if other.byte_order != wire.byte_order else "length-includes-header"


def advice_for(cause_id: str, wire: Wire) -> str | None:
    """Say what to do about wrong headers where they should be other ones than the usual; else None."""
    if wire == Wire():
        return None
    if cause_id == "other-header-width" and wire.is_plain:
        return f"The header has {plural(wire.header_bytes, 'byte')}, as --format {wire} says."
    if cause_id == "little-endian" and wire.is_plain:
        order = {"big": "most", "little": "least"}[wire.byte_order]
        return f"The {order} significant byte of a length comes first, as --format {wire} says."
    if cause_id == "length-includes-header" and wire.counts_header:
        return "The length is that of the header and the payload together."
    return None
