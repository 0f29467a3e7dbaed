"""``trioecho guide``: the documentation in the terminal."""

from __future__ import annotations

import argparse
import os
import pydoc
import sys

from ..guide import TOPICS, read_topic
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.rich_display import rich_class
from .shared.terminal import terminal_width

_EPILOG = """\
In a terminal a page is shown in your pager ($PAGER, or less), rendered by rich
if that is installed (pip install 'trioecho[progress]'). Elsewhere it is printed as it is, in
Markdown.

exit codes:
  0  shown
  2  wrong usage
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``guide`` and its options."""
    topics = "\n".join(f"  {name:8}  {about}" for name, about in TOPICS.items())
    parser = add_command_parser(
        commands,
        "guide",
        run,
        summary=summary,
        description="Show a page of the guide, or list all pages.",
        epilog=f"topics:\n{topics}\n\n{_EPILOG}",
    )
    parser.add_argument(
        "topic", nargs="?", metavar="TOPIC", type=values.one_of(*TOPICS), help="the page to show"
    )


def run(arguments: argparse.Namespace) -> int:
    """List the pages, or show one."""
    if arguments.topic is None:
        for name, about in TOPICS.items():
            print_result(f"{name:8}  {about}")
        return ExitCode.OK
    page = read_topic(arguments.topic)
    width = terminal_width()
    if width is None or not sys.stdin.isatty():
        print_result(page.rstrip("\n"))
    else:
        # As git sets it: colours pass, and a page that fits on the screen needs no pager.
        os.environ.setdefault("LESS", "FRX")
        pydoc.pager(_rendered(page, width))
    return ExitCode.OK


def _rendered(page: str, width: int) -> str:
    """Return the page for a terminal of this width, rendered by `rich` if that is installed."""
    try:
        terminal = rich_class("console.Console")(width=width, force_terminal=True)
    except ImportError:
        return page
    with terminal.capture() as captured:
        terminal.print(rich_class("markdown.Markdown")(page))
    rendered: str = captured.get()
    return rendered
