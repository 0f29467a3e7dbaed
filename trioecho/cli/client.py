"""``trioecho client``: send messages and verify every echo."""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator

import trio

from ..channel import FrameChannel
from ..client import EchoError, EchoSummary, message_payload, open_frame_channel, verify_echoes
from ..exception_groups import leaves
from ..framing import DEFAULT_MAX_FRAME_LENGTH, FrameFormat
from ..report.units import in_rate
from . import values
from .parser import Commands, Parser, add_command_parser, add_format_option
from .result import CommandError, print_result

_VERIFIED, _WRONG_ECHO, _WRONG_USAGE, _UNREACHABLE = 0, 1, 2, 3
_CONNECT_TIMEOUT_S = 10.0

_EPILOG = """\
Messages go out one at a time; each echo is compared, in content and order,
before the next is sent. No two messages are alike.

exit codes:
  0  every echo came back right
  1  an echo was wrong, or did not come
  2  wrong usage
  3  the server cannot be reached

examples:
  trioecho client 127.0.0.1:50666
  trioecho client '[::1]:50666' -n 1000 --size 0-64KiB
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``client`` and its options."""
    parser = add_command_parser(
        commands,
        "client",
        run,
        summary=summary,
        description="Send messages to an echo service and verify every echo.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("address", type=values.address, metavar="HOST:PORT", help="where the server listens")
    add(
        "-n",
        "--messages",
        type=values.positive_count,
        metavar="N",
        default=100,
        help="messages to send (default: %(default)s)",
    )
    add(
        "--size",
        type=values.size_range,
        metavar="SIZE",
        default=values.SizeRange(64, 64),
        help="payload of a message: 64, 4KiB, or a range as 0-64KiB (default: 64)",
    )
    add_format_option(parser)
    add(
        "--timeout",
        type=values.duration,
        metavar="TIME",
        default=10.0,
        help="longest wait for an echo; 0 for any (default: 10s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Send, verify, tell."""
    return trio.run(_client, arguments)


async def _client(arguments: argparse.Namespace) -> int:
    address: values.Address = arguments.address
    sizes: values.SizeRange = arguments.size
    frame_format: FrameFormat = arguments.format
    if sizes.most > frame_format.max_payload_length:
        raise CommandError(
            _WRONG_USAGE,
            f"--size {sizes.most} is more than the header can express, {frame_format.max_payload_length}",
        )
    summary = EchoSummary()
    failure = None
    async with await _connect(address, frame_format, sizes.most) as channel:
        try:
            await verify_echoes(
                channel, _payloads(arguments.messages, sizes), summary=summary, timeout_s=arguments.timeout
            )
        except EchoError as error:
            failure = error
    for line in _summary_lines(summary, arguments.messages, sizes, address):
        print_result(line)
    if failure is not None:
        raise CommandError(_WRONG_ECHO, str(failure))
    return _VERIFIED


async def _connect(address: values.Address, frame_format: FrameFormat, largest_payload: int) -> FrameChannel:
    try:
        with trio.fail_after(_CONNECT_TIMEOUT_S):
            return await open_frame_channel(
                *address,
                format=frame_format,
                max_frame_length=max(largest_payload, DEFAULT_MAX_FRAME_LENGTH),
            )
    except trio.TooSlowError:
        reason = f"no answer within {_CONNECT_TIMEOUT_S:g} s"
    except (OSError, UnicodeError) as error:
        # Trio tries all addresses and gives all reasons; one is enough for a line.
        cause = next(leaves(error.__cause__ or error))
        number = cause.errno if isinstance(cause, OSError) else None
        reason = os.strerror(number) if number and number > 0 else str(cause)
    raise CommandError(_UNREACHABLE, f"cannot reach {address}: {reason}")


def _payloads(count: int, sizes: values.SizeRange) -> Iterator[bytes]:
    lengths = random.Random(0)
    for number in range(1, count + 1):
        yield message_payload(number, lengths.randint(*sizes))


def _summary_lines(
    summary: EchoSummary, wanted: int, sizes: values.SizeRange, address: values.Address
) -> Iterator[str]:
    right = summary.messages
    counted = f"all {right:,}" if right == wanted else f"{right:,} of {wanted:,}"
    yield f"{address}: {counted} messages ({sizes}) came back right"
    if right:
        trips = summary.round_trip_ns
        percentiles = ", ".join(
            f"{name} {(value or 0) / 1e6:.3f}"
            for name, value in (
                ("p50", trips.percentile(50)),
                ("p99", trips.percentile(99)),
                ("max", trips.max),
            )
        )
        rate = right / summary.elapsed_s if summary.elapsed_s else 0
        yield f"time {summary.elapsed_s:.3f} s, {in_rate(rate)} messages/s, round trip ms: {percentiles}"
