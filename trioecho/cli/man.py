"""``trioecho man``: the help of a command as a manual page."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

from .. import __version__
from ..base.suggestion import did_you_mean, quoted
from .program import make_parsers
from .shared.exit_codes import ExitCode
from .shared.output import CommandError, print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.required_package import import_package

# Headings in the help, and those that manual pages have for the same.
_HEADINGS = {"exit codes": "EXIT STATUS", "examples": "EXAMPLES", "environment": "ENVIRONMENT"}

_SUMMARY = "serve, check and measure services of length-prefixed frames"

_EPILOG = """\
Needs the package argparse-manpage (pip install 'trioecho[shell]').

exit codes:
  0  printed
  2  wrong usage, or argparse-manpage is not installed

examples:
  trioecho man >~/.local/share/man/man1/trioecho.1
  trioecho man serve >~/.local/share/man/man1/trioecho-serve.1
  trioecho man report diff >~/.local/share/man/man1/trioecho-report-diff.1
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``man`` and its options."""
    parser = add_command_parser(
        commands,
        "man",
        run,
        summary=summary,
        description="Print the manual page of a command, or of trioecho itself, for man to show.",
        epilog=_EPILOG,
    )
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="such as load, or report diff")


def run(arguments: argparse.Namespace) -> int:
    """Print the page."""
    manpage: Any = import_package("argparse_manpage.manpage", "argparse-manpage", "shell")
    parser, summary = _parser_of(arguments.command)
    sections = dict(_sections(parser.epilog or ""))
    parser.epilog = None
    page = manpage.Manpage(parser)
    page.prog = parser.prog.replace(" ", "-")
    page.description = summary
    page.source, page.manual = f"trioecho {__version__}", "trioecho"
    for heading, content in sections.items():
        page.add_section(heading, "=", content)
    print_result(str(page).rstrip("\n"))
    return ExitCode.OK


def _parser_of(words: list[str]) -> tuple[argparse.ArgumentParser, str]:
    """Return the parser of a command, or of the program, and what it does.

    Raises:
      CommandError: there is no such command.
    """
    parser: argparse.ArgumentParser
    parser, _ = make_parsers(words[:1])
    summary = _SUMMARY
    for word in words:
        commands = _commands_of(parser)
        if commands is None or word not in commands.choices:
            hint = did_you_mean(word, commands.choices if commands else (), "trioecho help lists all")
            raise CommandError(ExitCode.WRONG_USAGE, f"there is no command {quoted(word)}; {hint}")
        summary = next((each.help for each in commands._choices_actions if each.dest == word), None) or ""
        parser = commands.choices[word]
    if not words:
        _list_commands_only(parser)
    return parser, summary


def _list_commands_only(program: argparse.ArgumentParser) -> None:
    """Let the page of the program refer to those of its commands, whose options it does not know."""
    for group in program._action_groups:
        for action in group._group_actions:
            if isinstance(action, argparse._SubParsersAction):
                group.title = "commands"
                action.choices = {}
                for each in action._choices_actions:
                    each.help = f"{each.help}; see trioecho-{each.dest}(1)"


def _commands_of(parser: argparse.ArgumentParser) -> Commands[Parser] | None:
    return next((each for each in parser._actions if isinstance(each, argparse._SubParsersAction)), None)


def _sections(epilog: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of the text behind the options, each with its heading, as roff."""
    headings = "|".join(_HEADINGS)
    notes, *others = re.split(rf"^({headings}):\n", epilog, flags=re.MULTILINE)
    names = ["NOTES", *(_HEADINGS[heading] for heading in others[::2])]
    for name, text in zip(names, [notes, *others[1::2]], strict=True):
        if text.strip():
            yield name, "\n".join(_as_roff(text.strip("\n").split("\n")))


def _as_roff(lines: list[str]) -> Iterator[str]:
    """Yield the lines so that paragraphs are filled, and what is indented is kept."""
    is_kept = False
    for line in lines:
        if line and line.startswith(" ") != is_kept:
            is_kept = not is_kept
            yield ".nf" if is_kept else ".fi"
        text = line.replace("\\", "\\e").replace("-", "\\-")
        yield re.sub(r"^(?=[.'])", r"\\&", text) if text else ".PP"
    if is_kept:
        yield ".fi"
