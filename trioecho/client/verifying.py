"""The client's side: send messages and verify that each comes back."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

import trio

from ..base.describe import describe
from ..base.difference import describe_difference, first_difference
from ..base.histogram import Histogram
from ..base.nursery import open_background_nursery
from ..base.random_bytes import random_bytes
from ..base.units import NS_PER_S
from ..connection.channel import FrameChannel
from ..errors import ConnectionEndedError
from ..framing.diagnosis import RAISE_LIMIT
from ..limits import or_infinite


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


class NoEchoError(EchoError):
    """No echo came for a message: its time was over, or the connection ended or broke."""


@dataclass
class EchoSummary:
    """What `verify_echoes` saw.

    Attributes:
      messages: echoes that came back right.
      elapsed_s: from the first send to the last echo.
      round_trip_ns: from before a send to its echo, in nanoseconds.
    """

    messages: int = 0
    elapsed_s: float = 0.0
    round_trip_ns: Histogram = field(default_factory=Histogram)


def message_payload(number: int, length: int) -> bytes:
    """Return the payload of message ``number``: random bytes, and always the same.

    No two messages of some bytes' length are alike, so a stale echo, or one
    that belongs to another message, is seen.
    """
    return random_bytes(random.Random(number), length)


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
      summary: is kept up to date with every echo, so it also describes a run that failed.
      pause_s: think time after every echo, in seconds.
      timeout_s: how long to wait for an echo; 0 for no limit.

    Raises:
      EchoError: an echo was wrong, late or missing; the channel is of no use any more.
    """
    # Sending has a task of its own: a server may begin to echo before it has all
    # of a large message, and would wait for ever if nobody read meanwhile. With
    # no buffer between the tasks, the next message waits until its turn has come.
    to_receiver, expected = trio.open_memory_channel[tuple[int, bytes]](0)

    async def send() -> None:
        # Not ``async with``: its checkpoint, cancelled when the receiver has ended, would
        # replace an exception, such as that of a Ctrl-C.
        with to_receiver:
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
            summary.elapsed_s = now - began
            summary.round_trip_ns.record(round((now - sent_at) * NS_PER_S))
            if pause_s:
                await trio.sleep(pause_s)

    async with open_background_nursery() as nursery:
        nursery.start_soon(send)
        await receive()


async def _receive_echo(channel: FrameChannel, number: int, timeout_s: float) -> bytes:
    try:
        with trio.fail_after(or_infinite(timeout_s)):
            return await channel.receive()
    except trio.EndOfChannel:
        raise NoEchoError(number, "no echo: the server closed the connection") from None
    except trio.TooSlowError:
        raise NoEchoError(number, f"no echo within {timeout_s:g} s") from None
    except ConnectionEndedError as error:
        # No limit is at fault: it is above that of all messages.
        reason = describe(error).replace(RAISE_LIMIT, "no message was that long")
        raise NoEchoError(number, f"no echo: {reason}") from None


def _difference(number: int, payload: bytes, echo: bytes) -> str:
    if number > 1 and echo == message_payload(number - 1, len(echo)):
        return f"the echo is that of message {number - 1}"
    difference = describe_difference(payload, echo)
    if len(echo) != len(payload):
        as_far_as_it_goes = difference or f"the first {min(len(echo), len(payload))} are right"
        return f"the echo has {len(echo)} bytes instead of {len(payload)}: {as_far_as_it_goes}"
    return f"the echo differs at byte {first_difference(payload, echo)}: {difference}"
