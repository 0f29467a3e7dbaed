"""Section C2: replies that are frames, but not the right ones."""

from __future__ import annotations

from collections.abc import Callable

from ....base.quantities import plural
from ...book.rule import Heading
from ...book.sources import RUBRIC
from ...client.finding import InconclusiveError, NotApplicableError
from ..probe import ClientProbe
from ..registry import Chapter
from ..served import Served

REPLIES = Chapter(
    2,
    "Wrong replies",
    "One reply is a whole frame, but not the echo. The client notices: it ends, and its exit code is not 0.",
)
_rule = REPLIES.rule

_QUIET_S = 0.1
# Makes of a payload, and the one before it, the payload that is sent instead; None to wait for another.
_Alter = Callable[[bytes, bytes | None], bytes | None]


def _flipped(payload: bytes, at: int) -> bytes:
    """Return the payload with other bits in one byte."""
    return payload[:at] + bytes((payload[at] ^ 0x5A,)) + payload[at + 1 :]


async def _altered(
    probe: ClientProbe, alter: _Alter, words: str, cause_id: str, *, since: int | None = None
) -> str:
    """Send another payload instead of one in the middle; then go on as if nothing was wrong."""
    before: bytes | None = None
    first = probe.middle if since is None else since

    async def reply(connection: Served, number: int, payload: bytes) -> None:
        nonlocal before
        other = None if probe.fault or number < first else alter(payload, before)
        before = payload
        if other is None:
            await probe.reply_right(connection, number, payload)
            return
        probe.spoil(connection, f"{words} (message {number})")
        await connection.send(probe.wire.frame(other))

    run = await probe.run_with(reply)
    if not probe.fault and run.frames >= first:
        raise NotApplicableError("the client's messages have too few bytes, or all are alike")
    run.must_notice(cause_id)
    return f"the client noticed {probe.fault}"


@_rule(
    "A byte that differs",
    "When one byte of an echo in the middle differs from what was sent, the client ends with an exit code "
    "that is not 0.",
    reason="A client that does not compare all of every echo verifies nothing.",
    source=f"{RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
    is_core=True,
)
async def byte_differs(probe: ClientProbe) -> str:
    def alter(payload: bytes, before: bytes | None) -> bytes | None:
        return _flipped(payload, len(payload) // 2) if payload else None

    return await _altered(probe, alter, "an echo of which one byte differs", "replies-not-compared")


@_rule(
    "The last reply",
    "When the last byte of the last echo differs, the client ends with an exit code that is not 0.",
    reason="A client that looks at the first reply, or at a sample, does not know of the others.",
    source=f"{RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
)
async def last_reply_differs(probe: ClientProbe) -> str:
    def alter(payload: bytes, before: bytes | None) -> bytes | None:
        return _flipped(payload, len(payload) - 1) if payload else None

    words = "a last echo of which the last byte differs"
    return await _altered(probe, alter, words, "compares-some-replies", since=probe.facts.messages)


@_rule(
    "A byte less",
    "When an echo has one byte less than was sent, the client ends with an exit code that is not 0.",
    reason="A comparison that ends with the shorter of both finds no difference here.",
    source=f"{RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
)
async def byte_less(probe: ClientProbe) -> str:
    def alter(payload: bytes, before: bytes | None) -> bytes | None:
        return payload[:-1] if payload else None

    return await _altered(probe, alter, "an echo with one byte less", "compares-the-beginning")


@_rule(
    "A byte more",
    "When an echo has one byte more than was sent, the client ends with an exit code that is not 0.",
    reason="A comparison that ends with what was sent finds no difference here.",
    source=f"{RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
)
async def byte_more(probe: ClientProbe) -> str:
    def alter(payload: bytes, before: bytes | None) -> bytes | None:
        return payload + b"!" if len(payload) < probe.wire.largest_payload else None

    return await _altered(probe, alter, "an echo with one byte more", "compares-the-beginning")


@_rule(
    "An empty reply",
    "When an empty frame comes instead of an echo, the client ends with an exit code that is not 0.",
    reason="Code that takes an empty reply for nothing, or for a sign of life, takes it for no reply, and "
    "then the next one for its own.",
    source=f"{RUBRIC}: edge cases",
    heading=Heading.EDGE_CASES,
)
async def empty_reply(probe: ClientProbe) -> str:
    def alter(payload: bytes, before: bytes | None) -> bytes | None:
        return b"" if payload else None

    words = "an empty frame instead of the last echo"
    return await _altered(probe, alter, words, "empty-reply-accepted", since=probe.facts.messages)


@_rule(
    "The reply to another message",
    "When the echo of the message before comes again instead of the right one, the client ends with an exit "
    "code that is not 0.",
    reason="Replies that are off by one are each a right echo, but of another message.",
    source=f"{RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
)
async def other_message(probe: ClientProbe) -> str:
    def alter(payload: bytes, before: bytes | None) -> bytes | None:
        return before if before is not None and before != payload else None

    return await _altered(probe, alter, "the echo of the message before", "takes-any-message")


@_rule(
    "Two payloads in one frame",
    "When an echo has the payload twice behind one header, the client ends with an exit code that is not 0.",
    reason="A client that looks for what it sent in what it got finds it here.",
    source=f"{RUBRIC}: framing robustness",
    heading=Heading.ROBUSTNESS,
)
async def payload_twice(probe: ClientProbe) -> str:
    def alter(payload: bytes, before: bytes | None) -> bytes | None:
        return payload * 2 if payload and 2 * len(payload) <= probe.wire.largest_payload else None

    return await _altered(probe, alter, "two payloads in one frame", "compares-the-beginning")


@_rule(
    "A reply twice",
    "When an echo comes twice, and the others follow it, the client ends with an exit code that is not 0.",
    reason="From then on each reply belongs to the message before. A client that skips what does not fit "
    "would take replies that it has given up for new ones.",
    source=f"{RUBRIC}: edge cases",
    heading=Heading.EDGE_CASES,
)
async def reply_twice(probe: ClientProbe) -> str:
    if probe.facts.messages < 2:
        raise NotApplicableError("the client sends one message, so no other reply can follow")
    twice: bytes | None = None
    are_alike = False

    async def reply(connection: Served, number: int, payload: bytes) -> None:
        nonlocal twice, are_alike
        are_alike |= twice is not None and payload == twice
        frame = probe.wire.frame(payload)
        if probe.fault or number < min(probe.middle, probe.facts.messages - 1):
            await connection.send(frame)
            return
        twice = payload
        probe.spoil(connection, f"the echo of message {number} twice, in one segment")
        await connection.send(frame * 2)

    run = await probe.run_with(reply)
    if are_alike:
        raise NotApplicableError("two messages are alike, so an echo that comes twice is not seen")
    run.must_notice("skips-what-does-not-fit")
    return f"the client noticed {probe.fault}"


async def _one_batch_altered(
    probe: ClientProbe, alter: Callable[[list[bytes]], list[bytes]], words: str, cause_id: str
) -> str:
    """Alter the replies to the first frames that the client sends without waiting between them."""

    async def serve(connection: Served) -> None:
        while batch := await connection.next_batch(0 if probe.fault else _QUIET_S):
            if not probe.fault and len(set(batch)) > 1:
                probe.spoil(connection, words)
                batch = alter(batch)
            await connection.send(probe.wire.frames(*batch))
        connection.half_close()

    if probe.facts.messages < 2 or not probe.facts.is_pipelining:
        raise NotApplicableError("the client waits for each reply, so there are never two to choose from")
    run = await probe.run(serve)
    if not probe.fault and run.frames >= probe.facts.messages:
        raise InconclusiveError(
            f"of {plural(run.frames, 'message')} no two that differ were under way at a time"
        )
    run.must_notice(cause_id)
    return f"the client noticed {words}"


@_rule(
    "A reply left out",
    "When one of several replies is left out, and the others follow, the client ends with an exit code that "
    "is not 0.",
    reason="A message without reply is lost; a client that only counts, or skips, does not know which.",
    source=f"{RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
)
async def reply_left_out(probe: ClientProbe) -> str:
    return await _one_batch_altered(probe, lambda batch: batch[1:], "a reply left out", "tolerates-loss")


@_rule(
    "Two replies that have changed places",
    "When two replies come in the other order, the client ends with an exit code that is not 0.",
    reason="Without numbers in the frames their order is all that says which reply belongs to which message.",
    source=f"{RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
)
async def replies_swapped(probe: ClientProbe) -> str:
    def alter(batch: list[bytes]) -> list[bytes]:
        other = next(at for at, payload in enumerate(batch) if payload != batch[0])
        return [batch[other], *batch[1:other], batch[0], *batch[other + 1 :]]

    return await _one_batch_altered(probe, alter, "two replies in the other order", "order-not-compared")
