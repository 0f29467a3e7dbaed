"""``trioecho deploy``: sample files for production."""

from __future__ import annotations

import argparse

from ..deploy import DEPLOY_FILES, read_deploy_file
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import print_result
from .shared.parser import Commands, Parser, add_command_parser

_EPILOG = """\
Each sample says in its first lines where it goes. trioecho guide run explains them
step by step.

exit codes:
  0  printed
  2  wrong usage

examples:
  trioecho deploy
  trioecho deploy trioecho.service >/etc/systemd/system/trioecho.service
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``deploy`` and its options."""
    files = "\n".join(f"  {name:24}{about}" for name, about in DEPLOY_FILES.items())
    parser = add_command_parser(
        commands,
        "deploy",
        run,
        summary=summary,
        description="Print a sample file for production, or list all.",
        epilog=f"samples:\n{files}\n\n{_EPILOG}",
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", type=values.one_of(*DEPLOY_FILES), help="the sample to print"
    )


def run(arguments: argparse.Namespace) -> int:
    """List the samples, or print one."""
    if arguments.name is None:
        for name, about in DEPLOY_FILES.items():
            print_result(f"{name:24}{about}")
    else:
        print_result(read_deploy_file(arguments.name).rstrip("\n"))
    return ExitCode.OK
