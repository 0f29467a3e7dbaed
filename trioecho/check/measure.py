"""How fast a server is that echoes, and whether it serves several at once."""

from __future__ import annotations

import statistics
import time

import trio

from .finding import Deviation, Kind
from .obstacle import ONLY_FIRST, Answer, Obstacle, too_slow
from .pace import Pace
from .peer import Peer
from .probe import Probe
from .survey import OTHER_ANSWER_S, Survey

_TRIPS, _CONNECTS, _RUN_OF_FRAMES = 9, 3, 4
# So long the round trips of a slow server are measured at most.
_MEASURE_S = 2.0
_LEAST_RUN_S = 1.0
# Heartbeats, and the like, that come more seldom are not noticed.
_IDLE_S = 0.3
# Differences of times below this are those of a busy machine.
_NOISE_S = 0.02


def hello(probe: Probe) -> bytes:
    """The payload of the first frame."""
    return b"hello"[: probe.fitting(5)]


async def ask(probe: Probe, payload: bytes, *, within_s: float | None = None) -> Answer:
    """What comes for a frame, up to as many bytes as it has.

    Raises:
      Deviation: there is no connection.
    """
    frame = probe.wire.frame(payload)
    data = b""
    began = trio.current_time()
    first_at = began
    async with probe.connect() as peer:
        await peer.send(frame)
        while len(data) < len(frame):
            piece = await peer.receive(within_s=OTHER_ANSWER_S if data else within_s)
            if isinstance(piece, Kind):
                return Answer(payload, data, piece)
            first_at = first_at if data else trio.current_time()
            data += piece
    now = trio.current_time()
    return Answer(payload, data, None, data == frame, elapsed_s=now - began, spread_s=now - first_at)


async def measure(probe: Probe, first: Answer) -> Survey:
    """How fast a server is that echoes."""
    if first.spread_s > _NOISE_S and (obstacle := await too_slow(probe)) is not None:
        return Survey(Pace(first.elapsed_s), is_concurrent=False, obstacle=obstacle)
    times: list[float] = []
    later: list[float] = []
    frame_s = 0.0
    try:
        for _ in range(_CONNECTS):
            began = time.perf_counter()
            async with probe.connect() as peer:
                await peer.echo(hello(probe))
                later.append(time.perf_counter() - began)
                trips = await _round_trips(probe, peer, _TRIPS // _CONNECTS)
                times += trips
                if max(trips) > _NOISE_S and not frame_s:
                    frame_s = await _frame_s(probe, peer, max(trips))
    except Deviation:
        pass  # the cases are about that
    if not later:
        return Survey(echoes=False, is_concurrent=False, obstacle=await _served_only_first(probe))
    # If no second echo came right on any connection, the first ones tell the time.
    round_trip_s = statistics.median(times or later)
    pace = Pace(round_trip_s, frame_s, _unless_noise(statistics.median(later) - round_trip_s))
    unasked = await _said_unasked(probe)
    return Survey(pace, is_concurrent=await serves_several(probe, pace.patience_s), unasked=unasked)


async def _said_unasked(probe: Probe) -> bytes:
    """What a server that echoes says on an idle connection."""
    try:
        async with probe.connect() as peer:
            said = await peer.receive(within_s=_IDLE_S)
    except Deviation:
        return b""
    return said if isinstance(said, bytes) else b""


def _unless_noise(seconds: float) -> float:
    return seconds if seconds > _NOISE_S else 0.0


async def _round_trips(probe: Probe, peer: Peer, count: int) -> list[float]:
    times: list[float] = []
    while len(times) < count and sum(times) < _MEASURE_S / _CONNECTS:
        began = time.perf_counter()
        await peer.echo(hello(probe))
        times.append(time.perf_counter() - began)
    return times


async def _frame_s(probe: Probe, peer: Peer, round_trip_s: float) -> float:
    """How much longer each further frame of a run takes; 0 if they come together, or do not come back."""
    frame = probe.wire.frame(hello(probe))
    received = 0
    first_at = None
    await peer.send(_RUN_OF_FRAMES * frame)
    while received < _RUN_OF_FRAMES * len(frame):
        piece = await peer.receive(within_s=_LEAST_RUN_S + 2 * round_trip_s)
        if isinstance(piece, Kind):
            return 0.0  # the cases are about that
        first_at = first_at or trio.current_time()
        received += len(piece)
    return _unless_noise((trio.current_time() - (first_at or 0.0)) / (_RUN_OF_FRAMES - 1))


async def _served_only_first(probe: Probe) -> Obstacle | None:
    """When a first connection was served, and a second one not: are others?"""
    for _ in range(_CONNECTS):
        try:
            answer = await ask(probe, hello(probe), within_s=OTHER_ANSWER_S)
        except Deviation:
            continue
        if answer.data:
            return None
    return ONLY_FIRST


async def serves_several(probe: Probe, patience_s: float) -> bool:
    """Whether cases can run side by side without getting in each other's way."""
    frame = probe.wire.frame(hello(probe))
    middle = probe.wire.header_bytes + 2
    try:
        async with probe.connect() as stalled, probe.connect() as other:
            stalled.patience_s = other.patience_s = patience_s
            # Not before it is served, or it would be the one that waits.
            await stalled.echo(hello(probe))
            await stalled.send(frame[:middle])
            await trio.sleep(probe.pause_s)
            await other.echo(b"other"[: probe.fitting(5)])
    except Deviation:
        return False
    return True
