"""Section C5: what the client does by itself."""

from __future__ import annotations

import trio

from ....base.quantities import plural
from ...book.rule import Heading, Level
from ...book.sources import RUBRIC
from ...client.finding import Deviation, Kind, NotApplicableError
from ..probe import ClientProbe
from ..registry import Chapter
from ..served import Served

CONDUCT = Chapter(
    5,
    "Conduct",
    "What the client sends, how it ends its connections, and what it says when something is wrong.",
)
_rule = CONDUCT.rule


@_rule(
    "Nothing but frames",
    "All that the client sends is whole frames: the stream does not end in the middle of one.",
    reason="A server waits for the rest of a frame that was begun, or has to take it for a truncated one.",
    source=f"{RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
    is_core=True,
)
async def nothing_but_frames(probe: ClientProbe) -> str:
    run = await probe.run(probe.serve_right)
    for connection in run.connections:
        if connection.rest:
            raise Deviation(
                Kind.EXTRA,
                "the stream to end with a frame",
                f"{plural(len(connection.rest), 'byte')} came behind the last whole frame: "
                f"{connection.rest[:16].hex(' ')}",
                received_bytes=connection.rest,
                cause_id="sends-part-of-frame",
            )
    return f"{plural(run.frames, 'whole frame')} came, and nothing else"


@_rule(
    "Ends its connections",
    "When the client has ended, its connections have, too: it leaves none open behind it. Each SHOULD end "
    "with FIN, not with an RST.",
    reason="The server keeps a place for each. An RST is what it sees of a client that has crashed.",
    source="RFC 9293, 3.6: closing a connection; CWE-772",
    heading=Heading.EDGE_CASES,
)
async def ends_connections(probe: ClientProbe) -> str:
    run = await probe.run(probe.serve_right)
    if run.exit_code is None:
        raise NotApplicableError("the client did not end, which rule C1.1 is about")
    expected = "every connection to end with FIN"
    for connection in run.connections:
        if connection.ending is None:
            raise Deviation(
                Kind.SILENCE,
                expected,
                f"connection {connection.number} was still open after the client had ended",
                cause_id="leaves-connection-open",
            )
        if connection.ending is Kind.RESET:
            raise Deviation(
                Kind.RESET,
                expected,
                f"the client reset connection {connection.number}",
                cause_id="client-resets",
                level=Level.SHOULD,
            )
    return f"{plural(len(run.connections), 'connection')} ended with FIN"


@_rule(
    "Says what is wrong",
    "When a reply is wrong, the client says so: it writes something to stderr, or other last words to "
    "stdout than when all is right.",
    reason="An exit code says that something is wrong; only words say what.",
    source=f"{RUBRIC}: clear analysis",
    heading=Heading.EDGE_CASES,
    level=Level.SHOULD,
)
async def says_what_is_wrong(probe: ClientProbe) -> str:
    async def reply(connection: Served, number: int, payload: bytes) -> None:
        if not probe.fault and number >= probe.middle and payload:
            probe.spoil(connection, "an echo of which the first byte differs")
            payload = bytes((payload[0] ^ 0x5A,)) + payload[1:]
        await probe.reply_right(connection, number, payload)

    run = await probe.run_with(reply)
    if run.exit_code in (0, None) or not run.fault:
        raise NotApplicableError("the client did not notice a wrong reply, which rule C2.1 is about")
    if not run.lines or run.lines[-1] == probe.facts.last_line:
        raise Deviation(
            Kind.SILENCE,
            "words about what is wrong",
            f"the client wrote nothing about it; {run.in_words}",
            cause_id="fails-in-silence",
            is_uncertain=False,
        )
    return f"it wrote: {run.lines[-1]}"


@_rule(
    "Ctrl-C ends it",
    "When the client waits for a reply and gets SIGINT, it ends soon, with an exit code that is not 0.",
    reason="A person who waits, and a supervisor, have no other way to end it than to kill it.",
    source="signal(7): SIGINT",
    heading=Heading.EDGE_CASES,
    level=Level.SHOULD,
)
async def ctrl_c_ends_it(probe: ClientProbe) -> str:
    async def reply(connection: Served, number: int, payload: bytes) -> None:
        if number < probe.middle:
            await probe.reply_right(connection, number, payload)
            return
        probe.spoil(connection, "Ctrl-C while a reply does not come")
        await trio.sleep_forever()

    probe.notice_s = probe.interrupt_s
    run = await probe.run_with(reply, interrupts=True)
    if run.exit_code is not None and run.exit_code < 0:
        return f"{run.in_words}"
    run.must_notice("interrupt-taken-for-success", cause_of_waiting="interrupt-ignored")
    return f"{run.in_words}"
