"""Two scanners, of which one is for compiled builds: they find the same."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trioecho.framing import FrameFormat
from trioecho.framing.native_scanning import MOST_NATIVE, NativeScanner
from trioecho.framing.scanners import scanner_of
from trioecho.framing.scanning import StructScanner

ORDERS = st.sampled_from(["big", "little"])
FORMATS = st.builds(FrameFormat, st.sampled_from([1, 2, 4, 8]), ORDERS, st.booleans())
OF_64_BITS = st.builds(FrameFormat, st.just(8), ORDERS, st.booleans())
LIMITS = st.sampled_from([0, 1, 5, 200, 1 << 20, (1 << 32) - 1, 1 << 61, MOST_NATIVE - 1])


@st.composite
def wires(draw: st.DrawFn, frame_format: FrameFormat) -> bytes:
    """Frames, cut anywhere, and perhaps something else behind them."""
    most = min(frame_format.max_payload_length, 300)
    sizes = draw(st.lists(st.integers(0, most), max_size=6))
    wire = b"".join(frame_format.encode_header(size) + bytes([size % 251]) * size for size in sizes)
    return wire[: draw(st.integers(0, len(wire)))] + draw(st.binary(max_size=12))


@given(data=st.data(), frame_format=FORMATS, limit=LIMITS, only_one=st.booleans())
def test_both_find_the_same(
    data: st.DataObject, frame_format: FrameFormat, limit: int, only_one: bool
) -> None:
    wire = data.draw(wires(frame_format))
    start = data.draw(st.integers(0, len(wire)))
    native, other = NativeScanner(frame_format, limit), StructScanner(frame_format, limit)
    for form in (wire, bytearray(wire), memoryview(wire)):
        assert native.scan(form, start, only_one) == other.scan(form, start, only_one)
    assert native.scan(wire) == other.scan(wire)
    assert native.split(wire) == other.split(wire)
    for pieces in ([wire], [wire, wire], [wire[start:], wire[:start]]):
        sizes = [len(piece) for piece in pieces]
        assert native.are_frames(pieces, sizes) == other.are_frames(pieces, sizes)


@given(frame_format=OF_64_BITS, header=st.binary(min_size=8, max_size=8))
@example(FrameFormat(8, length_includes_header=True), b"\xff" * 8)
@example(FrameFormat(8), b"\x80" + bytes(7))
@example(FrameFormat(8), b"\x40" + bytes(7))
@example(FrameFormat(8, length_includes_header=True), b"\x3f" + b"\xff" * 7)
def test_numbers_of_64_bits_do_not_overflow(frame_format: FrameFormat, header: bytes) -> None:
    limit = MOST_NATIVE - 1
    native, other = NativeScanner(frame_format, limit), StructScanner(frame_format, limit)
    wire = frame_format.encode_header(3) + b"abc" + header + b"rest"
    assert native.scan(wire) == other.scan(wire)
    assert native.split(wire) == other.split(wire)


@pytest.mark.parametrize("limit", [MOST_NATIVE, 1 << 63, (1 << 64) - 9])
def test_a_limit_that_is_too_large_for_native_numbers_is_good(limit: int) -> None:
    scanner = scanner_of(FrameFormat(8), limit)
    assert type(scanner) is StructScanner
    assert scanner.scan(limit.to_bytes(8, "big")) == (0, 0, limit + 8)
    assert scanner.scan((limit + 1).to_bytes(8, "big")) == (0, 0, 8)
