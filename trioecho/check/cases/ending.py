"""Section 5: how connections end."""

from __future__ import annotations

import contextlib

import trio

from ...base.quantities import plural
from ..client.finding import Deviation, Kind, NotApplicableError
from ..client.probe import Probe
from .refusal import cause_of_refusal, says_refusal
from .registry import case

_MANY = 200
# What is done to a server several times, each in another way; a slow one has fewer of it.
_ROUNDS, _LEAST_ROUNDS = 20, 4
_CLOSES = 300
_MOST_CUTS = 60
_MUCH_OF_A_FRAME = 70_000
_DESCRIPTOR_ROUNDS = 60
# How many others are tried after one that was ended.
_LATER = 10
# A server may open a file or two of its own meanwhile.
_ALLOWED_DESCRIPTORS = 5
_LISTEN_S = 0.2


@case("5.1", may_end_server=True)
async def half_close_after_frames(probe: Probe) -> str:
    try:
        return await _half_close_after_frames(probe)
    except Deviation as deviation:
        if probe.tls is None or deviation.kind not in (Kind.END, Kind.RESET):
            raise
        raise NotApplicableError(
            "what was due did not come after the client's close_notify: TLS as this server has it has no "
            "half-close (TLS 1.3 has one, and few libraries do); without TLS it can be tried"
        ) from None


async def _half_close_after_frames(probe: Probe) -> str:
    lost = "last-reply-lost-at-half-close"
    for size in (1, 10, 100, 200, 10):
        frame = probe.wire.frame(probe.payload(probe.fitting(size)))
        async with probe.connect() as peer:
            await peer.send_and_half_close(frame)
            await peer.expect(frame, cause_id=lost)
            await peer.expect_end(cause_id="half-close-ignored")
    many = min(_MANY, probe.pace.echoes_at_once)
    frames = [probe.wire.frame(payload) for payload in probe.payloads(*[100] * many)]
    stream = b"".join(frames)
    if await _many_are_echoed(probe, stream):
        async with probe.connect() as peer:
            await peer.send_and_half_close(stream)
            await peer.expect(stream, cause_id=lost)
            await peer.expect_end()
    return "all that was sent before a half-close came back, then the end of the stream"


async def _many_are_echoed(probe: Probe, stream: bytes) -> bool:
    """Return whether these frames come back at all, without a half-close: other rules are about that."""
    try:
        async with probe.connect() as peer:
            await peer.exchange([stream], stream)
    except Deviation:
        return False
    return True


@case("5.2", may_end_server=True)
async def half_close_at_once(probe: Probe) -> str:
    for is_first in (True, False):
        async with probe.connect() as peer:
            if not is_first:
                await peer.echo(probe.payload(10))
            peer.half_close()
            await peer.expect_end(cause_id="half-close-ignored")
    return "the reply to a half-close was the end of the stream"


@case("5.3", may_end_server=True)
async def truncated_everywhere(probe: Probe) -> str:
    whole = probe.wire.frame(probe.payload(8))
    few = -(-len(whole) // min(max(_LEAST_ROUNDS, probe.pace.connections), _MOST_CUTS))
    cuts = [(whole, cut) for cut in range(1, len(whole), few)]
    large = probe.longest(10_000)
    cuts.append((probe.wire.frame(large), len(large) // 2))
    if len(largest := probe.longest(_MUCH_OF_A_FRAME)) > len(large):
        # Some send back what does not fit into their buffer.
        cuts.append((probe.wire.frame(largest), len(largest) - 1))
    within_s = None
    for frame, cut in cuts:
        async with probe.connect() as peer:
            await peer.echo(probe.payload(5))
            await peer.send(frame[:cut])
            early = await peer.receive(within_s=2 * probe.pause_s)
            if isinstance(early, bytes):
                if probe.limit is None and len(frame) > len(whole) and says_refusal(probe, frame, early):
                    continue  # its limit is lower, and other rules are about that
                # One byte alone was not answered, if it is not the first cut.
                is_narrow = early == frame[:cut] and 1 < cut < probe.wire.header_bytes
                cause_id = cause_of_refusal(probe, frame, early)
                cause_id = "streams-before-complete" if frame.startswith(early) else cause_id
                cause_id = "other-header-width" if is_narrow else cause_id
                raise _part_echoed(early, cut, len(frame), "although more could come", cause_id)
            peer.half_close()
            received, ending = await peer.receive_until_end(within_s=within_s)
            if received:
                if await _comes_early(probe, frame[:cut]):  # only later than was waited for
                    raise _part_echoed(
                        received, cut, len(frame), "although more could come", "streams-before-complete"
                    )
                said = cause_of_refusal(probe, frame, received)
                raise _part_echoed(received, cut, len(frame), "at its end", said or "echoes-truncated-frame")
            if ending is Kind.SILENCE:
                within_s = _LISTEN_S  # another rule is about that
    return f"{plural(len(cuts), 'truncated frame')} were not echoed, and those before them were"


async def _comes_early(probe: Probe, part: bytes) -> bool:
    """Return whether a part of a frame is sent back while more could come, with all patience."""
    try:
        async with probe.connect() as peer:
            await peer.send(part)
            early = await peer.receive()
    except Deviation:
        return False
    return isinstance(early, bytes) and part.startswith(early)


def _part_echoed(received: bytes, cut: int, size: int, when: str, cause_id: str | None) -> Deviation:
    return Deviation(
        Kind.EXTRA,
        "nothing to come for a frame that was cut off",
        f"{plural(len(received), 'byte')} came for {cut:,} of {size:,} bytes of a frame, {when}",
        received_bytes=received,
        cause_id=cause_id,
    )


def _rounds(probe: Probe) -> int:
    return min(_ROUNDS, max(_LEAST_ROUNDS, probe.pace.connections))


@case("5.4", is_alone=True)
async def reset_in_a_frame(probe: Probe) -> str:
    frame = probe.wire.frame(probe.payload(100))
    async with probe.bystander("dies-on-reset"):
        rounds = _rounds(probe)
        for number in range(rounds):
            async with probe.connect() as peer:
                if number % 2:
                    await peer.echo(probe.payload(10))
                await peer.send(frame[: min(1 + 5 * number, len(frame) - 1)])
                if number % 4 > 1:
                    await trio.sleep(probe.pause_s)
                peer.reset()
    await probe.is_served("dies-on-reset", others=3)
    return f"others were served after {rounds} connections had been reset in the middle of a frame"


@case("5.5", is_alone=True)
async def gone_without_reading(probe: Probe) -> str:
    frames = [probe.wire.frame(probe.payload(probe.fitting(2000))) for _ in range(50)]
    async with probe.bystander("dies-on-broken-pipe"):
        rounds = _rounds(probe)
        for number in range(rounds):
            async with probe.connect() as peer:
                some = frames[:: 1 + number % 3]
                if number % 2:
                    for frame in some:
                        await peer.send(frame)
                    await trio.sleep(probe.pause_s / 2)
                    peer.close()  # with echoes unread, which resets it
                else:
                    await peer.send_and_close(b"".join(some))  # the echoes find nobody
    await probe.is_served("dies-on-broken-pipe", others=3)
    return f"others were served after {rounds} clients had gone without reading"


@case("5.6", is_alone=True)
async def hundreds_of_closes(probe: Probe) -> str:
    closes = min(_CLOSES, 4 * probe.pace.connections)
    for number in range(closes):
        try:
            async with probe.connect() as peer:
                # So that no more than three wait to be accepted: many listen with a backlog of 5,
                # and a connect that finds no place there is tried again after a second.
                if number % 4 == 0:
                    await peer.echo(probe.payload(10))
        except Deviation as deviation:
            deviation.actual += f" (after {plural(number, 'connection')})"
            deviation.cause_id = (
                "ends-others" if await _goes_on_after(probe, deviation) else "leaks-connections"
            )
            raise
    await probe.is_served("leaks-connections", others=3)
    return f"others were served after {closes} connections had come and gone"


async def _goes_on_after(probe: Probe, deviation: Deviation) -> bool:
    """Return whether an untouched connection was ended, although a later one is served."""
    if deviation.kind not in (Kind.END, Kind.RESET):
        return False
    for _ in range(_LATER):
        await trio.sleep(probe.pause_s)
        with contextlib.suppress(Deviation):
            await probe.is_served(None)
            return True
    return False


@case("5.7")
async def no_descriptors_left(probe: Probe) -> str:
    if probe.only_first is not None:
        raise NotApplicableError("the server serves one connection, and no other")
    frame = probe.wire.frame(probe.payload(20))
    async with probe.own_server() as (server, first):
        await first.echo(probe.payload(10))
        if not probe.serves_several:
            first.close()
        await _come_and_go(probe, frame, 3)
        before = server.descriptors()
        if before is None:
            raise NotApplicableError("open files can be counted only where there is /proc")
        rounds = min(_DESCRIPTOR_ROUNDS, probe.pace.connections)
        await _come_and_go(probe, frame, rounds)
        with trio.move_on_after(probe.patience_s):
            # The kernel does not report when a file is closed.
            while (left := (server.descriptors() or 0) - before) > _ALLOWED_DESCRIPTORS:  # noqa: ASYNC110 - as said
                await trio.sleep(0.05)
    connections = 3 * rounds
    if left > _ALLOWED_DESCRIPTORS:
        raise Deviation(
            Kind.OTHER,
            "no more open files than before",
            f"{left} more files were open after {connections} connections had ended",
            cause_id="leaks-descriptors",
            is_uncertain=True,
        )
    return f"no file was left open by {connections} connections"


async def _come_and_go(probe: Probe, frame: bytes, rounds: int) -> None:
    for _ in range(rounds):
        async with probe.connect() as peer:
            await peer.exchange([frame], frame, cause_id="dies-on-reset")
        async with probe.connect() as peer:
            await peer.send(frame)
            peer.half_close()
            await peer.receive()
        async with probe.connect() as peer:
            await peer.send(frame[: len(frame) // 2])
            peer.reset()
