"""The decoder: frames come out as they were sent, and the end of a stream is what it is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.framing.examples import (
    FORMATS,
    SMALL_FRAMES,
    Cutting,
    all_batches,
    all_frames,
    byte_by_byte,
    cut_any_way,
    feed,
    whole,
)
from trioecho.errors import (
    IncompleteFrameError,
    LocalProtocolError,
)
from trioecho.framing import (
    FrameBatch,
    FrameDecoder,
    FrameFormat,
    encode_frame,
)


@cut_any_way
@pytest.mark.parametrize(("format", "payload", "wire"), SMALL_FRAMES)
def test_a_frame_comes_out_as_it_was_sent(
    format: FrameFormat, payload: bytes, wire: bytes, cut: Cutting
) -> None:
    decoder = FrameDecoder(format=format)
    pieces = cut(wire, format)
    frames = feed(decoder, pieces)
    assert frames == [payload]
    assert type(frames[0]) is bytes
    assert decoder.frames_decoded == 1
    assert decoder.buffered_bytes == len(b"".join(pieces)) - len(wire)


@pytest.mark.parametrize(("format", "payload", "wire"), SMALL_FRAMES)
def test_a_frame_comes_out_with_its_last_byte_and_not_before(
    format: FrameFormat, payload: bytes, wire: bytes
) -> None:
    decoder = FrameDecoder(format=format)
    assert feed(decoder, byte_by_byte(wire[:-1])) == []
    assert decoder.next_batch() is None
    decoder.receive_data(wire[-1:])
    assert decoder.next_frame() == payload


@pytest.mark.parametrize(("format", "payload", "wire"), SMALL_FRAMES)
def test_a_batch_is_the_frames_as_they_were_on_the_wire(
    format: FrameFormat, payload: bytes, wire: bytes
) -> None:
    decoder = FrameDecoder(format=format)
    decoder.receive_data(wire * 3 + wire[:-1])
    batch = decoder.next_batch()
    assert batch == FrameBatch(memoryview(wire * 3), 3)
    assert decoder.next_batch() is None
    assert (decoder.buffered_bytes, decoder.frames_decoded) == (len(wire) - 1, 3)
    decoder.receive_data(wire[-1:])
    assert decoder.next_batch() == FrameBatch(memoryview(wire), 1)


@cut_any_way
def test_frames_of_many_sizes_come_out_in_order(cut: Cutting) -> None:
    payloads = [b"one", b"", b"three" * 300, b"", b"", b"six"]
    decoder = FrameDecoder()
    assert feed(decoder, cut(b"".join(map(encode_frame, payloads)))) == payloads
    assert decoder.frames_decoded == len(payloads)


def test_next_frame_and_next_batch_can_be_mixed() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(b"".join(map(encode_frame, [b"a", b"bc", b"", b"def"])))
    assert decoder.next_frame() == b"a"
    assert decoder.next_batch() == FrameBatch(memoryview(b"\0\0\0\2bc\0\0\0\0\0\0\0\3def"), 3)
    assert decoder.next_frame() is None
    decoder.receive_data(encode_frame(b"g") + encode_frame(b"h"))
    assert decoder.next_frame() == b"g"
    assert decoder.next_batch() == FrameBatch(memoryview(b"\0\0\0\1h"), 1)
    assert decoder.frames_decoded == 6


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_a_decoder_takes_any_bytes_like(kind: Callable[[bytes], bytes]) -> None:
    decoder = FrameDecoder()
    decoder.receive_data(kind(b"\0\0\0\5he"))
    decoder.receive_data(kind(b""))
    decoder.receive_data(kind(b"llo"))
    assert all_frames(decoder) == [b"hello"]


def test_a_decoder_does_not_see_later_changes_by_the_caller() -> None:
    received = bytearray(b"\0\0\0\5hello")
    decoder = FrameDecoder()
    decoder.receive_data(received)
    received[:] = b"?" * 9
    assert decoder.next_frame() == b"hello"


def test_a_batch_stays_as_it_is_whatever_comes_later() -> None:
    decoder = FrameDecoder()
    batches, expected = [], []
    for i in range(50):
        wire = encode_frame(b"%d" % i * (i % 7)) * (1 + i % 3)
        decoder.receive_data(wire + encode_frame(b"next")[: i % 8])
        batches.append(decoder.next_batch())
        expected.append(wire)
        decoder.receive_data(encode_frame(b"next")[i % 8 :])
        assert decoder.next_frame() == b"next"
    assert [batch.data for batch in batches if batch] == expected
    assert all(memoryview(batch.data).readonly for batch in batches if batch)


@cut_any_way
def test_zero_length_frames_are_frames_and_not_the_end(cut: Cutting) -> None:
    decoder = FrameDecoder()
    assert feed(decoder, cut(bytes(4 * 3))) == [b"", b"", b""]


def test_a_zero_length_frame_can_be_the_last_one() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(encode_frame(b""))
    decoder.end_of_data()
    assert [decoder.next_frame(), decoder.next_frame(), decoder.next_frame()] == [b"", None, None]


def test_a_zero_length_frame_is_a_batch_too() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(encode_frame(b""))
    decoder.end_of_data()
    assert decoder.next_batch() == FrameBatch(memoryview(bytes(4)), 1)
    assert decoder.next_batch() is None


def test_without_any_data_the_end_is_clean() -> None:
    decoder = FrameDecoder()
    assert (decoder.next_frame(), decoder.next_batch()) == (None, None)
    decoder.end_of_data()
    decoder.end_of_data()
    assert (decoder.next_frame(), decoder.next_batch()) == (None, None)


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize("format", FORMATS)
def test_a_stream_that_ends_inside_a_frame_is_reported_with_its_numbers(
    format: FrameFormat, cut: Cutting
) -> None:
    frames = [encode_frame(payload, format=format) for payload in (b"one", b"", b"three")]
    begins = [0, len(frames[0]), len(frames[0] + frames[1]), len(b"".join(frames))]
    wire = b"".join(frames)
    for stop in range(len(wire) + 1):
        decoder = FrameDecoder(format=format)
        complete = feed(decoder, cut(wire[:stop]))
        assert complete == [b"one", b"", b"three"][: len(complete)]
        decoder.end_of_data()
        if stop in begins:
            assert len(complete) == begins.index(stop)
            assert decoder.next_frame() is None
            continue
        begin, end = next((begin, end) for begin, end in pairwise(begins) if begin < stop < end)
        received = stop - begin
        expected = format.header_bytes if received < format.header_bytes else end - begin
        for ask_again in (decoder.next_frame, decoder.next_batch, decoder.next_frame):
            with pytest.raises(IncompleteFrameError) as caught:
                ask_again()
            assert (caught.value.received, caught.value.expected) == (received, expected)


@pytest.mark.parametrize("read", [all_frames, all_batches])
def test_what_came_before_the_end_is_handed_out_after_it(read: Callable[[FrameDecoder], object]) -> None:
    decoder = FrameDecoder()
    decoder.receive_data(encode_frame(b"one") * 2 + encode_frame(b"torn")[:-1])
    decoder.end_of_data()
    with pytest.raises(IncompleteFrameError) as caught:
        read(decoder)
    assert (caught.value.received, caught.value.expected) == (7, 8)
    assert decoder.frames_decoded == 2


@pytest.mark.parametrize("data", [b"", b"x"])
def test_no_data_can_come_after_the_end(data: bytes) -> None:
    decoder = FrameDecoder()
    decoder.receive_data(encode_frame(b"one"))
    decoder.end_of_data()
    with pytest.raises(LocalProtocolError, match="after end_of_data"):
        decoder.receive_data(data)
    assert all_frames(decoder) == [b"one"]
