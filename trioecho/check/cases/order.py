"""Section 3: many frames, many connections, and neighbours that misbehave."""

from __future__ import annotations

import contextlib
import statistics
import time

import trio

from ..finding import Deviation, Kind, NotApplicableError, echo_deviation, plural
from ..peer import Peer
from ..probe import Probe
from .registry import case

_PIPELINED = 1000
_CONNECTIONS = 100
_MIB = 1 << 20
_MUCH_BYTES = 64 * _MIB
# What a server may need for its own buffers while it waits for a slow reader.
_ALLOWED_GROWTH_BYTES = 24 * _MIB
_QUICK_ACKS = 25
_DELAYED_ACK_S = 0.030  # Linux delays acknowledgements by 40 ms


@case("3.1")
async def pipelining(probe: Probe) -> str:
    count = min(_PIPELINED, probe.pace.echoes_at_once)
    sizes = [1 + probe.random.randrange(2000) for _ in range(count)]
    frames = [probe.wire.frame(payload) for payload in probe.payloads(*sizes)]
    async with probe.connect() as peer:
        await peer.exchange(frames, b"".join(frames))
    return f"{plural(count, 'frame')} came back right, in order"


@case("3.2", is_alone=True)
async def a_hundred_connections(probe: Probe) -> str:
    connections = min(_CONNECTIONS, probe.pace.connections)
    async with contextlib.AsyncExitStack() as stack:
        peers: list[Peer] = []
        for _ in range(connections):
            try:
                peer = await stack.enter_async_context(probe.connect())
                await peer.echo(probe.payload(8))
            except Deviation as deviation:
                deviation.actual += f" (connection {len(peers) + 1}, while the others were open)"
                deviation.cause_id = "single-threaded" if len(peers) == 1 else "connection-limit"
                raise
            peers.append(peer)
        for _ in range(3):
            frames = [probe.wire.frame(payload) for payload in probe.payloads(*[200] * connections)]
            for peer, frame in zip(peers, frames, strict=True):
                await peer.send(frame)
            for peer, frame in zip(peers, frames, strict=True):
                try:
                    await peer.expect(frame)
                except Deviation as deviation:
                    deviation.actual += f" (connection {peer.number})"
                    if any(part in deviation.received_bytes for part in frames if part != frame):
                        deviation.cause_id = "shared-state"
                    raise
    return f"{connections} connections each got their own echoes"


@case("3.3")
async def stalled_neighbours(probe: Probe) -> str:
    frame = probe.wire.frame(probe.payload(30))
    async with probe.connect() as stalled, probe.connect() as barely_begun:
        await stalled.send(frame[: probe.wire.header_bytes + 10])
        await barely_begun.send(frame[: max(1, probe.wire.header_bytes // 2)])
        await trio.sleep(2 * probe.pause_s)
        async with probe.connect() as peer:
            await _served_beside(
                probe, peer, "two others had stopped in the middle of a frame", "single-threaded"
            )
    return "others were served beside two that had stopped in the middle of a frame"


async def _served_beside(probe: Probe, peer: Peer, what: str, cause_id: str) -> None:
    try:
        await peer.echo(*probe.payloads(10, 20, 30))
    except Deviation as deviation:
        deviation.actual += f" (while {what})"
        deviation.cause_id = "shared-state" if deviation.kind is Kind.WRONG else cause_id
        raise


@case("3.4", is_alone=True)
async def neighbour_that_does_not_read(probe: Probe) -> str:
    async with probe.connect() as before, probe.connect(receive_buffer=4096) as greedy:
        await before.echo(probe.payload(10))
        block = _block_of_frames(probe)
        sent = await greedy.send_until_blocked(block, _MUCH_BYTES, stall_s=0.3)
        what = "another had stopped reading"
        await _served_beside(probe, before, what, "blocked-by-non-reader")
        async with probe.connect() as new:
            await _served_beside(probe, new, what, "blocked-by-non-reader")
    return f"others were served beside one that sent {sent / _MIB:.0f} MiB and did not read"


def _block_of_frames(probe: Probe) -> bytes:
    """About 1 MiB of whole frames of many sizes, which end anywhere in the buffers of a kernel.

    A slow server gets fewer.
    """
    longest = probe.fitting(65536 - probe.wire.header_bytes)
    frames: list[bytes] = []
    size = 0
    while size < _MIB and len(frames) < probe.pace.echoes_at_once:
        frames.append(probe.wire.frame(probe.payload(1 + probe.random.randrange(longest))))
        size += len(frames[-1])
    return b"".join(frames)


@case("3.5", is_alone=True)
async def much_before_the_first_read(probe: Probe) -> str:
    block = _block_of_frames(probe)
    count = _MUCH_BYTES // len(block) if len(block) >= _MIB else 1
    last = probe.wire.frame(b"the last one"[: probe.fitting(12)])
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
            await _read_repeated(peer, probe, block, count)
            await peer.expect(last)
        except Deviation as error:
            deviation = error
        nursery.cancel_scope.cancel()
    if deviation is not None:
        if deviation.kind is Kind.WRONG:
            deviation.cause_id = "partial-send-ignored"
        elif deviation.kind in (Kind.END, Kind.RESET):
            deviation.cause_id = "gives-up-on-backpressure"
        raise deviation
    how = "the server applied backpressure meanwhile" if blocked else "the server took all of it meanwhile"
    return f"{count * len(block) / _MIB:.2g} MiB came back right; {how}"


async def _read_repeated(peer: Peer, probe: Probe, block: bytes, count: int) -> None:
    """The block, so many times; compared as it comes and kept nowhere."""
    at, total = 0, count * len(block)
    twice = block + block
    while at < total:
        piece = await peer.receive(most=min(len(block), total - at))
        start = at % len(block)
        if isinstance(piece, Kind):
            came = twice[:start]
            deviation = echo_deviation(probe.wire, piece, block, came, waited_s=peer.patience_s)
        elif not twice.startswith(piece, start):
            came = block[:start] + piece
            deviation = echo_deviation(
                probe.wire, Kind.WRONG, twice[: len(came)], came, waited_s=peer.patience_s
            )
        else:
            at += len(piece)
            continue
        deviation.expected = f"the echoes of {total:,} bytes of frames"
        deviation.actual = f"after {at - start:,} bytes that were right: {deviation.actual}"
        raise deviation


@case("3.6", is_alone=True)
async def busy_neighbour(probe: Probe) -> str:
    block = probe.wire.frames(*probe.payloads(*[100] * 300))
    deviation = None
    async with probe.connect() as busy, probe.connect() as peer:
        await peer.echo(probe.payload(10))

        async def send() -> None:
            while await busy.send(block):
                pass

        async def read() -> None:
            while isinstance(await busy.receive(log=False), bytes):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            nursery.start_soon(read)
            await trio.sleep(0.1)
            try:
                for _ in range(min(10, probe.pace.echoes_one_by_one)):
                    await _served_beside(probe, peer, "another sent without a pause", "starves-others")
            except Deviation as error:
                deviation = error
            nursery.cancel_scope.cancel()
    if deviation is not None:
        raise deviation
    return "another was served beside one that sent without a pause"


@case("3.7")
async def memory_of_a_non_reader(probe: Probe) -> str:
    async with probe.own_server() as (server, first):
        await first.echo(probe.payload(10))
        if not probe.serves_several:
            first.close()
        block = _block_of_frames(probe)
        before = server.resident_bytes()
        if before is None:
            raise NotApplicableError("memory can be read only where there is /proc")
        async with probe.connect(receive_buffer=4096) as greedy:
            sent = await greedy.send_until_blocked(block, _MUCH_BYTES, stall_s=1.0)
            grown = (server.resident_bytes() or 0) - before
        if grown > _ALLOWED_GROWTH_BYTES:
            raise Deviation(
                Kind.OTHER,
                f"memory to grow by no more than {_ALLOWED_GROWTH_BYTES // _MIB} MiB",
                f"it grew by {grown / _MIB:.0f} MiB while {sent / _MIB:.0f} MiB were sent, and none read",
                cause_id="unbounded-buffering",
            )
    return f"memory grew by {max(0, grown) / _MIB:.0f} MiB; the server took {sent / _MIB:.0f} MiB"


@case("3.8", is_alone=True)
async def delayed_acknowledgement(probe: Probe) -> str:
    connects = []
    for _ in range(3):
        began = time.perf_counter()
        async with probe.connect():
            connects.append(time.perf_counter() - began)
    if min(connects) > _DELAYED_ACK_S / 3:
        raise NotApplicableError(f"the round trip is too long to see it, {min(connects) * 1000:.0f} ms")
    times = []
    async with probe.connect() as peer:
        # At first the kernel acknowledges at once.
        for number in range(_QUICK_ACKS + min(15, probe.pace.echoes_one_by_one)):
            began = time.perf_counter()
            await peer.echo(probe.payload(16))
            if number >= _QUICK_ACKS:
                times.append(time.perf_counter() - began)
    fastest, median = min(times), statistics.median(times)
    if fastest > _DELAYED_ACK_S and await _without_payload_s(probe) > _DELAYED_ACK_S:
        raise NotApplicableError(
            f"an echo takes {fastest * 1000:.0f} ms or more, but one without payload does, too: that is no "
            "wait for an acknowledgement"
        )
    if fastest > _DELAYED_ACK_S:
        raise Deviation(
            Kind.OTHER,
            "an echo of a small frame without a wait for an acknowledgement",
            f"the fastest of {len(times)} echoes took {fastest * 1000:.0f} ms, although a connection "
            f"takes {min(connects) * 1000:.1f} ms",
            cause_id="nagle-delayed-ack",
            is_uncertain=True,
        )
    return f"the median round trip is {median * 1000:.2f} ms"


async def _without_payload_s(probe: Probe) -> float:
    """How long an echo takes that cannot be sent in two parts; 0 if there is none."""
    fastest_s = float("inf")
    try:
        async with probe.connect() as peer:
            for _ in range(5):
                began = time.perf_counter()
                await peer.echo(b"")
                fastest_s = min(fastest_s, time.perf_counter() - began)
    except Deviation:
        return 0.0  # another rule is about that
    return fastest_s
