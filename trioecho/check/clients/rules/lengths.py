"""Section C4: lengths that a client should not believe."""

from __future__ import annotations

import trio

from ...book.rule import Heading, Level
from ...book.sources import NETTY, RUBRIC, TOKIO
from ...client.finding import Deviation, Kind, NotApplicableError
from ..client_run import ClientRun
from ..probe import ClientProbe
from ..registry import Chapter
from ..served import Served
from ..watch import MOST_GROWTH_BYTES

LENGTHS = Chapter(
    4,
    "Lengths",
    "A reply announces more than any message has. The client notices, and gives it no memory.",
)
_rule = LENGTHS.rule

_MIB = 1 << 20
_ENORMOUS = (1 << 32) - 1
# A block of an endless reply, and how much of it is sent: more than the memory that is allowed.
_BLOCK_BYTES, _ENDLESS_BYTES = 1 << 16, 2 * MOST_GROWTH_BYTES
_OVERSIZED_BYTES = 1 << 20


def _enormous(probe: ClientProbe) -> int:
    """Return the largest payload that a header can announce, up to 4 GiB.

    Raises:
      NotApplicableError: that is not much.
    """
    length = min(probe.wire.largest_payload, _ENORMOUS)
    if length <= 2 * MOST_GROWTH_BYTES:
        raise NotApplicableError(f"headers of {probe.wire} cannot announce enormous lengths")
    return length


async def _announced(probe: ClientProbe, length: int, *, is_endless: bool = False) -> ClientRun:
    """Announce a reply of that length; send ten bytes of it, or more than the client may keep."""
    words = f"a header that announces {length:,} bytes" + (", and bytes without end" if is_endless else "")

    async def reply(connection: Served, number: int, payload: bytes) -> None:
        if number < probe.middle:
            await probe.reply_right(connection, number, payload)
            return
        probe.spoil(connection, words)
        await connection.send(probe.wire.header(length) + probe.junk(10))
        if is_endless:
            await connection.send_block(bytes(_BLOCK_BYTES), _ENDLESS_BYTES)
        await trio.sleep_forever()

    return await probe.run_with(reply, watches_memory=True)


@_rule(
    "4 GiB announced",
    "When a header announces 4 GiB, the client ends in a reasonable time, with an exit code that is not 0.",
    reason="The length of an echo is known before it comes: any other is wrong when the header is whole.",
    source=f"{TOKIO}: max_frame_length; {NETTY}: maxFrameLength; {RUBRIC}: edge cases",
    heading=Heading.EDGE_CASES,
)
async def announced(probe: ClientProbe) -> str:
    run = await _announced(probe, _enormous(probe))
    if run.was_large:
        raise NotApplicableError("it took much memory and was ended, which rule C4.2 is about")
    run.must_notice("length-not-compared", in_time=Level.SHOULD)
    return f"the client noticed {run.fault}"


@_rule(
    "No memory for 4 GiB announced",
    "When a header announces 4 GiB, the client takes memory only for bytes that come.",
    reason="A server, or whoever has its place, ends every client with four bytes otherwise.",
    source="CWE-789: memory allocation with excessive size value",
    heading=Heading.EDGE_CASES,
)
async def announced_memory(probe: ClientProbe) -> str:
    run = await _announced(probe, _enormous(probe))
    if run.grown_bytes is None and run.exit_code is None:
        raise NotApplicableError("memory can be read only where there is /proc")
    if run.was_large:
        raise Deviation(
            Kind.OTHER,
            "memory to grow with the bytes that came, which were ten",
            f"the client asked for {(run.grown_bytes or 0) // _MIB:,} MiB",
            cause_id="trusts-reply-length",
        )
    if run.grown_bytes is None:
        return "the client had ended before its memory could grow"
    return f"memory grew by {run.grown_bytes // _MIB:,} MiB"


@_rule(
    "The highest bit",
    "When only the highest bit of a length is set, and the right echo follows, the client ends with an exit "
    "code that is not 0.",
    reason="Read as a signed number it is negative, which many a loop takes for nothing to read.",
    source="Erlang {packet, 4}: an unsigned integer; CWE-195: signed to unsigned conversion error",
    heading=Heading.EDGE_CASES,
)
async def highest_bit(probe: ClientProbe) -> str:
    if not probe.wire.is_plain or probe.wire.header_bytes < 4:
        raise NotApplicableError(f"a length of {probe.wire} has no highest bit that makes it enormous")
    number = 1 << (8 * probe.wire.header_bytes - 1)

    async def reply(connection: Served, at: int, payload: bytes) -> None:
        if at == probe.middle:
            probe.spoil(connection, f"a header that announces {number:,} bytes, and the echo")
            await connection.send(probe.wire.number(number))
        await probe.reply_right(connection, at, payload)

    run = await probe.run_with(reply, watches_memory=True)
    if run.was_large:
        raise NotApplicableError("it took much memory and was ended, which rule C4.2 is about")
    run.must_notice("signed-reply-length", in_time=Level.SHOULD)
    return f"the client noticed {run.fault}"


@_rule(
    "A reply without end",
    "When a header announces 4 GiB and bytes come without end, the client ends, with an exit code that is "
    "not 0, before it has taken much memory for them.",
    reason="Bytes that do come fill the memory of a client that only checks what it was sent at the end.",
    source="CWE-770: allocation of resources without limits",
    heading=Heading.EDGE_CASES,
)
async def without_end(probe: ClientProbe) -> str:
    run = await _announced(probe, _enormous(probe), is_endless=True)
    run.must_notice("length-not-compared", in_time=Level.SHOULD if not run.was_large else None)
    return "the client ended, and took no memory to speak of"


@_rule(
    "A reply that goes on behind the echo",
    "When the last reply has the right bytes, and a header that announces many more, which come, the client "
    "ends with an exit code that is not 0.",
    reason="A client that reads as many bytes as it has sent, whatever the header says, reads no frames.",
    source=f"{RUBRIC}: framing robustness",
    heading=Heading.ROBUSTNESS,
)
async def goes_on(probe: ClientProbe) -> str:
    async def reply(connection: Served, number: int, payload: bytes) -> None:
        if probe.fault or number < probe.facts.messages:
            await probe.reply_right(connection, number, payload)
            return
        more = min(_OVERSIZED_BYTES, probe.wire.largest_payload - len(payload))
        probe.spoil(connection, f"a last reply of {len(payload) + more:,} bytes, which begins as the echo")
        await connection.send(probe.wire.frame(payload + bytes(more)))

    run = await probe.run_with(reply)
    run.must_notice("header-ignored")
    return f"the client noticed {run.fault}"
