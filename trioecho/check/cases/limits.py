"""Section 4: lengths that a server should not believe."""

from __future__ import annotations

import trio

from ...base.quantities import plural
from ..client.finding import Deviation, Kind, NotApplicableError
from ..client.payloads import USUAL_LIMIT
from ..client.peer import Peer
from ..client.probe import Probe
from ..spawned.spawned_server import SpawnedServer
from .refusal import REFUSAL_SAID, cause_of_refusal, says_refusal
from .registry import case

_MIB = 1 << 20
_MOST_LIMIT = 64 * _MIB
_REFUSED = "the connection to end, and no echo"
_ANNOUNCING = 4
_ANNOUNCED_BYTES = 128 * _MIB
# After how many looks at memory that does not grow it has stopped growing.
_STILL_LOOKS = 3
# How long bytes may take that no server should send; not a judgement of silence.
_LISTEN_S = 0.3
# Whether a reset overtakes an echo is a race.
_TRIES = 10


def _over_the_limit(probe: Probe) -> int:
    """Return one more than the limit."""
    length = (USUAL_LIMIT if probe.limit is None else probe.limit) + 1
    if length > probe.wire.largest_payload:
        raise NotApplicableError(f"a header of {probe.wire} cannot announce more than the limit")
    return length


def _not_told(probe: Probe) -> NotApplicableError:
    return NotApplicableError(
        f"the server takes more than {USUAL_LIMIT // _MIB} MiB; give its limit with --max-frame-length"
    )


@case("4.1", may_end_server=True)
async def over_by_one(probe: Probe) -> str:
    length = _over_the_limit(probe)
    if length > _MOST_LIMIT:
        raise NotApplicableError(f"{length:,} bytes are more than this suite sends in a frame")
    frame = probe.wire.header(length) + probe.junk(length)
    async with probe.connect() as peer:
        ending, received = await _all_that_comes(peer, frame)
    has_ended = ending in (Kind.END, Kind.RESET)
    if has_ended and probe.dialogue.is_refusal(received):
        return f"a frame of {length:,} bytes was refused"
    is_said = has_ended and says_refusal(probe, frame, received)
    if probe.limit is None and not is_said:
        raise _not_told(probe)
    if received:
        raise Deviation(
            Kind.EXTRA,
            _REFUSED,
            f"{plural(len(received), 'byte')} came back, for a frame of {length:,} bytes",
            received_bytes=received[:64],
            cause_id=REFUSAL_SAID if is_said else "limit-not-enforced",
        )
    raise Deviation(Kind.SILENCE, _REFUSED, f"the connection was still open after {peer.patience_s:.1f} s")


async def _all_that_comes(peer: Peer, data: bytes) -> tuple[Kind, bytes]:
    """Send while reading until the connection ends, or something comes and then nothing more."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.send, data)
        await trio.lowlevel.checkpoint()
        received, ending = await peer.receive_until_end()
        nursery.cancel_scope.cancel()
    return ending, received


@case("4.2", may_end_server=True)
async def refused_without_payload(probe: Probe) -> str:
    length = _over_the_limit(probe)
    try:
        await _refused(probe, probe.wire.header(length), cause_id="limit-checked-late")
    except Deviation as deviation:
        if probe.limit is None and deviation.kind is Kind.SILENCE:
            raise _not_told(probe) from None
        raise
    return f"the length {length:,} was refused when its header was complete"


async def _refused(probe: Probe, header: bytes, *, cause_id: str) -> None:
    async with probe.connect() as peer:
        await peer.send(header)
        received, ending = await peer.receive_until_end()
    if ending in (Kind.END, Kind.RESET) and probe.dialogue.is_refusal(received):
        return
    if received:
        raise Deviation(
            Kind.EXTRA,
            _REFUSED,
            f"{plural(len(received), 'byte')} came back for a header alone: {received[:16].hex(' ')}",
            received_bytes=received,
            cause_id=cause_of_refusal(probe, header, received) if ending is not Kind.SILENCE else None,
        )
    if ending is Kind.SILENCE:
        raise Deviation(
            ending,
            _REFUSED,
            f"the connection was still open {peer.patience_s:.1f} s after the header",
            cause_id=cause_id,
        )


async def _number_refused(probe: Probe, number: int, cause_id: str) -> str:
    if number <= _over_the_limit(probe):
        raise NotApplicableError(f"with headers of {probe.wire} the length is not over the limit")
    header = probe.wire.number(number)
    try:
        await _refused(probe, header, cause_id="no-limit")
    except Deviation as deviation:
        if deviation.kind is Kind.EXTRA and deviation.cause_id is None:
            is_sent_back = deviation.received_bytes == header and cause_id == "length-overflow"
            is_early = is_sent_back or await _answers_the_beginning(probe)
            deviation.cause_id = "streams-before-complete" if is_early else cause_id
        raise
    return f"the header {header.hex(' ')} was refused"


async def _answers_the_beginning(probe: Probe) -> bool:
    """Return whether a reply comes before the header is complete: its number is not the cause then."""
    if probe.wire.header_bytes == 1:
        return False
    async with probe.connect() as peer:
        await peer.send(probe.wire.header(1)[:1])
        return isinstance(await peer.receive(), bytes)


@case("4.3", may_end_server=True)
async def largest_signed(probe: Probe) -> str:
    return await _number_refused(probe, probe.wire.largest_number >> 1, "length-overflow")


@case("4.4", may_end_server=True)
async def negative_if_signed(probe: Probe) -> str:
    return await _number_refused(probe, (probe.wire.largest_number >> 1) + 1, "signed-length")


@case("4.5", may_end_server=True)
async def largest(probe: Probe) -> str:
    return await _number_refused(probe, probe.wire.largest_number, "signed-length")


def _enormous(probe: Probe) -> bytes:
    """Return a header that any server with a limit refuses."""
    _over_the_limit(probe)
    return probe.wire.number(probe.wire.largest_number)


@case("4.6", may_end_server=True, tries=_TRIES)
async def frames_before(probe: Probe) -> str:
    frame = probe.wire.frame(probe.payload(20))
    async with probe.connect() as peer:
        await peer.echo(probe.payload(10))
        try:
            await peer.exchange([frame + _enormous(probe)], frame)
        except Deviation as deviation:
            if deviation.kind is Kind.WRONG and _says_why(probe, deviation):
                return "a frame that came together with a refused length had its reply, and then the refusal"
            if deviation.kind is Kind.RESET:
                deviation.cause_id = "closes-with-unread-data"
            elif deviation.kind is Kind.WRONG and deviation.received_bytes.startswith(frame):
                said = deviation.received_bytes[len(frame) :]
                deviation.cause_id = cause_of_refusal(probe, frame + _enormous(probe), said)
            elif deviation.kind is not Kind.WRONG:
                deviation.cause_id = "earlier-frames-lost"
            raise
    return "a frame that came together with a refused length was echoed"


def _says_why(probe: Probe, deviation: Deviation) -> bool:
    """Return whether behind what was expected came a frame that may say why the next is refused."""
    expected, received = deviation.expected_bytes, deviation.received_bytes
    return received.startswith(expected) and probe.dialogue.is_refusal(received[len(expected) :])


@case("4.7", may_end_server=True, tries=_TRIES)
async def ends_with_fin(probe: Probe) -> str:
    frame = probe.wire.frame(probe.payload(probe.fitting(1000)))
    stream = frame + _enormous(probe) + probe.junk(_MIB)  # more than a server takes with one receive
    async with probe.connect() as peer:
        await peer.echo(probe.payload(10))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, stream)
            await trio.lowlevel.checkpoint()
            received, ending = await peer.receive_until_end()
            nursery.cancel_scope.cancel()
    expected = "the echo of the frame before the refused length, then the end of the stream"
    if ending is Kind.SILENCE:
        raise NotApplicableError("the server does not refuse that length")
    reader, frame = probe.dialogue.reader(frame), probe.dialogue.replies(frame)
    received = reader.read(received) + reader.rest()
    is_right = received.startswith(frame) and probe.dialogue.is_refusal(received[len(frame) :])
    if is_right and ending is Kind.END:
        return "after the echo of the frame before it came the end of the stream"
    if not is_right and not frame.startswith(received):
        said = received[len(frame) :] if received.startswith(frame) else b""
        cause_id = cause_of_refusal(probe, stream, said)
        raise Deviation(
            Kind.EXTRA, expected, "other bytes came", received_bytes=received[:64], cause_id=cause_id
        )
    how = "the server reset the connection" if ending is Kind.RESET else "the stream ended"
    raise Deviation(
        ending,
        expected,
        f"{min(len(received), len(frame)):,} of {len(frame):,} bytes of the echo came, then {how}",
        received_bytes=received,
        cause_id="closes-with-unread-data" if ending is Kind.RESET else "earlier-frames-lost",
    )


@case("4.8", is_alone=True)
async def nobody_else_is_harmed(probe: Probe) -> str:
    largest = probe.wire.largest_number
    numbers = [largest >> 1, (largest >> 1) + 1, largest]
    if numbers[0] <= _over_the_limit(probe):
        raise NotApplicableError(f"headers of {probe.wire} cannot announce enormous lengths")
    async with probe.bystander("error-ends-server"):
        for number in numbers:
            hostile_bytes = probe.wire.number(number) + probe.junk(16)
            async with probe.connect() as hostile:
                await hostile.send(hostile_bytes)
                hostile.half_close()
                received, _ = await hostile.receive_until_end(within_s=_LISTEN_S)
            if not probe.dialogue.is_refusal(received):
                raise Deviation(
                    Kind.EXTRA,
                    "no bytes for a length without its payload",
                    f"{plural(len(received), 'byte')} came for the header "
                    f"{probe.wire.number(number).hex(' ')}: {received[:16].hex(' ')}",
                    received_bytes=received,
                    cause_id=cause_of_refusal(probe, hostile_bytes, received)
                    or _cause_of_reply(probe, number, received),
                )
    await probe.is_served("error-ends-server", others=3)
    return "others were served after enormous lengths had been announced"


def _cause_of_reply(probe: Probe, number: int, received: bytes) -> str | None:
    """Name the cause of bytes that came for a length that no server may answer."""
    if number > probe.wire.largest_number >> 1:
        return "signed-length"
    return "streams-before-complete" if received.startswith(probe.wire.number(number)) else None


@case("4.9")
async def memory_of_announced_lengths(probe: Probe) -> str:
    if probe.wire.largest_payload < _ANNOUNCED_BYTES:
        raise NotApplicableError(f"headers of {probe.wire} cannot announce enormous lengths")
    async with probe.own_server() as (server, first):
        await first.echo(probe.payload(10))
        async with probe.clients(first, _ANNOUNCING) as clients:
            if probe.serves_several:
                for peer in clients:  # what a connection takes in any case is not meant
                    await peer.echo(probe.payload(10))
            before = server.memory_bytes()
            if before is None:
                raise NotApplicableError("memory can be read only where there is /proc")
            for peer in clients:
                await peer.send(probe.wire.header(_ANNOUNCED_BYTES) + probe.junk(10))
            grown = await _growth(server, before, _ANNOUNCED_BYTES // 2)
    if max(grown) > _ANNOUNCED_BYTES // 2:
        raise Deviation(
            Kind.OTHER,
            "memory to grow with the bytes that came",
            f"{plural(len(clients), 'client')} announced {_ANNOUNCED_BYTES // _MIB} MiB each and sent 10 "
            f"bytes; the server asked for {_mib(grown[1])} MiB and used {_mib(grown[0])} MiB of it",
            cause_id="trusts-length",
        )
    announced = len(clients) * _ANNOUNCED_BYTES
    return f"{announced // _MIB:,} MiB were announced; memory grew by {_mib(grown[0])} MiB"


def _mib(grown_bytes: int) -> str:
    """Return by how many MiB memory has grown; memory that has shrunk meanwhile has not grown."""
    return f"{max(0, grown_bytes) / _MIB:,.0f}"


async def _growth(server: SpawnedServer, before: tuple[int, int], enough: int) -> tuple[int, int]:
    """Measure how much memory grows, until it is more than enough or has stopped growing."""
    still = 0
    grown = (0, 0)
    while still < _STILL_LOOKS and max(grown) <= enough:
        await trio.sleep(_LISTEN_S)
        now = server.memory_bytes() or before
        growing = (now[0] - before[0], now[1] - before[1])
        still = still + 1 if max(growing) < max(grown) + _MIB else 0
        grown = growing
    return grown
