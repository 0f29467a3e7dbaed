"""The suite's parts without a server: frames, streams and their shortest forms, transcripts, diagnosis."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.check.diagnosis import diagnose
from trioecho.check.finding import Deviation, Kind, common_length, echo_deviation
from trioecho.check.generator import Stream, random_garbage, random_stream, shortest
from trioecho.check.obstacle import ONE_BEHIND
from trioecho.check.pace import Pace
from trioecho.check.survey import Survey
from trioecho.check.transcript import Transcript
from trioecho.check.wire import Wire

WIRE = Wire()
WIRES = [
    Wire(1),
    Wire(2, "little"),
    WIRE,
    Wire(4, counts_header=True),
    Wire(8, "little", counts_header=True),
]


# ---- frames ----


@pytest.mark.parametrize(
    ("wire", "name", "header"),
    [
        (Wire(1), "u8", struct.pack(">B", 5)),
        (Wire(2, "little"), "u16le", struct.pack("<H", 5)),
        (Wire(), "u32be", struct.pack(">I", 5)),
        (Wire(4, counts_header=True), "u32be+header", struct.pack(">I", 9)),
        (Wire(8), "u64be", struct.pack(">Q", 5)),
    ],
)
def test_a_wire_writes_headers(wire: Wire, name: str, header: bytes) -> None:
    assert str(wire) == name
    assert wire.frame(b"hello") == header + b"hello"
    assert wire.largest_payload == 256**wire.header_bytes - 1 - (
        wire.header_bytes if wire.counts_header else 0
    )


@given(st.sampled_from(WIRES), st.lists(st.binary(max_size=60)), st.data())
def test_frames_are_split_where_they_were_joined(
    wire: Wire, payloads: list[bytes], data: st.DataObject
) -> None:
    stream = wire.frames(*payloads)
    cut = data.draw(st.integers(0, len(stream)))
    whole, rest = wire.split(stream[:cut])
    assert whole == payloads[: len(whole)]
    assert wire.frames(*whole) + rest == stream[:cut]
    assert wire.split(stream) == (payloads, b"")


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_common_length(one: bytes, other: bytes) -> None:
    expected = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    assert common_length(one, other) == expected
    assert common_length(one, one + other) == len(one)


# ---- streams ----


@given(st.sampled_from(WIRES), st.integers(), st.integers(1, 300))
def test_a_stream_is_whole_frames_however_cut(wire: Wire, seed: int, longest: int) -> None:
    longest = min(longest, wire.largest_payload)
    stream = random_stream(random.Random(seed), wire, longest)
    assert b"".join(stream.pieces(wire)) == wire.frames(*stream.payloads)
    assert all(stream.pieces(wire))
    assert all(len(payload) <= longest for payload in stream.payloads)
    assert stream == random_stream(random.Random(seed), wire, longest)


@given(st.sampled_from(WIRES), st.integers())
def test_garbage_has_no_whole_frame(wire: Wire, seed: int) -> None:
    garbage = random_garbage(random.Random(seed), wire)
    assert wire.split(garbage) == ([], garbage)
    assert garbage == random_garbage(random.Random(seed), wire)


async def test_a_failing_stream_is_made_as_short_as_it_fails() -> None:
    async def fails(stream: Stream) -> bool:
        return len(stream.payloads) > 1

    found = await shortest(random_stream(random.Random(3), WIRE, 1000), WIRE, fails, most_tries=1000)
    assert found == Stream((b"", b""), ())


async def test_the_cut_that_matters_is_kept() -> None:
    async def fails(stream: Stream) -> bool:
        """A piece ends inside the payload of a frame of 20 bytes or more."""
        position = 0
        for payload in stream.payloads:
            start, position = position + 4, position + 4 + len(payload)
            if len(payload) >= 20 and any(start < cut < position for cut in stream.cuts):
                return True
        return False

    stream = Stream((b"x" * 50, b"y" * 100, b"z" * 10), (3, 60, 90, 165))
    found = await shortest(stream, WIRE, fails, most_tries=1000)
    assert [len(payload) for payload in found.payloads] == [20]
    assert found.cuts == (5,)
    assert str(found) == "a frame of 20 bytes, cut after byte 5"


async def test_the_search_for_the_shortest_has_an_end() -> None:
    tries = 0

    async def fails(stream: Stream) -> bool:
        nonlocal tries
        tries += 1
        return False

    await shortest(random_stream(random.Random(1), WIRE, 20_000), WIRE, fails, most_tries=10)
    assert tries == 10


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


# ---- diagnosis ----


def silent(*payloads: bytes, received: bytes = b"") -> Deviation:
    return echo_deviation(WIRE, Kind.SILENCE, WIRE.frames(*payloads), received, waited_s=1)


def wrong(*payloads: bytes, received: bytes, cause_id: str | None = None) -> Deviation:
    return echo_deviation(WIRE, Kind.WRONG, WIRE.frames(*payloads), received, waited_s=1, cause_id=cause_id)


GOOD = Survey(Pace(round_trip_s=0.001))
STREAM_PASSES = dict.fromkeys(("1.2", "1.3", "2.3", "2.4", "2.5", "2.8", "2.9"))
HELLO = b"hello"


def cause(
    case_id: str, deviation: Deviation, survey: Survey = GOOD, **others: Deviation | None
) -> str | None:
    """The cause of one case that failed, where others failed or passed."""
    deviations = {**STREAM_PASSES, **{name.replace("_", ".")[1:]: each for name, each in others.items()}}
    return diagnose({**deviations, case_id: deviation}, survey, WIRE).by_case.get(case_id)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (HELLO, "no-header-in-reply"),
        (b"\5\0\0\0hello", "little-endian"),
        (b"\0\0\0\x09hello", "length-includes-header"),
        (b"\0\5hello", "other-header-width"),
        (b"\0\0\0\x07hello", "length-of-text"),
        (WIRE.frame(b"HELLO"), "content-changed"),
        (WIRE.frame("h\ufffdllo".encode()), "text-decoding"),
    ],
)
def test_the_bytes_of_an_echo_tell_the_cause(received: bytes, expected: str) -> None:
    assert cause("1.2", wrong(HELLO, received=received)) == expected


def test_the_order_of_echoes_tells_the_cause() -> None:
    one, two, three = b"one", b"two", b"three"
    frames = WIRE.frames
    assert cause("3.1", wrong(one, two, three, received=frames(one, three, two))) == "replies-out-of-order"
    assert cause("3.1", wrong(one, two, three, received=frames(one, one, two))) == "reply-twice"


def test_what_is_wrong_with_one_byte_is_wrong_everywhere() -> None:
    twice = wrong(b"next", received=WIRE.frame(b"x"), cause_id="reply-twice")
    assert cause("5.3", Deviation(Kind.EXTRA, "this", "that"), _1_2=twice) == "reply-twice"


def test_the_pattern_of_the_cuts_tells_the_cause() -> None:
    header, payload, two = silent(HELLO), silent(HELLO), silent(b"a", b"b", received=WIRE.frame(b"a"))
    short = wrong(HELLO, received=WIRE.frame(b"h"))
    assert cause("2.1", short, _2_4=short) == "recv-n-taken-for-n-bytes"
    assert cause("2.1", header, _2_3=header) == "header-taken-whole"
    assert cause("2.1", short, _2_3=header, _2_4=short) == "recv-n-taken-for-n-bytes"
    assert cause("2.1", header, _2_3=header, _2_4=payload, _2_6=two) == "stateless-reads"
    assert cause("2.1", header, _2_3=header, _2_4=payload, _2_5=two) == "segment-taken-for-frame"
    assert cause("2.6", two, _2_5=two) == "one-parse-per-recv"
    assert cause("2.8", silent(HELLO)) == "drops-rest-of-segment"
    assert cause("2.9", silent(HELLO)) == "short-read-timeout"
    assert cause("2.8", silent(HELLO), _2_9=silent(HELLO)) == "short-read-timeout"  # slow once by accident


def test_the_first_size_that_fails_tells_the_cause() -> None:
    long = b"x" * 65536
    assert cause("1.6", wrong(long, received=WIRE.frame(b"")), _1_5=None) == "short-length-field"
    assert cause("1.6", wrong(long, received=WIRE.frame(long[:8192])), _1_5=None) == "fixed-buffer"


def test_the_first_look_tells_what_is_wrong_everywhere() -> None:
    for other, expected in (
        (Wire(byte_order="little"), "little-endian"),
        (Wire(counts_header=True), "length-includes-header"),
        (Wire(2), "other-header-width"),
    ):
        assert cause("1.2", silent(HELLO), Survey(echoes=False, other_wire=other)) == expected
    assert cause("1.2", silent(HELLO), Survey(echoes=False, obstacle=ONE_BEHIND)) == "one-behind"


def test_one_connection_at_a_time_explains_what_needs_two() -> None:
    second = silent(HELLO)
    second.cause_id = "single-threaded"
    third = silent(HELLO)
    third.cause_id = "blocked-by-non-reader"
    assert cause("3.4", third, _3_2=second) == "single-threaded"
    assert cause("3.4", third) == "blocked-by-non-reader"


def test_the_commonest_cause_comes_first_and_explains_random_failures() -> None:
    header = silent(HELLO)
    other = silent(HELLO)
    other.cause_id = "no-reuseaddr"
    unknown = Deviation(Kind.OTHER, "this", "that")
    found = diagnose({"6.4": other, "2.3": header, "2.1": header, "7.3": unknown, "2.4": None}, GOOD, WIRE)
    assert found.overall == ("header-taken-whole", "no-reuseaddr")
    assert found.by_case["7.3"] == "header-taken-whole"


def test_a_crash_is_named_where_nothing_else_is_known() -> None:
    unknown = Deviation(Kind.END, "this", "that")
    assert diagnose({"5.6": unknown}, GOOD, WIRE, ended_in={"5.6"}).by_case == {"5.6": "crashes"}
    assert diagnose({"5.6": unknown}, GOOD, WIRE).by_case == {}


def test_what_passes_on_a_fresh_server_is_not_blamed_on_the_stream() -> None:
    header, payload = silent(HELLO), silent(HELLO)
    header.is_only_now_and_then = payload.is_only_now_and_then = True
    assert cause("2.3", header, _2_4=payload) == "shared-state"


def test_the_limit_tells_by_what_is_waited_for() -> None:
    waits, taken = silent(b""), Deviation(Kind.EXTRA, "this", "that", cause_id="limit-not-enforced")
    assert cause("4.3", waits, _4_2=waits) == "limit-checked-late"
    assert cause("4.1", taken, _4_2=waits, _4_3=waits) == "no-limit"
    assert cause("4.2", waits, _4_1=taken) == "limit-not-enforced"
