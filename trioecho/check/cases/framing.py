"""Section 1: one frame at a time."""

from __future__ import annotations

from ...base.quantities import plural
from ..book.book import Level
from ..client.finding import Deviation, Kind, NotApplicableError, is_stop, nothing_came
from ..client.payloads import USUAL_LIMIT
from ..client.peer import Peer
from ..client.probe import Probe
from .refusal import REFUSAL_SAID, says_refusal
from .registry import case

# Whatever else a server sends would come in the place of its echo.
_NEXT = b"next"
_FRAMES_IN_A_ROW = 5
# With which examples of servers let clients end a session.
_WORDS = (b"quit", b"exit", b"bye", b"close", b"stop", b"!DISCONNECT")
# How long bytes may take that no server should send; not a judgement of silence.
_LISTEN_S = 0.3


async def _echo_of_size(probe: Probe, size: int) -> str:
    payload = probe.payload_of_size(size)
    async with probe.connect() as peer:
        await peer.echo(payload)
        await _nothing_else_came(probe, peer)
    return f"a frame of {plural(size, 'byte')} came back right"


async def _nothing_else_came(probe: Probe, peer: Peer) -> None:
    """See that after an echo comes the next one, or nothing: whether the connection goes on is for 1.11."""
    try:
        await peer.echo(probe.text(_NEXT))
    except Deviation as deviation:
        if not is_stop(deviation) or deviation.received_bytes:
            raise


@case("1.1")
async def empty_frame(probe: Probe) -> str:
    probe.needs(0)
    async with probe.connect() as peer:
        try:
            await peer.echo(b"")
        except Deviation as deviation:
            deviation.cause_id = await _cause_of_no_empty_echo(probe, peer, deviation)
            raise
        try:
            await peer.echo(probe.text(_NEXT))
        except Deviation as deviation:
            if is_stop(deviation) and not await _goes_on(probe):
                return "an empty frame came back"  # and that the connection ends is for 1.11
            raise
    return "an empty frame came back, and the next one"


async def _cause_of_no_empty_echo(probe: Probe, peer: Peer, deviation: Deviation) -> str | None:
    """Find out what a server does with an empty frame: end the connection, skip it, or answer another."""
    if deviation.kind in (Kind.END, Kind.RESET):
        return "zero-length-taken-for-eof"
    if deviation.kind is Kind.WRONG:
        payloads, rest = probe.wire.split(deviation.received_bytes)
        return "zero-length-taken-for-heartbeat" if payloads and not rest else None
    try:
        await peer.echo(probe.text(_NEXT))
    except Deviation:
        return "zero-length-taken-for-eof"
    return "empty-frame-skipped"


async def _goes_on(probe: Probe) -> bool:
    """Return whether a connection goes on after frames that are not empty."""
    try:
        async with probe.connect() as peer:
            await peer.echo(probe.text(b"first"), probe.text(_NEXT))
    except Deviation:
        return False
    return True


@case("1.2")
async def one_byte(probe: Probe) -> str:
    return await _echo_of_size(probe, 1)


@case("1.3")
async def size_255(probe: Probe) -> str:
    return await _echo_of_size(probe, 255)


@case("1.4")
async def size_256(probe: Probe) -> str:
    return await _echo_of_size(probe, 256)


@case("1.5")
async def size_65535(probe: Probe) -> str:
    return await _echo_of_size(probe, 65535)


@case("1.6")
async def size_65536(probe: Probe) -> str:
    return await _echo_of_size(probe, 65536)


@case("1.7")
async def largest_frame(probe: Probe) -> str:
    if probe.limit is not None:
        size = min(probe.limit, probe.wire.largest_payload)
        probe.needs(size)
        try:
            return f"{await _echo_of_size(probe, size)}: the limit"
        except Deviation as deviation:
            if (is_said := _is_refused_in_words(probe, deviation)) or nothing_came(deviation):
                deviation.cause_id = await _why_refused(probe, size) or (REFUSAL_SAID if is_said else None)
            raise
    size = min(USUAL_LIMIT, probe.wire.largest_payload)
    try:
        return await _echo_of_size(probe, size)
    except Deviation as deviation:
        if (is_said := _is_refused_in_words(probe, deviation)) or nothing_came(deviation):
            # It may have a lower limit, which was not given; where that is this one but for so little,
            # it is likelier to be this one.
            deviation.cause_id = await _why_refused(probe, size) or (REFUSAL_SAID if is_said else None)
            deviation.level = Level.SHOULD
            deviation.actual += "; if its limit is lower, give it with --max-frame-length"
        raise


def _is_refused_in_words(probe: Probe, deviation: Deviation) -> bool:
    return says_refusal(probe, deviation.expected_bytes, deviation.received_bytes)


async def _why_refused(probe: Probe, limit: int) -> str | None:
    """Find out by how much a server's limit is lower than the one that was given."""

    async def is_echoed(size: int) -> bool:
        try:
            async with probe.connect() as peer:
                await peer.echo(probe.payload_of_size(size))
        except (Deviation, NotApplicableError):
            return False
        return True

    width = probe.wire.header_bytes
    if await is_echoed(limit - 1):
        return "limit-off-by-one"
    if limit > width and await is_echoed(limit - width):
        return "limit-counts-header"
    return None


@case("1.8")
async def every_byte_value(probe: Probe) -> str:
    probe.dialogue.needs_echo()
    values = bytes(range(256))
    shuffled = bytearray(values)
    probe.random.shuffle(shuffled)
    size = probe.fitting(256)
    orders = [values, values[::-1], bytes(shuffled)] if size == 256 else [values]
    together = [order[at : at + size] for order in orders for at in range(0, 256, size)]
    alone = [bytes([value]) for value in (0x00, 0x04, 0x0A, 0x0D, 0x1A, 0x20, 0x7F, 0x80, 0xFF)]
    async with probe.connect() as peer:
        await peer.echo(*together, *alone, _NEXT)
    return "all 256 byte values came back as they were"


@case("1.11")
async def frame_after_frame(probe: Probe) -> str:
    async with probe.connect() as peer:
        for _ in range(_FRAMES_IN_A_ROW):
            await peer.echo(probe.payload(probe.fitting(10)))
    return f"{_FRAMES_IN_A_ROW} frames came back right on a connection, one after another"


@case("1.12", may_end_server=True)
async def beginning_of_a_header(probe: Probe) -> str:
    frame = probe.wire.frame(probe.payload(probe.with_long_header(9)))
    width = probe.wire.payload_at(frame)
    if width == 1:
        raise NotApplicableError("a header of one byte has no beginning")
    for cut in (1, width - 1):
        async with probe.connect() as peer:
            await peer.send(frame[:cut])
            received = await peer.receive(within_s=max(_LISTEN_S, 2 * probe.pause_s))
        # A server that takes it for another header answers with that, and 2.3 is about it.
        if received == frame[:cut] or (isinstance(received, bytes) and not probe.dialogue.is_echo):
            came = "came back" if received == frame[:cut] else f"had the reply {received[:16].hex(' ')}"
            raise Deviation(
                Kind.EXTRA,
                "nothing to come before a frame is complete",
                f"{plural(cut, 'byte')} of {width} of a header {came} at once: {frame[:cut].hex(' ')}",
                received_bytes=received,
                cause_id="streams-before-complete",
            )
    return "the first bytes of a header did not come back"


@case("1.9")
async def payloads_like_headers(probe: Probe) -> str:
    probe.dialogue.needs_echo()
    wire = probe.wire
    payloads = (
        wire.header(0),
        wire.header(5) + b"hello",
        wire.frame(wire.frame(b"inner")),
        4 * wire.header(0),
        4 * wire.number(wire.largest_number),
        wire.header(1),
        b"ab" + wire.header(3) + b"c",
    )
    async with probe.connect() as peer:
        await peer.echo(*payloads, _NEXT)
    return f"{len(payloads)} payloads with headers in them came back as they were"


@case("1.10")
async def nothing_trimmed(probe: Probe) -> str:
    probe.dialogue.needs_echo()
    payloads = (
        b" blanks ",
        b"\ttab\t",
        b"two\r\nlines\r\n",
        b"\r\n",
        b"   ",
        b"\0zero\0",
        b"\0\0\0",
        "naïve ✓".encode(),
        b"\xff\xfe\xfd",
        b"caf\xe9",
        b"\xc3",
        *_WORDS,
    )
    async with probe.connect() as peer:
        for payload in payloads:
            try:
                await peer.echo(payload)
            except Deviation as deviation:
                deviation.actual += f" (the payload was {payload!r})"
                deviation.cause_id = deviation.cause_id or _cause_of_trimming(probe, payload, deviation)
                raise
        await peer.echo(_NEXT)
    return "blanks, line ends, zero bytes, bytes that are no text and words came back as they were"


def _cause_of_trimming(probe: Probe, payload: bytes, deviation: Deviation) -> str | None:
    if payload in _WORDS:
        return "word-taken-for-command" if is_stop(deviation) else None
    received = deviation.received_bytes
    payloads, _ = probe.wire.split(received)
    if payloads and payloads[0] in (
        payload.strip(),
        payload.rstrip(),
        payload.strip(b"\0"),
        payload.rstrip(b"\0"),
    ):
        return "strips-whitespace"
    try:
        payload.decode()
    except UnicodeDecodeError:
        return "text-decoding"
    if b"\n" in payload and deviation.kind in (Kind.SILENCE, Kind.WRONG):
        return "line-oriented" if payload.strip() else "strips-whitespace"
    return "strips-whitespace" if payload.strip(b" \t\r\n\0") != payload else None
