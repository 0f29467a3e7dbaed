"""What is not bytes-like is refused with a TypeError wherever bytes are given, and makes no frame."""

from __future__ import annotations

import array
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.support.streams import receive_exactly
from tests.support.wire import frame
from trioecho import FrameChannel, FrameDecoder, encode_frame
from trioecho.framing import ConnectionDecoder, ReceiveBuffer

NOT_BYTES = [5, True, None, "text", [1, 2], (1, 2), iter(b"x"), 1.5, object()]


def received_by_a_new_decoder(data: Any) -> None:
    decoder = FrameDecoder()
    try:
        decoder.receive_data(data)
    finally:
        assert decoder.buffered_bytes == 0
        assert decoder.next_frame() is None


def received_behind_other_bytes(data: Any) -> None:
    decoder = FrameDecoder()
    for byte in (b"\0", b"\0", b"\0"):
        decoder.receive_data(byte)
    try:
        decoder.receive_data(data)
    finally:
        assert decoder.buffered_bytes == 3


def received_into_a_large_frame(data: Any) -> None:
    decoder = ConnectionDecoder()
    decoder.receive_data(frame(bytes(1 << 20))[: 1 << 19])
    assert decoder.next_frame() is None
    assert decoder.get_buffer() is not None
    decoder.receive_data(data)


def received_in_pieces(data: Any) -> None:
    ConnectionDecoder().receive_pieces(data)


def appended(data: Any) -> None:
    ReceiveBuffer().append(data)


@pytest.mark.parametrize("data", NOT_BYTES, ids=lambda data: type(data).__name__)
@pytest.mark.parametrize(
    "take",
    [
        received_by_a_new_decoder,
        received_behind_other_bytes,
        received_into_a_large_frame,
        received_in_pieces,
        appended,
        encode_frame,
    ],
)
def test_what_is_not_bytes_like_is_a_type_error(take: Callable[[Any], object], data: object) -> None:
    with pytest.raises(TypeError):
        take(data)


@pytest.mark.parametrize("data", NOT_BYTES, ids=lambda data: type(data).__name__)
async def test_a_channel_sends_only_bytes_and_can_be_used_after_the_mistake(data: Any) -> None:
    one, other = memory_stream_pair()
    channel = FrameChannel(one)
    with pytest.raises(TypeError):
        await channel.send(data)
    await channel.send(b"well")
    assert await receive_exactly(other, 8) == frame(b"well")
    await channel.aclose()


@pytest.mark.parametrize("wide", [array.array("I", [1, 2]), memoryview(array.array("I", [1, 2]))])
async def test_what_has_wider_items_than_bytes_is_taken_as_its_bytes(wide: Any) -> None:
    raw = bytes(wide)
    assert len(raw) == 8
    assert encode_frame(wide) == frame(raw)
    decoder = FrameDecoder()
    decoder.receive_data(b"\0\0\0")
    decoder.receive_data(b"\x08")
    decoder.receive_data(wide)
    assert decoder.next_frame() == raw
    one, other = memory_stream_pair()
    channel = FrameChannel(one)
    await channel.send(wide)
    assert await receive_exactly(other, 12) == frame(raw)
    await channel.aclose()


async def test_a_channel_needs_a_stream() -> None:
    for stream in (None, b"bytes", trio.socket.socket()):
        with pytest.raises(TypeError, match="a connected Trio stream"):
            FrameChannel(stream)  # type: ignore[arg-type]
        if isinstance(stream, trio.socket.SocketType):
            stream.close()
