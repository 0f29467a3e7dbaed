"""Which headers a server speaks, where it does not speak those that it is checked with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import trio

from ..client.finding import Deviation, Kind
from ..client.probe import Probe
from ..client.settings import Settings
from ..client.wire import Wire
from .result import OTHER_ANSWER_S, Locate

_WIDTHS = (1, 2, 4, 8)
_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")


async def other_wire(locate: Locate, settings: Settings) -> Wire | None:
    """Find the headers with which a server echoes; None if there are none that are a number and no more."""
    if not settings.wire.is_plain:
        return None  # it has too many relatives
    for other in _others(settings.wire):
        if await _echoes(locate, replace(settings, wire=other)):
            # Where a server of narrower headers echoes these frames as well, it does so by chance.
            for width in _WIDTHS[: _WIDTHS.index(other.header_bytes)]:
                narrower = replace(other, header_bytes=width)
                if await _echoes(locate, replace(settings, wire=narrower)):
                    return narrower
            return other
    return None


async def _echoes(locate: Locate, settings: Settings) -> bool:
    probe = Probe("preflight", await locate(), settings, patience_s=OTHER_ANSWER_S)
    try:
        async with probe.connect() as peer:
            # Two lengths, so that no answer is right by chance.
            await peer.echo(b"hello", b"hello again")
    except Deviation:
        return False
    return True


def _others(wire: Wire) -> Iterator[Wire]:
    """Return all other headers that are a number, first those that differ in one thing."""
    every = {
        replace(wire, header_bytes=width, byte_order=order, counts_header=counts)
        for width, order, counts in itertools.product(_WIDTHS, _ORDERS, (False, True))
        if width > 1 or order == wire.byte_order
    }

    def distance(other: Wire) -> tuple[int, bool, bool, int]:
        differs = (
            other.header_bytes != wire.header_bytes,
            other.counts_header != wire.counts_header,
            other.byte_order != wire.byte_order,
        )
        return sum(differs), differs[0], differs[1], other.header_bytes

    return iter(sorted(every - {wire}, key=distance))


async def narrower_wire(probe: Probe, within_s: float) -> Wire | None:
    """Find the narrower header that a server speaks which echoes short frames right.

    The first bytes of a short length are 0, the most significant coming first. A server of
    narrower headers takes them for empty frames, so what it sends back is the same.

    Args:
      probe: connects to it.
      within_s: how long it is listened to.
    """
    wire = probe.wire
    if not wire.is_plain or wire.byte_order != "big" or wire.counts_header:
        return None
    narrower = [replace(wire, header_bytes=width) for width in _WIDTHS if width < wire.header_bytes]
    found: set[Wire] = set()

    async def look(other: Wire) -> None:
        if await _speaks(probe, other, within_s):
            found.add(other)

    async with trio.open_nursery() as nursery:
        for other in narrower:
            nursery.start_soon(look, other)
    return next((other for other in narrower if other in found), None)


async def _speaks(probe: Probe, other: Wire, within_s: float) -> bool:
    """Return whether frames are echoed that are beginnings of headers otherwise, and not before they end."""
    frame = probe.wire.frame(b"hello")
    empty, some = other.frames(b""), other.frames(b"abc")  # the first is the beginning of that frame
    try:
        async with probe.connect() as peer:
            await peer.send(empty)
            came = await peer.receive(within_s=within_s)
            if came is Kind.SILENCE:  # a frame that is cut off might end a server
                await peer.send(frame[len(empty) :])
                await peer.expect(frame)
            if came != empty:
                return False
            await peer.send(some[:-1])
            if await peer.receive(within_s=within_s) is not Kind.SILENCE:
                return False  # it sends back whatever comes
            await peer.send(some[-1:])
            await peer.expect(some)
    except Deviation:
        return False
    return True
