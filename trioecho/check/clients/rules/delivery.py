"""Section C1: servers that are right, whose replies arrive in every way that TCP may deliver them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import trio

from ....base.quantities import plural
from ...book.rule import Heading
from ...book.sources import BYTE_STREAM, RUBRIC
from ...client.finding import InconclusiveError, NotApplicableError
from ..probe import ClientProbe
from ..registry import Chapter
from ..served import Served

DELIVERY = Chapter(
    1,
    "Delivery",
    "Every reply is right; how its bytes arrive, and when, differs. The client ends with exit code 0.",
)
_rule = DELIVERY.rule

# So many pieces of a run have a pause behind them; the others are sent at once.
_PAUSES = 150
_LATE_S = 1.0
# A client that sends so many frames one by one is not waited for again.
_LONELY = 3
# How long a client that has more to send sends nothing.
_QUIET_S = 0.1
# Less than this finds room in the buffers between a client and a server.
_MUCH_BYTES = 1 << 20

# Cuts the frame with this number, whose header and payload have these sizes, at these places.
_Cuts = Callable[[int, int, int], Iterator[int]]


@_rule(
    "A server that is right",
    "When every frame is echoed whole and at once, the client ends its connections, and then its process "
    "with exit code 0.",
    reason="Scripts look at the exit code; a client that fails where nothing is wrong is of no use.",
    source=f"exit(3): EXIT_SUCCESS is 0; {RUBRIC}: correctness",
    heading=Heading.CORRECTNESS,
    is_core=True,
)
async def right_server(probe: ClientProbe) -> str:
    run = await probe.run(probe.serve_right)
    run.must_succeed("", "fails-with-right-server")
    return f"{plural(run.frames, 'message')} came back, and the exit code was 0"


async def _in_pieces(probe: ClientProbe, cuts: _Cuts, when: str, cause_id: str) -> str:
    """Send each reply cut in pieces, with pauses between them, as long as there are pauses left."""
    pauses = _PAUSES
    cut_frames = 0

    async def reply(connection: Served, number: int, payload: bytes) -> None:
        nonlocal pauses, cut_frames
        frame = probe.wire.frame(payload)
        header_size = len(frame) - len(payload)
        places = [*cuts(number, header_size, len(payload))][: max(0, pauses - 1)]
        pauses -= len(places)
        cut_frames += bool(places)
        ends = [0, *places, len(frame)]
        for start, end in pairwise(ends[:-1]):
            if not await connection.send(frame[start:end]):
                return
            await trio.sleep(probe.pause_s)
        await connection.send(frame[ends[-2] :])

    run = await probe.run_with(reply)
    if not cut_frames and run.frames:
        raise NotApplicableError(f"no frame of this client, of {probe.wire}, can be cut there")
    run.must_succeed(when, cause_id)
    return f"{plural(cut_frames, 'reply').replace('replys', 'replies')} came {when}"


@_rule(
    "One byte at a time",
    "When replies arrive one byte at a time, the client reads them as if they had come in one piece.",
    reason="One receive is not one frame: TCP delivers bytes, and any number of them may come first.",
    source=BYTE_STREAM,
    heading=Heading.ROBUSTNESS,
    is_core=True,
)
async def one_byte_at_a_time(probe: ClientProbe) -> str:
    return await _in_pieces(
        probe,
        lambda number, header, payload: iter(range(1, header + payload)),
        "one byte at a time",
        "one-recv-per-reply",
    )


@_rule(
    "Cut in the header",
    "When the first bytes of a header arrive before its others, the client waits for these.",
    reason="recv(4) gives up to four bytes. One that gives two makes a wrong length of them.",
    source="recv(2): a receive gives up to the amount asked for",
    heading=Heading.ROBUSTNESS,
)
async def cut_in_header(probe: ClientProbe) -> str:
    return await _in_pieces(
        probe,
        lambda number, header, payload: iter([1 + number % (header - 1)] if header > 1 else []),
        "cut in the header",
        "reply-header-taken-whole",
    )


@_rule(
    "Cut behind the header",
    "When a header arrives before its payload, the client waits for the payload.",
    reason="Many servers send both by calls of their own, and TCP may deliver them apart.",
    source=BYTE_STREAM,
    heading=Heading.ROBUSTNESS,
)
async def cut_behind_header(probe: ClientProbe) -> str:
    def cuts(number: int, header: int, payload: int) -> Iterator[int]:
        if payload:
            yield header

    return await _in_pieces(probe, cuts, "with the header apart", "one-recv-per-reply")


@_rule(
    "Cut in the payload",
    "When the first half of a payload arrives before its second, the client waits for that.",
    reason="On loopback a small payload arrives whole, every time; elsewhere a segment has some 1,400 bytes.",
    source="recv(2): a receive gives up to the amount asked for",
    heading=Heading.ROBUSTNESS,
    is_core=True,
)
async def cut_in_payload(probe: ClientProbe) -> str:
    def cuts(number: int, header: int, payload: int) -> Iterator[int]:
        if payload > 1:
            yield header + payload // 2

    return await _in_pieces(probe, cuts, "cut in the payload", "reply-payload-taken-whole")


async def _in_batches(
    probe: ClientProbe, pieces: Callable[[list[bytes]], list[bytes]], when: str, cause_id: str
) -> str:
    """Reply to all frames together that the client sends without waiting for replies."""
    most = 0

    async def serve(connection: Served) -> None:
        nonlocal most
        lonely = 0
        while batch := await connection.next_batch(_QUIET_S if lonely < _LONELY else 0):
            lonely = lonely + 1 if len(batch) == 1 else 0
            most = max(most, len(batch))
            frames = [probe.wire.frame(payload) for payload in batch]
            await connection.send_apart(pieces(frames), probe.pause_s)
        connection.half_close()

    run = await probe.run(serve)
    if most == 1:
        raise NotApplicableError("the client waits for each reply, so there are never two to send")
    run.must_succeed(when, cause_id)
    return f"up to {most} replies came {when}"


@_rule(
    "Several replies in one segment",
    "When several replies arrive together, the client takes each of them.",
    reason="A client that sends several messages at once gets their replies as TCP merges them.",
    source=BYTE_STREAM,
    heading=Heading.ROBUSTNESS,
)
async def replies_in_one_segment(probe: ClientProbe) -> str:
    return await _in_batches(probe, lambda frames: [b"".join(frames)], "in one segment", "one-reply-per-recv")


@_rule(
    "The end of a reply with the next one's beginning",
    "When the end of a reply arrives with the beginning of the next, the client keeps the beginning until "
    "the rest has come.",
    reason="Segments begin and end anywhere in a frame.",
    source=BYTE_STREAM,
    heading=Heading.ROBUSTNESS,
)
async def ends_with_beginnings(probe: ClientProbe) -> str:
    def pieces(frames: list[bytes]) -> list[bytes]:
        halves = [half for frame in frames for half in (frame[: len(frame) // 2], frame[len(frame) // 2 :])]
        return [halves[0], *(a + b for a, b in zip(halves[1:-1:2], halves[2:-1:2], strict=True)), halves[-1]]

    return await _in_batches(probe, pieces, "each with the beginning of the next", "drops-rest-of-reply")


@_rule(
    "A late reply",
    "When a reply comes a second late, the client waits for it.",
    reason="A server may be busy, and a lost segment is sent again a fifth of a second later.",
    source="RFC 6298, 2.4: a retransmission timer starts at one second",
    heading=Heading.EDGE_CASES,
)
async def late_reply(probe: ClientProbe) -> str:
    was_late = False

    async def reply(connection: Served, number: int, payload: bytes) -> None:
        nonlocal was_late
        if number >= probe.middle and not was_late:
            was_late = True
            connection.note(f"waiting {_LATE_S:g} s")
            await trio.sleep(_LATE_S)
        await probe.reply_right(connection, number, payload)

    run = await probe.run_with(reply)
    if not was_late:
        raise InconclusiveError(f"the client sent only {plural(run.frames, 'message')} this time")
    run.must_succeed(f"though one came {_LATE_S:g} s late", "gives-up-early")
    return f"reply {probe.middle} came {_LATE_S:g} s late"


@_rule(
    "The end behind the last reply",
    "When the server ends its side right behind the last reply, the client still takes that, and is content.",
    reason="The end of the stream says that no more comes; what came before it is whole, and right.",
    source="RFC 9293, 3.6: who has closed may go on receiving",
    heading=Heading.EDGE_CASES,
)
async def end_behind_last_reply(probe: ClientProbe) -> str:
    if probe.facts.connections > 1:
        raise NotApplicableError("of several connections it is not known which reply is the last")
    has_ended = False

    async def reply(connection: Served, number: int, payload: bytes) -> None:
        nonlocal has_ended
        if number < probe.facts.messages or has_ended:
            await probe.reply_right(connection, number, payload)
            return
        has_ended = True
        await connection.send_and_half_close(probe.wire.frame(payload))

    run = await probe.run_with(reply)
    if run.frames > probe.facts.messages:
        raise NotApplicableError("the client does not send the same number of messages each time")
    run.must_succeed("and the stream has ended behind the last", "end-taken-for-failure")
    return "the end of the stream came with the last reply"


@_rule(
    "Reads while it sends",
    "While the client sends much, it reads the replies that come meanwhile, so that a server which takes "
    "nothing before its replies are taken goes on.",
    reason="When the buffers of both directions are full, and each side only sends, neither ever goes on.",
    source=f"send(2): a send waits where there is no room; {RUBRIC}: edge cases",
    heading=Heading.EDGE_CASES,
)
async def reads_while_sending(probe: ClientProbe) -> str:
    if not probe.facts.is_pipelining:
        raise NotApplicableError(
            "the client waits for each reply, so it never sends while replies lie unread"
        )
    if probe.facts.sent_bytes < _MUCH_BYTES:
        sent = plural(probe.facts.sent_bytes, "byte")
        raise NotApplicableError(f"the client sends {sent} in all, for which the buffers have room")
    run = await probe.run(probe.serve_right, is_narrow=True)
    run.must_succeed("and taken one after the other", "sends-all-before-it-reads")
    return f"{plural(run.frames, 'message')} came back while the client sent"
