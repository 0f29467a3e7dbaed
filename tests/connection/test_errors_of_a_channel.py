"""Whatever ends a connection, one except clause catches it at the other side's channel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tests.support import streams
from tests.support.guard import guarded
from tests.support.streams import tcp_pair
from trioecho import (
    ConnectionEndedError,
    ConnectionLostError,
    EndOfMessagesError,
    FrameChannel,
    FrameFormat,
    FrameTimeoutError,
    FrameTooLargeError,
    FrameTooSmallError,
    IdleTimeoutError,
    IncompleteFrameError,
    WriteTimeoutError,
)

Deed = Callable[[trio.SocketStream], Awaitable[None]]


async def end(peer: trio.SocketStream) -> None:
    await peer.send_eof()


async def reset(peer: trio.SocketStream) -> None:
    streams.reset(peer)


async def send_too_much(peer: trio.SocketStream) -> None:
    await peer.send_all(b"\x40\0\0\0")


async def send_too_little(peer: trio.SocketStream) -> None:
    await peer.send_all(b"\0\0\0\1")


async def end_inside_a_frame(peer: trio.SocketStream) -> None:
    await peer.send_all(b"\0\0\0\x09he")
    await peer.send_eof()


async def stay_silent(peer: trio.SocketStream) -> None:
    await trio.lowlevel.checkpoint()


async def begin_a_frame(peer: trio.SocketStream) -> None:
    await peer.send_all(b"\0")


@pytest.mark.parametrize(
    ("deed", "kind"),
    [
        (end, EndOfMessagesError),
        (reset, ConnectionLostError),
        (send_too_much, FrameTooLargeError),
        (send_too_little, FrameTooSmallError),
        (end_inside_a_frame, IncompleteFrameError),
        (stay_silent, IdleTimeoutError),
        (begin_a_frame, FrameTimeoutError),
    ],
)
async def test_one_clause_catches_every_end_while_receiving(
    deed: Deed, kind: type[ConnectionEndedError], autojump_clock: MockClock
) -> None:
    stream, peer = await tcp_pair()
    with guarded():
        counting = FrameFormat(length_includes_header=True)
        async with (
            peer,
            FrameChannel(stream, format=counting, idle_timeout_s=5, frame_timeout_s=5) as channel,
        ):
            await deed(peer)
            with pytest.raises(ConnectionEndedError) as caught:
                await channel.receive()
            assert type(caught.value) is kind
            assert str(caught.value)


async def test_one_clause_catches_every_end_while_sending(autojump_clock: MockClock) -> None:
    stream, peer = await tcp_pair(send_buffer=1 << 13)
    with guarded():
        async with peer, FrameChannel(stream, max_frame_length=0, write_timeout_s=5) as channel:
            for kind in (
                WriteTimeoutError,
                ConnectionLostError,
            ):
                with pytest.raises(ConnectionEndedError) as caught:
                    await channel.send(bytes(1 << 24))
                assert type(caught.value) is kind


async def test_the_error_of_any_stream_is_one_of_them_and_of_trio_s() -> None:
    stream, peer = memory_stream_pair()
    await peer.aclose()
    channel = FrameChannel(stream)
    with pytest.raises(trio.BrokenResourceError, match="connection lost") as caught:
        await channel.send(b"hello")
    assert isinstance(caught.value, ConnectionEndedError)
    await channel.aclose()
