"""What a client sends that sends no frames of the format that was asked for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Literal

from ...base.printable import printable
from ..client.wire import Wire

_SHOWN_BYTES = 16
_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")


def words_of_bytes(data: bytes, wire: Wire) -> tuple[str, str]:
    """Return the likely cause of such bytes, and what is to be said of them."""
    shown = printable(repr(data[:_SHOWN_BYTES])[1:])
    if re.match(rb"[A-Z]+ \S+ HTTP/1\.", data):
        return "client-sends-text", f"{shown}; this is an HTTP request"
    for other in _others(wire):
        payloads, rest = other.split(data)
        if not rest and any(payloads):
            return "client-sends-other-frames", f"{shown}; these are frames of --format {other}"
    if re.fullmatch(rb"[\t\r\n\x20-\x7e]+", data):
        return "client-sends-text", f"{shown}; this is text, without a header"
    return "client-sends-other-frames", shown


def _others(wire: Wire) -> Iterator[Wire]:
    """Return other headers that a client may have, the commonest first."""
    for counts_header, width, order in itertools.product((False, True), (4, 2, 8, 1), _ORDERS):
        other = Wire(width, order, counts_header)
        if str(other) != str(wire):
            yield other
