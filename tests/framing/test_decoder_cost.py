"""Memory and work: both grow with what was received, and with nothing else."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from tests.framing.examples import (
    DEFAULT,
    LITTLE,
    CountingBuffer,
    Cutting,
    all_batches,
    all_frames,
    byte_by_byte,
    feed,
    whole,
)
from trioecho.errors import (
    FrameTooLargeError,
)
from trioecho.framing import (
    FrameDecoder,
    FrameFormat,
    encode_frame,
)
from trioecho.framing.scanning import StructScanner


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
        assert (decoder.next_frame(), decoder.next_batch()) == (None, None)
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


def counting_decoder() -> tuple[FrameDecoder, CountingStruct]:
    frame_format, header = FrameFormat(), CountingStruct(">I")
    object.__setattr__(frame_format, "_header", header)
    decoder = FrameDecoder(format=frame_format)
    decoder._scanner = StructScanner(frame_format, 1 << 20)  # also in a compiled build, where it is slower
    return decoder, header


def test_a_header_is_not_read_again_for_every_byte_of_its_frame() -> None:
    decoder, header = counting_decoder()
    assert feed(decoder, byte_by_byte(encode_frame(bytes(1000)) * 3)) == [bytes(1000)] * 3
    assert 0 < header.reads <= 2 * 3  # when the header is complete, and when the frame is


def test_a_header_is_read_once_when_all_frames_are_there() -> None:
    wire = encode_frame(b"tiny") * 1000
    decoder, header = counting_decoder()
    decoder.receive_data(wire)
    assert len(all_frames(decoder)) == header.reads == 1000

    decoder.receive_data(wire)
    assert [batch.frame_count for batch in all_batches(decoder)] == [1000]
    assert header.reads == 2000


@pytest.mark.parametrize("read", [all_frames, all_batches])
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
