"""How every command reads its arguments and explains itself."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ..framing import FrameFormat
from . import values
from .result import print_error

Commands = argparse._SubParsersAction  # what add_subparsers() gives, which has no public name


class Parser(argparse.ArgumentParser):
    """Keeps the lines of help texts, takes no abbreviations, and says in one line what is wrong."""

    def __init__(self, **settings: Any) -> None:
        settings = {
            "formatter_class": argparse.RawDescriptionHelpFormatter,
            "allow_abbrev": False,
            **settings,
        }
        super().__init__(**settings)

    def error(self, message: str) -> NoReturn:
        """End the process with exit code 2."""
        print_error(f"{self.prog}: {message} (see {self.prog} --help)")
        sys.exit(2)


def add_command_parser(
    commands: Commands[Parser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    epilog: str,
) -> Parser:
    """A parser for one command; ``run`` is called with what it has read."""
    parser = commands.add_parser(name, help=summary, description=description, epilog=epilog)
    parser.set_defaults(run=run, prog=parser.prog)
    return parser


def add_format_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--format``, which is the same for all commands."""
    parser.add_argument(
        "--format",
        type=values.frame_format,
        metavar="FORMAT",
        default=FrameFormat(),
        help="headers: u8, u16, u32 or u64, then be or le, and +header if lengths count it (default: u32be)",
    )
