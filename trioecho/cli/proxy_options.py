"""The options of ``trioecho proxy``, and the faults that they ask for."""

from __future__ import annotations

import argparse

from ..base.describe import describe
from ..base.tls_files import TlsFilesError
from ..limits import Limits
from ..proxy import CLEAN, Direction, Faults, FrameFault, ProxyTls, WireRecording
from .shared import values
from .shared.admin import add_admin_option
from .shared.exit_codes import ExitCode
from .shared.options import (
    add_address,
    add_format_option,
    add_listening_options,
    add_log_options,
    add_max_connections_option,
    add_seed_option,
)
from .shared.output import CommandError
from .shared.parser import Parser
from .shared.server_tls_options import add_tls_options, tls_of
from .shared.suggestion import quoted
from .shared.tls_options import add_client_tls_options, client_tls_of, context_of

# Before the names of options for TLS to the server: those for clients have none.
TARGET = "target-"
MAX_CONNECTIONS: int = Limits().max_connections


def add_proxy_options(parser: Parser) -> None:
    """Add the address, and all options."""
    add = parser.add_argument
    add_address(parser)
    add_listening_options(parser, several=True)
    add_max_connections_option(parser, MAX_CONNECTIONS, remark="; 0 for no limit")
    add(
        "--direction",
        type=values.one_of("both", *(direction.value for direction in Direction)),
        metavar="{both,to-server,to-client}",
        default="both",
        help="which direction has the faults (default: %(default)s)",
    )
    add_seed_option(parser, "decides all random choices")
    add_format_option(parser)
    add(
        "--record-dir",
        metavar="FOLDER",
        help="keep what both sides send, before any fault, in a new folder: 1-to-server.frames and so on",
    )
    add_admin_option(parser, "/metrics for Prometheus, /livez and /report")
    add_log_options(parser)
    add_tls_options(parser.add_argument_group("TLS to clients"))
    add_client_tls_options(parser.add_argument_group("TLS to the server"), TARGET)
    stream = parser.add_argument_group("faults of the stream").add_argument
    stream("--slice", type=_piece_sizes, metavar="SIZE", help="pass on pieces of this size: 1, 1-100")
    stream("--coalesce", type=values.size, metavar="SIZE", help="hold bytes back until there are this many")
    stream(
        "--coalesce-time",
        type=values.seconds,
        metavar="TIME",
        default=0.05,
        help="the longest time that they are held back (default: 50ms)",
    )
    stream("--delay", type=_delays, metavar="TIME", help="from the arrival of a piece: 5ms, 5ms-20ms")
    stream("--gap", type=values.seconds, metavar="TIME", help="from one piece to the next, at least")
    stream("--bandwidth", type=_bandwidth, metavar="SIZE", help="bytes that pass in a second: 64KiB")
    stream(
        "--reset-after",
        type=values.size,
        metavar="SIZE",
        help="reset a connection when this many bytes have passed",
    )
    frames = parser.add_argument_group("faults of frames (one of them)")
    one_of = frames.add_mutually_exclusive_group().add_argument
    for fault, text in (
        (FrameFault.CORRUPT, "invert one bit of the payload"),
        (FrameFault.DROP, "leave the frame out"),
        (FrameFault.DUPLICATE, "pass it on twice"),
        (FrameFault.SWAP, "pass it on after the next one; the last may be held back until the stream ends"),
        (FrameFault.TRUNCATE, "end the stream inside it"),
        (FrameFault.RESET, "reset the connection inside it"),
        (FrameFault.STALL, "pass nothing on from some byte of it on"),
    ):
        one_of(f"--{fault.value}", dest="frame_fault", action="store_const", const=fault, help=text)
    frames.add_argument(
        "--on-frame",
        type=values.positive_count,
        metavar="K",
        help="only to the K-th frame of a connection, counted from 1 in each direction",
    )
    frames.add_argument(
        "--probability",
        type=_probability,
        metavar="P",
        default=1.0,
        help="only to this share of all frames: 0.01 (default: 1)",
    )


def faults_of(arguments: argparse.Namespace) -> tuple[Faults, Faults]:
    """Return the faults of what goes to the server, and of what goes to the client.

    Raises:
      CommandError: frames are chosen, and no fault for them.
    """
    if arguments.frame_fault is None and (arguments.on_frame is not None or arguments.probability < 1):
        raise CommandError(
            ExitCode.WRONG_USAGE,
            "--on-frame and --probability choose frames; give a fault for them, as --corrupt",
        )
    faults = Faults(
        slice_bytes=arguments.slice,
        coalesce_bytes=arguments.coalesce or 0,
        coalesce_s=arguments.coalesce_time,
        delay_s=arguments.delay or (0.0, 0.0),
        gap_s=arguments.gap or 0.0,
        bandwidth_bytes_per_s=arguments.bandwidth or 0,
        reset_after_bytes=arguments.reset_after,
        frame_fault=arguments.frame_fault,
        on_frame=arguments.on_frame,
        probability=arguments.probability,
        format=arguments.format,
    )
    to_server, to_client = (
        faults if arguments.direction in ("both", direction.value) else CLEAN for direction in Direction
    )
    return to_server, to_client


def recording_of(arguments: argparse.Namespace) -> WireRecording | None:
    """Return what keeps the bytes of connections; None if nothing does.

    Raises:
      CommandError: the folder cannot be used.
    """
    if arguments.record_dir is None:
        return None
    try:
        return WireRecording(arguments.record_dir)
    except (OSError, ValueError) as error:
        raise CommandError(
            ExitCode.WRONG_USAGE, f"cannot record in {quoted(arguments.record_dir)}: {describe(error)}"
        ) from None


def tls_of_proxy(arguments: argparse.Namespace) -> ProxyTls:
    """Return where TLS ends and begins, and read its files.

    Raises:
      CommandError: a file cannot be used, or options do not fit.
    """
    files = tls_of(arguments)
    target = client_tls_of(arguments, prefix=TARGET)
    try:
        return ProxyTls(
            None if files is None else files.load(),
            None if target is None else context_of(target),
            None if target is None else target.servername,
        )
    except TlsFilesError as error:
        raise CommandError(ExitCode.WRONG_USAGE, str(error)) from None


def _piece_sizes(text: str) -> values.SizeBounds:
    sizes = values.size_range(text)
    if not sizes.least:
        raise values.refusal(text, "has pieces of 0 bytes; write 1, or 1-100")
    return sizes


def _delays(text: str) -> tuple[float, float]:
    least, hyphen, most = text.partition("-")
    delays = values.seconds(least), values.seconds(most if hyphen else least)
    if delays[0] > delays[1]:
        raise values.refusal(text, f"has its longer time first; write {most}-{least}")
    return delays


def _bandwidth(text: str) -> int:
    bandwidth = values.size(text.removesuffix("/s"))
    if not bandwidth:
        raise values.refusal(text, "lets nothing pass; write bytes a second as 64KiB")
    return bandwidth


def _probability(text: str) -> float:
    try:
        probability = float(text)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise values.refusal(text, "is not a probability; write a number from 0 to 1")
    return probability
