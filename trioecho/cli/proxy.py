"""``trioecho proxy``: faults on the way between a client and a server."""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys

import trio

from ..accepting import format_address
from ..proxy import CLEAN, Direction, Faults, FrameFault, relay_connections
from . import values
from .listening import open_listeners
from .outlet import Outlet, OutletLogHandler
from .parser import Commands, Parser, add_command_parser, add_format_option
from .result import CommandError

_STOPPED, _WRONG_USAGE = 0, 2
_FLUSH_S = 0.5

_EPILOG = """\
Bytes, ends of streams and resets are passed on both ways, and nobody is read
from faster than the other side reads. Faults of frames happen to every frame
unless --on-frame or --probability choose some; each is told on stderr.
The same --seed does the same to the same bytes.

A --slice without --delay leaves it to the receiving kernel whether pieces come
one by one.

exit codes:
  0  stopped by SIGTERM or Ctrl-C
  2  wrong usage
  3  cannot listen on that address

examples:
  trioecho proxy 127.0.0.1:50666 --listen 50667 --slice 1-3 --delay 1ms
  trioecho proxy 127.0.0.1:50666 --listen 50667 --corrupt --on-frame 7
  trioecho proxy 127.0.0.1:50666 --listen 50667 --reset --probability 0.001
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``proxy`` and its options."""
    parser = add_command_parser(
        commands,
        "proxy",
        run,
        summary=summary,
        description="Pass connections on to a server, and do to them what networks and bad peers do.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("address", type=values.address, metavar="HOST:PORT", help="where the server listens")
    add("--listen", type=values.port, metavar="PORT", default=0, help="where clients connect (default: any)")
    add("--host", type=values.host, default="127.0.0.1", help="where to listen (default: %(default)s)")
    add(
        "--direction",
        choices=("both", *(direction.value for direction in Direction)),
        default="both",
        help="what has the faults (default: %(default)s)",
    )
    add("--seed", type=values.count, metavar="N", help="where chance begins (default: another every time)")
    add_format_option(parser)
    stream = parser.add_argument_group("faults of the stream").add_argument
    stream("--slice", type=_piece_sizes, metavar="SIZE", help="pass on pieces of so many bytes: 1, 1-100")
    stream("--coalesce", type=values.size, metavar="SIZE", help="hold bytes back until there are so many")
    stream(
        "--coalesce-time",
        type=values.duration,
        metavar="TIME",
        default=0.05,
        help="how long they are held back at most (default: 50ms)",
    )
    stream("--delay", type=_delays, metavar="TIME", help="before each piece: 5ms, 5ms-20ms")
    stream("--bandwidth", type=_bandwidth, metavar="SIZE", help="bytes that pass in a second: 64KiB")
    stream(
        "--reset-after",
        type=values.size,
        metavar="SIZE",
        help="reset a connection when so many bytes have passed",
    )
    frames = parser.add_argument_group("faults of frames (one of them)")
    one_of = frames.add_mutually_exclusive_group().add_argument
    for fault, text in (
        (FrameFault.CORRUPT, "turn over one bit of the payload"),
        (FrameFault.DROP, "leave the frame out"),
        (FrameFault.DUPLICATE, "pass it on twice"),
        (FrameFault.SWAP, "pass it on after the next one"),
        (FrameFault.TRUNCATE, "end the stream inside of it"),
        (FrameFault.RESET, "reset the connection inside of it"),
        (FrameFault.STALL, "pass nothing on from somewhere inside of it"),
    ):
        one_of(f"--{fault.value}", dest="frame_fault", action="store_const", const=fault, help=text)
    frames.add_argument(
        "--on-frame",
        type=values.positive_count,
        metavar="K",
        help="only to the K-th frame of a connection, counted from 1 in each direction",
    )
    frames.add_argument(
        "--probability", type=_probability, metavar="P", default=1.0, help="only to so many of all: 0.01"
    )


def _piece_sizes(text: str) -> values.SizeRange:
    sizes = values.size_range(text)
    if not sizes.least:
        raise argparse.ArgumentTypeError(f"{text!r} has pieces of 0 bytes; write 1, or 1-100")
    return sizes


def _delays(text: str) -> tuple[float, float]:
    least, hyphen, most = text.partition("-")
    delays = values.duration(least), values.duration(most if hyphen else least)
    if delays[0] > delays[1]:
        raise argparse.ArgumentTypeError(f"{text!r} has its longer time first; write {most}-{least}")
    return delays


def _bandwidth(text: str) -> int:
    bandwidth = values.size(text.removesuffix("/s"))
    if not bandwidth:
        raise argparse.ArgumentTypeError(f"{text!r} lets nothing pass; write bytes a second as 64KiB")
    return bandwidth


def _probability(text: str) -> float:
    try:
        probability = float(text)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a probability; write a number from 0 to 1")
    return probability


def run(arguments: argparse.Namespace) -> int:
    """Pass connections on until told to stop."""
    if arguments.frame_fault is None and (arguments.on_frame is not None or arguments.probability < 1):
        raise CommandError(
            _WRONG_USAGE, "--on-frame and --probability choose frames; say what happens to them, as --corrupt"
        )
    return trio.run(_proxy, arguments)


async def _proxy(arguments: argparse.Namespace) -> int:
    faults = Faults(
        slice_bytes=arguments.slice,
        coalesce_bytes=arguments.coalesce or 0,
        coalesce_s=arguments.coalesce_time,
        delay_s=arguments.delay or (0.0, 0.0),
        bandwidth_bytes_per_s=arguments.bandwidth or 0,
        reset_after_bytes=arguments.reset_after,
        frame_fault=arguments.frame_fault,
        on_frame=arguments.on_frame,
        probability=arguments.probability,
        format=arguments.format,
    )
    seed = arguments.seed
    if seed is None:
        seed = random.SystemRandom().randrange(1_000_000)
    listeners = await open_listeners(arguments.host, arguments.listen, option="--listen")
    log = Outlet(sys.stderr)
    logger = logging.getLogger("trioecho")
    logger.addHandler(OutletLogHandler(log))
    logger.setLevel(logging.INFO)
    logger.propagate = False
    to_server, to_client = (
        faults if arguments.direction in ("both", direction.value) else CLEAN for direction in Direction
    )
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.run)

            async def relay() -> None:
                await relay_connections(
                    listeners,
                    *arguments.address,
                    to_server=to_server,
                    to_client=to_client,
                    seed=seed,
                )

            nursery.start_soon(relay)
            addresses = [format_address(listener.socket.getsockname()) for listener in listeners]
            logger.info("listening on %s", " and ".join(addresses))
            if arguments.seed is None:
                logger.info("--seed %d does the same again", seed)
            await anext(signals)
            nursery.cancel_scope.cancel()
    log.flush(_FLUSH_S)
    return _STOPPED
