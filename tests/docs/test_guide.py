"""The guide: its pages are all there, and the command shows them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import trioecho.guide
from tests.support.checkout import ROOT
from tests.support.in_process import run_in_process
from tests.support.terminals import run_on_terminal
from trioecho.guide import TOPICS, read_topic

GUIDE = Path(trioecho.guide.__file__).parent


def test_every_page_is_a_topic_and_every_topic_a_page() -> None:
    assert {page.stem for page in GUIDE.glob("*.md")} == set(TOPICS)
    for name in TOPICS:
        assert read_topic(name).startswith("# ")
    with pytest.raises(KeyError):
        read_topic("../errors")


def test_readme_is_short_and_names_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme.count("\n") <= 250
    for name in TOPICS:
        assert f"trioecho/guide/{name}.md" in readme


def test_the_command_lists_topics_and_prints_pages() -> None:
    listed = run_in_process("guide")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == list(TOPICS)
    assert run_in_process("guide", "framing").stdout == read_topic("framing")
    wrong = run_in_process("guide", "farming")
    assert wrong.returncode == 2
    assert "framing" in wrong.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
def test_in_a_terminal_a_page_goes_through_the_pager() -> None:
    command = [sys.executable, "-m", "trioecho", "guide", "changes"]
    exit_code, shown = run_on_terminal(command, PAGER="cat", TERM="xterm", COLUMNS="60")
    assert exit_code == 0
    assert "Changes" in shown
