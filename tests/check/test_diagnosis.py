"""The cause of what a server does wrong, from the cases that it failed."""

from __future__ import annotations

import pytest

from trioecho.check.client.finding import Deviation, Kind, echo_deviation
from trioecho.check.client.pace import Pace
from trioecho.check.client.wire import Wire
from trioecho.check.diagnosis.diagnosis import name_causes
from trioecho.check.preflight.blocker import ONE_BEHIND
from trioecho.check.preflight.result import Preflight
from trioecho.cli.check_wire import wire_of
from trioecho.framing import FrameFormat

WIRE = Wire()


def silent(*payloads: bytes, received: bytes = b"") -> Deviation:
    return echo_deviation(WIRE, Kind.SILENCE, WIRE.frames(*payloads), received, waited_s=1)


def wrong(*payloads: bytes, received: bytes, cause_id: str | None = None) -> Deviation:
    return echo_deviation(WIRE, Kind.WRONG, WIRE.frames(*payloads), received, waited_s=1, cause_id=cause_id)


GOOD = Preflight(Pace(round_trip_s=0.001))


STREAM_PASSES = dict.fromkeys(("1.2", "1.3", "2.3", "2.4", "2.5", "2.8", "2.9"))


HELLO = b"hello"


def cause(
    case_id: str, deviation: Deviation, preflight: Preflight = GOOD, **others: Deviation | None
) -> str | None:
    """The cause of one case that failed, where others failed or passed."""
    deviations = {**STREAM_PASSES, **{name.replace("_", ".")[1:]: each for name, each in others.items()}}
    everywhere = preflight.cause_everywhere(WIRE)
    return name_causes({**deviations, case_id: deviation}, WIRE, everywhere=everywhere).by_case.get(case_id)


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
    for slow_once_by_accident in ("2.3", "2.4", "2.8"):
        found = cause(slow_once_by_accident, silent(HELLO), _2_1=None, _2_9=silent(HELLO))
        assert found == "short-read-timeout"


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
        assert cause("1.2", silent(HELLO), Preflight(echoes=False, other_wire=other)) == expected
    assert cause("1.2", silent(HELLO), Preflight(echoes=False, blocker=ONE_BEHIND)) == "one-behind"


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
    found = name_causes({"6.4": other, "2.3": header, "2.1": header, "7.3": unknown, "2.4": None}, WIRE)
    assert found.overall == ("header-taken-whole", "no-reuseaddr")
    assert found.by_case["7.3"] == "header-taken-whole"


def test_a_crash_is_named_where_nothing_else_is_known() -> None:
    unknown = Deviation(Kind.END, "this", "that")
    assert name_causes({"5.6": unknown}, WIRE, ended_in={"5.6"}).by_case == {"5.6": "crashes"}
    assert name_causes({"5.6": unknown}, WIRE).by_case == {}


def test_what_passes_on_a_fresh_server_is_not_blamed_on_the_stream() -> None:
    header, payload = silent(HELLO), silent(HELLO)
    header.is_only_now_and_then = payload.is_only_now_and_then = True
    assert cause("2.3", header, _2_4=payload) is None
    found = name_causes({"2.3": header, "3.2": payload}, WIRE, foreign_in={"3.2"})
    assert found.by_case == {"2.3": "shared-state", "3.2": "shared-state"}


def test_the_limit_tells_by_what_is_waited_for() -> None:
    waits, taken = silent(b""), Deviation(Kind.EXTRA, "this", "that", cause_id="limit-not-enforced")
    assert cause("4.3", waits, _4_2=waits) == "limit-checked-late"
    assert cause("4.1", taken, _4_2=waits, _4_3=waits) == "no-limit"
    assert cause("4.2", waits, _4_1=taken) == "limit-not-enforced"


def test_a_wrong_echo_with_the_beginning_of_the_next_frame_tells_its_own_cause() -> None:
    """A server that alters frames of this size loses no bytes of a segment."""
    altered = wrong(HELLO, received=WIRE.frame(HELLO[::-1]))
    assert cause("2.8", altered) == "content-changed"
    assert cause("3.1", altered, _2_8=altered) == "content-changed"
    assert cause("3.6", silent(HELLO), _2_8=altered) is None


@pytest.mark.parametrize("came_again", [WIRE.frame(HELLO), WIRE.frame(HELLO)[:5]])
@pytest.mark.parametrize("case_id", ["2.8", "4.6", "4.7", "7.1"])
def test_an_echo_that_comes_again_was_not_sent_back_early(came_again: bytes, case_id: str) -> None:
    assert cause(case_id, wrong(HELLO, received=WIRE.frame(HELLO) + came_again)) == "reply-twice"
    early = wrong(HELLO, received=WIRE.frame(HELLO) + b"\0\0\0\5th")
    assert cause(case_id, early) == "streams-before-complete"


@pytest.mark.parametrize("text", ["netstring", "varint", "fixed", "amqp"])
def test_the_header_of_the_next_frame_is_not_the_echo_again(text: str) -> None:
    """Also where this header is longer than the shortest one."""
    wire = WIRE if text == "fixed" else wire_of(FrameFormat.parse(text))
    one, other = wire.frame(bytes(300)), wire.frame(b"x" * 300)
    header = other[: wire.payload_at(other)]
    for behind, expected in (
        (header[:-1], "streams-before-complete"),
        (header, "streams-before-complete"),
        (other[:-1], "streams-before-complete"),
        (one[: len(header) + 1], "reply-twice"),
        (one, "reply-twice"),
    ):
        found = echo_deviation(wire, Kind.WRONG, one, one + behind, waited_s=0)
        causes = name_causes({**STREAM_PASSES, "2.8": found}, wire, everywhere=None)
        assert causes.by_case["2.8"] == expected
