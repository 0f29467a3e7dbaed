from __future__ import annotations

import copy
import doctest
import pickle
import struct
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError
from itertools import pairwise
from typing import TypeVar

import pytest

from trioecho import framing
from trioecho.errors import (
    FrameTooLargeError,
    FrameTooSmallError,
    IncompleteFrameError,
    LocalProtocolError,
    PayloadTooLargeError,
    RemoteProtocolError,
)
from trioecho.framing import (
    DEFAULT_MAX_FRAME_LENGTH,
    FrameDecoder,
    FrameFormat,
    FrameRun,
    ReceiveBuffer,
    encode_frame,
)

DEFAULT = FrameFormat()
COUNTS_ITSELF = FrameFormat(length_includes_header=True)
LITTLE = FrameFormat(byte_order="little")

# format, payload, and the frame as it must be on the wire
FRAMES = [
    (DEFAULT, b"hello", b"\x00\x00\x00\x05hello"),
    (DEFAULT, b"", b"\x00\x00\x00\x00"),
    (DEFAULT, bytes(0x010203), b"\x00\x01\x02\x03" + bytes(0x010203)),
    (FrameFormat(1), b"hello", b"\x05hello"),
    (FrameFormat(1), b"", b"\x00"),
    (FrameFormat(1), b"x" * 255, b"\xff" + b"x" * 255),
    (FrameFormat(2), b"x" * 0x0102, b"\x01\x02" + b"x" * 0x0102),
    (FrameFormat(8), b"x" * 0x0102, b"\x00\x00\x00\x00\x00\x00\x01\x02" + b"x" * 0x0102),
    (FrameFormat(1, "little"), b"hello", b"\x05hello"),
    (FrameFormat(2, "little"), b"x" * 0x0102, b"\x02\x01" + b"x" * 0x0102),
    (FrameFormat(4, "little"), b"x" * 0x0102, b"\x02\x01\x00\x00" + b"x" * 0x0102),
    (FrameFormat(8, "little"), b"x" * 0x0102, b"\x02\x01\x00\x00\x00\x00\x00\x00" + b"x" * 0x0102),
    (FrameFormat(1, "big", True), b"hello", b"\x06hello"),
    (FrameFormat(1, "big", True), b"", b"\x01"),
    (FrameFormat(2, "big", True), b"hello", b"\x00\x07hello"),
    (FrameFormat(2, "little", True), b"hello", b"\x07\x00hello"),
    (FrameFormat(4, "big", True), b"hello", b"\x00\x00\x00\x09hello"),
    (FrameFormat(4, "little", True), b"", b"\x04\x00\x00\x00"),
    (FrameFormat(8, "big", True), b"hello", b"\x00\x00\x00\x00\x00\x00\x00\x0dhello"),
    (FrameFormat(8, "little", True), b"", b"\x08\x00\x00\x00\x00\x00\x00\x00"),
]
SMALL_FRAMES = [frame for frame in FRAMES if len(frame[1]) < 1000]
FORMATS = list(dict.fromkeys(frame[0] for frame in FRAMES))


def whole(wire: bytes, _: FrameFormat = DEFAULT) -> list[bytes]:
    return [wire]


def byte_by_byte(wire: bytes, _: FrameFormat = DEFAULT) -> list[bytes]:
    return [wire[i : i + 1] for i in range(len(wire))]


def with_trailing_data(wire: bytes, format: FrameFormat = DEFAULT) -> list[bytes]:
    """Together with the beginning of a next frame, whose payload would have 2 bytes."""
    return [wire + format.encode_header(2)]


Cutting = Callable[..., list[bytes]]
cut_any_way = pytest.mark.parametrize("cut", [whole, byte_by_byte, with_trailing_data])


def all_frames(decoder: FrameDecoder) -> list[bytes]:
    return list(iter(decoder.next_frame, None))


def all_runs(decoder: FrameDecoder) -> list[FrameRun]:
    return list(iter(decoder.next_run, None))


def feed(decoder: FrameDecoder, pieces: list[bytes]) -> list[bytes]:
    """The frames that came out, each looked for as soon as it can be there."""
    frames = []
    for piece in pieces:
        decoder.receive_data(piece)
        frames += all_frames(decoder)
    return frames


T = TypeVar("T")


def feed_until_refused(
    decoder: FrameDecoder, pieces: list[bytes], read_next: Callable[[], T | None]
) -> tuple[list[T], FrameTooLargeError]:
    """What came out before the refusal, and the refusal."""
    read: list[T] = []
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            while (item := read_next()) is not None:
                read.append(item)
    except FrameTooLargeError as refusal:
        return read, refusal
    raise AssertionError("nothing was refused")


# --- encoding ---------------------------------------------------------------------------------------


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


# --- the buffer -------------------------------------------------------------------------------------


class CountingBuffer(ReceiveBuffer):
    """Counts the bytes that are put into new storage, adopted ones included."""

    moved = 0

    def _replace(self, storage: bytes | bytearray) -> None:
        CountingBuffer.moved += len(storage)
        super()._replace(storage)


@pytest.fixture
def counting_buffer(monkeypatch: pytest.MonkeyPatch) -> type[CountingBuffer]:
    """What decoders have from now on for a buffer."""
    monkeypatch.setattr(framing.decoder, "ReceiveBuffer", CountingBuffer)
    monkeypatch.setattr(CountingBuffer, "moved", 0)
    return CountingBuffer


def buffer_of(*pieces: bytes | bytearray | memoryview) -> ReceiveBuffer:
    buffer = ReceiveBuffer()
    for piece in pieces:
        buffer.append(piece)
    return buffer


def content(buffer: ReceiveBuffer) -> bytes:
    storage, start = buffer.window()
    return bytes(storage[start:])


def test_bytes_leave_the_buffer_in_the_order_in_which_they_came() -> None:
    buffer = buffer_of(b"abc", bytearray(b"de"), b"", memoryview(b"fgh"))
    assert len(buffer) == 8
    assert buffer.take(2) == b"ab"
    assert bytes(buffer.take_view(4)) == b"cdef"
    buffer.append(b"ij")
    assert (len(buffer), content(buffer)) == (4, b"ghij")
    assert buffer.take(4) == b"ghij"
    assert (len(buffer), content(buffer)) == (0, b"")


def test_what_is_taken_is_bytes_whatever_was_appended() -> None:
    for data in (b"abcd", bytearray(b"abcd"), memoryview(b"abcd")):
        assert type(buffer_of(data).take(2)) is bytes
        assert type(buffer_of(b"-", data).take(2)) is bytes


def test_skipped_bytes_are_removed_and_not_returned() -> None:
    buffer = buffer_of(b"abc", b"defg")
    assert buffer.take(5, skip=2) == b"cde"
    assert buffer.take(1, skip=1) == b""
    assert content(buffer) == b"g"


def test_no_bytes_can_be_taken_at_any_time() -> None:
    for buffer in (buffer_of(), buffer_of(b"abc"), buffer_of(b"abc", b"d")):
        before = content(buffer)
        assert buffer.take(0) == b""
        assert bytes(buffer.take_view(0)) == b""
        assert content(buffer) == before


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"ab", b"c"]])
@pytest.mark.parametrize("method", ["take", "take_view"])
@pytest.mark.parametrize("count", [-1, 4, 1000])
def test_taking_what_is_not_there_takes_nothing(pieces: list[bytes], method: str, count: int) -> None:
    buffer = buffer_of(*pieces)
    before = content(buffer)
    with pytest.raises(ValueError, match=f"cannot take {count} bytes: the buffer has {len(before)}"):
        getattr(buffer, method)(count)
    assert content(buffer) == before


@pytest.mark.parametrize("first", [b"", b"-"])
def test_later_changes_by_the_caller_are_not_seen(first: bytes) -> None:
    received = bytearray(b"abcdef")
    for data in (received, memoryview(received)):
        received[:] = b"abcdef"
        buffer = buffer_of(first, data)
        received[:] = b"??????"
        assert content(buffer) == first + b"abcdef"
    del data
    received.clear()  # which is an error while somebody holds on to its memory


@pytest.mark.parametrize("count", range(9))
@pytest.mark.parametrize("pieces", [[b"abcdefgh"], [b"abcd", b"efgh"]])
def test_a_view_stays_as_it_is_whatever_happens_to_the_buffer(pieces: list[bytes], count: int) -> None:
    buffer = buffer_of(*pieces)
    view = buffer.take_view(count)
    assert view.readonly
    for _ in range(3):
        buffer.append(b"0123456789")
        buffer.take(4)
        buffer.take_view(len(buffer) - 1)
    assert view == b"abcdefgh"[:count]


def test_bytes_that_came_together_and_are_viewed_together_are_not_copied() -> None:
    data = b"abcdefgh"
    assert buffer_of(data).take_view(8).obj is data
    assert buffer_of(data).take_view(6).obj is data


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize("step", [1, 3, 700])
def test_a_buffer_moves_each_byte_a_bounded_number_of_times(
    cut: Cutting, step: int, counting_buffer: type[CountingBuffer]
) -> None:
    size = 2100
    buffer = counting_buffer()
    for piece in cut(bytes(size)):
        buffer.append(piece)
    while buffer:
        buffer.take(step)
    assert counting_buffer.moved <= 3 * size


def test_the_storage_is_at_most_twice_what_is_left_in_it() -> None:
    for pieces in ([bytes(1000)], [bytes(500), bytes(500)]):
        buffer = buffer_of(*pieces)
        while buffer:
            buffer.take(7 if len(buffer) > 7 else 1)
            assert len(buffer.window()[0]) <= 2 * len(buffer)


# --- decoding ---------------------------------------------------------------------------------------


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
    assert decoder.next_run() is None
    decoder.receive_data(wire[-1:])
    assert decoder.next_frame() == payload


@pytest.mark.parametrize(("format", "payload", "wire"), SMALL_FRAMES)
def test_a_run_is_the_frames_as_they_were_on_the_wire(
    format: FrameFormat, payload: bytes, wire: bytes
) -> None:
    decoder = FrameDecoder(format=format)
    decoder.receive_data(wire * 3 + wire[:-1])
    run = decoder.next_run()
    assert run == FrameRun(memoryview(wire * 3), 3)
    assert decoder.next_run() is None
    assert (decoder.buffered_bytes, decoder.frames_decoded) == (len(wire) - 1, 3)
    decoder.receive_data(wire[-1:])
    assert decoder.next_run() == FrameRun(memoryview(wire), 1)


@cut_any_way
def test_frames_of_many_sizes_come_out_in_order(cut: Cutting) -> None:
    payloads = [b"one", b"", b"three" * 300, b"", b"", b"six"]
    decoder = FrameDecoder()
    assert feed(decoder, cut(b"".join(map(encode_frame, payloads)))) == payloads
    assert decoder.frames_decoded == len(payloads)


def test_next_frame_and_next_run_can_be_mixed() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(b"".join(map(encode_frame, [b"a", b"bc", b"", b"def"])))
    assert decoder.next_frame() == b"a"
    assert decoder.next_run() == FrameRun(memoryview(b"\0\0\0\2bc\0\0\0\0\0\0\0\3def"), 3)
    assert decoder.next_frame() is None
    decoder.receive_data(encode_frame(b"g") + encode_frame(b"h"))
    assert decoder.next_frame() == b"g"
    assert decoder.next_run() == FrameRun(memoryview(b"\0\0\0\1h"), 1)
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


def test_a_run_stays_as_it_is_whatever_comes_later() -> None:
    decoder = FrameDecoder()
    runs, expected = [], []
    for i in range(50):
        wire = encode_frame(b"%d" % i * (i % 7)) * (1 + i % 3)
        decoder.receive_data(wire + encode_frame(b"next")[: i % 8])
        runs.append(decoder.next_run())
        expected.append(wire)
        decoder.receive_data(encode_frame(b"next")[i % 8 :])
        assert decoder.next_frame() == b"next"
    assert [run.data for run in runs if run] == expected
    assert all(run.data.readonly for run in runs if run)


@cut_any_way
def test_zero_length_frames_are_frames_and_not_the_end(cut: Cutting) -> None:
    decoder = FrameDecoder()
    assert feed(decoder, cut(bytes(4 * 3))) == [b"", b"", b""]


def test_a_zero_length_frame_can_be_the_last_one() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(encode_frame(b""))
    decoder.end_of_data()
    assert [decoder.next_frame(), decoder.next_frame(), decoder.next_frame()] == [b"", None, None]


def test_a_zero_length_frame_is_a_run_too() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(encode_frame(b""))
    decoder.end_of_data()
    assert decoder.next_run() == FrameRun(memoryview(bytes(4)), 1)
    assert decoder.next_run() is None


# --- the end ----------------------------------------------------------------------------------------


def test_without_any_data_the_end_is_clean() -> None:
    decoder = FrameDecoder()
    assert (decoder.next_frame(), decoder.next_run()) == (None, None)
    decoder.end_of_data()
    decoder.end_of_data()
    assert (decoder.next_frame(), decoder.next_run()) == (None, None)


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
        for ask_again in (decoder.next_frame, decoder.next_run, decoder.next_frame):
            with pytest.raises(IncompleteFrameError) as caught:
                ask_again()
            assert (caught.value.received, caught.value.expected) == (received, expected)


@pytest.mark.parametrize("read", [all_frames, all_runs])
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


# --- refusals ---------------------------------------------------------------------------------------


@cut_any_way
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("length", [0, 99, 100])
def test_a_frame_up_to_the_limit_is_taken(format: FrameFormat, length: int, cut: Cutting) -> None:
    decoder = FrameDecoder(format=format, max_frame_length=100)
    assert feed(decoder, cut(encode_frame(bytes(length), format=format), format)) == [bytes(length)]


@pytest.mark.parametrize("format", FORMATS)
def test_a_frame_over_the_limit_is_refused_with_the_last_byte_of_its_header(format: FrameFormat) -> None:
    decoder = FrameDecoder(format=format, max_frame_length=100)
    header = format.encode_header(101)
    assert feed(decoder, byte_by_byte(header[:-1])) == []
    decoder.receive_data(header[-1:])
    with pytest.raises(FrameTooLargeError) as caught:
        decoder.next_frame()
    assert (caught.value.length, caught.value.limit) == (101, 100)


@cut_any_way
def test_by_default_the_limit_is_one_mebibyte(cut: Cutting) -> None:
    assert DEFAULT_MAX_FRAME_LENGTH == 1024 * 1024
    assert feed(FrameDecoder(), cut(b"\x00\x10\x00\x00")) == []
    with pytest.raises(FrameTooLargeError) as caught:
        feed(FrameDecoder(), cut(b"\x00\x10\x00\x01"))
    assert (caught.value.length, caught.value.limit) == (1024 * 1024 + 1, 1024 * 1024)


@cut_any_way
def test_a_limit_of_zero_allows_empty_frames_and_no_others(cut: Cutting) -> None:
    decoder = FrameDecoder(max_frame_length=0)
    decoder.receive_data(bytes(8))
    assert all_frames(decoder) == [b"", b""]
    with pytest.raises(FrameTooLargeError) as caught:
        feed(decoder, cut(b"\0\0\0\1x"))
    assert (caught.value.length, caught.value.limit) == (1, 0)


def test_a_negative_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match="max_frame_length must not be negative, as -1 is"):
        FrameDecoder(max_frame_length=-1)


@cut_any_way
def test_frames_before_a_refused_header_are_handed_out(cut: Cutting) -> None:
    decoder = FrameDecoder(max_frame_length=5)
    wire = b"".join(map(encode_frame, [b"one", b"", b"three", b"toomuch"]))
    frames, refusal = feed_until_refused(decoder, cut(wire), decoder.next_frame)
    assert frames == [b"one", b"", b"three"]
    assert (refusal.length, refusal.limit) == (7, 5)
    assert decoder.frames_decoded == 3


@cut_any_way
def test_frames_before_a_refused_header_are_handed_out_as_a_run(cut: Cutting) -> None:
    decoder = FrameDecoder(max_frame_length=5)
    good = b"".join(map(encode_frame, [b"one", b"", b"three"]))
    runs, refusal = feed_until_refused(decoder, cut(good + encode_frame(b"toomuch")), decoder.next_run)
    assert b"".join(run.data for run in runs) == good
    assert sum(run.frame_count for run in runs) == decoder.frames_decoded == 3
    assert (refusal.length, refusal.limit) == (7, 5)


@pytest.mark.parametrize("wire", [b"\xff" * 4, b"\0\0\0\3"])
def test_a_refusal_is_the_same_error_again_and_again(wire: bytes) -> None:
    decoder = FrameDecoder(format=COUNTS_ITSELF)
    decoder.receive_data(wire)
    with pytest.raises(RemoteProtocolError) as first:
        decoder.next_frame()
    decoder.receive_data(encode_frame(b"a good frame", format=COUNTS_ITSELF))
    for ask_again in (decoder.next_frame, decoder.next_run, decoder.next_frame):
        with pytest.raises(RemoteProtocolError) as again:
            ask_again()
        assert again.value is first.value
        decoder.end_of_data()


@cut_any_way
def test_nothing_is_kept_of_what_follows_a_refusal(cut: Cutting) -> None:
    decoder = FrameDecoder(max_frame_length=2)
    with pytest.raises(FrameTooLargeError):
        feed(decoder, cut(encode_frame(b"toomuch")))
    assert decoder.buffered_bytes == 0
    for piece in cut(encode_frame(b"ok")):
        decoder.receive_data(piece)
    assert decoder.buffered_bytes == 0


@cut_any_way
@pytest.mark.parametrize("format", [each for each in FORMATS if each.length_includes_header])
def test_a_length_that_does_not_cover_its_own_header_is_refused(format: FrameFormat, cut: Cutting) -> None:
    for length in range(format.header_bytes):
        decoder = FrameDecoder(format=format)
        good = encode_frame(b"good", format=format)
        with pytest.raises(FrameTooSmallError) as caught:
            feed(decoder, cut(good + length.to_bytes(format.header_bytes, format.byte_order)))
        assert (caught.value.length, caught.value.minimum) == (length, format.header_bytes)
        assert (decoder.frames_decoded, decoder.buffered_bytes) == (1, 0)


def refusal_of(
    wire: bytes, format: FrameFormat = DEFAULT, limit: int = DEFAULT_MAX_FRAME_LENGTH
) -> FrameTooLargeError:
    decoder = FrameDecoder(format=format, max_frame_length=limit)
    decoder.receive_data(wire)
    with pytest.raises(FrameTooLargeError) as caught:
        decoder.next_frame()
    return caught.value


@pytest.mark.parametrize("format", [DEFAULT, LITTLE, FrameFormat(8)])
@pytest.mark.parametrize(
    ("wire", "meaning"),
    [
        (b"GET / HTTP/1.1\r\n", "begin an HTTP request"),
        (b"HEAD / HTTP/1.1\r\n", "begin an HTTP request"),
        (b"POST /x HTTP/1.1\r\n", "begin an HTTP request"),
        (b"PUT /x HTTP/1.1\r\n", "begin an HTTP request"),
        (b"PATCH /x HTTP/1.1\r\n", "begin an HTTP request"),
        (b"DELETE /x HTTP/1.1\r\n", "begin an HTTP request"),
        (b"OPTIONS * HTTP/1.1\r\n", "begin an HTTP request"),
        (b"CONNECT host:443 HTTP/1.1\r\n", "begin an HTTP request"),
        (b"TRACE / HTTP/1.1\r\n", "begin an HTTP request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "begin an HTTP request"),
        (b"HTTP/1.1 400 Bad Request\r\n", "begin an HTTP response"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "begin a TLS handshake"),
        (b"\x16\x03\x03\x12\x34\x02\x00\x12\x30\x03\x03", "begin a TLS handshake"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "begin an SSH greeting"),
    ],
)
def test_a_refusal_says_what_speaks_another_protocol(format: FrameFormat, wire: bytes, meaning: str) -> None:
    refusal = refusal_of(wire, format)
    assert refusal.diagnosis is not None
    assert meaning in refusal.diagnosis
    assert repr(wire[: format.header_bytes]) in refusal.diagnosis
    assert refusal.diagnosis in str(refusal)


@pytest.mark.parametrize(
    ("wire", "format", "other"),
    [
        (b"\x05\0\0\0hello", DEFAULT, "little-endian it would be 5;"),
        (b"\0\0\0\x05hello", LITTLE, "big-endian it would be 5;"),
        (b"\x05\0hello", FrameFormat(2), "little-endian it would be 5;"),
        (b"\0\0\0\0\0\0\0\x05hello", FrameFormat(8, "little"), "big-endian it would be 5;"),
        (b"\x09\0\0\0hello", COUNTS_ITSELF, "little-endian it would be 5;"),
        (b"\x04\0\0\0", COUNTS_ITSELF, "little-endian it would be 0;"),
        (b"\0\0\0\x64" + bytes(100), LITTLE, "big-endian it would be 100;"),
    ],
)
def test_a_refusal_says_that_the_byte_order_may_be_the_other_one(
    wire: bytes, format: FrameFormat, other: str
) -> None:
    diagnosis = refusal_of(wire, format, limit=100).diagnosis
    assert diagnosis is not None
    assert other in diagnosis


@pytest.mark.parametrize(
    ("wire", "format"),
    [
        (b"\xff\xff\xff\xff", DEFAULT),
        (b"\0\0\0\x65", LITTLE),  # over the limit in that order, too
        (b"\x65\0\0\0", DEFAULT),
        (b"\x01\0\0\0", COUNTS_ITSELF),  # too short in that order
        (b"\xfe", FrameFormat(1)),
        (b"GETX", DEFAULT),
        (b"\x16\x04\x01\x02", DEFAULT),
    ],
)
def test_a_refusal_does_not_guess(wire: bytes, format: FrameFormat) -> None:
    assert refusal_of(wire, format, limit=100).diagnosis is None


# --- memory and work --------------------------------------------------------------------------------


@pytest.fixture
def peak_memory() -> Iterator[Callable[[], int]]:
    """Gives the most bytes that were allocated at a time, since the test began."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("format", "header"),
    [(DEFAULT, b"\xff" * 4), (LITTLE, b"\xff" * 4), (FrameFormat(8), b"\0\0\0\1\0\0\0\0")],
)
def test_an_announced_length_allocates_nothing(
    format: FrameFormat, header: bytes, peak_memory: Callable[[], int]
) -> None:
    decoder = FrameDecoder(format=format, max_frame_length=format.max_payload_length)
    for piece in (header, *[bytes(100)] * 10):
        decoder.receive_data(piece)
        assert (decoder.next_frame(), decoder.next_run()) == (None, None)
    assert decoder.buffered_bytes == len(header) + 1000
    assert peak_memory() < 100_000


def test_what_came_with_a_refused_header_is_let_go(peak_memory: Callable[[], int]) -> None:
    decoder = FrameDecoder()
    decoder.receive_data(b"\xff" * 4 + bytes(10_000_000))
    with pytest.raises(FrameTooLargeError):
        decoder.next_frame()
    tracemalloc.reset_peak()
    assert peak_memory() < 1_000_000


def test_the_same_error_again_does_not_grow() -> None:
    decoder = FrameDecoder()
    decoder.receive_data(b"\xff" * 4)
    depths = []
    for _ in range(10):
        with pytest.raises(FrameTooLargeError) as caught:
            decoder.next_frame()
        depths.append(len(caught.traceback))
    assert len(set(depths[1:])) == 1


class CountingStruct(struct.Struct):
    """Counts how often a header is read."""

    reads = 0

    def unpack_from(self, buffer: bytes | bytearray, offset: int = 0) -> tuple[int]:  # type: ignore[override]
        self.reads += 1
        return super().unpack_from(buffer, offset)


def counting_format() -> tuple[FrameFormat, CountingStruct]:
    frame_format, header = FrameFormat(), CountingStruct(">I")
    object.__setattr__(frame_format, "_header", header)
    framing.decoder._scanners.cache_clear()  # which knows an equal format
    return frame_format, header


def test_a_header_is_not_read_again_for_every_byte_of_its_frame() -> None:
    frame_format, header = counting_format()
    decoder = FrameDecoder(format=frame_format)
    assert feed(decoder, byte_by_byte(encode_frame(bytes(1000)) * 3)) == [bytes(1000)] * 3
    assert header.reads <= 2 * 3  # when the header is complete, and when the frame is


def test_a_header_is_read_once_when_all_frames_are_there() -> None:
    wire = encode_frame(b"tiny") * 1000
    frame_format, header = counting_format()
    decoder = FrameDecoder(format=frame_format)
    decoder.receive_data(wire)
    assert len(all_frames(decoder)) == header.reads == 1000

    decoder.receive_data(wire)
    assert [run.frame_count for run in all_runs(decoder)] == [1000]
    assert header.reads == 2000


@pytest.mark.parametrize("read", [all_frames, all_runs])
@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize("wire", [encode_frame(bytes(4096)), encode_frame(b"tiny") * 512])
def test_a_decoder_moves_each_byte_a_bounded_number_of_times(
    wire: bytes, cut: Cutting, read: Callable[[FrameDecoder], object], counting_buffer: type[CountingBuffer]
) -> None:
    decoder = FrameDecoder()
    for piece in cut(wire):
        decoder.receive_data(piece)
        read(decoder)
    assert decoder.buffered_bytes == 0
    assert 0 < counting_buffer.moved <= 3 * len(wire)


def test_a_backlog_of_tiny_frames_is_read_one_by_one_in_linear_work(
    counting_buffer: type[CountingBuffer],
) -> None:
    wire = encode_frame(b"tiny") * 512
    decoder = FrameDecoder()
    for piece in byte_by_byte(wire):
        decoder.receive_data(piece)
    assert len(all_frames(decoder)) == 512
    assert counting_buffer.moved <= 3 * len(wire)


@pytest.mark.parametrize("frame_format", [FrameFormat(), FrameFormat(2, "little", True)])
def test_formats_can_be_copied_and_pickled(frame_format: FrameFormat) -> None:
    for twin in (copy.deepcopy(frame_format), pickle.loads(pickle.dumps(frame_format))):  # noqa: S301 - our own
        assert twin == frame_format
        assert twin.encode_header(3) == frame_format.encode_header(3)


def test_a_negative_length_has_no_header() -> None:
    with pytest.raises(ValueError, match="-1"):
        FrameFormat(length_includes_header=True).encode_header(-1)
