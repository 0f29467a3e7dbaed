"""Section 1: one frame at a time."""

from __future__ import annotations

from ..book import Level
from ..finding import Deviation, Kind, plural
from ..probe import USUAL_LIMIT, Probe, nothing_came
from .registry import case

# Whatever else a server sends would come in the place of its echo.
_NEXT = b"next"


async def _echo_of_size(probe: Probe, size: int) -> str:
    probe.needs(size)
    async with probe.connect() as peer:
        await peer.echo(probe.payload(size))
        await peer.echo(_NEXT)
    return f"a frame of {plural(size, 'byte')} came back right"


@case("1.1")
async def empty_frame(probe: Probe) -> str:
    async with probe.connect() as peer:
        await peer.echo(b"")
        await peer.echo(_NEXT)
    return "an empty frame came back, and the next one"


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
            if nothing_came(deviation):
                deviation.cause_id = "limit-off-by-one"
            raise
    size = min(USUAL_LIMIT, probe.wire.largest_payload)
    try:
        return await _echo_of_size(probe, size)
    except Deviation as deviation:
        if nothing_came(deviation):
            # It may have a lower limit, of which nobody has told.
            deviation.level = Level.SHOULD
            deviation.actual += "; if its limit is lower, tell it with --max-frame-length"
        raise


@case("1.8")
async def every_byte_value(probe: Probe) -> str:
    values = bytes(range(256))
    half = probe.wire.largest_payload < 256
    shuffled = bytearray(values)
    probe.random.shuffle(shuffled)
    together = [values[:128], values[128:]] if half else [values, values[::-1], bytes(shuffled)]
    alone = [bytes([value]) for value in (0x00, 0x04, 0x0A, 0x0D, 0x1A, 0x20, 0x7F, 0x80, 0xFF)]
    async with probe.connect() as peer:
        await peer.echo(*together, *alone, _NEXT)
    return "all 256 byte values came back as they were"


@case("1.9")
async def payloads_like_headers(probe: Probe) -> str:
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
    return "blanks, line ends, zero bytes and bytes that are no text came back as they were"


def _cause_of_trimming(probe: Probe, payload: bytes, deviation: Deviation) -> str | None:
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
