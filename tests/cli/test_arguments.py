"""What the command line makes of arguments that are wrong: one line, exit code 2, and nothing begun."""

from __future__ import annotations

import argparse
import importlib
import os
import re
from pathlib import Path
from typing import Any, NoReturn

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.in_process import run_in_process
from trioecho.cli import faulty, load_options
from trioecho.cli.shared.parser import Parser

COMMANDS = [
    "serve",
    "client",
    "send",
    "demo",
    "load",
    "report",
    "check",
    "proxy",
    "faulty",
    "formats",
    "dissect",
]
STARTED = 130


def run(arguments: list[str]) -> tuple[object, str, str]:
    """The exit code, stdout and stderr of a command that must not get as far as to begin."""
    done = run_in_process(*arguments)
    return done.returncode, done.stdout, done.stderr


def interrupt(*_: object, **__: object) -> NoReturn:
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def begun_is_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trio, "run", interrupt)
    monkeypatch.setattr(faulty, "_serve", interrupt)
    monkeypatch.chdir(tmp_path)


# ---- did you mean ----


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("laod", "trioecho: there is no command 'laod'; did you mean load?"),
        ("help laod", "trioecho: there is no command 'laod'; did you mean load?"),
        ("report mege", "trioecho report: there is no command 'mege'; did you mean merge?"),
        ("qqq", "trioecho: there is no command 'qqq'; trioecho help lists all"),
        ("--versoin", "trioecho: there is no option '--versoin'; did you mean --version?"),
        ("load --connection 5", "load: there is no option '--connection'; did you mean --connections?"),
        (
            "load --conn=5",
            "there is no option '--conn'; did you mean --connect-rate or --connections?",
        ),
        ("sned", "trioecho: there is no command 'sned'; did you mean send?"),
        ("send a:1 --header-bytes 4", "send: there is no option '--header-bytes'; did you mean --header?"),
        ("load -z", "trioecho load: there is no option '-z'; trioecho load --help lists all"),
        ("report diff --tolerence", "trioecho report diff: there is no option '--tolerence'; "),
        ("send a:1 --show jsn", "'jsn' is not one of text, json, raw; did you mean json?"),
        ("serve --metrics-format jsn", "'jsn' is not one of text, json; did you mean json?"),
        ("load a:1 --arrival posson", "'posson' is not one of uniform, poisson; did you mean poisson?"),
        ("proxy a:1 --direction to-sever", "did you mean to-server?"),
        ("guide srve", "trioecho guide: argument TOPIC: 'srve' is not one of framing, "),
        ("guide srve", "; did you mean serve?"),
        ("faulty short-paylod", "no server or client is called 'short-paylod'; did you mean short-payload?"),
        ("faulty --explain short-paylod", "did you mean short-payload?"),
        ("check 9.9", "the book has no case 9.9; trioecho check --list shows all"),
    ],
)  # fmt: skip
def test_a_word_that_does_not_exist_and_what_was_meant(line: str, words: str) -> None:
    code, out, err = run(line.split())
    assert (code, out) == (2, "")
    [message] = err.splitlines()
    assert words in message


@pytest.mark.parametrize("line", ["", "help", "--help", "-h", "help --help"])
def test_alone_it_lists_the_commands(line: str) -> None:
    code, out, err = run(line.split())
    assert (code, err) == (0, "")
    for command in COMMANDS:
        if line != "help --help":
            assert f"\n    {command} " in out


def test_a_command_of_commands_alone_lists_them() -> None:
    assert run(["report"]) == run(["help", "report"]) == run(["report", "--help"])
    assert "\n    merge " in run(["report"])[1]


@pytest.mark.parametrize("command", [*COMMANDS, "report merge", "report diff"])
def test_help_of_a_command_is_its_help(command: str) -> None:
    words = command.split()
    code, out, err = run(["help", *words])
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: trioecho {command} ")
    assert run([*words, "--help"]) == (0, out, "")


def test_help_explains_itself() -> None:
    code, out, err = run(["help", "help"])
    assert (code, err) == (0, "")
    assert out.startswith("usage: trioecho help [options] [COMMAND ...]\n\nExplain a command: ")


def test_the_version() -> None:
    assert run(["-V"]) == run(["--version"])
    assert run(["-V"])[1].startswith("trioecho 0.")


# ---- what help says ----


def parser_of(command: str) -> Parser:
    commands = Parser(prog="trioecho").add_commands()
    name, *rest = command.split()
    importlib.import_module(f"trioecho.cli.{name}").add_command(commands, "summary")
    parser = commands.choices[name]
    for word in rest:
        [kinds] = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        parser = kinds.choices[word]
    assert isinstance(parser, Parser)
    return parser


RUNNABLE = [command for command in COMMANDS if command != "report"] + ["report merge", "report diff"]


@pytest.mark.parametrize("command", ["", *RUNNABLE])
@pytest.mark.parametrize("columns", [20, 50, 64, 80, 120, 200])
def test_help_is_as_wide_as_the_terminal_and_breaks_no_word(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    def help_at(columns: int) -> str:
        monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((columns, 24)))
        return run(["help", *command.split()])[1]

    words = set(help_at(1000).split())
    text = help_at(columns)
    assert set(text.split()) - words <= {"\\"}
    assert max(map(len, text.splitlines())) <= min(max(columns, 50), 120)


@pytest.mark.parametrize("command", RUNNABLE)
def test_help_names_exit_codes_and_the_environment(command: str) -> None:
    text = run(["help", *command.split()])[1]
    assert "\nexit codes:\n  0 " in text
    assert "\n  2 " in text.partition("\nexit codes:\n")[2]
    assert "\nenvironment:\n" in text
    assert "TRIOECHO_DEBUG" in text


@pytest.mark.parametrize("command", RUNNABLE)
def test_help_tells_every_default_with_its_unit(command: str) -> None:
    for name, action in options_of(command).items():
        if action.default in (None, False, [], argparse.SUPPRESS):
            continue
        default = re.search(r"\(default: (\S+?)[,;) ]", (action.help or "") % {"default": action.default})
        assert default, name
        if action.metavar == "TIME":
            assert re.fullmatch(r"\d+(us|ms|s|m)|0", default[1]), name


# ---- the same name, unit and default ----


def options_of(command: str) -> dict[str, argparse.Action]:
    return {name: action for action in parser_of(command)._actions for name in action.option_strings}


def test_the_same_name_is_the_same_thing_in_every_command() -> None:
    """Port 0 is any that is free; who has a well-known one has that. The client's 100 messages, and
    the load's 200 on each connection, are the homework's. A server takes PROXY headers of either
    version, and a load sends one. The rest is the same everywhere."""
    seen: dict[str, dict[str, object]] = {}
    for command in RUNNABLE:
        for name, action in options_of(command).items():
            own = ("--port", "--listen", "-n", "--messages", "--max-frame-length", "--size", "--help", "-h")
            if name in (*own, "--proxy-protocol"):
                continue
            if (command, name) == ("faulty", "--host"):  # it has one socket, and so one host
                continue
            text = (action.help or "") % {"default": action.default}
            default = re.search(r"\(default: ([^,;)]+)", text)
            of_what = None if name == "--explain" else action.metavar  # each has a book of its own
            seen.setdefault(name, {})[command] = (of_what, default and default[1], type(action))
    for name, commands in seen.items():
        assert len(set(map(repr, commands.values()))) == 1, (name, commands)


# ---- strange arguments ----

STRANGE = [
    "", " ", "-", "--", "-1", "-0", "0", "00", "1_000", "1e9", "0x10", "nan", "inf", "-inf", "1.5", "٣",
    "½", "²", "9" * 400, "a" * 300, "\udcff", "\x1b[31mred", "two\nlines", "\0", "=", "%s", "%(prog)s",
    "{port}", ":", ":0", "a:0", "[::1]", "[]:1", "::1:1", "a:99999", "1-0", "1-", "-1-2", "\u202e", "help",
    "--help=1", "-h5",     "/", ".", "u32be+", "p99<", "p99<5ms", "errors==-1", "1:2/0", "64:nan", "64:0",
]  # fmt: skip


def words_of(command: str) -> st.SearchStrategy[list[str]]:
    options = sorted(set(options_of(command)) - {"-h", "--help"})
    word = st.sampled_from(STRANGE) | st.text(max_size=8) | st.just("127.0.0.1:1")
    pair = st.tuples(st.sampled_from(options), word) if options else st.tuples(word)
    joined = pair.map(lambda words: ("=".join(words),))
    groups = st.lists(pair | joined | st.tuples(word), max_size=4)
    return groups.map(lambda each: [*command.split(), *(word for group in each for word in group)])


@examples(300)
@given(st.sampled_from(RUNNABLE).flatmap(words_of))
@example(["load", "--size"])
@example(["serve", "--port", "9" * 5000])
@example(["check", "\udcff:1"])
@example(["check", "--explain=--"])
@example(["serve", "--port=--"])
def test_no_argument_makes_a_traceback(arguments: list[str]) -> None:
    code, out, err = run(arguments)
    assert code in (0, 2, STARTED), (code, out, err)
    assert "internal error" not in err
    assert "Traceback" not in err
    if code == 2:
        [message] = err.split("\n")[:-1]
        assert message.isprintable()
        assert message.startswith("trioecho ")
        assert len(message) < 600  # a file name of 400 is told whole
        assert out == ""


VALUES_THAT_NOTHING_TAKES = ["", "-1", "nan", "inf", "-inf", "٣", "1e9", "\udcff", "two\nlines", "9" * 400]


def options_with_numbers() -> list[tuple[str, str]]:
    found: dict[str, Any] = {}
    for command in RUNNABLE:
        for name, action in options_of(command).items():
            if (
                action.type is not None
                and action.metavar not in ("COMMAND", "FILE", "HEX", "NAME[,NAME]")
                and name not in ("--host", "--name", "--payload")
            ):
                found.setdefault(name, command)
    return [(command, name) for name, command in found.items()]


@pytest.mark.parametrize(("command", "option"), options_with_numbers())
def test_no_option_with_a_number_takes_what_is_none(command: str, option: str) -> None:
    for value in VALUES_THAT_NOTHING_TAKES:
        code, out, err = run([*command.split(), f"{option}={value}"])
        assert (code, out) == (2, ""), (option, value)
        [message] = err.split("\n")[:-1]
        assert option in message or "there is no" in message
        assert message.isprintable()


# ---- old names ----


@pytest.mark.parametrize(
    ("command", "name", "alias"),
    [
        ("serve", "--workers", "--processes"),
        ("load 127.0.0.1:1", "--workers", "--processes"),
        ("proxy 127.0.0.1:1", "--port", "--listen"),
        ("faulty", "--port", "--listen"),
    ],
)
def test_one_spelling_works_in_all_and_the_old_one_still_does(command: str, name: str, alias: str) -> None:
    options = options_of(command.split()[0])
    assert options[name] is options[alias]


def test_a_load_with_as_many_processes_as_processors_has_a_connection_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load_options, "count_processors", lambda: 3)
    for connections, workers in (("2", 2), ("5", 3)):
        arguments = parser_of("load").parse_args(["a:1", "--workers", "0", "-c", connections])
        assert load_options.request_of(arguments).plan.processes == workers
