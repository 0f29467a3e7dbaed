"""What cannot be a frame is refused, after the frames before it, with a diagnosis."""

from __future__ import annotations

import pytest

from tests.framing.examples import (
    COUNTS_ITSELF,
    DEFAULT,
    FORMATS,
    LITTLE,
    Cutting,
    all_frames,
    byte_by_byte,
    cut_any_way,
    feed,
    feed_until_refused,
)
from trioecho.errors import (
    FrameTooLargeError,
    FrameTooSmallError,
    RemoteProtocolError,
)
from trioecho.framing import (
    DEFAULT_MAX_FRAME_LENGTH,
    FrameDecoder,
    FrameFormat,
    encode_frame,
)


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
def test_frames_before_a_refused_header_are_handed_out_as_a_batch(cut: Cutting) -> None:
    decoder = FrameDecoder(max_frame_length=5)
    good = b"".join(map(encode_frame, [b"one", b"", b"three"]))
    batches, refusal = feed_until_refused(decoder, cut(good + encode_frame(b"toomuch")), decoder.next_batch)
    assert b"".join(batch.data for batch in batches) == good
    assert sum(batch.frame_count for batch in batches) == decoder.frames_decoded == 3
    assert (refusal.length, refusal.limit) == (7, 5)


@pytest.mark.parametrize("wire", [b"\xff" * 4, b"\0\0\0\3"])
def test_a_refusal_is_the_same_error_again_and_again(wire: bytes) -> None:
    decoder = FrameDecoder(format=COUNTS_ITSELF)
    decoder.receive_data(wire)
    with pytest.raises(RemoteProtocolError) as first:
        decoder.next_frame()
    decoder.receive_data(encode_frame(b"a good frame", format=COUNTS_ITSELF))
    for ask_again in (decoder.next_frame, decoder.next_batch, decoder.next_frame):
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
        (b"\x16\x04\x01\x02", DEFAULT),
    ],
)
def test_a_refusal_does_not_guess(wire: bytes, format: FrameFormat) -> None:
    assert refusal_of(wire, format, limit=100).diagnosis is None
