"""Where two byte strings first differ: shown around it, marked, and named."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.base.difference import describe_difference, first_difference, in_hex
from trioecho.load import Discrepancy
from trioecho.load.engine.tally import LoadTally
from trioecho.load.plan import LoadPlan
from trioecho.load.report.words import discrepancy_in_words, examples_in_words

COUNTING = bytes(range(64))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (0, "from byte 0 expected 000102030405060708090a0b..., received 010102030405060708090a0b..."),
        (2, "from byte 0 expected 0001[02]030405060708090a0b..., received 0001[03]030405060708090a0b..."),
        (15, "from byte 11 expected 0b0c0d0e[0f]10111213141516..., received 0b0c0d0e[0e]10111213141516..."),
        (63, "from byte 59 expected 3b3c3d3e[3f], received 3b3c3d3e[3e]"),
    ],
)
def test_the_first_difference_is_marked_and_named(at: int, words: str) -> None:
    expected, received = COUNTING, flipped(COUNTING, at)
    named = f"; byte {at} is {at ^ 1:02x} instead of {at:02x}"
    assert describe_difference(expected, received) == words + named
    moved = describe_difference(expected[at:], received[at:], offset=at)
    assert moved is not None
    assert moved.endswith(named)


@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(0, 300))
def test_the_first_difference_is_the_first(one: bytes, other: bytes, alike: int) -> None:
    other = one[:alike] + other
    naive = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    assert first_difference(one, other) == naive
    words = describe_difference(one, other)
    assert (words is None) is (naive is None)
    if words is not None:
        expected, received = re.findall(r"(?:expected|received) ([0-9a-f\[\].]+)[,;]", words)
        assert expected != received


@given(st.integers(0, 4095), st.integers(1, 255))
def test_a_wrong_reply_is_never_shown_as_the_right_one(at: int, change: int) -> None:
    """The bytes that a load keeps of it begin before the difference, and have it in them."""
    expected = COUNTING * 64
    received = expected[:at] + bytes([expected[at] ^ change]) + expected[at + 1 :]
    tally = LoadTally(LoadPlan("h", 1))
    tally.add_error("wrong", 3, 16, expected, received)
    words = discrepancy_in_words(tally.discrepancies[0])
    assert words.startswith("connection 3, message 17: from byte ")
    assert words.endswith(f"; byte {at} is {received[at]:02x} instead of {expected[at]:02x}")
    shown = re.findall(r"(?:expected|received) ([0-9a-f\[\].]+)[,;]", words)
    assert len(set(shown)) == 2


@pytest.mark.parametrize(
    ("received", "words"),
    [
        (COUNTING[:60], "60 bytes instead of 64; the first 60 are right"),
        (COUNTING + b"more", "68 bytes instead of 64; the first 64 are right"),
        (COUNTING[:1], "1 byte instead of 64; the first is right"),
        (b"", "0 bytes instead of 64"),
        (b"echo:" + COUNTING, "69 bytes instead of 64; from byte 0 expected 0001"),
    ],
)
def test_a_reply_of_another_length(received: bytes, words: str) -> None:
    tally = LoadTally(LoadPlan("h", 1))
    tally.add_error("wrong", 0, 0, COUNTING, received)
    assert discrepancy_in_words(tally.discrepancies[0]).startswith(f"connection 0, message 1: {words}")


def test_one_cause_is_one_line_however_many_messages_it_hit() -> None:
    lost = [Discrepancy(number, 9 + number, "connection_lost", detail="reset") for number in (3, 0, 1, 2)]
    assert list(examples_in_words(lost)) == ["connections 0 to 3: reset"]
    missing = [Discrepancy(5, number, "missing", b"ab", b"", 2, None) for number in (7, 8, 10)]
    assert list(examples_in_words(missing)) == ["connection 5, messages 7, 8 and 10"]
    two = [
        Discrepancy(5, 7, "late", b"ab", detail="after 3 ms"),
        Discrepancy(5, 8, "late", detail="after 4 ms"),
    ]
    assert len(list(examples_in_words(two))) == 2
    wrong = [Discrepancy(5, number, "wrong", b"ab", b"ac", 2, 2) for number in (7, 8)]
    assert list(examples_in_words(wrong)) == list(map(discrepancy_in_words, wrong))


def test_few_bytes_in_hexadecimal() -> None:
    assert [in_hex(b""), in_hex(b"\x0a"), in_hex(COUNTING, 60)] == ["", "0a", "3c3d3e3f"]
    assert in_hex(COUNTING[:13]) == "000102030405060708090a0b..."
