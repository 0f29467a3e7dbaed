"""Formats: how headers are written, read, compared and copied."""

from __future__ import annotations

import copy
import doctest
import pickle
import re
from array import array
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest

from tests.framing.examples import (
    FORMATS,
    FRAMES,
)
from trioecho import framing
from trioecho.errors import (
    FrameTooSmallError,
    PayloadTooLargeError,
)
from trioecho.framing import (
    FrameFormat,
    encode_frame,
)


@pytest.mark.parametrize(("format", "payload", "wire"), FRAMES)
def test_a_frame_is_a_header_and_the_payload(format: FrameFormat, payload: bytes, wire: bytes) -> None:
    assert encode_frame(payload, format=format) == wire
    assert format.encode_header(len(payload)) + payload == wire


def test_the_default_format_is_four_bytes_big_endian_without_the_header() -> None:
    assert FrameFormat() == FrameFormat(header_bytes=4, byte_order="big", length_includes_header=False)
    assert encode_frame(b"hello") == encode_frame(b"hello", format=FrameFormat())


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_payload_may_be_any_bytes_like(kind: Callable[[bytes], bytes]) -> None:
    frame = encode_frame(kind(b"hello"))
    assert type(frame) is bytes
    assert frame == b"\x00\x00\x00\x05hello"


def test_the_length_of_a_payload_of_wider_items_is_counted_in_bytes() -> None:
    payload = memoryview(array("H", [1, 2, 3]))
    assert encode_frame(payload) == b"\x00\x00\x00\x06" + payload.tobytes()


@pytest.mark.parametrize(
    ("format", "longest"),
    [
        (FrameFormat(1), 0xFF),
        (FrameFormat(2), 0xFFFF),
        (FrameFormat(4), 0xFFFFFFFF),
        (FrameFormat(8), 0xFFFFFFFFFFFFFFFF),
        (FrameFormat(1, "little"), 0xFF),
        (FrameFormat(1, "big", True), 0xFE),
        (FrameFormat(2, "little", True), 0xFFFD),
        (FrameFormat(4, "big", True), 0xFFFFFFFB),
        (FrameFormat(8, "little", True), 0xFFFFFFFFFFFFFFF7),
    ],
)
def test_the_longest_payload_is_what_the_header_can_express(format: FrameFormat, longest: int) -> None:
    assert format.max_payload_length == longest
    assert format.encode_header(longest) == b"\xff" * format.header_bytes
    with pytest.raises(PayloadTooLargeError) as caught:
        format.encode_header(longest + 1)
    assert (caught.value.length, caught.value.limit) == (longest + 1, longest)


@pytest.mark.parametrize(("format", "longest"), [(FrameFormat(1), 255), (FrameFormat(1, "big", True), 254)])
def test_a_payload_that_the_header_cannot_express_is_not_encoded(format: FrameFormat, longest: int) -> None:
    assert encode_frame(bytes(longest), format=format) == b"\xff" + bytes(longest)
    with pytest.raises(PayloadTooLargeError) as caught:
        encode_frame(bytes(longest + 1), format=format)
    assert (caught.value.length, caught.value.limit) == (longest + 1, longest)


@pytest.mark.parametrize(("format", "payload", "wire"), FRAMES)
def test_a_header_tells_how_long_the_payload_is(format: FrameFormat, payload: bytes, wire: bytes) -> None:
    assert format.decode_header(wire) == len(payload)
    assert format.decode_header(bytearray(b"abc" + wire), 3) == len(payload)
    assert format.decode_header(memoryview(wire)[: format.header_bytes]) == len(payload)
    longest = format.max_payload_length
    assert format.decode_header(format.encode_header(longest)) == longest


@pytest.mark.parametrize("format", FORMATS)
def test_half_a_header_tells_nothing(format: FrameFormat) -> None:
    header = format.encode_header(1)
    for data, offset in ((header[:-1], 0), (b"", 0), (header, 1)):
        with pytest.raises(ValueError, match=f"a header of {re.escape(str(format))} has"):
            format.decode_header(data, offset)


@pytest.mark.parametrize("format", [each for each in FORMATS if each.length_includes_header])
def test_a_length_that_does_not_cover_its_header_is_no_length(format: FrameFormat) -> None:
    for length in range(format.header_bytes):
        with pytest.raises(FrameTooSmallError) as caught:
            format.decode_header(length.to_bytes(format.header_bytes, format.byte_order))
        assert (caught.value.length, caught.value.minimum) == (length, format.header_bytes)


@pytest.mark.parametrize("width", [-1, 0, 3, 5, 7, 16, "4", None])
def test_a_header_has_1_2_4_or_8_bytes(width: object) -> None:
    with pytest.raises(ValueError, match=r"header_bytes must be 1, 2, 4 or 8, not .*" + str(width)):
        FrameFormat(header_bytes=width)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ["", "middle", "BIG", ">", None])
def test_a_byte_order_is_big_or_little(order: object) -> None:
    with pytest.raises(ValueError, match=r"byte_order must be 'big' or 'little', not .*" + str(order)):
        FrameFormat(byte_order=order)  # type: ignore[arg-type]


def test_formats_are_values() -> None:
    assert FrameFormat(2, "little") == FrameFormat(2, "little")
    assert len({FrameFormat(2), FrameFormat(2), FrameFormat(4), FrameFormat(4, "little")}) == 3
    with pytest.raises(FrozenInstanceError):
        FrameFormat().header_bytes = 2  # type: ignore[misc]


def test_the_examples_in_the_documentation_are_true() -> None:
    assert doctest.testmod(framing) == (0, 5)
    assert doctest.testmod(framing.frame_format) == (0, 2)


@pytest.mark.parametrize("frame_format", [FrameFormat(), FrameFormat(2, "little", True)])
def test_formats_can_be_copied_and_pickled(frame_format: FrameFormat) -> None:
    for twin in (copy.deepcopy(frame_format), pickle.loads(pickle.dumps(frame_format))):  # noqa: S301 - our own
        assert twin == frame_format
        assert twin.encode_header(3) == frame_format.encode_header(3)


def test_a_negative_length_has_no_header() -> None:
    with pytest.raises(ValueError, match="-1"):
        FrameFormat(length_includes_header=True).encode_header(-1)


@pytest.mark.parametrize(
    ("text", "without", "payload_bytes", "whole"),
    [
        ("mqtt", "c0", 200, "c0 c8 01"),
        ("postgres", "51", 7, "51 0000000b"),
        ("modbus", "1234 0000 11", 5, "1234 0000 0006 11"),
        ("varint5", "", 3, "03"),
    ],
)
def test_a_header_may_be_given_without_its_length(
    text: str, without: str, payload_bytes: int, whole: str
) -> None:
    given, made = bytes.fromhex(without), bytes.fromhex(whole)
    frame_format = FrameFormat.parse(text)
    assert frame_format.encode_header(payload_bytes, like=given) == made
    assert frame_format.encode_header(payload_bytes, like=made) == made


@pytest.mark.parametrize(
    ("text", "given", "reason"),
    [
        ("modbus", "1234 0001 11", "is no header of .* without its length: 0x01 came instead of 0x00"),
        ("modbus", "1234", "a header of .* does not have 2 bytes; without its length it has 5"),
        ("postgres", "51 00000000", "is no header of .*; without its length it has 1"),
    ],
)
def test_what_is_no_header_is_refused_with_what_is_one(text: str, given: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        FrameFormat.parse(text).encode_header(1, like=bytes.fromhex(given))
