"""Section 6: start, stop and start again, each time a server of the case's own."""

from __future__ import annotations

import signal

import trio

from ...base.quantities import plural
from ..client.dialogue import Dialogue
from ..client.finding import Deviation, InconclusiveError, Kind, NotApplicableError, common_length
from ..client.peer import Peer
from ..client.probe import Probe
from ..spawned.spawned_server import SpawnedServer
from .registry import case

# docker stop kills after so long.
_END_S = 10.0
_ECHOES_BEFORE_SIGNAL = 50
_MOST_UNDER_WAY_BYTES, _MOST_BLOCKS = 1 << 19, 6


@case("6.1")
async def ready_when_listening(probe: Probe) -> str:
    async with probe.own_server() as (_, first):
        await first.echo(probe.payload(10), cause_id="not-ready-when-listening")
    return "the first connection was served"


@case("6.2", tries=3)
async def sigterm_drains(probe: Probe) -> str:
    # A slow server is not asked for more than it can answer before it ends.
    at_once = max(1, probe.pace.echoes_at_once // _MOST_BLOCKS)
    frames = [probe.wire.frame(payload) for payload in probe.payloads(*[100] * min(1000, at_once))]
    block = b"".join(frames)
    echoes_before = min(_ECHOES_BEFORE_SIGNAL, at_once)
    async with probe.own_server() as (server, first):
        traffic = _Traffic(block, probe.dialogue)
        signal_after_bytes = len(probe.dialogue.replies(b"".join(frames[:echoes_before])))
        received, ending, due = await _signal_in_traffic(server, first, traffic, signal_after_bytes)
    expected = "the echoes of whole frames, then the end of the stream"
    sizes = [len(probe.dialogue.replies(frame)) for frame in frames]
    endless = traffic.replies * (len(received) // len(traffic.replies) + 1)
    if not endless.startswith(received):
        right = common_length(endless, received)
        raise Deviation(
            Kind.WRONG,
            expected,
            f"after {plural(right, 'byte')} that were right, others came" if right else "other bytes came",
        )
    whole, part = _whole_frames(len(received), sizes)
    if ending is Kind.END and not part:
        return f"{plural(whole, 'frame')} came back whole, then the end of the stream"
    frames_sent = due // sum(sizes) * len(sizes)
    words = {
        Kind.END: "the stream ended",
        Kind.RESET: "the server reset the connection",
        Kind.SILENCE: f"nothing came for {first.patience_s:.1f} s",
    }
    torn = f" and {part} bytes of another" if part else ""
    raise Deviation(
        ending,
        expected,
        f"{plural(whole, 'frame')}{torn} of {frames_sent:,} came back, then {words[ending]}",
        cause_id="sigterm-drops-work" if ending is not Kind.SILENCE else None,
    )


def _whole_frames(size: int, sizes: list[int]) -> tuple[int, int]:
    """Return how many frames of these sizes, again and again, are in so many bytes, and what is left."""
    rounds, left = divmod(size, sum(sizes))
    whole = rounds * len(sizes)
    for each in sizes:
        if left < each:
            break
        whole, left = whole + 1, left - each
    return whole, left


class _Traffic:
    """Frames that are sent again and again, and what is to come for them."""

    def __init__(self, block: bytes, dialogue: Dialogue) -> None:
        self.block = block
        self.replies: bytes = dialogue.replies(block)
        self.reader = dialogue.reader(block)


async def _signal_in_traffic(
    server: SpawnedServer, peer: Peer, traffic: _Traffic, signal_after_bytes: int
) -> tuple[bytes, Kind, int]:
    """Send without end; SIGTERM after some echoes. What came, how it ended, and how much was due."""
    received = bytearray()
    due = 0

    async def send() -> None:
        nonlocal due
        size = len(traffic.replies)
        while await peer.send(traffic.block):
            due += size
            while due - len(received) > min(_MOST_UNDER_WAY_BYTES, _MOST_BLOCKS * size):  # noqa: ASYNC110 - an event would be no simpler
                await trio.sleep(0.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.lowlevel.checkpoint()
        is_signalled = False
        while isinstance(piece := await peer.receive(), bytes):
            received += traffic.reader.read(piece)
            if not is_signalled and len(received) >= signal_after_bytes:
                is_signalled = True
                peer.note("SIGTERM was sent to the server")
                server.send_signal(signal.SIGTERM)
        if traffic.reader.skip_missing():
            peer.note("whole replies came to later requests than the first that had none")
        received += traffic.reader.rest()
        nursery.cancel_scope.cancel()
    if not is_signalled:
        raise NotApplicableError("frames that arrive together do not come back, even without a signal")
    return bytes(received), piece, due


@case("6.3")
async def sigterm_ends(probe: Probe) -> str:
    return await _ends_after(probe, signal.SIGTERM, "ignores-sigterm")


@case("6.5")
async def sigint_ends(probe: Probe) -> str:
    return await _ends_after(probe, signal.SIGINT, "ignores-sigint")


async def _ends_after(probe: Probe, number: signal.Signals, cause_id: str) -> str:
    async with probe.own_server() as (server, first):
        await first.echo(probe.payload(10))
        probe.transcript.happened(0, f"{number.name} was sent to the server")
        began = trio.current_time()
        server.send_signal(number)
        has_ended = await server.wait_ended(_END_S)
        elapsed_s = trio.current_time() - began
        how = server.how_it_ended
    if not has_ended:
        raise Deviation(
            Kind.OTHER,
            f"the process to end within {_END_S:g} s of {number.name}",
            f"it still ran after {_END_S:g} s, with an idle connection open",
            cause_id=cause_id,
        )
    return f"{how} {elapsed_s:.2f} s after {number.name}"


async def _starts_elsewhere(probe: Probe) -> bool:
    """Return whether the server starts on another port, so that its own must be the reason."""
    try:
        async with probe.own_server() as (_, first):
            await first.echo(probe.payload(10))
    except (Deviation, InconclusiveError):
        return False
    return True


@case("6.4")
async def restart_on_the_port(probe: Probe) -> str:
    async with probe.own_server() as (server, first):
        await first.echo(probe.payload(10))
        port = server.address[1]
        # The server ends the connection first, so the port's memory of it is the server's.
        server.send_signal(signal.SIGTERM)
        if not await server.wait_ended(_END_S):
            server.send_signal(signal.SIGKILL)
            await server.wait_ended(_END_S)
        await first.receive_until_end()
    probe.transcript.happened(0, "the server has ended; another is started on its port")
    try:
        async with probe.own_server(port=port) as (_, again):
            await again.echo(probe.payload(10))
    except InconclusiveError as error:
        raise Deviation(
            Kind.OTHER,
            "the server to start again on the port that it had",
            str(error),
            cause_id="no-reuseaddr" if await _starts_elsewhere(probe) else None,
        ) from None
    return "the server was started again on its port, at once"
