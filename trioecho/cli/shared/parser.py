"""The parser of every command's arguments, and the form of its help and its errors."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ...base.printable import printable_line
from ...base.suggestion import did_you_mean, quoted
from .exit_codes import ExitCode
from .help_format import HelpFormatter
from .output import print_error, print_result
from .settings import OptionSettings, SettingsError

Commands = argparse._SubParsersAction  # what add_subparsers() gives, which has no public name

_ENVIRONMENT = """
environment:
  COLUMNS         the width of text on a terminal, if not the terminal's own
  NO_COLOR        text without colours
  TRIOECHO_CONFIG a file with options, if --config names none
  TRIOECHO_DEBUG  an internal error (exit code 70) shows its traceback
"""


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, and explains an error in one line, with a suggestion.

    `add_commands` makes it a parser of commands, which lists them when none is given.

    Attributes:
      anywhere: the name of an operand that takes any number of words, also behind options
        that stand between them; argparse itself takes only those that stand together.
    """

    def __init__(self, **settings: Any) -> None:
        settings["epilog"] = f"{settings.get('epilog') or ''}{_ENVIRONMENT}"
        super().__init__(**{"formatter_class": HelpFormatter, "allow_abbrev": False, **settings})
        self._commands: Commands[Parser] | None = None
        self._commands_with_settings: Sequence[str] = ()
        self.anywhere: str | None = None
        self._settings: OptionSettings | None = None

    def add_commands(self) -> Commands[Parser]:
        """Make this a parser of commands, each of which has a parser of its own."""
        self._commands = self.add_subparsers(
            metavar="COMMAND", required=True, parser_class=Parser, prog=self.prog
        )
        return self._commands

    def add_settings_options(self, commands: Sequence[str]) -> None:
        """Let options be in a file and in the environment, too.

        Args:
          commands: the names of all that may have options in a file; if this parser is one of
            commands, they are those of them.
        """
        if self._commands is not None:
            for command in self._commands.choices.values():
                command.add_settings_options(commands)
            return
        self._commands_with_settings = commands
        add = self.add_argument_group("settings").add_argument
        add(
            "--config",
            metavar="FILE",
            help=f"take options from this TOML file, where they stand below [{self._settings_name}]",
        )
        add(
            "--show-config",
            action="store_true",
            help="print the options that are given, and where, and do nothing else",
        )

    @property
    def _settings_name(self) -> str:
        return "-".join(self.prog.split()[1:])

    # argparse calls it for commands, too. Its overloads are of no use here.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Read all arguments, or end the process; none is left over."""
        words = sys.argv[1:] if args is None else list(args)
        own = self._find_command(words)
        self._refuse_unknown_options(own)
        if self._commands_with_settings and not {"-h", "--help"} & {*words}:
            words = [*self._words_of_settings(words), *words]
        arguments, unknown = super().parse_known_args(words, namespace)
        if self._settings is not None:
            arguments.given = self._settings.given
            arguments.origins = self._settings.origins
        if self.anywhere is not None:
            if "--" in unknown:  # older argparse leaves it
                unknown.remove("--")
            getattr(arguments, self.anywhere).extend(unknown)
        elif unknown:
            self.error(f"unexpected {quoted(unknown[0])}")
        return arguments, []

    def _words_of_settings(self, words: list[str]) -> list[str]:
        """Return the options that a file and the environment have, as words; or end the process."""
        try:
            groups = [group._group_actions for group in self._mutually_exclusive_groups]
            settings = OptionSettings(
                self._settings_name, self._actions, groups, words, os.environ, self._commands_with_settings
            )
            if "--show-config" in words:
                settings.check_typed()
                print_result(settings.as_toml())
                sys.exit(ExitCode.OK)
        except SettingsError as error:
            self.error(str(error), see_help=False)
        self._settings = settings
        return settings.words

    def _find_command(self, words: list[str]) -> list[str]:
        """Return the words before the command; end the process if no command is found."""
        if self._commands is None:
            return words
        place = next((place for place, word in enumerate(words) if not word.startswith("-")), len(words))
        if not words:
            self.print_help()
            sys.exit(ExitCode.OK)
        if place < len(words) and words[place] not in self._commands.choices:
            lists_all = f"{self.prog} {'help' if 'help' in self._commands.choices else '--help'} lists all"
            hint = did_you_mean(words[place], self._commands.choices, lists_all)
            if place:
                hint = "options stand behind the command"
            self.error(f"there is no command {quoted(words[place])}; {hint}", see_help=False)
        return words[:place]

    def _refuse_unknown_options(self, words: list[str]) -> None:
        options = self._option_string_actions
        for word in words:
            if word == "--":
                return
            name = word.partition("=")[0] if word.startswith("--") else word[:2]
            if name in options and word == f"{name}=--":
                self.error(f"argument {name}: '--' is not a value")  # older argparse makes it an empty list
            # What has a space, or is a negative number, is an operand to argparse.
            if len(word) < 2 or word[0] != "-" or name in options or re.fullmatch(r"-[\d.]+|.* .*", word):
                continue
            hint = did_you_mean(name, options, f"{self.prog} --help lists all")
            self.error(f"there is no option {quoted(name)}; {hint}", see_help=False)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write, and ignore a failure, as from Python 3.11 on; the end of the program reports it."""
        with contextlib.suppress(AttributeError, OSError):  # there may be no stream
            super()._print_message(message, file)

    def error(self, message: str, *, see_help: bool = True) -> NoReturn:
        """End the process with exit code 2."""
        hint = f" (see {self.prog} --help)" if see_help else ""
        elsewhere = from_elsewhere(self._settings.origins if self._settings else ())
        print_error(f"{self.prog}: {printable_line(message + elsewhere)}{hint}")
        sys.exit(ExitCode.WRONG_USAGE)


def from_elsewhere(origins: Sequence[str]) -> str:
    """Say which options were not typed, behind what is wrong with options; nothing if all were."""
    return f"; options are also from {', '.join(origins)}" if origins else ""


def add_command_parser(
    commands: Commands[Parser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    summary: str,
    description: str,
    epilog: str,
) -> Parser:
    """Add a parser for one command; ``run`` is called with the arguments that it reads."""
    parser = commands.add_parser(name, help=summary, description=description, epilog=epilog)
    parser.set_defaults(run=run, prog=parser.prog)
    return parser
