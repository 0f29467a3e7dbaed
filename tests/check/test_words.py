"""What is said of bytes and of servers, in transcripts and in notes."""

from __future__ import annotations

import socket
import sys

import pytest

from tests.support.check_servers import check_address, listening
from tests.support.guard import guarded
from trioecho.check.cases import CASES
from trioecho.check.cases.limits import _mib
from trioecho.check.client.finding import Kind, echo_deviation
from trioecho.check.client.transcript import Transcript
from trioecho.check.client.wire import Wire
from trioecho.check.runner.outcome import CaseOutcome, with_output_once
from trioecho.check.spawned.spawned_server import SpawnError, spawn_server
from trioecho.check.verdict import Verdict
from trioecho.cli.check_wire import wire_of
from trioecho.framing import FrameFormat

WIRE = Wire()


# ---- transcripts ----


async def test_a_transcript_is_bounded_and_says_what_it_left_out() -> None:
    transcript = Transcript()
    transcript.bytes_moved(1, "sent", bytes(1000))
    for number in range(100):
        transcript.happened(1, f"event {number}")
    events = transcript.events
    assert len(events) + transcript.left_out == 101
    assert transcript.left_out > 0
    assert (events[0].size_bytes, events[0].left_out_bytes) == (1000, 1000 - len(events[0].data))
    assert events[-1].text == "event 99"
    assert list(events) == sorted(events, key=lambda event: event.t_s)


# ---- words ----


@pytest.mark.parametrize(
    ("kind", "received", "words"),
    [
        (Kind.SILENCE, b"", "nothing came for 1.5 s"),
        (Kind.END, b"", "the server ended the connection"),
        (Kind.END, WIRE.frame(b"abc"), "1 frame came back right, then the server ended the connection"),
        (
            Kind.RESET,
            WIRE.frame(b"abc") + b"\0\0",
            "1 frame and 2 bytes of the next came back right, then the server reset the connection",
        ),
        (Kind.WRONG, b"\0\0\0\x04", "the echo of frame 1 differs in its header: 0x04 came instead of 0x03"),
        (
            Kind.WRONG,
            WIRE.frame(b"aXc"),
            "the echo of frame 1 differs in its payload, byte 1: 0x58 came instead of 0x62",
        ),
    ],
)
def test_what_came_is_said_in_words(kind: Kind, received: bytes, words: str) -> None:
    found = echo_deviation(WIRE, kind, WIRE.frames(b"abc", b"def"), received, waited_s=1.5)
    assert found.actual == words
    assert found.expected == "the echoes of 2 frames, 14 bytes"


def test_a_place_in_a_payload_is_counted_behind_the_header_that_the_frame_has() -> None:
    wire = wire_of(FrameFormat.parse("netstring"))
    sent = wire.frames(b"a", bytes(1000))
    at = sent.index(b"1000:")
    for place, words in ((at + 4, "header"), (at + 5, "payload, byte 0"), (at + 25, "payload, byte 20")):
        received = sent[:place] + b"X"
        found = echo_deviation(wire, Kind.WRONG, sent, received, waited_s=0)
        assert found.actual.startswith(f"the echo of frame 2 differs in its {words}: 0x58 came")


# ---- what is said of a server ----


def test_memory_that_shrinks_has_not_grown() -> None:
    assert [_mib(grown) for grown in (-(1 << 20), 0, 3 << 20)] == ["0", "0", "3"]


def outcome(case_id: str, *notes: str) -> CaseOutcome:
    return CaseOutcome(CASES[case_id], Verdict.FAIL, "", 0, (), 0, notes=notes)


def test_what_a_server_wrote_is_told_once_and_not_for_ever() -> None:
    wrote = [[f"the server wrote: {number}-{line}" for line in range(8)] for number in range(5)]
    found = list(
        with_output_once(
            [
                outcome("1.1", "first", *wrote[0]),
                outcome("1.2", *wrote[0]),
                outcome("1.3", "the server wrote: a line"),
                *(outcome(case_id, *wrote[1 + at]) for at, case_id in enumerate(("1.4", "1.5", "1.6"))),
            ]
        )
    )
    assert [len(each.notes) for each in found] == [9, 1, 1, 8, 8, 1]
    assert found[1].notes == ("the server wrote the same as in case 1.1",)
    assert found[5].notes == ("the server wrote more, which is left out here",)


async def test_what_comes_wrong_at_once_comes_after_nothing() -> None:
    def upside_down(peer: socket.socket) -> None:
        while data := peer.recv(1 << 16):
            peer.sendall(data if len(data) < 100 else data[::-1])

    with listening(upside_down) as address:
        [found] = (await check_address(address, "3.5")).results
    assert found.verdict is Verdict.FAIL
    assert "after 0 bytes" not in found.actual


async def test_a_line_of_a_server_is_made_safe_and_short() -> None:
    program = f"print('\\x1b]0;owned\\x07' + 'x' * 1000); raise SystemExit({3})"
    with guarded(), pytest.raises(SpawnError) as error:
        async with spawn_server([sys.executable, "-c", program, "{port}"], timeout_s=20):
            pass
    assert r"its last line was: \x1b]0;owned\x07xxx" in str(error.value)
    assert str(error.value).endswith("xxx...")
    assert len(str(error.value)) < 500
