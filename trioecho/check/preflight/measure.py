"""How fast a server is that echoes, and whether it serves several at once."""

from __future__ import annotations

import contextlib
import statistics
import time

import trio

from ..client.finding import Deviation, Kind
from ..client.pace import Pace
from ..client.peer import Peer
from ..client.probe import Probe
from ..client.wire import Wire
from ..spawned.only_first import MOST_EXIT_S, OnlyFirst
from .blocker import ONLY_FIRST, Answer, Blocker, blocker_of_narrower_wire, too_slow
from .other_headers import narrower_wire
from .result import OTHER_ANSWER_S, Preflight

_TRIPS, _CONNECTS, _RUN_OF_FRAMES, _RUN_OF_REQUESTS = 9, 3, 4, 50
# So long the round trips of a slow server are measured at most.
_MEASURE_S = 2.0
_LEAST_RUN_S = 1.0
# Heartbeats, and the like, that come more seldom are not noticed.
_IDLE_S = 0.3
# What belongs to a wrong answer comes so soon after its beginning.
_REST_S = 0.1
# Differences of times below this are those of a busy machine.
_NOISE_S = 0.02


def hello(probe: Probe) -> bytes:
    """Return the payload of a first frame."""
    return probe.text(b"hello")


async def ask(probe: Probe, payload: bytes, *, within_s: float | None = None) -> Answer:
    """Send a frame, and receive as many bytes as it has; a little more if they are wrong.

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
        if data != frame[: len(data)] and len(data) >= len(frame):  # what comes behind it says what it is
            more = await peer.receive(within_s=_REST_S)
            data += more if isinstance(more, bytes) else b""
    now = trio.current_time()
    return Answer(payload, data, None, data == frame, elapsed_s=now - began, spread_s=now - first_at)


async def measure(probe: Probe, first: Answer) -> Preflight:
    """Measure how fast a server is that echoes."""
    if first.spread_s > _NOISE_S and (blocker := await too_slow(probe)) is not None:
        return Preflight(Pace(first.elapsed_s), is_concurrent=False, blocker=blocker)
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
                if not probe.dialogue.is_echo:
                    frame_s = frame_s or await _work_s(probe, peer, max(trips))
                elif max(trips) > _NOISE_S and not frame_s:
                    frame_s = await _frame_s(probe, peer, trips)
    except Deviation:
        pass  # the cases are about that
    if not later:
        return Preflight(echoes=False, is_concurrent=False, blocker=await _served_only_first(probe))
    # If no second echo came right on any connection, the first ones show the time.
    round_trip_s = statistics.median(times or later)
    # Where one connection was served at once, others were late because the machine is busy.
    is_each_late = _unless_noise(min(later) - round_trip_s) > 0
    pace = Pace(round_trip_s, frame_s, statistics.median(later) - round_trip_s if is_each_late else 0.0)
    unasked, narrower = await _look_idly(probe)
    if narrower is not None:
        blocker = blocker_of_narrower_wire(narrower, probe.wire)
        return Preflight(pace, is_concurrent=False, other_wire=narrower, blocker=blocker)
    return Preflight(pace, is_concurrent=await serves_several(probe, pace.patience_s), unasked=unasked)


async def _look_idly(probe: Probe) -> tuple[bytes, Wire | None]:
    """Receive what comes unasked, and see whether beginnings of headers get a reply, at the same time."""
    unasked, narrower = b"", None

    async def listen() -> None:
        nonlocal unasked
        unasked = await _said_unasked(probe)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        if probe.dialogue.is_echo:
            narrower = await narrower_wire(probe, _IDLE_S)
    return unasked, narrower


async def _said_unasked(probe: Probe) -> bytes:
    """Receive what a server that echoes sends on an idle connection."""
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


async def _frame_s(probe: Probe, peer: Peer, round_trips_s: list[float]) -> float:
    """Measure how much longer each further frame of a run takes; 0 if they come together, or not at all."""
    frame = probe.wire.frame(hello(probe))
    received = 0
    first_at = 0.0
    sent_at = trio.current_time()
    await peer.send(_RUN_OF_FRAMES * frame)
    while received < _RUN_OF_FRAMES * len(frame):
        piece = await peer.receive(within_s=_LEAST_RUN_S + 2 * max(round_trips_s))
        if isinstance(piece, Kind):
            return 0.0  # the cases are about that
        first_at = first_at or trio.current_time()
        received += len(piece)
    last_at = trio.current_time()
    if last_at - first_at <= _NOISE_S:
        return 0.0
    # A first echo that is taken late, on a busy machine, makes the others look quick.
    first_at = min(first_at, sent_at + min(round_trips_s))
    return _unless_noise((last_at - first_at) / (_RUN_OF_FRAMES - 1))


async def _work_s(probe: Probe, peer: Peer, round_trip_s: float) -> float:
    """Measure how long a service takes for each request of a run, whatever the time of a round trip."""
    stream = probe.wire.frames(*(hello(probe) for _ in range(_RUN_OF_REQUESTS)))
    began = time.perf_counter()
    try:
        with trio.fail_after(_MEASURE_S):
            await peer.exchange([stream], stream)
    except (Deviation, trio.TooSlowError):
        return round_trip_s  # the cases are about that
    return (time.perf_counter() - began) / _RUN_OF_REQUESTS


async def _served_only_first(probe: Probe) -> Blocker | None:
    """Find out whether any connection is served after the first one, where the second was not."""
    for _ in range(_CONNECTS):
        try:
            answer = await ask(probe, hello(probe), within_s=OTHER_ANSWER_S)
        except Deviation:
            continue
        if answer.data:
            return None
    return ONLY_FIRST


async def serves_several(probe: Probe, patience_s: float) -> bool:
    """Find out whether cases can run side by side without getting in each other's way."""
    frame = probe.wire.frame(hello(probe))
    middle = min(probe.wire.header_bytes + 2, len(frame) - 1)
    is_served = True
    try:
        async with probe.connect() as stalled, probe.connect() as other:
            stalled.patience_s = other.patience_s = patience_s
            # Not before it is served, or it would be the one that waits.
            await stalled.echo(hello(probe))
            await stalled.send(frame[:middle])
            await trio.sleep(probe.pause_s)
            try:
                await other.echo(probe.text(b"other"))
            except Deviation:
                is_served = False
            # A frame that is cut off by the end of the stream may end a server: that is for a case to see.
            other.release()
            with contextlib.suppress(Deviation):
                await stalled.send(frame[middle:])
                await stalled.expect(frame)
    except Deviation:
        return False
    return is_served


async def first_connection(probe: Probe) -> Preflight | None:
    """Look at the first connection of a fresh server, where others are not served.

    Returns:
      What it is worth for the cases; None if frames do not come back on it, either.

    Raises:
      InconclusiveError: no server starts.
    """
    try:
        async with probe.own_server() as (server, first):
            await first.echo(hello(probe))
            times = await _round_trips(probe, first, _TRIPS)
            first.release()
            await server.wait_ended(MOST_EXIT_S)
            probe.only_first = OnlyFirst(server.process.returncode, "".join(server.last_lines(1)))
    except Deviation:
        return None
    return Preflight(Pace(statistics.median(times)), is_concurrent=False, only_first=probe.only_first)
