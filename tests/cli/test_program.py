"""The program around the commands: what it imports, logs, and makes of an interrupt or an error."""

from __future__ import annotations

import errno
import json
import logging
import re
import subprocess
import sys

import pytest

from tests.support.guard import GUARD_S
from tests.support.pipe import Pipe
from tests.support.slow import slow
from trioecho.base.exception_groups import BaseExceptionGroup
from trioecho.cli import main
from trioecho.cli.shared.log import NonBlockingLogHandler


def test_log_records_are_one_line_with_time_and_without_traceback() -> None:
    with Pipe() as pipe:
        handler = NonBlockingLogHandler(pipe.writer)
        try:
            raise ValueError("two\nlines")
        except ValueError as error:
            record = logging.LogRecord(
                "x",
                logging.ERROR,
                __file__,
                1,
                "it %s",
                ("failed",),
                (ValueError, error, error.__traceback__),
            )
        handler.emit(record)
        [line, end] = pipe.read_all()
    assert end == ""
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ error: it failed: ValueError: two lines \(test_p", line)


# ---- commands ----


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GUARD_S, check=False
    )


def test_a_command_imports_no_other() -> None:
    done = run_python(
        "import atexit, sys, trioecho.cli\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "trioecho.cli.main(['serve', '--help'])"
    )
    assert done.returncode == 0
    imported = done.stderr.split()
    assert "trioecho.cli.serve" in imported
    others = {
        f"trioecho.cli.{name}" for name in ("client", "send", "demo", "load", "check", "proxy", "faulty")
    }
    others |= {f"trioecho.{room}" for room in ("send", "load", "demo", "check", "proxy", "faulty")}
    assert not others.intersection(imported)


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["guide", "serve"], ["deploy", "--help"], ["man", "--help"]]
)
def test_what_only_prints_does_not_wait_for_trio(words: list[str]) -> None:
    """Whose import takes several times as long as all the rest."""
    done = run_python(
        f"import sys; sys.modules['trio'] = None\nimport trioecho.cli; sys.exit(trioecho.cli.main({words!r}))"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_check_imports_no_asyncio_and_no_load_that_it_does_not_make() -> None:
    done = run_python(
        "import atexit, sys, trioecho.cli\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "trioecho.cli.main(['check', '--help'])"
    )
    assert done.returncode == 0
    imported = done.stderr.split()
    assert "trioecho.cli.check" in imported
    assert not {"asyncio", "trioecho.load", "trioecho.cluster.cluster"}.intersection(imported)


def interrupted_at(module: str, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that gets a Ctrl-C when it imports this module."""
    return run_python(
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name == '{module}': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        f"sys.modules.pop('{module}', None)\n" + program  # what measures coverage may have it
    )


@pytest.mark.parametrize(
    "command", ["serve", *map(slow, ["client", "send", "demo", "load", "report", "check", "proxy", "faulty"])]
)
def test_an_interrupt_while_a_command_is_imported_is_130_and_no_traceback(command: str) -> None:
    done = interrupted_at(
        f"trioecho.cli.{command}",
        f"import trioecho.cli; sys.exit(trioecho.cli.main(['{command}', '--help']))",
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    "module", ["typing", slow("argparse"), slow("trioecho.base.describe"), "trioecho.cli.program"]
)
def test_so_is_an_interrupt_before_it_is_known_which_command(module: str) -> None:
    """The program of the installed command, to the letter."""
    done = interrupted_at(module, "from trioecho.cli import main; sys.argv = ['trioecho']; sys.exit(main())")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("command", ["client", "load", "serve"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "too many open files: raise the limit (ulimit -n)"),
        (
            BaseExceptionGroup("", [OSError(errno.ENFILE, "Too many open files in system")]),
            "too many open files",
        ),
        (MemoryError(), "there is not enough memory for that"),
    ],
)
def test_what_a_machine_has_not_enough_of_is_no_internal_error(
    command: str,
    error: BaseException,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: object, **options: object) -> object:
        raise error

    monkeypatch.setattr("trio.run", run)
    assert main([command, *([] if command == "serve" else ["127.0.0.1:1"])]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith(f"trioecho: {words}")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 2, "trioecho: there is not enough memory for that"),
        (ZeroDivisionError("a fault"), 70, "trioecho: internal error: ZeroDivisionError: a fault"),
    ],
)
def test_an_error_is_json_where_the_log_is(
    error: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: object, **options: object) -> object:
        raise error

    monkeypatch.delenv("TRIOECHO_DEBUG", raising=False)
    monkeypatch.setattr("trio.run", run)
    assert main(["serve", "--log-format", "json"]) == code
    [line] = map(json.loads, capfd.readouterr().err.splitlines())
    assert line["level"] == "error"
    assert line["message"].startswith(words)
