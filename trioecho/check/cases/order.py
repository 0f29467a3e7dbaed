"""Section 3: many frames, many connections, and neighbours that misbehave."""

from __future__ import annotations

import contextlib
import statistics
import time

import trio

from ...base.quantities import plural
from ..client.finding import Deviation, Kind, NotApplicableError
from ..client.peer import Peer
from ..client.probe import Probe
from .registry import case

_PIPELINED = 1000
_CONNECTIONS = 100
_MIB = 1 << 20
MUCH_BYTES = 64 * _MIB
# What a server may need for its own buffers while it waits for a slow reader.
_ALLOWED_GROWTH_BYTES = 24 * _MIB
# One has waited with patience; what others got is there.
_LOOK_S = 0.01
# How many bytes of a payload identify one frame.
_TELLING_BYTES = 24
_QUICK_ACKS, _MEASURED = 25, 15
_DELAYED_ACK_S = 0.030  # Linux delays acknowledgements by 40 ms
# Within a longer round trip such a delay is not seen.
_SHORT_S, _MOST_CONNECTS = _DELAYED_ACK_S / 3, 10


@case("3.1")
async def pipelining(probe: Probe) -> str:
    count = min(_PIPELINED, probe.pace.echoes_at_once)
    sizes = [1 + probe.random.randrange(2000) for _ in range(count)]
    frames = [probe.wire.frame(payload) for payload in probe.payloads(*sizes)]
    async with probe.connect() as peer:
        await peer.exchange(frames, b"".join(frames))
    return f"{plural(count, 'frame')} came back right, {probe.dialogue.order_in_words}"


@case("3.2", is_alone=True)
async def a_hundred_connections(probe: Probe) -> str:
    connections = min(_CONNECTIONS, probe.pace.connections)
    async with contextlib.AsyncExitStack() as stack:
        peers: list[Peer] = []
        sent: dict[Peer, bytes] = {}
        for _ in range(connections):
            payload = probe.payload(8)
            try:
                peer = await stack.enter_async_context(probe.connect())
                sent[peer] = probe.wire.frame(payload)
                await peer.echo(payload)
            except Deviation as deviation:
                deviation.actual += f" (connection {len(peers) + 1}, while the others were open)"
                if peers:
                    waits = len(peers) == 1 and deviation.kind is Kind.SILENCE
                    deviation.cause_id = "single-threaded" if waits else "connection-limit"
                    if len(sent) > len(peers) and await _is_shared(probe, sent, peer, deviation):
                        deviation.cause_id = "shared-state"
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
                    if await _is_shared(probe, dict(zip(peers, frames, strict=True)), peer, deviation):
                        deviation.cause_id = "shared-state"
                    raise
    return f"{connections} connections each got their own echoes"


async def _is_shared(probe: Probe, sent: dict[Peer, bytes], failed: Peer, deviation: Deviation) -> bool:
    """Return whether a connection got a frame that another had sent; where one got none, others may have."""
    came = {failed: deviation.received_bytes}
    if not deviation.received_bytes:
        for peer in sent:
            piece = await peer.receive(within_s=_LOOK_S)
            came[peer] = piece if isinstance(piece, bytes) else b""
    return any(
        probe.dialogue.has_reply_to(frame, came[peer])
        for peer in came
        for other, frame in sent.items()
        if other is not peer
    )


@case("3.3")
async def stalled_neighbours(probe: Probe) -> str:
    frame = probe.wire.frame(probe.payload(30))
    async with probe.connect() as stalled, probe.connect() as barely_begun:
        middle = min(probe.wire.header_bytes + 10, len(frame) - 1)
        await stalled.send(frame[:middle])
        await barely_begun.send(frame[: max(1, probe.wire.header_bytes // 2)])
        await trio.sleep(2 * probe.pause_s)
        async with probe.connect() as peer:
            await _served_beside(
                probe, peer, "two others had stopped in the middle of a frame", "single-threaded"
            )
        # What the end of a stream in a frame does to a server is for other cases to see.
        await stalled.send(frame[middle:])
        await barely_begun.send(frame[max(1, probe.wire.header_bytes // 2) :])
        for whole in (stalled, barely_begun):
            await whole.receive()
    return "others were served beside two that had stopped in the middle of a frame"


async def _served_beside(probe: Probe, peer: Peer, what: str, cause_id: str) -> None:
    try:
        await peer.echo(*probe.payloads(10, 20, 30))
    except Deviation as deviation:
        deviation.actual += f" (while {what})"
        deviation.cause_id = cause_id
        raise


@case("3.4", is_alone=True)
async def neighbour_that_does_not_read(probe: Probe) -> str:
    async with probe.connect() as before, probe.connect(receive_buffer=4096) as greedy:
        await before.echo(probe.payload(10))
        block = block_of_frames(probe)
        sent = await greedy.send_until_blocked(block, MUCH_BYTES, stall_s=0.3)
        what = "another had stopped reading"
        try:
            await _served_beside(probe, before, what, "blocked-by-non-reader")
            async with probe.connect() as new:
                await _served_beside(probe, new, what, "blocked-by-non-reader")
        except Deviation as deviation:
            received = deviation.received_bytes
            payload = received[probe.wire.payload_at(received) :][:_TELLING_BYTES]
            if probe.dialogue.is_echo and len(payload) == _TELLING_BYTES and payload in block:
                deviation.cause_id = "shared-state"
            raise
    return f"others were served beside one that sent {sent / _MIB:.0f} MiB and did not read"


def block_of_frames(probe: Probe) -> bytes:
    """Make about 1 MiB of whole frames of many sizes, which end anywhere in the buffers of a kernel.

    A slow server gets fewer.
    """
    longest = probe.fitting(65536 - probe.wire.header_bytes)
    frames: list[bytes] = []
    size = 0
    while size < _MIB and len(frames) < probe.pace.echoes_at_once:
        frames.append(probe.wire.frame(probe.payload(1 + probe.random.randrange(longest))))
        size += len(frames[-1])
    return b"".join(frames)


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
        block = block_of_frames(probe)
        before = server.resident_bytes()
        if before is None:
            raise NotApplicableError("memory can be read only where there is /proc")
        async with probe.clients(first, 1, receive_buffer=4096) as [greedy]:
            sent = await greedy.send_until_blocked(block, MUCH_BYTES, stall_s=1.0)
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
    connect_s = 0.0 if probe.only_first is not None else await _quickest_connect_s(probe)
    if connect_s > _SHORT_S:
        raise NotApplicableError(f"the round trip is too long to see it, {connect_s * 1000:.0f} ms")
    count = min(_MEASURED, probe.pace.echoes_one_by_one)
    times = []
    async with probe.connect() as peer:
        # At first the kernel acknowledges at once.
        for number in range(_QUICK_ACKS + count):
            began = time.perf_counter()
            await peer.echo(probe.payload(16))
            if number >= _QUICK_ACKS:
                times.append(time.perf_counter() - began)
    # Not the fastest one: after a moment in which this process did not run, an acknowledgement comes at once.
    median = statistics.median(times)
    if median > _DELAYED_ACK_S and not probe.dialogue.is_echo:
        raise NotApplicableError(
            f"half of {count} replies take {median * 1000:.0f} ms or more, which may be the work for them"
        )
    if median > _DELAYED_ACK_S and await _without_payload_s(probe, count) > _DELAYED_ACK_S:
        raise NotApplicableError(
            f"half of {count} echoes take {median * 1000:.0f} ms or more, but those without payload do, too: "
            "that is no wait for an acknowledgement"
        )
    if median > _DELAYED_ACK_S:
        raise Deviation(
            Kind.OTHER,
            "an echo of a small frame without a wait for an acknowledgement",
            f"half of {count} echoes took {median * 1000:.0f} ms or more, although a connection "
            f"takes {connect_s * 1000:.1f} ms",
            cause_id="nagle-delayed-ack",
            is_uncertain=True,
        )
    return f"the median round trip is {median * 1000:.2f} ms"


async def _quickest_connect_s(probe: Probe) -> float:
    """Measure how long a connection takes, in seconds; several times, if this machine is busy."""
    quickest_s = float("inf")
    for _ in range(_MOST_CONNECTS):
        async with probe.connect() as peer:
            quickest_s = min(quickest_s, peer.connect_s)
        if quickest_s <= _SHORT_S:
            break
    return quickest_s


async def _without_payload_s(probe: Probe, count: int) -> float:
    """Measure the median of echoes that cannot be sent in two parts, in seconds; 0 if there are none."""
    times = []
    try:
        async with probe.connect() as peer:
            for _ in range(count):
                began = time.perf_counter()
                await peer.echo(b"")
                times.append(time.perf_counter() - began)
    except Deviation:
        return 0.0  # another rule is about that
    return statistics.median(times)
