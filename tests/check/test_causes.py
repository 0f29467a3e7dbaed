"""What deviations say, and what they do not: a cause is named for what it can bring about, nothing else."""

from __future__ import annotations

import pytest

from trioecho.check.client.finding import Deviation, Kind, echo_deviation
from trioecho.check.client.wire import Wire
from trioecho.check.diagnosis.causes import CAUSES
from trioecho.check.diagnosis.diagnosis import Diagnosis, name_causes
from trioecho.check.preflight.blocker import blocker_of_wire

WIRE = Wire()
HELLO, OTHER = WIRE.frame(b"hello"), WIRE.frame(b"12345")


def met(
    kind: Kind,
    cause_id: str | None = None,
    *,
    received: bytes = b"",
    expected: bytes = HELLO,
    echoes_before: int = 0,
    now_and_then: bool = False,
) -> Deviation:
    found = echo_deviation(WIRE, kind, expected, received, waited_s=1, cause_id=cause_id)
    found.echoes_before = echoes_before
    found.is_only_now_and_then = now_and_then
    return found


def diagnosed(**deviations: Deviation | None) -> Diagnosis:
    """Of rules named as ``_2_3``."""
    return name_causes({name[1:].replace("_", "."): each for name, each in deviations.items()}, WIRE)


# ---- what must not be named ----

WRONG = met(Kind.WRONG, received=WIRE.frame(b"something else"))


def wrong(cause_id: str) -> Deviation:
    return met(Kind.WRONG, cause_id, received=WIRE.frame(b"something else"))


@pytest.mark.parametrize(
    ("rule_id", "deviation"),
    [
        # A case that looks for others who wait, or are ended, got wrong bytes.
        ("3.2", wrong("connection-limit")),
        ("3.3", wrong("single-threaded")),
        ("3.4", wrong("blocked-by-non-reader")),
        ("3.6", wrong("starves-others")),
        ("4.6", wrong("earlier-frames-lost")),
        ("4.8", wrong("error-ends-server")),
        ("5.1", wrong("last-reply-lost-at-half-close")),
        ("5.2", wrong("half-close-ignored")),
        ("5.4", wrong("dies-on-reset")),
        ("5.5", wrong("dies-on-broken-pipe")),
        ("5.6", wrong("leaks-connections")),
        ("6.1", wrong("not-ready-when-listening")),
        # A connection that was ended does not wait.
        ("3.3", met(Kind.END, "single-threaded")),
        ("3.4", met(Kind.RESET, "blocked-by-non-reader")),
        ("3.6", met(Kind.END, "starves-others")),
        # Right without others, wrong beside them: but no byte of theirs came.
        ("2.5", met(Kind.WRONG, received=HELLO[:-1] + b"x", now_and_then=True)),
    ],
)
def test_what_a_case_is_about_is_not_named_for_something_else(rule_id: str, deviation: Deviation) -> None:
    named = name_causes({rule_id: deviation}, WIRE).overall
    assert deviation.cause_id not in named
    assert "shared-state" not in named


@pytest.mark.parametrize("kind", [Kind.END, Kind.RESET])
def test_payloads_like_headers_are_not_looked_into_where_the_connection_just_ends(kind: Kind) -> None:
    assert diagnosed(_1_9=met(kind)).by_case == {}


def test_a_reply_lost_before_a_refusal_is_not_one_lost_at_a_half_close() -> None:
    found = diagnosed(
        _4_6=met(Kind.END, "earlier-frames-lost"), _5_1=met(Kind.END, "last-reply-lost-at-half-close")
    )
    assert found.by_case == {"4.6": "earlier-frames-lost", "5.1": "last-reply-lost-at-half-close"}


# ---- one cause does not hide another ----

ONE_OF_TWO = met(Kind.SILENCE, received=HELLO, expected=HELLO + OTHER)


def test_a_bug_in_reading_does_not_hide_what_other_cases_have_seen() -> None:
    found = diagnosed(
        _1_2=None,
        _2_5=ONE_OF_TWO,
        _3_1=None,
        _3_5=met(Kind.WRONG, "partial-send-ignored", received=OTHER),
        _4_8=met(Kind.NO_CONNECTION, "error-ends-server"),
        _6_2=met(Kind.RESET, "sigterm-drops-work"),
        _7_2=met(Kind.NO_CONNECTION, "error-ends-server"),
        _7_3=met(Kind.SILENCE, "error-ends-server"),
    )
    assert found.by_case == {
        "2.5": "one-parse-per-recv",
        "3.5": "partial-send-ignored",
        "4.8": "error-ends-server",
        "6.2": "sigterm-drops-work",
        "7.2": "error-ends-server",
        "7.3": "error-ends-server",
    }


def test_a_bug_in_reading_explains_what_it_brings_about() -> None:
    found = diagnosed(_1_2=None, _2_5=ONE_OF_TWO, _3_1=ONE_OF_TWO, _3_5=met(Kind.WRONG, received=OTHER))
    assert set(found.by_case.values()) == {"one-parse-per-recv"}


# ---- one reply, bytes of others, ends of others ----


def test_one_reply_explains_every_end_after_one_and_nothing_else() -> None:
    after_one = met(Kind.END, "dies-on-reset", echoes_before=1)
    found = diagnosed(
        _1_11=met(Kind.END, echoes_before=1),
        _2_5=met(Kind.RESET, received=HELLO, expected=HELLO + OTHER),
        _5_4=after_one,
        _5_2=met(Kind.SILENCE, "half-close-ignored"),
        _6_5=Deviation(Kind.OTHER, "an end", "none", cause_id="ignores-sigint"),
    )
    assert [found.by_case[each] for each in ("1.11", "2.5", "5.4")] == ["one-reply"] * 3
    assert (found.by_case["5.2"], found.by_case["6.5"]) == ("half-close-ignored", "ignores-sigint")


def test_a_connection_that_goes_on_elsewhere_gives_more_than_one_reply() -> None:
    found = diagnosed(_1_11=None, _3_1=met(Kind.END, received=HELLO, expected=HELLO + OTHER))
    assert "one-reply" not in found.overall


def test_only_bytes_of_others_prove_that_connections_share_something() -> None:
    beside = met(Kind.WRONG, received=OTHER[:5], now_and_then=True)
    others = {"2.5": beside, "5.4": met(Kind.WRONG, "dies-on-reset", received=OTHER[:5])}
    assert name_causes(others, WIRE).overall == ()
    assert name_causes(others, WIRE, foreign_in={"2.5"}).overall == ("shared-state",)


def test_a_crash_is_no_bytes_of_others() -> None:
    crash = met(Kind.NO_CONNECTION, "error-ends-server")
    found = name_causes({"4.8": crash, "3.2": WRONG}, WIRE, foreign_in={"3.2"}, ended_in={"4.8"})
    assert found.by_case == {"4.8": "error-ends-server", "3.2": "shared-state"}


def test_who_ends_others_ends_them_in_any_case() -> None:
    found = diagnosed(_5_6=met(Kind.END, "ends-others"), _1_6=met(Kind.RESET), _1_1=met(Kind.SILENCE, "x"))
    assert found.by_case["1.6"] == "ends-others"
    assert found.by_case.get("1.1") != "ends-others"


# ---- no framing, limits ----

EARLY = Deviation(Kind.EXTRA, "nothing", "a byte", received_bytes=b"\0", cause_id="streams-before-complete")


def test_no_framing_is_told_from_frames_that_are_sent_too_early() -> None:
    reads = dict.fromkeys(("_2_3", "_2_4", "_2_5", "_2_6"))
    assert diagnosed(_1_12=EARLY, _5_3=EARLY, **reads).overall == ("no-framing",)
    assert diagnosed(_1_12=None, _5_3=EARLY, **reads).overall == ("streams-before-complete",)
    assert "no-framing" not in diagnosed(_1_12=EARLY, _5_3=EARLY).overall  # which was not asked
    assert "no-framing" not in diagnosed(_1_12=EARLY, **{**reads, "_2_5": ONE_OF_TWO}).overall


def test_a_size_from_which_frames_are_refused_is_a_limit() -> None:
    refused = met(Kind.END, expected=WIRE.frame(bytes(65536)))
    assert diagnosed(_1_5=None, _1_6=refused, _1_7=refused).overall == ("limit-too-low",)
    misread = met(Kind.WRONG, expected=WIRE.frame(bytes(65536)), received=bytes(8))
    assert diagnosed(_1_5=None, _1_6=misread).overall == ("short-length-field",)


def test_who_refuses_and_does_not_end_the_connection_waits_for_no_gigabytes() -> None:
    waits = met(Kind.SILENCE, "no-limit")
    assert diagnosed(_4_1=waits, _4_2=waits, _4_3=waits, _4_5=waits).overall == ("refused-without-end",)
    assert diagnosed(_4_1=None, _4_3=waits).overall == ("no-limit",)


# ---- words ----


def found_in_preflight(deviations: dict[str, Deviation | None]) -> Diagnosis:
    """The causes where the preflight has met headers in the other byte order."""
    blocker = blocker_of_wire(Wire(byte_order="little"), WIRE)
    return name_causes(deviations, WIRE, everywhere=blocker.cause_id, detail=blocker.detail, is_blocked=True)


def test_a_cause_is_told_with_what_was_seen_of_it() -> None:
    found = found_in_preflight({"1.2": met(Kind.SILENCE)})
    [cause] = found.causes
    assert cause == found.cause_of("1.2")
    assert cause.words == f"{CAUSES['little-endian'].words} It replies to --format u32le."
    assert found.cause_of("1.3") is None


def test_what_the_preflight_has_seen_is_told_also_if_no_case_that_was_asked_for_shows_it() -> None:
    assert [cause.id for cause in found_in_preflight({}).causes] == ["little-endian"]
