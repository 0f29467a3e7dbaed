"""The shorter ways through the decoder - frames in pieces, in place, together - against the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.framing.test_properties import (
    FORMATS,
    GARBAGE,
    LIMITS,
    PAYLOADS,
    as_found,
    naive_frame,
    naive_frames,
)
from tests.support.examples import examples
from trioecho.errors import FrameTooLargeError, IncompleteFrameError, LocalProtocolError, RemoteProtocolError
from trioecho.framing import ConnectionDecoder, FrameFormat, connection_decoder, encode_frame, large_frame
from trioecho.framing import decoder as decoder_module
from trioecho.framing.large_frame import BlockPool

QUICK = examples(250)
# So small that frames of a few bytes are large, and lie in many blocks.
SMALL_LARGE_BYTES, SMALL_BLOCK_BYTES = 8, 16


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Iterator[None]:
    with (
        patch.object(decoder_module, "LARGE_BYTES", SMALL_LARGE_BYTES),
        patch.object(connection_decoder, "LARGE_BYTES", SMALL_LARGE_BYTES),
        patch.object(large_frame, "BLOCK_BYTES", SMALL_BLOCK_BYTES),
    ):
        yield


class WatchedPool(BlockPool):
    """Knows which blocks are in use, and spoils those that are given back."""

    def __init__(self) -> None:
        super().__init__()
        self.in_use: dict[int, memoryview] = {}

    def take(self) -> memoryview:
        block = super().take()
        assert id(block.obj) not in self.in_use, "a block is shared"
        self.in_use[id(block.obj)] = block
        return block

    def give_back(self, blocks: object) -> None:
        assert isinstance(blocks, list)
        for block in blocks:
            del self.in_use[id(block.obj)]
            block[:] = b"\xa5" * len(block)
        super().give_back(blocks)


class Receiver:
    """Receives a wire as a connection does, and reads frames in one of the ways there are."""

    def __init__(self, wire: bytes, format: FrameFormat, limit: int, pool: BlockPool) -> None:
        self.rest = wire
        self.format = format
        self.decoder = ConnectionDecoder(format=format, max_frame_length=limit, pool=pool)
        self.shared = memoryview(bytearray(64))  # as the buffer that all connections receive into
        self.frames: list[bytes] = []

    def received(self, count: int) -> memoryview:
        room = self.decoder.get_buffer()
        buffer = room if room is not None and count % 4 else self.shared  # not every stream uses the room
        count = min(count, len(buffer), len(self.rest))
        buffer[:count] = self.rest[:count]
        self.rest = self.rest[count:]
        return buffer[:count]

    def read_wire(self, wire: bytes, count: int) -> None:
        frames, found = naive_frames(wire, self.format, 1 << 64)
        assert found == ("nothing",)
        assert len(frames) == count
        self.frames += frames

    def in_pieces(self, data: memoryview) -> None:
        pieces, count = self.decoder.receive_pieces(data)
        assert all(len(piece) for piece in pieces)
        assert bool(pieces) == bool(count)
        self.read_wire(b"".join(pieces), count)
        self.decoder.release()

    def echo(self, data: memoryview) -> None:
        """As the reactor and `Exchange.echo` do."""
        size, count, _ = self.decoder.scanner.scan(data)
        if not self.decoder.buffered_bytes and count and size == len(data):
            self.decoder.frames_decoded += count
            self.read_wire(bytes(data), count)
        else:
            self.in_pieces(data)
            if self.decoder.buffered_bytes:
                self.as_batch()

    def collect(self, data: memoryview) -> None:
        """As the reactor and `Exchange.converse` do."""
        frames, size = self.decoder.scanner.split(bytes(data))
        if not self.decoder.buffered_bytes and frames and size == len(data):
            self.decoder.frames_decoded += len(frames)
            self.frames += frames[:1]
            self.decoder.unread(frames[1:])
            self.as_frames()
        else:
            self.decoder.receive_data(data)
            self.as_frames()

    def as_frames(self) -> None:
        while frames := self.decoder.next_frames():
            kept = (len(frames) + 1) // 2
            self.frames += frames[:kept]
            self.decoder.unread(frames[kept:])

    def as_batch(self) -> None:
        while batch := self.decoder.next_batch():
            assert batch.data.readonly if isinstance(batch.data, memoryview) else True
            self.read_wire(bytes(batch.data), batch.frame_count)

    def one_by_one(self) -> None:
        while (frame := self.decoder.next_frame()) is not None:
            self.frames.append(frame)

    def run(self, sizes: list[int], ways: list[int]) -> tuple[object, ...]:
        """Receive and read all of the wire; what comes after the frames."""
        turn = 0
        try:
            while self.rest:
                data = self.received(sizes[turn % len(sizes)])
                way = ways[turn % len(ways)]
                turn += 1
                if way == 0:
                    self.echo(data)
                elif way == 1:
                    self.collect(data)
                else:
                    self.decoder.receive_data(data)
                    (self.as_batch, self.as_frames, self.one_by_one)[way - 2]()
                self.shared[:] = b"\x5a" * len(self.shared)
                assert self.decoder.frames_decoded == len(self.frames)
            self.decoder.end_of_data()
            (self.as_batch, self.as_frames, self.one_by_one)[ways[0] % 3]()
        except RemoteProtocolError as error:
            found = as_found(error)
        else:
            assert self.decoder.buffered_bytes == 0
            return ("nothing",)
        for read in (self.decoder.next_frame, self.decoder.next_batch, self.decoder.next_frames):
            with pytest.raises(RemoteProtocolError) as again:
                read()
            assert as_found(again.value) == found
        return found


SIZES = st.lists(st.one_of(st.integers(1, 9), st.integers(1, 64)), min_size=1, max_size=8)
WAYS = st.one_of(
    st.integers(0, 4).map(lambda way: [way]), st.lists(st.integers(0, 4), min_size=1, max_size=6)
)


def check(wire: bytes, format: FrameFormat, limit: int, sizes: list[int], ways: list[int]) -> None:
    pool = WatchedPool()
    receiver = Receiver(wire, format, limit, pool)
    found = receiver.run(sizes, ways)
    assert (receiver.frames, found) == naive_frames(wire, format, limit)
    if found == ("nothing",):
        assert not pool.in_use


@QUICK
@given(payloads=st.lists(PAYLOADS, max_size=8), format=FORMATS, sizes=SIZES, ways=WAYS)
def test_frames_come_out_as_they_were_sent_whatever_the_cuts_and_the_way(
    payloads: list[bytes], format: FrameFormat, sizes: list[int], ways: list[int]
) -> None:
    check(b"".join(naive_frame(payload, format) for payload in payloads), format, 254, sizes, ways)


@QUICK
@given(
    payloads=st.lists(PAYLOADS, max_size=4),
    end=st.one_of(GARBAGE, PAYLOADS),
    missing=st.integers(0, 60),
    format=FORMATS,
    limit=LIMITS,
    sizes=SIZES,
    ways=WAYS,
)
def test_a_wire_that_is_torn_or_wrong_gives_its_frames_and_the_documented_errors(
    payloads: list[bytes],
    end: bytes,
    missing: int,
    format: FrameFormat,
    limit: int,
    sizes: list[int],
    ways: list[int],
) -> None:
    wire = b"".join(naive_frame(payload, format) for payload in payloads) + end
    check(wire[: max(0, len(wire) - missing)], format, limit, sizes, ways)


@QUICK
@given(
    payloads=st.lists(st.lists(PAYLOADS, min_size=1, max_size=4), min_size=2, max_size=4),
    turns=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 64), st.booleans()), max_size=150),
)
def test_connections_that_share_a_pool_never_share_a_block(
    payloads: list[list[bytes]], turns: list[tuple[int, int, bool]]
) -> None:
    pool = WatchedPool()
    default = FrameFormat()
    receivers = [
        Receiver(b"".join(naive_frame(payload, default) for payload in each), default, 254, pool)
        for each in payloads
    ]
    # Pieces that are being sent: they stay as they are until they are released.
    lent: dict[int, tuple[list[bytes | memoryview], list[bytes]]] = {}
    for turn, count, is_sent in turns:
        number = turn % len(receivers)
        receiver = receivers[number]
        if number in lent:
            if is_sent:
                del lent[number]
                receiver.decoder.release()
        elif receiver.rest:
            pieces, _ = receiver.decoder.receive_pieces(receiver.received(count))
            # What lies in the shared buffer is copied by who has to wait.
            lasting = [
                piece if isinstance(piece, bytes) or piece.readonly else bytes(piece) for piece in pieces
            ]
            if lasting:
                lent[number] = lasting, [bytes(piece) for piece in lasting]
                receiver.frames += naive_frames(b"".join(lasting), default, 254)[0]
        for pieces_now, pieces_then in lent.values():
            assert pieces_now == pieces_then
    for receiver, each in zip(receivers, payloads, strict=True):
        assert receiver.frames == each[: len(receiver.frames)]


# --- by hand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", range(5))
@pytest.mark.parametrize("header_bytes", [1, 2, 4, 8])
def test_a_header_may_be_cut_anywhere_also_behind_a_large_frame(header_bytes: int, way: int) -> None:
    frame_format = FrameFormat(header_bytes)
    wire = (
        naive_frame(b"x" * 50, frame_format)
        + naive_frame(b"y" * 40, frame_format)
        + naive_frame(b"", frame_format)
    )
    for first in range(1, len(wire)):
        check(wire, frame_format, 254, [first, 64, 64, 64], [way])


def test_the_rest_of_a_large_frame_is_not_copied() -> None:
    decoder = ConnectionDecoder(pool=BlockPool())
    wire = encode_frame(bytes(range(40)))
    assert decoder.receive_pieces(wire[:20]) == ([], 0)
    buffers = []
    position = 20
    while (buffer := decoder.get_buffer()) is not None:
        buffers.append(buffer)
        buffer[:] = wire[position : position + len(buffer)]
        position += len(buffer)
        pieces, count = decoder.receive_pieces(buffer)
    assert count == 1
    assert b"".join(pieces) == wire
    assert [piece.obj for piece in pieces[1:] if isinstance(piece, memoryview)] == [
        buffer.obj for buffer in buffers
    ]
    assert all(piece.readonly for piece in pieces if isinstance(piece, memoryview))


def test_pieces_that_came_whole_lie_in_what_was_received() -> None:
    decoder = ConnectionDecoder()
    data = memoryview(bytearray(encode_frame(b"one") + encode_frame(b"two") + b"\0\0"))
    [piece], count = decoder.receive_pieces(data)
    assert count == 2
    assert isinstance(piece, memoryview)
    assert piece.obj is data.obj
    assert decoder.buffered_bytes == 2


def test_blocks_are_lent_until_they_are_released() -> None:
    pool = WatchedPool()
    decoder = ConnectionDecoder(pool=pool)
    wire = encode_frame(b"x" * 30)
    decoder.receive_pieces(wire[:10])
    data = decoder.get_buffer()
    assert data is not None
    data[:] = wire[10:26]
    assert decoder.receive_pieces(data) == ([], 0)
    pieces, _ = decoder.receive_pieces(wire[26:] + encode_frame(b"next"))
    assert len(pool.in_use) == 2
    assert b"".join(pieces) == wire + encode_frame(b"next")
    decoder.release()
    assert not pool.in_use
    decoder.release()  # nothing is given back twice
    assert len({id(pool.take().obj) for _ in range(4)}) == 4


@pytest.mark.parametrize("received", [1, 3, 4, 8, 20, 33])
def test_the_end_inside_a_large_frame_is_reported_with_its_numbers(received: int) -> None:
    decoder = ConnectionDecoder()
    wire = encode_frame(b"x" * 30)
    for byte in wire[:received]:
        room = decoder.get_buffer()
        if room is not None:
            room[0] = byte
        decoder.receive_pieces(room[:1] if room is not None else bytes([byte]))
    assert decoder.buffered_bytes == received
    decoder.end_of_data()
    with pytest.raises(IncompleteFrameError) as caught:
        decoder.next_batch()
    assert (caught.value.received, caught.value.expected) == (received, 34 if received >= 4 else 4)
    with pytest.raises(LocalProtocolError):
        decoder.receive_pieces(b"more")


def test_no_pieces_can_come_after_a_clean_end() -> None:
    decoder = ConnectionDecoder()
    decoder.end_of_data()
    with pytest.raises(LocalProtocolError):
        decoder.receive_pieces(encode_frame(b"too late"))


def test_what_is_put_back_is_given_again_before_what_is_buffered() -> None:
    decoder = ConnectionDecoder(format=FrameFormat(2, "little", True))
    wire = b"".join(naive_frame(bytes([number]) * number, decoder._format) for number in range(5))
    decoder.receive_data(wire[:-1])
    frames = decoder.next_frames()
    decoder.unread(frames[1:])
    decoder.unread([])
    assert decoder.frames_decoded == 1
    assert decoder.buffered_bytes == len(wire) - 3
    assert decoder.next_frame() == b"\1"
    decoder.receive_data(wire[-1:])
    batch = decoder.next_batch()
    assert batch is not None
    assert bytes(batch.data) == wire[2 + 3 :]
    assert decoder.frames_decoded == 5


@pytest.mark.parametrize("large", [False, True])
def test_a_refusal_comes_after_the_frames_before_it(large: bool) -> None:
    good = encode_frame(b"x" * (50 if large else 3))
    decoder = ConnectionDecoder(max_frame_length=100)
    wire = good + encode_frame(b"") + b"\xff\xff\xff\xff and what follows"
    if large:
        assert decoder.receive_pieces(wire[:30]) == ([], 0)
        assert decoder.get_buffer() is not None
        wire = wire[30:]
    pieces, count = decoder.receive_pieces(wire)
    assert count == 2
    assert b"".join(pieces) == good + encode_frame(b"")
    assert decoder.buffered_bytes  # so that it is asked again
    for _ in range(2):
        with pytest.raises(FrameTooLargeError):
            decoder.next_batch()
        assert decoder.receive_pieces(encode_frame(b"too late")) == ([], 0)
        assert decoder.get_buffer() is None
        assert decoder.frames_decoded == 2


def test_it_is_known_whether_a_look_is_worth_while() -> None:
    decoder = ConnectionDecoder(max_frame_length=50)
    found: list[bytes | None] = []
    for byte in encode_frame(b"x" * 30) * 2 + encode_frame(b""):
        assert not decoder.may_have_next
        decoder.receive_data(bytes([byte]))
        if decoder.may_have_next:
            found.append(decoder.next_frame())
    # A header is worth a look, although it makes no frame.
    assert found == [None, b"x" * 30, None, b"x" * 30, b""]
    decoder.receive_data(b"\xff" * 4)
    for _ in range(2):
        assert decoder.may_have_next
        with pytest.raises(FrameTooLargeError):
            decoder.next_frame()


def test_an_end_inside_a_frame_is_an_outcome_and_a_clean_end_is_none() -> None:
    for wire, is_due in ((b"", False), (b"\0\0", True), (encode_frame(b"x")[:-1], True)):
        decoder = ConnectionDecoder()
        decoder.receive_data(wire)
        assert decoder.next_frame() is None
        assert not decoder.may_have_next
        decoder.end_of_data()
        assert decoder.may_have_next is is_due


@pytest.mark.parametrize(
    ("wire", "payloads"),
    [
        (b"", []),
        (b"\0\0\0", []),
        (b"\0\0\0\0", [b""]),
        (b"\0\0\0\1a\0\0\0\0\0\0\0\2bc", [b"a", b"", b"bc"]),
        (b"\0\0\0\1a\0", [b"a"]),
        (b"\0\0\0\2a", []),
        (b"\0\0\0\1a\xff\xff\xff\xff", [b"a"]),
        (b"\0\0\0\1a\0\0\0\2b", [b"a"]),
    ],
)
def test_whole_frames_are_found_without_taking_anything(wire: bytes, payloads: list[bytes]) -> None:
    decoder = ConnectionDecoder()
    size = sum(4 + len(payload) for payload in payloads)
    assert decoder.scanner.scan(memoryview(bytearray(wire)))[:2] == (size, len(payloads))
    assert decoder.scanner.split(wire) == (payloads, size)
    assert decoder.frames_decoded == decoder.buffered_bytes == 0
    assert decoder.receive_pieces(b"\0\0\0\1z") == ([b"\0\0\0\1z"], 1)


def test_what_has_come_of_a_larger_frame_is_not_joined_with_its_rest() -> None:
    wire = encode_frame(bytes(range(256)) * 100)
    decoder = ConnectionDecoder()
    assert decoder.receive_pieces(wire[:20_000]) == ([], 0)
    data = memoryview(bytearray(wire[20_000:] + encode_frame(b"next") + b"\0"))
    [beginning, rest], count = decoder.receive_pieces(data)
    assert count == decoder.frames_decoded == 2
    assert len(beginning) == 20_000
    assert bytes(beginning) + bytes(rest) == wire + encode_frame(b"next")
    assert isinstance(rest, memoryview)
    assert rest.obj is data.obj
    assert decoder.buffered_bytes == 1
