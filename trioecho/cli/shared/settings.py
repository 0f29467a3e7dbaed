"""Options from a configuration file and from the environment, behind those of the command line.

The file is TOML, with a table for each command. An option has its own name there; in the
environment it has that name in capitals, behind the command's:

    [serve]                        TRIOECHO_SERVE_IDLE_TIMEOUT=30s
    idle-timeout = "30s"
    host = ["127.0.0.1", "::1"]
    reload = true

An option with several names has each of them. In the environment a list has commas.

What is found becomes words of the command line, before those that were typed, so the same code
reads a value wherever it stands. The command line wins over the environment, and that over the
file: an option that is given at one place, or another that excludes it, is not looked for at the
next.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...base.suggestion import did_you_mean, quoted
from .toml_file import TomlFileError, read_toml

# Names the file, as the option --config does.
CONFIG_VARIABLE = "TRIOECHO_CONFIG"
# What Kubernetes sets for a service that is called trioecho: TRIOECHO_SERVICE_HOST, TRIOECHO_SERVICE_PORT.
_OF_KUBERNETES = "TRIOECHO_SERVICE_"
# How alike a variable and a misspelt one are, at least, from 0 to 1.
_NEARLY = 0.9
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")
# They say what is to be done this time.
_NO_SETTINGS = ("help", "config", "show-config")


class SettingsError(Exception):
    """A file or a variable is not as it should be; the message says which, in one line."""


@dataclass(frozen=True)
class Setting:
    """What is written for one option.

    Attributes:
      action: the parser's idea of the option.
      values: one, several for an option that may be repeated, none for one without a value.
      origin: where it is written.
    """

    action: argparse.Action
    values: tuple[str, ...]
    origin: str

    @property
    def words(self) -> list[str]:
        """The same as words of a command line."""
        option = max(self.action.option_strings, key=len)
        equals = "=" if option.startswith("--") else ""
        return [f"{option}{equals}{value}" for value in self.values] or [option]


class OptionSettings:
    """The settings of a run of one command, in the order in which they count, the last one most.

    Attributes:
      name: the command's.
      options: what the command's parser knows, by the first name of each.

    Args:
      name: the same.
      actions: those of the parser.
      groups: of each only one may be given.
      words: the command line, behind the command's name.
      environment: ``os.environ``.
      commands: those that may have a table in a file; a command within one of them, too.

    Raises:
      SettingsError: the file, or a variable, cannot be used.
    """

    def __init__(
        self,
        name: str,
        actions: Iterable[argparse.Action],
        groups: Iterable[Iterable[argparse.Action]],
        words: Sequence[str],
        environment: Mapping[str, str],
        commands: Container[str],
    ) -> None:
        self.name = name
        self._commands = commands
        self.options: dict[str, argparse.Action] = {
            option: action for action in actions if (option := _name_of(action)) not in ("", *_NO_SETTINGS)
        }
        # Each by all its long names.
        self._names: dict[str, argparse.Action] = {
            name: action for action in self.options.values() for name in _names_of(action)
        }
        self._groups = [{action.dest for action in group} for group in groups]
        typed = list(_typed(words, {text: each for each in actions for text in each.option_strings}))
        self.typed: list[Setting] = [each for each in typed if _name_of(each.action) in self.options]
        self.found: list[Setting] = self._from_environment(environment, self._settled(self.typed))
        path = next(
            (each.values[0] for each in reversed(typed) if _name_of(each.action) == "config"),
            environment.get(CONFIG_VARIABLE),
        )
        if path:
            self.found = [*self._from_file(path, self._settled([*self.typed, *self.found])), *self.found]

    @property
    def words(self) -> list[str]:
        """What stands before the words that were typed."""
        return [word for setting in self.found for word in setting.words]

    def as_toml(self) -> str:
        """Return the settings as a file has them, each with its origin."""
        lines = [f"[{self.name}]"]
        settings = [*self.found, *self.typed]
        for option, action in self.options.items():
            values = [value for each in settings if each.action is action for value in each.values]
            origins = {each.origin: None for each in settings if each.action is action}
            if origins:
                lines.append(f"{option} = {_as_toml(action, values)}  # {', '.join(origins)}")
        lines.append(f"# All else has its default, which trioecho {self.name.replace('-', ' ')} --help says.")
        return "\n".join(lines)

    @property
    def origins(self) -> list[str]:
        """Where those are written that were not typed."""
        return list(dict.fromkeys(setting.origin for setting in self.found))

    @property
    def given(self) -> frozenset[str]:
        """The names of all options that are given, wherever."""
        return frozenset(_name_of(setting.action) for setting in (*self.found, *self.typed))

    def check_typed(self) -> None:
        """Let the options' own types refuse what was typed.

        Raises:
          SettingsError: one of them does.
        """
        for setting in self.typed:
            for text in setting.values:
                _check(setting.action, text, max(setting.action.option_strings, key=len))

    def _settled(self, settings: Iterable[Setting]) -> set[str]:
        """Return what is not looked for any more: what is given, and what that excludes."""
        given = {each.action.dest for each in settings}
        return given.union(*(group for group in self._groups if group & given))

    def _from_environment(self, environment: Mapping[str, str], settled: Container[str]) -> list[Setting]:
        prefix = f"TRIOECHO_{_as_variable(self.name)}_"
        names = {prefix + _as_variable(option): option for option in self._names}
        found = []
        written: dict[str, str] = {}
        for variable in sorted(environment):
            if not variable.startswith(prefix):
                self._refuse_misspelt_command(variable, names)
                continue
            if variable not in names:
                hint = did_you_mean(
                    variable, [*names, CONFIG_VARIABLE], f"trioecho {self.name} --help lists the options"
                )
                raise SettingsError(f"{quoted(variable)} in the environment is no option; {hint}")
            action = self._names[names[variable]]
            _refuse_twice(action, variable, written)
            text = environment[variable]
            if action.nargs == 0:
                if text.lower() not in (*_YES, *_NO):
                    raise SettingsError(f"{variable}={quoted(text)} is neither true nor false")
                given = text.lower() in _YES
                found += self._setting(action, given, variable, settled)
            else:
                is_several = isinstance(action, argparse._AppendAction)
                values = [part.strip() for part in text.split(",")] if is_several else text
                found += self._setting(action, values, variable, settled)
        return found

    def _refuse_misspelt_command(self, variable: str, names: Iterable[str]) -> None:
        """Refuse a variable that is nearly one of this command's, but for the command's name."""
        if variable.startswith(_OF_KUBERNETES) or not variable.startswith("TRIOECHO_"):
            return
        from difflib import get_close_matches  # only where there is such a variable

        word = variable.split("_")[1].lower()
        if word not in self._commands and (close := get_close_matches(variable, names, 1, _NEARLY)):
            raise SettingsError(
                f"{quoted(variable)} in the environment is no option; did you mean {close[0]}?"
            )

    def _from_file(self, path: str, settled: Container[str]) -> list[Setting]:
        try:
            tables = read_toml(path, "--config")
        except TomlFileError as error:
            raise SettingsError(str(error)) from None
        for name in tables:
            if name.partition("-")[0] not in self._commands:
                raise SettingsError(
                    f"{path}: {quoted(name)} is no command; write options below [{self.name}]"
                )
        table = tables.get(self.name, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: {self.name} is no table; write options below [{self.name}]")
        found = []
        written: dict[str, str] = {}
        for option, value in table.items():
            if option not in self._names:
                hint = did_you_mean(option, self._names, f"trioecho {self.name} --help lists the options")
                raise SettingsError(f"{path}: [{self.name}] has no option {quoted(option)}; {hint}")
            _refuse_twice(self._names[option], f"{path}: {option}", written)
            found += self._setting(self._names[option], value, f"{path}: {option}", settled)
        return found

    def _setting(
        self, action: argparse.Action, value: object, origin: str, settled: Container[str]
    ) -> list[Setting]:
        """Return the setting of one value, if it is not settled already, and is not false."""
        is_several = isinstance(action, argparse._AppendAction)
        if action.nargs == 0:
            if not isinstance(value, bool):
                raise SettingsError(f"{origin} is true or false, and not {quoted(str(value))}")
            values: tuple[str, ...] = ()
        elif isinstance(value, list) and is_several:
            values = tuple(_as_word(each, origin) for each in value)
        else:
            values = (_as_word(value, origin),)
        for text in values:
            _check(action, text, origin)
        is_given = value is not False and (values or action.nargs == 0)
        return [Setting(action, values, origin)] if is_given and action.dest not in settled else []


def _name_of(action: argparse.Action) -> str:
    """Return the name of an option, the first long one if it has one; empty for an operand."""
    names = sorted(action.option_strings, key=lambda text: not text.startswith("--"))
    return names[0].lstrip("-") if names else ""


def _names_of(action: argparse.Action) -> list[str]:
    """Return all long names of an option; the short one of an option that has no other."""
    long = [text[2:] for text in action.option_strings if text.startswith("--")]
    return long or [_name_of(action)]


def _refuse_twice(action: argparse.Action, origin: str, written: dict[str, str]) -> None:
    """Refuse an option that stands at one place by two of its names."""
    other = written.setdefault(_name_of(action), origin)
    if other != origin:
        raise SettingsError(f"{origin} and {other} are the same option; write one of them")


def _as_variable(text: str) -> str:
    return text.upper().replace("-", "_")


def _typed(words: Sequence[str], options: Mapping[str, argparse.Action]) -> Iterator[Setting]:
    """Give what the command line has, as far as it can be understood; the parser says what is wrong."""
    rest = iter(words)
    for word in rest:
        if word == "--":
            return
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            name, value = word[:2], word[2:].removeprefix("=")
        if (action := options.get(name)) is None:
            continue
        if action.nargs == 0:
            yield Setting(action, (), "command line")
        else:
            yield Setting(action, (value if value or equals else next(rest, ""),), "command line")


def _as_word(value: object, origin: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SettingsError(f"{origin} is a text or a number, and not {quoted(_shown(value))}")
    return str(value)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(action: argparse.Action, text: str, origin: str) -> None:
    """Let the option's own type refuse a value, and say where it stands."""
    if action.choices is not None and text not in action.choices:
        raise SettingsError(f"{origin}: {quoted(text)} is not one of {', '.join(map(str, action.choices))}")
    if not callable(action.type):
        return
    try:
        action.type(text)
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"{origin}: {error}") from None
    except (TypeError, ValueError):
        raise SettingsError(f"{origin}: {quoted(text)} is no value of this option") from None


def _as_toml(action: argparse.Action, values: Sequence[str]) -> str:
    if action.nargs == 0:
        return "true"
    texts = [json.dumps(value) for value in values]
    return f"[{', '.join(texts)}]" if isinstance(action, argparse._AppendAction) else texts[-1]
