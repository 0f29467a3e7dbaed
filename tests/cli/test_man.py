"""``trioecho man``: pages that man shows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.in_process import run_in_process
from tests.support.processes import run_command
from tests.support.programs import needs_program
from trioecho.cli.program import COMMANDS


def page_of(*command: str) -> str:
    done = run_command("man", *command)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_page_of_the_program_names_all_commands() -> None:
    page = page_of()
    assert page.startswith('.TH TRIOECHO "1"')
    assert ".SH NAME\ntrioecho \\- serve, check" in page
    for command in COMMANDS:
        assert re.search(rf"\\fBtrioecho\\fR \\fI\\,{command}\\/\\fR", page)
        assert f"; see trioecho\\-{command}(1)\n" in page
    assert re.findall(r"^\.SH[ \n](.*)", page, re.MULTILINE) == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "NOTES", "EXIT STATUS", "ENVIRONMENT")
    ]
    assert "usage" not in page.replace("wrong usage", "")


def test_the_page_of_a_command_has_options_and_exit_codes_in_sections_of_their_own() -> None:
    page = page_of("serve")
    assert page.startswith('.TH TRIOECHO\\-SERVE "1"')
    headings = re.findall(r"^\.SH (.*)", page, re.MULTILINE)
    assert [each for each in headings if each not in ("OPTIONS", "SETTINGS")] == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "NOTES", "EXIT STATUS", "EXAMPLES", "ENVIRONMENT")
    ]
    assert r"\fB\-\-certfile\fR \fI\,FILE" in page
    status = page.partition(".SH EXIT STATUS\n.nf\n")[2].partition(".fi")[0]
    assert "  4    drained, but something had to be aborted after the grace\n" in status


def test_a_command_of_a_command_has_a_page() -> None:
    page = page_of("report", "diff")
    assert page.startswith('.TH TRIOECHO\\-REPORT\\-DIFF "1"')
    assert ".SH NAME\ntrioecho\\-report\\-diff \\- compare two results" in page
    assert r"\fB\-\-tolerance\fR" in page


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["nonsense"], "there is no command 'nonsense'; trioecho help lists all"),
        (["serv"], "there is no command 'serv'; did you mean serve?"),
        (["report", "dif"], "there is no command 'dif'; did you mean diff?"),
        (["serve", "diff"], "there is no command 'diff'; trioecho help lists all"),
    ],
)
def test_a_command_that_there_is_not(words: list[str], reason: str) -> None:
    done = run_in_process("man", *words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"trioecho man: {reason}\n")


@pytest.mark.parametrize("command", [(), ["report", "diff"], *([name] for name in COMMANDS)])
@pytest.mark.slow
def test_man_shows_it_without_a_complaint(command: list[str], tmp_path: Path) -> None:
    man = needs_program("man")
    page = tmp_path / "page.1"
    page.write_text(page_of(*command))
    done = subprocess.run([man, "--warnings", "-l", str(page)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") > 20
