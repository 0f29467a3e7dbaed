"""The defaults of ``trioecho serve`` agree in README, in the guide, in the help and in the library."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.in_process import run_in_process
from trioecho import Limits
from trioecho.cli.serve_options import add_serve_options, limits_of
from trioecho.cli.shared.parser import Parser

# An option and what it sets, its default, and whose default that is.
ROW = re.compile(r"^\| `--([a-z-]+)`[^|]* \| (\S+) \| ([^|]+) \|$", re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "trioecho/guide/serve.md"]
TABLE = {option: (default, precedent) for option, default, precedent in ROW.findall(PAGES[0].read_text())}
# The server's own, which no option sets.
NOT_AN_OPTION = {"linger_s"}
# What no other program has, and so is not in the table.
WITHOUT_PRECEDENT = {"spin_s"}


def limits_from(*words: str) -> Limits:
    parser = Parser()
    add_serve_options(parser)
    return limits_of(parser.parse_args(words))


def field_of(option: str) -> str:
    name = option.replace("-", "_")
    [field] = [each.name for each in fields(Limits) if each.name in (name, f"{name}_s")]
    return field


def documented_at(field: str) -> str:
    """What the docstring of `Limits` says of a field, as one line."""
    text = inspect.cleandoc(Limits.__doc__ or "")
    [said] = re.findall(rf"^  {field}: (.*\n(?:    .*\n)*)", text, re.MULTILINE)
    return " ".join(said.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_table_has_every_limit_and_its_default(page: Path) -> None:
    table = {option: (default, precedent) for option, default, precedent in ROW.findall(page.read_text())}
    assert table == TABLE
    names = {each.name for each in fields(Limits)} - NOT_AN_OPTION - WITHOUT_PRECEDENT
    assert {field_of(option) for option in table} == names
    words = [word for option, (default, _) in table.items() for word in (f"--{option}", default)]
    assert limits_from(*words) == Limits()


def test_without_options_the_limits_are_those_of_the_library() -> None:
    assert limits_from() == Limits()


@pytest.mark.parametrize("option", TABLE)
def test_the_help_names_the_same_default_and_the_same_precedent(option: str) -> None:
    default, precedent = TABLE[option]
    text = " ".join(run_in_process("serve", "--help").stdout.split())
    [said] = re.findall(rf" --{option} [A-Z]+ [^()]*\(default: (\S+), as ([^)]+)\)", text)
    whose, *setting = re.findall(r"[\w ]+", precedent.replace("`", ""))
    assert said[0] == default
    assert said[1].partition("'s ")[0] == whose
    assert said[1].partition("'s ")[2] in ("", *(name.strip() for name in setting))


def test_a_default_without_a_precedent_is_the_same_everywhere() -> None:
    text = " ".join(run_in_process("serve", "--help").stdout.split())
    [default] = re.findall(r" --spin TIME [^()]*\(default: (\S+)\)", text)
    assert limits_from("--spin", default) == Limits()
    assert f"`--spin {default}`" in PAGES[1].read_text()
    assert f"{Limits().spin_s * 1e6:g} us" in documented_at("spin_s")


@pytest.mark.parametrize("option", TABLE)
def test_the_library_documents_the_same_default_and_the_same_precedent(option: str) -> None:
    field = field_of(option)
    value = getattr(Limits(), field)
    said = documented_at(field)
    if field.endswith("_s"):
        number = f"{value:g} s"
    else:
        number = "1 MiB" if value == 1 << 20 else f"{value:,}".replace(",", " ")
    assert f"{number}, as " in said
    for name in re.findall(r"[\w ]+", TABLE[option][1].replace("`", "")):
        assert name.strip() in said
