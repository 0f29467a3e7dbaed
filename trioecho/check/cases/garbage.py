"""Section 7: streams from a seeded generator."""

from __future__ import annotations

import trio

from ...base.quantities import plural
from ..client.finding import BREAKS_OFF, Deviation, Kind
from ..client.generator import Stream, random_garbage, random_stream, shortest
from ..client.probe import Probe
from .refusal import cause_of_refusal
from .registry import case

_STREAMS = 15
_FRAMES_OF_A_STREAM = 6  # on average
_GARBAGE = 25
_HOSTILE, _AT_ONCE = 40, 8
_GOOD = 100
_LONGEST = 20_000
# Searching for the shortest form.
_SHRINK_PATIENCE_S = 0.3
_MOST_TRIES = 150
_SHRINK_S = 8.0
_LISTEN_S = 0.2


@case("7.1")
async def any_frames_any_cuts(probe: Probe) -> str:
    longest = probe.fitting(_LONGEST)
    count = min(_STREAMS, -(-probe.pace.echoes_at_once // _FRAMES_OF_A_STREAM))
    streams = [random_stream(probe.random, probe.wire, longest, probe.dialogue) for _ in range(count)]
    for stream in streams:
        try:
            await _is_echoed(probe, stream, probe.patience_s)
        except Deviation as deviation:
            raise await _shrunk(probe, stream, deviation) from None
    frames = sum(len(stream.payloads) for stream in streams)
    return f"{plural(frames, 'frame')} in {count} random streams came back right"


async def _is_echoed(probe: Probe, stream: Stream, patience_s: float) -> None:
    pieces = stream.pieces(probe.wire)
    async with probe.connect() as peer:
        peer.patience_s = patience_s
        await peer.exchange(pieces, b"".join(pieces), pause_s=probe.pause_s)


async def _shrunk(probe: Probe, stream: Stream, deviation: Deviation) -> Deviation:
    """Return the deviation of the shortest stream that still fails."""
    if deviation.delay_s or (deviation.is_uncertain and not probe.is_last_try):
        return deviation
    if deviation.kind in BREAKS_OFF and not await probe.is_there():
        return deviation
    smallest = stream
    earlier = probe.transcript

    async def fails(simpler: Stream) -> bool:
        nonlocal smallest
        if not all(map(probe.dialogue.knows, simpler.payloads)):
            return False
        probe.begin_transcript()
        try:
            await _is_echoed(probe, simpler, _SHRINK_PATIENCE_S)
        except Deviation as error:
            if error.kind is Kind.NO_CONNECTION:
                return False  # which says nothing of the stream
            smallest = simpler
            if error.kind in BREAKS_OFF and not await probe.is_there():
                search.cancel()
            return True
        return False

    with trio.move_on_after(_SHRINK_S) as search:
        await shortest(stream, probe.wire, fails, most_tries=_MOST_TRIES)
    if smallest != stream and await probe.is_there():
        # What is shown is this one, and it has to fail with all the patience there is.
        probe.begin_transcript()
        try:
            await _is_echoed(probe, smallest, probe.patience_s)
        except Deviation as error:
            deviation = error
            stream = smallest
    if stream != smallest:
        probe.transcript = earlier
    deviation.actual += f" (the shortest stream that fails: {stream})"
    return deviation


@case("7.2", is_alone=True)
async def garbage_after_good_frames(probe: Probe) -> str:
    kinds = min(_GARBAGE, probe.pace.connections)
    for _ in range(kinds):
        good = probe.wire.frames(*probe.payloads(*[1 + probe.random.randrange(50)]))
        garbage = random_garbage(probe.random, probe.wire)
        async with probe.connect() as peer:
            await peer.exchange([good], good)
            await peer.send(garbage)
            peer.half_close()
            received, _ = await peer.receive_until_end(within_s=_LISTEN_S)
        if not probe.dialogue.is_refusal(received):
            raise Deviation(
                Kind.EXTRA,
                "no echo of what is no frame",
                f"{plural(len(received), 'byte')} came back for {garbage[:16].hex(' ')}"
                f"{' ...' if len(garbage) > 16 else ''}, {plural(len(garbage), 'byte')}",
                received_bytes=received[:64],
                # A server that takes it for a whole frame writes another header.
                cause_id="streams-before-complete"
                if garbage.startswith(received)
                else cause_of_refusal(probe, garbage, received) or "echoes-truncated-frame",
            )
    await probe.is_served("error-ends-server", others=3)
    return f"{kinds} kinds of garbage were not echoed, and others were served after them"


@case("7.3", is_alone=True)
async def good_among_bad(probe: Probe) -> str:
    bad = [
        (
            random_stream(probe.random, probe.wire, probe.fitting(1000), probe.dialogue),
            random_garbage(probe.random, probe.wire),
        )
        for _ in range(min(_HOSTILE, _AT_ONCE * probe.pace.connections))
    ]
    count = min(_GOOD, probe.pace.echoes_one_by_one)
    payloads = probe.payloads(*[1 + probe.random.randrange(500) for _ in range(count)])
    ways = [probe.random.randrange(3) for _ in bad]

    async def disturb(stream: Stream, garbage: bytes, way: int) -> None:
        try:
            async with probe.connect() as peer:
                await peer.send(probe.wire.frames(*stream.payloads) + garbage)
                if way == 0:
                    peer.reset()
                elif way == 1:
                    peer.half_close()
                    await peer.receive(within_s=_LISTEN_S)
                else:
                    await trio.sleep(_LISTEN_S)
        except Deviation:
            pass  # whether the bad are served is not the question

    async def disturb_all() -> None:
        for at in range(0, len(bad), _AT_ONCE):
            async with trio.open_nursery() as nursery:
                for (stream, garbage), way in zip(
                    bad[at : at + _AT_ONCE], ways[at : at + _AT_ONCE], strict=True
                ):
                    nursery.start_soon(disturb, stream, garbage, way)

    async def go_on() -> None:
        async with probe.connect() as peer:
            for payload in payloads:
                await peer.echo(payload)
                await trio.sleep(_LISTEN_S / 20)

    try:
        await probe.side_by_side(go_on, disturb_all)
    except Deviation as deviation:
        deviation.actual += " (while others sent garbage)"
        raise
    await probe.is_served("error-ends-server")
    return f"a client got its {len(payloads)} echoes beside {len(bad)} that sent garbage"
