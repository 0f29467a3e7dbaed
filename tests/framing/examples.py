"""Formats and frames that tests of the framing share, and ways to cut and to read them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from trioecho.errors import (
    FrameTooLargeError,
)
from trioecho.framing import (
    ConnectionDecoder,
    Frame,
    FrameBatch,
    FrameDecoder,
    FrameFormat,
    ReceiveBuffer,
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


def all_batches(decoder: FrameDecoder) -> list[FrameBatch]:
    return list(iter(decoder.next_batch, None))


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


class CountingBuffer(ReceiveBuffer):
    """Counts the bytes that are put into new storage, adopted ones included."""

    moved = 0

    def _replace(self, storage: bytes | bytearray) -> None:
        CountingBuffer.moved += len(storage)
        super()._replace(storage)


def decode_all(name: str, wire: bytes, limit: int) -> list[Frame]:
    frames: list[Frame] = []
    for kind in (FrameDecoder, ConnectionDecoder):
        decoder = kind(format=FrameFormat.parse(name), max_frame_length=limit)
        frames = []
        for at in range(0, len(wire), 1000):
            decoder.receive_data(wire[at : at + 1000])
            frames += list(iter(decoder.next_whole_frame, None))
        decoder.end_of_data()
        assert decoder.next_frame() is None
    return frames
