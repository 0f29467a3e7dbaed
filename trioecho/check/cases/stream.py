"""Section 2: the same frames, cut and merged."""

from __future__ import annotations

from itertools import pairwise

from ...base.quantities import plural
from ..client.finding import Deviation, Kind, NotApplicableError, echo_deviation
from ..client.probe import Probe
from .registry import case

_LONG_PAUSE_S = 0.5
# All pauses between single bytes together, and so many cuts at most: requests may be long.
_MOST_PAUSES_S, _MOST_CUTS = 5.0, 200
# In pieces of a byte this takes more than a thousand.
_LEAST_LONG_BYTES = 1000
_TINY_FRAMES = 5000


@case("2.1")
async def byte_by_byte(probe: Probe) -> str:
    stream = probe.wire.frames(*probe.payloads(1, 7, probe.with_long_header(12)))
    async with probe.connect() as peer:
        pause_s = min(probe.pause_s / 2, _MOST_PAUSES_S / len(stream))
        await peer.exchange([bytes([byte]) for byte in stream], stream, pause_s=pause_s)
    return f"3 frames in {len(stream)} pieces of a byte came back right"


@case("2.2")
async def every_cut(probe: Probe) -> str:
    stream = probe.wire.frames(*probe.payloads(5, 3, 6))
    cuts = range(1, len(stream))
    few = -(-len(cuts) // min(probe.pace.echoes_one_by_one, _MOST_CUTS))
    async with probe.connect() as peer:
        for cut in cuts[::few]:
            try:
                await peer.exchange([stream[:cut], stream[cut:]], stream, pause_s=probe.pause_s)
            except Deviation as deviation:
                deviation.actual += f" (cut after byte {cut} of {len(stream)})"
                raise
    return f"3 frames came back right at each of {len(cuts[::few])} cuts"


@case("2.3")
async def header_in_pieces(probe: Probe) -> str:
    size = probe.with_long_header(9)
    width = probe.wire.payload_at(probe.wire.frame(probe.payload(size)))
    if width == 1:
        raise NotApplicableError("a header of one byte cannot be cut")
    for cuts in (*((cut,) for cut in range(1, width)), tuple(range(1, width))):
        frame = probe.wire.frame(probe.payload(size))
        edges = (0, *cuts, len(frame))
        async with probe.connect() as peer:
            pieces = [frame[start:end] for start, end in pairwise(edges)]
            await peer.exchange(pieces, frame, pause_s=2 * probe.pause_s)
    return f"a header of {width} bytes was understood at each of its cuts"


@case("2.4")
async def payload_in_pieces(probe: Probe) -> str:
    for size, cut in ((2, 1), (20, 1), (20, 19), (100, 50)):
        payload = probe.payload(probe.fitting(size))
        if len(payload) < 2:
            raise NotApplicableError("the request has no payload that can be cut")
        frame = probe.wire.frame(payload)
        middle = probe.wire.payload_at(frame) + min(cut, len(payload) - 1)
        pieces = [frame[:middle], frame[middle:]]
        async with probe.connect() as peer:
            await peer.exchange(pieces, frame, pause_s=2 * probe.pause_s)
    return "payloads came back right in two pieces"


@case("2.5")
async def two_frames_in_one_segment(probe: Probe) -> str:
    for sizes in ((5, 5), (1, 20), (20, 1)):
        stream = probe.wire.frames(*probe.payloads(*sizes))
        async with probe.connect() as peer:
            await peer.exchange([stream], stream)
    return "two frames in one segment both came back"


@case("2.6")
async def thousands_in_one_piece(probe: Probe) -> str:
    count = min(_TINY_FRAMES, probe.pace.echoes_at_once)
    sizes = [1 + probe.random.randrange(8) for _ in range(count)]
    stream = probe.wire.frames(*probe.payloads(*sizes))
    async with probe.connect() as peer:
        await peer.exchange([stream], stream)
    return f"{plural(count, 'frame')} in one piece came back right, {probe.dialogue.order_in_words}"


@case("2.7")
async def thousands_of_segments(probe: Probe) -> str:
    frame = probe.wire.frame(probe.longest(40_000))
    if not probe.dialogue.is_echo and len(frame) < _LEAST_LONG_BYTES:
        raise NotApplicableError(f"the longest request has {plural(len(frame), 'byte')} with its header")
    size = max(1, len(frame) // 2500)
    pieces = [frame[at : at + size] for at in range(0, len(frame), size)]
    async with probe.connect() as peer:
        await peer.exchange(pieces, frame)
    return f"a frame in {plural(len(pieces), 'piece')} came back right"


@case("2.8")
async def with_the_beginning_of_the_next(probe: Probe) -> str:
    async with probe.connect() as peer:
        for part_of_payload in (3, 0):
            first, second = (probe.wire.frame(payload) for payload in probe.payloads(10, 10))
            extra = min(probe.wire.payload_at(second) + part_of_payload, len(second) - 1)
            await peer.exchange([first + second[:extra]], first)
            # Its echo has come, so the server has taken the part as well, or is about to.
            early = await peer.receive(within_s=probe.pause_s)
            if isinstance(early, bytes):
                came = probe.dialogue.replies(first)
                raise echo_deviation(
                    probe.wire, Kind.WRONG, came, came + early, waited_s=0, noun=probe.dialogue.noun
                )
            await peer.exchange([second[extra:]], second)
    return "a frame came back right although its beginning came with the one before"


@case("2.9")
async def pauses(probe: Probe) -> str:
    frame = probe.wire.frame(probe.payload(probe.with_long_header(40)))
    width = probe.wire.payload_at(frame)
    half = width // 2
    pieces = [piece for piece in (frame[:half], frame[half : width + 20], frame[width + 20 :]) if piece]
    async with probe.connect() as peer:
        peer.patience_s = max(peer.patience_s, 2 * _LONG_PAUSE_S)
        await peer.exchange(pieces, frame, pause_s=_LONG_PAUSE_S)
    return f"a frame with pauses of {_LONG_PAUSE_S:g} s in it came back right"
