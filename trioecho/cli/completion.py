"""``trioecho completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..check.client.polite import POLITE_REQUESTS
from ..faulty import FAULTY_SERVERS
from ..faulty.clients import FAULTY_CLIENTS
from ..framing import PRESETS
from .program import COMMANDS, make_parsers
from .shared import values
from .shared.exit_codes import ExitCode
from .shared.output import print_result
from .shared.parser import Commands, Parser, add_command_parser
from .shared.required_package import import_package

_SHELLS = ("bash", "zsh", "fish")
# What stands for the value of an option that is a path.
_FILES = {"FILE", "A.json", "B.json"}
_FOLDERS = {"FOLDER"}
# Formats that have no name of a protocol.
_INTEGERS = ("u8", *(f"u{bits}{order}" for bits in (16, 32, 64) for order in ("be", "le")))
# What stands where a value has no reader that knows all words: what it means is found out later.
_WORDS: Mapping[tuple[str, str], Sequence[str]] = {
    ("trioecho check", "preset"): sorted(POLITE_REQUESTS),
    ("trioecho faulty", "name"): [*FAULTY_SERVERS, *FAULTY_CLIENTS],
    ("trioecho faulty", "explain"): [*FAULTY_SERVERS, *FAULTY_CLIENTS],
    ("trioecho formats", "name"): [*PRESETS],
    ("trioecho help", "command"): [*COMMANDS],
    ("trioecho man", "command"): [*COMMANDS],
}

_EPILOG = """\
Needs the package shtab (pip install 'trioecho[shell]'). The text is of this version: print it
again after an update.

exit codes:
  0  printed
  2  wrong usage, or shtab is not installed

examples:
  trioecho completion bash >~/.local/share/bash-completion/completions/trioecho
  trioecho completion zsh >~/.zfunc/_trioecho
  trioecho completion fish >~/.config/fish/completions/trioecho.fish
"""


def add_command(commands: Commands[Parser], summary: str) -> None:
    """Add ``completion`` and its options."""
    parser = add_command_parser(
        commands,
        "completion",
        run,
        summary=summary,
        description="Print the completion of commands, options and their values for a shell.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "shell",
        metavar="SHELL",
        type=values.one_of(*_SHELLS),
        help="bash, zsh (a folder of $fpath has the file), or fish",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    shtab: Any = import_package("shtab", "shtab", "shell")
    parser, commands = make_parsers(COMMANDS)
    for command in commands.values():
        _mark_values(shtab, command, arguments.shell)
    print_result(shtab.complete(parser, shell=arguments.shell).rstrip("\n"))
    return ExitCode.OK


def _mark_values(shtab: Any, parser: argparse.ArgumentParser, shell: str) -> None:
    """Say of each option and operand which values it takes, as far as they are known."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _mark_values(shtab, command, shell)
        elif action.metavar in _FILES | _FOLDERS:
            kind = shtab.FILE if action.metavar in _FILES else shtab.DIRECTORY
            action.complete = kind  # type: ignore[attr-defined]  # shtab looks for this attribute
        elif words := _words_of(action, parser.prog):
            action.choices = words
            if shell == "fish":
                # Each is without a description: it would be the text of the option, again and again.
                action.complete = {  # type: ignore[attr-defined]  # shtab looks for this attribute
                    "fish": f"(printf '%s\\t\\n' {shlex.join(words)})"
                }


def _words_of(action: argparse.Action, prog: str) -> Sequence[str]:
    if action.choices:
        return [str(choice) for choice in action.choices]
    if isinstance(action.type, values.OneOf):
        return action.type.names
    if action.type is values.frame_format:
        return [*_INTEGERS, *PRESETS]
    if isinstance(action.metavar, str) and (words := re.fullmatch(r"\{(.*)\}", action.metavar)):
        return words[1].split(",")
    return _WORDS.get((prog, action.dest), ())
