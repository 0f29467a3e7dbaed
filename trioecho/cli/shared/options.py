"""Options that several commands have, each with one name, one meaning and one help text."""

from __future__ import annotations

import argparse
import logging
import random

from ...framing import FrameFormat
from . import values
from .exit_codes import ExitCode
from .log import LogSettings
from .output import CommandError, print_error

# What an empty `FrameFormat` is, as people write it.
DEFAULT_FORMAT = "u32be"
_LEVELS = ("info", "warning", "error")


def add_address(parser: argparse._ActionsContainer) -> None:
    """Add the operand ``HOST:PORT``, for commands that connect to a server."""
    parser.add_argument(
        "address", type=values.address, metavar="HOST:PORT", help="where the server listens; or unix:/path"
    )


def add_format_option(parser: argparse._ActionsContainer, *, is_read: bool = True) -> None:
    """Add ``--format``, which is the same for all commands.

    Args:
      parser: of a command.
      is_read: whether the value is the format; else it is its text, which was read once.
    """

    def read_text(text: str) -> str:
        values.frame_format(text)
        return text

    parser.add_argument(
        "--format",
        type=values.frame_format if is_read else read_text,
        metavar="FORMAT",
        default=FrameFormat() if is_read else DEFAULT_FORMAT,
        help="frames: u8, u16, u32 or u64, then be or le, and +header if lengths count it; or any of "
        "trioecho formats, as mqtt (default: u32be)",
    )


def check_expressible(option: str, payload_length: int, frame_format: FrameFormat) -> None:
    """Refuse a length that the headers of this format cannot express.

    Raises:
      CommandError: it is more.
    """
    most = frame_format.max_payload_length
    if payload_length > most:
        raise CommandError(
            ExitCode.WRONG_USAGE, f"{option} {payload_length} is more than the header can express, {most}"
        )


def add_listening_options(
    parser: argparse._ActionsContainer, *, port: int = 0, several: bool = False
) -> None:
    """Add ``--host`` and ``--port``, which are the same for all commands that listen.

    Args:
      parser: of a command.
      port: the default.
      several: whether ``--host`` may be given more than once; None without it.
    """
    parser.add_argument(
        "--host",
        type=values.host,
        metavar="HOST",
        action="append" if several else "store",
        default=None if several else "127.0.0.1",
        help="name or address to listen on"
        + ("; may be given several times" if several else "")
        + " (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        "--listen",
        type=values.port,
        metavar="PORT",
        default=port,
        help="TCP port to listen on; 0 for any that is free (default: %(default)s)",
    )


def add_log_options(parser: argparse._ActionsContainer) -> None:
    """Add what decides what is in the log, which is the same for all commands that have one."""
    add = parser.add_argument
    add(
        "--log-format",
        type=values.one_of("text", "json"),
        metavar="{text,json}",
        default="text",
        help="the log on stderr: a line of text for people, or a line of JSON (default: text)",
    )
    add(
        "--log-level",
        type=values.one_of(*_LEVELS),
        metavar=f"{{{','.join(_LEVELS)}}}",
        default="info",
        help="the least important lines that the log has (default: info)",
    )
    add("-q", "--quiet", action="store_true", help="no news in the log: only warnings and errors")


def log_settings(arguments: argparse.Namespace) -> LogSettings:
    """Return what `add_log_options` has asked for."""
    level: int = logging.getLevelName(arguments.log_level.upper())
    return LogSettings(
        level=max(level, logging.WARNING) if arguments.quiet else level,
        is_json=arguments.log_format == "json",
    )


def add_seed_option(parser: argparse._ActionsContainer, what: str) -> None:
    """Add ``--seed``, which is the same for all commands; ``what`` says what it decides."""
    parser.add_argument(
        "--seed",
        type=values.seed,
        metavar="N",
        default=0,
        help=f"{what}; random takes another one each time, and prints it (default: 0)",
    )


def chosen_seed(arguments: argparse.Namespace) -> int:
    """Return the seed of the command line; for ``random``, choose one and print it on stderr."""
    seed: int | None = arguments.seed
    if seed is None:
        seed = random.SystemRandom().randrange(1_000_000)
        print_error(f"{arguments.prog}: --seed {seed} does the same again")
    return seed


def add_max_connections_option(parser: argparse._ActionsContainer, default: int, *, remark: str = "") -> None:
    """Add ``--max-connections``; the remark follows the default."""
    parser.add_argument(
        "--max-connections",
        type=values.count,
        metavar="N",
        default=default,
        help=f"connections at a time; more wait in the kernel (default: %(default)s{remark})",
    )


def add_max_frame_length_option(parser: argparse._ActionsContainer, text: str) -> None:
    """Add ``--max-frame-length``, with this help text; None without it."""
    parser.add_argument("--max-frame-length", type=values.size, metavar="SIZE", help=text)


def add_workers_option(parser: argparse._ActionsContainer, what: str) -> None:
    """Add ``--workers``; the help text says what they do."""
    parser.add_argument(
        "--workers",
        "--processes",
        type=values.worker_count,
        metavar="N",
        default=1,
        help=f"{what} (default: %(default)s)",
    )
