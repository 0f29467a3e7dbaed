"""Exit codes: one table, in the code and in the guide, and no command has one of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trioecho.cli
import trioecho.cli.guide
from tests.support.in_process import run_in_process
from trioecho.cli.program import COMMANDS
from trioecho.cli.shared.exit_codes import ExitCode
from trioecho.guide import read_topic


def test_the_guide_has_every_code_and_no_other() -> None:
    section = read_topic("commands").partition("## Exit codes")[2]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(str(code.value), code.meaning) for code in ExitCode]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_lists_only_codes_of_the_table(command: list[str]) -> None:
    text = run_in_process(*command, "--help").stdout
    section = text.partition("exit codes:\n")[2].partition("\n\n")[0]
    listed = [int(number) for number in re.findall(r"^  (\d+) ", section, re.MULTILINE)]
    assert listed == sorted(set(listed))
    assert set(listed) <= set(ExitCode)
    assert listed


def test_no_command_writes_a_code_as_a_number() -> None:
    for module in Path(trioecho.cli.__file__).parent.rglob("*.py"):
        source = module.read_text()
        assert not re.search(r"CommandError\(\s*\d|sys\.exit\(\d|exit_code = \d", source), module


@pytest.mark.parametrize("debug", [None, "1"])
def test_an_internal_error_is_70_also_with_its_traceback(
    debug: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(topic: str) -> str:
        raise KeyError(topic)

    monkeypatch.delenv("TRIOECHO_DEBUG", raising=False)
    if debug is not None:
        monkeypatch.setenv("TRIOECHO_DEBUG", debug)
    monkeypatch.setattr(trioecho.cli.guide, "read_topic", fail)
    assert trioecho.cli.main(["guide", "commands"]) == 70
    *traceback, last = capsys.readouterr().err.splitlines()
    assert last.startswith("trioecho: internal error: KeyError: 'commands'")
    if debug is None:
        assert not traceback
        assert last.endswith("; TRIOECHO_DEBUG=1 shows all of it")
    else:
        assert traceback[0] == "Traceback (most recent call last):"
        assert traceback[-1] == "KeyError: 'commands'"
        assert "shows all of it" not in last
