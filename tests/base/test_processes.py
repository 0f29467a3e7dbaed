"""This program in a process of its own imports what its parent imports, and nothing from where it is run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from trioecho.base.processes import own_program

# Whatever is imported, some of it is called like that.
EVIL = ("random", "keyword", "runpy", "json", "socket", "trio", "contextlib")


@pytest.fixture
def evil_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: whoever imports from it does not get far."""
    for name in EVIL:
        (tmp_path / f"{name}.py").write_text('raise SystemExit("boo")')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = own_program(*arguments)
    return subprocess.run(
        program.command,
        env=program.env,
        cwd=program.cwd,
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )


@pytest.mark.usefixtures("evil_directory")
@pytest.mark.parametrize("entry", ["", ".", "here"])
def test_nothing_is_imported_from_the_working_directory(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(Path.cwd()) if entry == "here" else entry, *sys.path])
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("trioecho ")


def test_it_is_shown_as_what_it_is() -> None:
    command = own_program("serve", "--port", "0").command
    assert " ".join(command).removeprefix(sys.executable).replace(" -P", "") == " -m trioecho serve --port 0"


def test_a_module_of_the_package_is_a_program_too() -> None:
    assert own_program(module="trioecho.demo.timed_server").command[-1] == "trioecho.demo.timed_server"


def test_the_package_is_found_where_this_process_has_it_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when that is only in this process's own path."""
    (tmp_path / "only_here.py").write_text("print('found')")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    program = own_program(module="only_here")
    done = subprocess.run(
        program.command, env=program.env, cwd=program.cwd, capture_output=True, text=True, check=True
    )
    assert done.stdout == "found\n"


def test_a_working_directory_that_is_gone_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    before = Path.cwd()
    monkeypatch.setattr(sys, "path", [*sys.path, "."])
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        program = own_program("--version")
    finally:
        os.chdir(before)
    assert subprocess.run(program.command, env=program.env, capture_output=True, check=False).returncode == 0
