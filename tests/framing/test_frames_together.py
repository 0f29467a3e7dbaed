"""Frames that came one by one are recognized together as each would be by itself."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.wire import frame
from trioecho import FrameFormat
from trioecho.framing.native_scanning import NativeScanner
from trioecho.framing.scanners import scanner_of
from trioecho.framing.scanning import Scanner, StructScanner

MOST = 20
widths = st.sampled_from([1, 2, 4, 8])
formats = st.builds(FrameFormat, widths, st.sampled_from(["big", "little"]), st.booleans())


@st.composite
def pieces_of_one_format(draw: st.DrawFn) -> tuple[FrameFormat, list[bytes]]:
    """Most are one frame; some have more or less at their end, or announce too much."""
    form = draw(formats)
    pieces = []
    for length in draw(st.lists(st.integers(0, MOST + 2), min_size=1, max_size=5)):
        whole = form.encode_header(length) + bytes(length)
        change = draw(st.sampled_from([0, 0, 0, 0, -1, 1]))
        pieces.append(whole[:change] if change < 0 else whole + b"\0" * change)
    return form, pieces


@given(pieces_of_one_format())
@examples(200)
def test_each_is_one_frame_if_a_scan_finds_one_in_each(case: tuple[FrameFormat, list[bytes]]) -> None:
    form, pieces = case
    sizes = list(map(len, pieces))
    expected = Scanner.are_frames(scanner_of(form, MOST), pieces, sizes)
    for scanner in (StructScanner(form, MOST), NativeScanner(form, MOST)):
        assert scanner.are_frames(pieces, sizes) is expected


@pytest.mark.parametrize("includes", [False, True])
@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_the_longest_is_one_and_a_longer_one_is_not(width: Literal[1, 2, 4, 8], includes: bool) -> None:
    form = FrameFormat(width, "big", includes)
    are_frames = scanner_of(form, MOST).are_frames
    for length, expected in ((0, True), (MOST, True), (MOST + 1, False)):
        wire = form.encode_header(length) + bytes(length)
        assert are_frames([wire], [len(wire)]) is expected
        assert are_frames([form.encode_header(0), wire], [width, len(wire)]) is expected


@pytest.mark.parametrize(
    "other", [b"", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\1ab", b"\0\0\0\0\0\0\0\0", b"\0\0\0\x15" + bytes(21)]
)
def test_one_that_is_not_is_enough(other: bytes) -> None:
    whole = frame(b"abc")
    are_frames = scanner_of(FrameFormat(), MOST).are_frames
    for pieces in ([other], [whole, other], [other, whole], [whole, other, whole]):
        assert are_frames(pieces, list(map(len, pieces))) is False
