"""Headers that are more than a number: any layout, any cuts, against an oracle of text and slices."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.framing.layouts import (
    SPECS,
    Spec,
    naive_layout_frame,
    naive_layout_next,
    peers_frames,
    size_of,
)
from tests.framing.test_properties import cut_up
from tests.support.examples import examples
from trioecho.errors import (
    FrameTooLargeError,
    FrameTooSmallError,
    IncompleteFrameError,
    MalformedFrameError,
    RemoteProtocolError,
)
from trioecho.framing import ConnectionDecoder, Frame, FrameDecoder, FrameFormat, encode_frame

THOROUGH = examples(500)
# Bytes that mean something in one header or another.
TELLING = st.lists(
    st.sampled_from([0, 0, 1, 4, 0x7F, 0x80, 0x80, 0x81, 0x82, 0xFF, *b"0019aA:"]), max_size=9
).map(bytes)


@st.composite
def wires(draw: st.DrawFn, spec: Spec) -> bytes:
    """Some frames."""
    most = min(spec.largest - spec.extra, 300)
    sizes = draw(st.lists(st.one_of(st.integers(0, min(most, 6)), st.integers(0, most)), max_size=6))
    payloads = [draw(st.binary(min_size=size, max_size=size)) for size in sizes]
    return b"".join(draw(peers_frames(payload, spec)) for payload in payloads)


def as_found(error: RemoteProtocolError) -> tuple[object, ...]:
    match error:
        case MalformedFrameError():
            return "malformed", error.offset
        case FrameTooLargeError():
            return "too large", error.length, error.limit
        case FrameTooSmallError():
            return "too small", error.length, error.minimum
        case IncompleteFrameError():
            return "incomplete", error.received, error.expected
        case _:
            raise error


def all_of(wire: bytes, spec: Spec, limit: int) -> tuple[list[tuple[bytes, ...]], tuple[object, ...]]:
    """What the oracle finds in a wire: frames in their parts, and what comes after them."""
    frames = []
    while (found := naive_layout_next(wire, spec, limit))[0] == "frame":
        _, parts, size = found
        assert isinstance(parts, tuple)
        assert isinstance(size, int)
        frames.append(parts)
        wire = wire[size:]
    return frames, found


Found = tuple[list[tuple[bytes, ...]], tuple[object, ...]]


def one_at_a_time(pieces: list[bytes], decoder: FrameDecoder) -> Found:
    frames: list[tuple[bytes, ...]] = []
    try:
        for piece in [*pieces, None]:
            if piece is None:
                decoder.end_of_data()
            else:
                decoder.receive_data(piece)
            while (frame := decoder.next_whole_frame()) is not None:
                frames.append(tuple(frame))
    except RemoteProtocolError as error:
        return frames, as_found(error)
    return frames, ("nothing",)


@THOROUGH
@given(spec=SPECS)
def test_a_format_prints_itself_so_that_it_is_read_as_the_same(spec: Spec) -> None:
    frame_format = FrameFormat.parse(spec.text)
    assert FrameFormat.parse(str(frame_format)) == frame_format
    assert FrameFormat.parse(f"  {spec.text.upper().replace(',', ' , ')} ") == frame_format
    twin = pickle.loads(pickle.dumps(frame_format))  # noqa: S301 - our own
    assert twin == frame_format
    assert hash(twin) == hash(frame_format)
    assert frame_format.max_payload_length == spec.largest - spec.extra


@THOROUGH
@given(data=st.data(), spec=SPECS)
def test_a_frame_is_written_as_the_oracle_writes_it(data: st.DataObject, spec: Spec) -> None:
    frame_format = FrameFormat.parse(spec.text)
    payload = bytes(data.draw(st.integers(0, min(300, spec.largest - spec.extra))))
    wire = naive_layout_frame(payload, spec)
    assert encode_frame(payload, format=frame_format) == wire
    assert frame_format.frame_length(len(payload)) == len(wire)
    assert frame_format.decode_header(wire) == len(payload)
    assert (
        frame_format.decode_header(frame_format.encode_header(frame_format.max_payload_length))
        == frame_format.max_payload_length
    )


@THOROUGH
@given(data=st.data(), spec=SPECS)
def test_frames_and_garbage_come_out_as_the_oracle_reads_them_whatever_the_cuts(
    data: st.DataObject, spec: Spec
) -> None:
    frame_format = FrameFormat.parse(spec.text)
    wire = bytearray(data.draw(wires(spec)))
    if data.draw(
        st.booleans()
    ):  # change a byte, or more: whatever is free has any value, whatever is not is refused
        for _ in range(data.draw(st.integers(1, 4)) if wire else 0):
            at = data.draw(st.integers(0, min(30, len(wire) - 1)))
            wire[at : at + 1] = data.draw(st.one_of(st.binary(max_size=1), TELLING))
    garbage = data.draw(st.one_of(st.just(b""), st.binary(max_size=20), TELLING))
    whole = bytes(wire + garbage)[: data.draw(st.one_of(st.just(1 << 20), st.integers(0, 300)))]
    limit = data.draw(st.sampled_from([300, 300, 5, 1 << 64]))
    pieces = data.draw(cut_up(st.just(whole)))
    wanted = all_of(whole, spec, limit)
    assert one_at_a_time(pieces, FrameDecoder(format=frame_format, max_frame_length=limit)) == wanted
    assert one_at_a_time(pieces, ConnectionDecoder(format=frame_format, max_frame_length=limit)) == wanted
    _same_in_other_ways(pieces, frame_format, limit, wanted)


def _same_in_other_ways(pieces: list[bytes], frame_format: FrameFormat, limit: int, wanted: Found) -> None:
    """Payloads, payloads together, batches, and batches in place are what single frames are."""
    frames, found = wanted
    payloads = [parts[1] for parts in frames]

    decoder = FrameDecoder(format=frame_format, max_frame_length=limit)
    seen: list[bytes] = []
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            while some := decoder.next_frames():
                seen += some
        decoder.end_of_data()
        while some := decoder.next_frames():
            seen += some
        end: tuple[object, ...] = ("nothing",)
    except RemoteProtocolError as error:
        end = as_found(error)
    assert (seen, end) == (payloads, found)

    connection = ConnectionDecoder(format=frame_format, max_frame_length=limit)
    wire = b""
    count = 0
    try:
        for piece in pieces:
            parts, several = connection.receive_pieces(memoryview(piece))
            wire += b"".join(parts)
            count += several
            connection.release()
            while batch := connection.next_batch():
                wire += batch.data
                count += batch.frame_count
        connection.end_of_data()
        while batch := connection.next_batch():
            wire += batch.data
            count += batch.frame_count
        end = ("nothing",)
    except RemoteProtocolError as error:
        end = as_found(error)
    assert (wire, count, end) == (b"".join(map(b"".join, frames)), len(frames), found)
    assert connection.frames_decoded == count


@THOROUGH
@given(data=st.data(), spec=SPECS)
def test_a_header_that_came_is_sent_back_with_another_payload(data: st.DataObject, spec: Spec) -> None:
    frame_format = FrameFormat.parse(spec.text)
    frames, _ = all_of(data.draw(wires(spec)), spec, 300)
    for header, payload, _ in frames:
        assert encode_frame(payload, format=frame_format, header=header)[: len(header)] == header
        other = bytes(data.draw(st.integers(0, min(300, spec.largest - spec.extra))))
        sent = encode_frame(other, format=frame_format, header=header)
        [(new_header, new_payload, _)], end = all_of(sent, spec, 300)
        assert (new_payload, end) == (other, ("nothing",))
        start, rest = size_of(spec.before), size_of(spec.behind)
        assert new_header[:start] == header[:start]
        assert new_header[len(new_header) - rest :] == header[len(header) - rest :]
        if spec.kind == "u" and spec.most % 8:  # its flags are kept, too
            place = start if spec.order == "be" or spec.most <= 8 else len(header) - rest - 1
            assert new_header[place] >> spec.most % 8 == header[place] >> spec.most % 8


@THOROUGH
@given(data=st.data(), spec=SPECS)
def test_messages_that_are_taken_back_keep_their_headers(data: st.DataObject, spec: Spec) -> None:
    frame_format = FrameFormat.parse(spec.text)
    frames, _ = all_of(data.draw(wires(spec)), spec, 300)
    whole = b"".join(map(b"".join, frames))
    decoder = ConnectionDecoder(format=frame_format, max_frame_length=300)
    decoder.receive_data(whole)
    if data.draw(st.booleans()):
        taken = decoder.next_frames()
    else:
        taken = [frame for frame in [decoder.next_frame()] if frame is not None]
    back = data.draw(st.integers(0, len(taken)))
    decoder.unread(taken[len(taken) - back :])
    assert decoder.frames_decoded == len(taken) - back
    kept = [tuple(frame) for frame in iter(decoder.next_whole_frame, None)]
    assert kept == (frames[len(taken) - back :] if taken else [])


def test_a_large_frame_is_received_in_place_and_has_its_header() -> None:
    frame_format = FrameFormat.parse("mqtt")
    payload = bytes(range(256)) * 8192
    wire = encode_frame(payload, format=frame_format, header=b"\x31\x00")
    decoder = ConnectionDecoder(format=frame_format, max_frame_length=1 << 22)
    decoder.receive_data(wire[: 1 << 19])
    assert decoder.next_whole_frame() is None
    received = 1 << 19
    while (buffer := decoder.get_buffer()) is not None:
        size = min(len(buffer), len(wire) - received)
        buffer[:size] = wire[received : received + size]
        decoder.receive_data(buffer[:size])
        received += size
    assert decoder.next_whole_frame() == Frame(wire[:5], payload)
    assert (decoder.frames_decoded, decoder.buffered_bytes) == (1, 0)


def test_a_large_frame_with_a_wrong_end_is_refused() -> None:
    frame_format = FrameFormat.parse("amqp")
    wire = encode_frame(bytes(1 << 20), format=frame_format)
    decoder = ConnectionDecoder(format=frame_format)
    decoder.receive_data(wire[: 1 << 19])
    assert decoder.get_buffer() is None
    decoder.receive_data(wire[1 << 19 : -1] + b"\xcd")
    for _ in range(2):
        with pytest.raises(MalformedFrameError, match="0xcd came instead of 0xce") as caught:
            decoder.next_batch()
        assert caught.value.offset == len(wire) - 1


def test_what_cannot_be_a_frame_is_told_with_what_it_may_be() -> None:
    decoder = FrameDecoder(format=FrameFormat.parse("modbus"))
    good = encode_frame(b"good", format=FrameFormat.parse("modbus"))
    decoder.receive_data(good + b"\1\2\3\4\5\6\7\x08")
    assert decoder.next_frame() == b"good"
    with pytest.raises(MalformedFrameError) as caught:
        decoder.next_frame()
    assert str(caught.value) == (
        "byte 2 of a frame cannot be: 0x03 came instead of 0x00; after a frame the peer fell out of step: "
        "does the payload always have as many bytes as announced?"
    )
    other = FrameDecoder(format=FrameFormat.parse("ldap"))
    other.receive_data(b"GET / HTTP/1.1\r\n")
    with pytest.raises(MalformedFrameError, match="begin an HTTP request; is the peer an HTTP client"):
        other.next_frame()


@pytest.mark.parametrize(
    ("text", "wire", "found"),
    [
        # A varint that is longer than it need be, or than it may be.
        ("any1,varint4", "00 80 00", ("malformed", 2)),
        ("any1,varint2", "00 80 80 01", ("malformed", 2)),
        ("varint2", "80 80 01", ("malformed", 1)),
        ("varint", "81 00", ("malformed", 1)),
        # What follows the number is not looked at before it is all here, however the bytes were cut.
        ("any1,varint4,any2", "00 80 80 00", ("incomplete", 4, 5)),
        ("any1,varint4,any2", "00 80 80 00 00", ("incomplete", 5, 6)),
        ("any1,varint4,any2", "00 80 80 00 00 00", ("malformed", 3)),
        ("i32be", "80 00 00 00", ("malformed", 0)),
        ("any1,i32le", "00 00 00 00 80", ("malformed", 1)),
        ("dec4", "30 30 3a 31", ("malformed", 2)),
        ("dec1-9,x3a", "30 31 3a", ("malformed", 0)),
        ("dec1-9,x3a", "31 32 3b", ("malformed", 2)),
        ("hex4+header", "30 30 30 30", ("too small", 0, 4)),  # git's flush-pkt
        ("x30,ber", "30 80 00 00", ("malformed", 1)),
        ("x30,ber2", "30 83 00 00 00", ("malformed", 1)),
        ("x30,ber", "31 00", ("malformed", 0)),
        ("u16be+itself,any2", "00 01 00 00", ("too small", 1, 2)),
    ],
)
def test_what_is_no_header(text: str, wire: str, found: tuple[object, ...]) -> None:
    data = bytes.fromhex(wire)
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        for kind in (FrameDecoder, ConnectionDecoder):
            assert one_at_a_time(pieces, kind(format=FrameFormat.parse(text))) == ([], found)


def test_the_flags_of_a_header_that_came_are_sent_back() -> None:
    frame_format = FrameFormat.parse("onc-rpc")
    assert encode_frame(b"x", format=frame_format) == b"\x80\0\0\1x"
    assert encode_frame(b"xy", format=frame_format, header=b"\0\0\0\1") == b"\0\0\0\2xy"
    assert encode_frame(b"xy", format=frame_format, header=b"\x80\0\0\1") == b"\x80\0\0\2xy"
    assert frame_format.decode_header(b"\x80\0\0\5") == frame_format.decode_header(b"\0\0\0\5") == 5


def test_a_message_that_is_taken_back_has_the_header_that_it_came_with() -> None:
    decoder = ConnectionDecoder(format=FrameFormat.parse("mqtt"))
    wire = b"\x31\1a" + b"\x32\2bc" + b"\x33\0"
    decoder.receive_data(wire)
    taken = decoder.next_frames()
    assert taken == [b"a", b"bc", b""]
    decoder.unread(taken[1:])
    assert list(iter(decoder.next_whole_frame, None)) == [Frame(b"\x32\2", b"bc"), Frame(b"\x33\0", b"")]
    decoder.receive_data(wire)
    assert decoder.next_frame() == b"a"
    decoder.unread([b"a"])
    assert decoder.next_whole_frame() == Frame(b"\x31\1", b"a")


def test_a_long_header_that_comes_in_pieces_is_no_frame() -> None:
    decoder = ConnectionDecoder(format=FrameFormat.parse("any1,varint4"))
    assert decoder.receive_pieces(b"\0\xc8") == ([], 0)
    pieces, count = decoder.receive_pieces(b"\1" + bytes(200) + b"\0\0")
    assert (b"".join(pieces), count) == (b"\0\xc8\1" + bytes(200) + b"\0\0", 2)
