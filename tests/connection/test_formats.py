"""Channels and servers of frames whose headers are more than a length."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trioecho import (
    EndOfMessagesError,
    Frame,
    FrameChannel,
    FrameFormat,
    MalformedFrameError,
    PayloadTooLargeError,
    encode_frame,
    reply_with,
    serve_frames,
)

MQTT, AMQP, MODBUS, NETSTRING = map(FrameFormat.parse, ("mqtt", "amqp", "modbus", "netstring"))
ALL = [
    MQTT,
    AMQP,
    MODBUS,
    NETSTRING,
    *map(FrameFormat.parse, ("varint", "bgp", "ldap", "u24le,any1", "onc-rpc", "fastcgi")),
]
each_format = pytest.mark.parametrize("frame_format", ALL, ids=str)


def a_channel(frame_format: FrameFormat) -> tuple[FrameChannel, trio.abc.Stream]:
    ours, theirs = trio.testing.memory_stream_pair()
    return FrameChannel(ours, format=frame_format), theirs


async def test_a_request_and_its_reply_have_the_same_identifier() -> None:
    channel, peer = a_channel(MODBUS)
    request = bytes.fromhex("12 34 00 00 00 06 11 03 00 6b 00 03")
    await peer.send_all(request)
    frame = await channel.receive_frame()
    assert frame == Frame(request[:7], request[7:])
    await channel.send_frame(frame._replace(payload=b"\x03\x02\x00\x2a"))
    assert await peer.receive_some() == bytes.fromhex("12 34 00 00 00 05 11 03 02 00 2a")
    # Without a header of its own a frame has zeros, and what the format says.
    await channel.send(b"\x03")
    assert await peer.receive_some() == bytes.fromhex("00 00 00 00 00 02 00 03")


@each_format
async def test_payloads_and_frames_are_the_same_messages(frame_format: FrameFormat) -> None:
    channel, peer = a_channel(frame_format)
    payloads = [b"", b"x", bytes(250), b"last"]
    wire = b"".join(encode_frame(payload, format=frame_format) for payload in payloads)
    await peer.send_all(wire)
    assert await channel.receive() == payloads[0]
    assert (await channel.receive_frame()).payload == payloads[1]
    batch = await channel.receive_batch()
    assert (batch.frame_count, bytes(batch.data)) == (2, wire[-len(batch.data) :])
    await channel.send_batch(batch)
    assert await peer.receive_some() == batch.data
    await peer.aclose()
    with pytest.raises(EndOfMessagesError):
        await channel.receive_frame()


async def test_a_header_that_is_none_is_not_sent() -> None:
    channel, peer = a_channel(MODBUS)
    for header in (b"", bytes(6), bytes(8), b"\0\0\1\0\0\2\0"):
        with pytest.raises(ValueError, match="header"):
            await channel.send_frame(Frame(header, b"x"))
    with pytest.raises(PayloadTooLargeError):
        await channel.send_frame(Frame(bytes(7), bytes(1 << 16)))
    await channel.send(b"")
    assert await peer.receive_some() == bytes(5) + b"\1\0"


async def test_a_frame_that_cannot_be_ends_the_connection_after_those_before_it() -> None:
    channel, peer = a_channel(AMQP)
    good = encode_frame(b"good", format=AMQP)
    await peer.send_all(good + good[:-1] + b"\0")
    assert await channel.receive() == b"good"
    for _ in range(2):
        with pytest.raises(
            MalformedFrameError, match="byte 11 of a frame cannot be: 0x00 came instead of 0xce"
        ):
            await channel.receive()


async def lower(message: bytes) -> bytes:
    return message.lower()


async def lower_later(message: bytes) -> bytes:
    await trio.lowlevel.checkpoint()
    return message.lower()


def lower_now(message: bytes) -> bytes:
    return message.lower()


@each_format
@pytest.mark.parametrize("handler", [lower, lower_later, lower_now])
@pytest.mark.parametrize("together", [True, False])
async def test_replies_are_frames_of_the_format(
    frame_format: FrameFormat, handler: object, together: bool
) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    messages = [b"A", b"", b"B" * 300, b"C"]
    wires = [encode_frame(message, format=frame_format) for message in messages]
    async with trio.open_nursery() as nursery:
        handle = reply_with(handler)  # type: ignore[arg-type]  # one of three functions
        await nursery.start(
            lambda task_status: serve_frames(handle, listeners, format=frame_format, task_status=task_status)
        )
        async with await trio.testing.open_stream_to_socket_listener(listeners[0]) as stream:
            received = b""
            expected = b"".join(encode_frame(message.lower(), format=frame_format) for message in messages)
            for wire in [b"".join(wires)] if together else wires:
                await stream.send_all(wire)
            with trio.fail_after(20):
                while len(received) < len(expected):
                    received += await stream.receive_some()
            assert received == expected
        nursery.cancel_scope.cancel()
