"""Which headers a server speaks, where it does not speak those that it is checked with."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import trio

from ..client.finding import Deviation, Kind
from ..client.probe import Probe
from ..client.settings import Settings
from ..client.wire import Wire
from .result import OTHER_ANSWER_S, Locate

_WIDTHS = (1, 2, 4, 8)
_ORDERS: tuple[Literal["big", "little"], ...] = ("big", "little")


class Exchanged(NamedTuple):
    """What was sent on a connection, and what came for it.

    Attributes:
      sent: nothing, if it was just opened.
      data: what came, up to as many bytes.
      ending: what came instead of more; None if as many bytes came.
    """

    sent: bytes
    data: bytes
    ending: Kind | None


async def other_wire(locate: Locate, settings: Settings, seen: Iterable[Exchanged]) -> Wire | None:
    """Find the headers with which a server echoes; None if there are none that are a number and no more.

    Each that is tried costs a connection. What came on the others leaves out those with which
    it would have been another.

    Args:
      locate: returns where the server is.
      settings: what all cases have in common, with the headers that it does not speak.
      seen: what has come so far.
    """
    if not settings.wire.is_plain:
        return None  # it has too many relatives
    seen = list(seen)
    ends_unasked = any(not each.sent and each.ending in (Kind.END, Kind.RESET) for each in seen)
    for other in _others(settings.wire):
        # Where a connection ends before a byte is sent, headers are hardly the reason.
        if ends_unasked and _differences(other, settings.wire) > 1:
            break
        if not all(may_be_of(other, each) for each in seen):
            continue
        found = await _exchange(locate, replace(settings, wire=other))
        if found is None or found.data != found.sent:
            seen += [found] if found is not None else []
            continue
        # Where a server of narrower headers echoes these frames as well, it does so by chance.
        for width in _WIDTHS[: _WIDTHS.index(other.header_bytes)]:
            narrower = replace(other, header_bytes=width)
            found = await _exchange(locate, replace(settings, wire=narrower))
            if found is not None and found.data == found.sent:
                return narrower
        return other
    return None


async def _exchange(locate: Locate, settings: Settings) -> Exchanged | None:
    """Send two frames, and receive what comes for them; None if there is no connection."""
    probe = Probe("preflight", await locate(), settings, patience_s=OTHER_ANSWER_S)
    # Two lengths, so that no answer is right by chance.
    sent, data = settings.wire.frames(b"hello", b"hello again"), b""
    try:
        async with probe.connect() as peer:
            await peer.send(sent)
            while len(data) < len(sent) and sent.startswith(data):
                piece = await peer.receive()
                if isinstance(piece, Kind):
                    return Exchanged(sent, data, piece)
                data += piece
    except Deviation as deviation:
        return Exchanged(sent, data, deviation.kind) if data else None
    return Exchanged(sent, data, None)


def may_be_of(other: Wire, seen: Exchanged) -> bool:
    """Return whether a server that echoes frames of other headers may have sent this.

    To it, what was sent began with a whole frame, or with an empty one, or with neither. Of the
    last nothing is expected, and an empty frame some servers take for an end.
    """
    frame = next(other.whole_frames(seen.sent), b"")
    if not seen.data:
        # A reset may destroy an echo on its way, and a silence be that of a busy machine.
        return len(frame) <= other.header_bytes or seen.ending is not Kind.END
    return frame.startswith(seen.data[: len(frame)])


def _differences(other: Wire, wire: Wire) -> int:
    """Return in how many things headers differ: width, byte order, and whether they are counted."""
    return sum(_differs(other, wire))


def _differs(other: Wire, wire: Wire) -> tuple[bool, bool, bool]:
    return (
        other.header_bytes != wire.header_bytes,
        other.counts_header != wire.counts_header,
        other.byte_order != wire.byte_order,
    )


def _others(wire: Wire) -> Iterator[Wire]:
    """Return all other headers that are a number, first those that differ in one thing."""
    every = {
        replace(wire, header_bytes=width, byte_order=order, counts_header=counts)
        for width, order, counts in itertools.product(_WIDTHS, _ORDERS, (False, True))
        if width > 1 or order == wire.byte_order
    }

    def distance(other: Wire) -> tuple[int, bool, bool, int]:
        differs = _differs(other, wire)
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
