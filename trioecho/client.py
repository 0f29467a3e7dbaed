"""The other side: open a channel; send messages and verify that each comes back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import trio

from .channel import FrameChannel
from .errors import ProtocolError
from .framing import DEFAULT_MAX_FRAME_LENGTH, FrameFormat
from .histogram import Histogram
from .limits import or_infinite

_NS = 1_000_000_000


async def open_frame_channel(
    host: str,
    port: int,
    *,
    format: FrameFormat | None = None,
    max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
) -> FrameChannel:
    """Connect to a framed service.

    Args:
      host: a name or an address; of a name all addresses are tried (RFC 8305).
      port: the TCP port.
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have, in either direction.

    Raises:
      OSError: no address could be connected to. A cancelled call leaves nothing open.
    """
    stream = await trio.open_tcp_stream(host, port)
    return FrameChannel(stream, format=format, max_frame_length=max_frame_length)


class EchoError(Exception):
    """An echo was wrong or did not come.

    Attributes:
      number (int): the message it was for, counted from 1.
      reason (str): what was wrong.
    """

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(number, reason)
        self.number = number
        self.reason = reason

    def __str__(self) -> str:
        return f"message {self.number}: {self.reason}"


@dataclass
class EchoSummary:
    """What `verify_echoes` saw.

    Attributes:
      messages: echoes that came back right.
      payload_bytes: what they held, in one direction.
      elapsed_s: from the first send to the last echo.
      round_trip_ns: from before a send to its echo, in nanoseconds.
    """

    messages: int = 0
    payload_bytes: int = 0
    elapsed_s: float = 0.0
    round_trip_ns: Histogram = field(default_factory=Histogram)


def message_payload(number: int, length: int) -> bytes:
    """The payload of message ``number``: as random as can be, and always the same.

    No two messages of some bytes' length are alike, so a stale echo, or one
    that belongs to another message, is seen.
    """
    return random.Random(number).randbytes(length)


async def verify_echoes(
    channel: FrameChannel,
    payloads: Iterable[bytes],
    *,
    summary: EchoSummary,
    pause_s: float = 0.0,
    timeout_s: float = 10.0,
) -> None:
    """Send payloads one after the other; compare each echo before the next is sent.

    Args:
      channel: connected to the service.
      payloads: what to send.
      summary: is brought up to date with every echo, so it also tells of a run that failed.
      pause_s: think time after every echo, in seconds.
      timeout_s: how long to wait for an echo; 0 for ever.

    Raises:
      EchoError: an echo was wrong, late or missing; the channel is of no use any more.
    """
    # Sending has a task of its own: a server may begin to echo before it has all
    # of a large message, and would wait for ever if nobody read meanwhile. With
    # no buffer between the tasks, the next message waits until its turn has come.
    to_receiver, expected = trio.open_memory_channel[tuple[int, bytes]](0)

    async def send() -> None:
        async with to_receiver:
            for numbered_payload in enumerate(payloads, 1):
                await to_receiver.send(numbered_payload)
                try:
                    await channel.send(numbered_payload[1])
                except trio.BrokenResourceError:
                    return  # receiving fails as well, and knows the number

    async def receive() -> None:
        began = trio.current_time()
        async for number, payload in expected:
            sent_at = trio.current_time()
            echo = await _receive_echo(channel, number, timeout_s)
            if echo != payload:
                raise EchoError(number, _difference(number, payload, echo))
            now = trio.current_time()
            summary.messages += 1
            summary.payload_bytes += len(payload)
            summary.elapsed_s = now - began
            summary.round_trip_ns.record(round((now - sent_at) * _NS))
            if pause_s:
                await trio.sleep(pause_s)

    failure = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        try:
            await receive()
        except EchoError as error:
            failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _receive_echo(channel: FrameChannel, number: int, timeout_s: float) -> bytes:
    try:
        with trio.fail_after(or_infinite(timeout_s)):
            return await channel.receive()
    except trio.EndOfChannel:
        raise EchoError(number, "no echo: the server closed the connection") from None
    except trio.TooSlowError:
        raise EchoError(number, f"no echo within {timeout_s:g} s") from None
    except (ProtocolError, trio.BrokenResourceError) as error:
        raise EchoError(number, f"no echo: {error}") from None


def _difference(number: int, payload: bytes, echo: bytes) -> str:
    if number > 1 and echo == message_payload(number - 1, len(echo)):
        return f"the echo is that of message {number - 1}"
    if len(echo) != len(payload):
        return f"the echo has {len(echo)} bytes instead of {len(payload)}"
    at = next(i for i, (sent, came) in enumerate(zip(payload, echo, strict=True)) if sent != came)
    return f"the echo differs at byte {at}: sent 0x{payload[at]:02x}, came back 0x{echo[at]:02x}"
