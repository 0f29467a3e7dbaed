"""Section C3: servers that end, or fall silent, where a reply should come."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import trio

from ...book.rule import Heading, Level
from ...book.sources import RUBRIC
from ...client.finding import NotApplicableError
from ..probe import ClientProbe
from ..registry import Chapter
from ..served import Served

ENDINGS = Chapter(
    3,
    "Endings",
    "The server ends the connection, or says nothing more, where a reply should come. The client notices: "
    "it ends in a reasonable time, and its exit code is not 0.",
)
_rule = ENDINGS.rule

# Between the bytes of a reply that never becomes whole.
_DRIBBLE_S = 0.2


async def _cut_off(probe: ClientProbe, part: Callable[[bytes, int], bytes], words: str, cause_id: str) -> str:
    """Send the beginning of a reply, which is given its payload's place, and end the stream there."""

    async def reply(connection: Served, number: int, payload: bytes) -> None:
        frame = probe.wire.frame(payload)
        beginning = part(frame, len(frame) - len(payload))
        if probe.fault or number < probe.middle or (beginning and len(beginning) >= len(frame)):
            await connection.send(frame)
            return
        probe.spoil(connection, words)
        if beginning:
            await connection.send(beginning)
        connection.half_close()
        await trio.sleep_forever()

    run = await probe.run_with(reply)
    if not probe.fault and run.frames >= probe.middle:
        raise NotApplicableError("the client's messages are too short to be cut off there")
    run.must_notice(cause_id, cause_of_waiting="end-not-noticed")
    return f"the client noticed {words}"


@_rule(
    "The end instead of a reply",
    "When the server ends its side instead of the next reply, the client ends with an exit code that is "
    "not 0.",
    reason="A message whose reply has not come is not delivered, however politely the server has left.",
    source=f"recv(2): 0 bytes is the end of the stream; {RUBRIC}: edge cases",
    heading=Heading.EDGE_CASES,
    is_core=True,
)
async def end_instead_of_reply(probe: ClientProbe) -> str:
    words = "the end instead of a reply"
    return await _cut_off(probe, lambda frame, header: b"", words, "end-taken-for-success")


@_rule(
    "The end in a header",
    "When the stream ends in the header of a reply, the client ends with an exit code that is not 0.",
    reason="A receive that gives nothing must end the loop that waits for four bytes, and not as if all "
    "had come.",
    source="recv(2): 0 bytes is the end of the stream",
    heading=Heading.EDGE_CASES,
)
async def end_in_header(probe: ClientProbe) -> str:
    if probe.wire.header_bytes == 1:
        raise NotApplicableError("a header of one byte cannot be cut")

    def part(frame: bytes, header: int) -> bytes:
        return frame[: max(1, min(header, probe.wire.header_bytes) // 2)]

    return await _cut_off(probe, part, "the end in the header of a reply", "end-taken-for-success")


@_rule(
    "The end in a payload",
    "When the stream ends in the payload of a reply, the client ends with an exit code that is not 0.",
    reason="Half a reply is no reply, though all of it is right as far as it goes.",
    source="recv(2): 0 bytes is the end of the stream",
    heading=Heading.EDGE_CASES,
)
async def end_in_payload(probe: ClientProbe) -> str:
    def part(frame: bytes, header: int) -> bytes:
        return frame[: header + (len(frame) - header) // 2] if len(frame) - header > 1 else frame

    return await _cut_off(probe, part, "the end in the payload of a reply", "end-in-payload-accepted")


@_rule(
    "A reset",
    "When the server resets the connection instead of the next reply, the client ends with an exit code "
    "that is not 0.",
    reason="ECONNRESET that is caught and forgotten looks like a run in which all went well.",
    source=f"RFC 9293, 3.10.7.4: reset processing; {RUBRIC}: edge cases",
    heading=Heading.EDGE_CASES,
)
async def reset(probe: ClientProbe) -> str:
    async def reply(connection: Served, number: int, payload: bytes) -> None:
        if probe.fault or number < probe.middle:
            await probe.reply_right(connection, number, payload)
            return
        probe.spoil(connection, "a reset instead of a reply")
        connection.reset()
        await trio.sleep_forever()

    run = await probe.run_with(reply)
    run.must_notice("reset-swallowed")
    return "the client noticed a reset"


@_rule(
    "Closed at once",
    "When the server ends its side as soon as it has accepted the connection, the client ends with an exit "
    "code that is not 0.",
    reason="A server that is full, or a proxy without one behind it, does so; no message has a reply then.",
    source=f"{RUBRIC}: edge cases",
    heading=Heading.EDGE_CASES,
)
async def closed_at_once(probe: ClientProbe) -> str:
    async def serve(connection: Served) -> None:
        probe.spoil(connection, "the end before any reply")
        connection.half_close()

    run = await probe.run(serve)
    run.must_notice("end-taken-for-success", cause_of_waiting="end-not-noticed")
    return "the client noticed that the connection was closed at once"


async def _silent(
    probe: ClientProbe,
    words: str,
    beginning: Callable[[bytes], bytes],
    *,
    dribbles: bool = False,
    cause_of_waiting: str = "waits-without-end",
) -> str:
    """Send the beginning of a reply, and nothing more; or a byte of the rest now and then, without an end."""

    async def reply(connection: Served, number: int, payload: bytes) -> None:
        frame = probe.wire.frame(payload)
        if number < probe.middle or (dribbles and len(payload) < 1):
            await connection.send(frame)
            return
        probe.spoil(connection, words)
        if dribbles:
            await _dribble(connection)
        elif data := beginning(frame):
            await connection.send(data)
        await trio.sleep_forever()

    async def _dribble(connection: Served) -> None:
        # As much as no timeout of this run lets come to its end.
        header = probe.wire.header(min(probe.wire.largest_payload, 1 << 16))
        await connection.send(header)
        await connection.send_apart(itertools.repeat(b"."), _DRIBBLE_S)

    run = await probe.run_with(reply)
    run.must_notice("silence-taken-for-success", level=Level.MUST, cause_of_waiting=cause_of_waiting)
    return f"the client gave up after {words}"


@_rule(
    "No reply",
    "When no reply comes, and no end, the client gives up in a reasonable time (--reply-timeout), with an "
    "exit code that is not 0.",
    reason="A server that hangs must not make everybody hang who waits for it.",
    source="socket.settimeout, SO_RCVTIMEO: a receive waits without end unless it is told otherwise",
    heading=Heading.EDGE_CASES,
    level=Level.SHOULD,
)
async def no_reply(probe: ClientProbe) -> str:
    return await _silent(probe, "a reply that does not come", lambda frame: b"")


@_rule(
    "Half a reply",
    "When half a reply comes and nothing more, the client gives up in a reasonable time, with an exit code "
    "that is not 0.",
    reason="A timeout that is only for the beginning of a reply does not end the wait for its rest.",
    source="socket.settimeout",
    heading=Heading.EDGE_CASES,
    level=Level.SHOULD,
)
async def half_a_reply(probe: ClientProbe) -> str:
    return await _silent(probe, "half a reply", lambda frame: frame[: len(frame) // 2])


@_rule(
    "A reply that never becomes whole",
    "When a byte of a reply comes now and then, and it never becomes whole, the client gives up in a "
    "reasonable time, with an exit code that is not 0.",
    reason="A timeout of each receive begins anew with every byte; one of the whole reply does not.",
    source="the pattern of slow HTTP attacks (CWE-400)",
    heading=Heading.EDGE_CASES,
    level=Level.SHOULD,
)
async def never_whole(probe: ClientProbe) -> str:
    return await _silent(
        probe,
        "a reply that comes a byte at a time, without an end",
        lambda frame: b"",
        dribbles=True,
        cause_of_waiting="timeout-of-each-receive",
    )


@_rule(
    "Nobody listens",
    "When the connection is refused, the client ends in a reasonable time, with an exit code that is not 0.",
    reason="A client that fails without saying so lets its caller go on.",
    source="connect(2): ECONNREFUSED",
    heading=Heading.EDGE_CASES,
)
async def nobody_listens(probe: ClientProbe) -> str:
    run = await probe.run(probe.serve_right, listens=False)
    run.must_notice("refusal-swallowed", in_time=Level.SHOULD, cause_of_waiting="tries-without-end")
    return "the client noticed that nobody listens"
