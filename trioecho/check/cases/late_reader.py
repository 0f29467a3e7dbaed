"""Rule 3.5: a client that sends much before it reads."""

from __future__ import annotations

import trio

from ..client.finding import Deviation, Kind, NotApplicableError, common_length, echo_deviation
from ..client.peer import Peer
from ..client.probe import Probe
from .order import MUCH_BYTES, block_of_frames
from .registry import case

_MIB = 1 << 20
# With fewer bytes of unread echoes no buffer is full, and a send takes all that it is given.
_LEAST_BUFFERED_BYTES = 1 << 15
# How many bytes of a payload identify one frame.
_TELLING_BYTES = 24


@case("3.5", is_alone=True)
async def much_before_the_first_read(probe: Probe) -> str:
    block = block_of_frames(probe)
    count = MUCH_BYTES // len(block) if len(block) >= _MIB else 1
    if not probe.dialogue.is_echo:
        count = _as_many_as_it_can(probe, block, count)
    last = probe.wire.frame(probe.text(b"the last one of all that were sent"))
    sent = trio.Event()
    blocked = False
    deviation = None

    async def send(peer: Peer) -> None:
        for _ in range(count):
            if not await peer.send(block):
                break
        else:
            await peer.send(last)
        sent.set()

    async with probe.connect() as peer, trio.open_nursery() as nursery:
        nursery.start_soon(send, peer)
        while not sent.is_set() and not blocked:
            seen = peer.last_progress
            with trio.move_on_after(max(0.3, 10 * probe.pace.round_trip_s)):
                await sent.wait()
            blocked = not sent.is_set() and peer.last_progress == seen
        probe.transcript.happened(
            peer.number, "blocked: the server does not read on" if blocked else "all is sent"
        )
        try:
            await peer.expect(last, already=await _read_repeated(peer, probe, block, count, last))
        except Deviation as error:
            deviation = error
            if error.kind is Kind.SILENCE and sent.is_set():
                error.cause_id = await _what_else_is_echoed(peer, probe, error)
        nursery.cancel_scope.cancel()
    if deviation is not None:
        raise deviation
    how = "the server applied backpressure meanwhile" if blocked else "the server took all of it meanwhile"
    if not probe.dialogue.is_echo:
        return f"{count * len(block) / _MIB:.2g} MiB of requests had right replies; {how}"
    return f"{count * len(block) / _MIB:.2g} MiB came back right; {how}"


def _as_many_as_it_can(probe: Probe, block: bytes, count: int) -> int:
    """Return how often a service can reply to all of a block before it is waited for too long."""
    frames = len(probe.wire.split(block)[0])
    if not probe.dialogue.has_known_lengths:
        raise NotApplicableError("the lengths of its replies vary, so none of many can be found by its place")
    return max(1, min(count, probe.pace.echoes_at_once // frames))


async def _read_repeated(peer: Peer, probe: Probe, block: bytes, count: int, last: bytes) -> bytes:
    """Receive the block ``count`` times; compare it as it comes, and keep none of it.

    Instead of echoes that are missing may come any later one, also that of ``last``.

    Returns:
      What has come already of the reply to ``last``.
    """
    reader, noun = probe.dialogue.reader(block, behind=last), probe.dialogue.noun
    block, last = probe.dialogue.replies(block), probe.dialogue.replies(last)
    at, total = 0, count * len(block)
    twice = block + block
    while at < total:
        received = await peer.receive(most=max(1, min(len(block), total - at - reader.held_bytes)))
        start = at % len(block)
        if isinstance(received, Kind):
            came = twice[:start]
            deviation = echo_deviation(probe.wire, received, block, came, waited_s=peer.patience_s, noun=noun)
            if at >= _LEAST_BUFFERED_BYTES and received is not Kind.SILENCE:
                deviation.cause_id = "gives-up-on-backpressure"
        elif not _goes_on(twice, piece := reader.read(received), start):
            came = block[:start] + piece
            deviation = echo_deviation(
                probe.wire, Kind.WRONG, twice[: len(came)], came, waited_s=peer.patience_s, noun=noun
            )
            same = common_length(twice, came)
            if at - start + same >= _LEAST_BUFFERED_BYTES:
                # The receive may have ended right behind the first byte that differs.
                told_by = same + _TELLING_BYTES
                while len(came) < told_by and isinstance(more := await peer.receive(), bytes):
                    came += more
                cause_id = _what_is_missing(probe, twice, last, came)
                # A later frame among the first ones may be out of order.
                is_known = at >= _LEAST_BUFFERED_BYTES or cause_id == "partial-send-ignored"
                deviation.cause_id = cause_id if is_known else None
        else:
            at += len(piece)
            continue
        deviation.expected = (
            f"the echoes of {total:,} bytes of frames" if noun == "echo" else f"{total:,} bytes of replies"
        )
        if at > start:
            deviation.actual = f"after {at - start:,} bytes that were right: {deviation.actual}"
        raise deviation
    return reader.rest()


def _goes_on(twice: bytes, piece: bytes, start: int) -> bool:
    """Return whether a piece goes on with a block at an offset, and with the same block after it."""
    size = len(twice) // 2
    edges = range(0, len(piece), size)
    return all(twice.startswith(piece[at : at + size], start) for at in edges)


def _what_is_missing(probe: Probe, sent: bytes, last: bytes, came: bytes) -> str | None:
    """Name the cause by what is missing from what was sent: whole frames, or bytes of a frame.

    None if too few bytes have come to say which, or if those that came were not sent, so that nothing may
    be missing.
    """
    at = common_length(sent, came)
    payloads, _ = probe.wire.split(sent[:at])
    start = sum(map(probe.wire.size, payloads))
    next_frame = came[start : start + _TELLING_BYTES]
    if len(next_frame) < _TELLING_BYTES:
        return None
    # What should have come there begins otherwise, and this comes later.
    if (next_frame in sent or last.startswith(next_frame)) and at - start < _TELLING_BYTES:
        return "drops-when-full"
    goes_on = came[at : at + _TELLING_BYTES]
    is_sent = goes_on in sent or goes_on in last
    return "partial-send-ignored" if is_sent and len(goes_on) == _TELLING_BYTES else None


async def _what_else_is_echoed(peer: Peer, probe: Probe, deviation: Deviation) -> str | None:
    """Name the cause of echoes that do not come although the server has taken all: look for one more."""
    another = probe.wire.frame(probe.payload(probe.fitting(_TELLING_BYTES)))
    came = b""
    await peer.send(another)
    reader, another = probe.dialogue.reader(another), probe.dialogue.replies(another)
    while len(came) < len(another) and isinstance(piece := await peer.receive(), bytes):
        came += reader.read(piece)
    if came != another:
        return None
    _, part = probe.wire.split(deviation.received_bytes)
    return "partial-send-ignored" if part else "drops-when-full"
