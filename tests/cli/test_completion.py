"""``trioecho completion``, in the shells themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import run_command
from tests.support.programs import needs_program

# Does what bash does for a line that ends at the cursor: calls the function that is registered.
_BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
function=$(complete -p trioecho | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$function trioecho "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""

# Values whose words only the command knows, or a reader of values.
VALUES = [
    ("trioecho deploy hap", "haproxy.cfg"),
    ("trioecho guide ser", "serve services"),
    ("trioecho man dep", "deploy"),
    ("trioecho help dep", "deploy"),
    ("trioecho faulty short-p", "short-payload"),
    ("trioecho faulty --explain short-s", "short-send"),
    ("trioecho formats mys", "mysql"),
    ("trioecho check --preset mem", "memcached"),
    ("trioecho serve --format mys", "mysql"),
    ("trioecho load --format u16", "u16be u16le"),
    ("trioecho serve --tls-min 1.", "1.2 1.3"),
]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has a file for each shell."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        done = run_command("completion", shell)
        assert (done.returncode, done.stderr) == (0, "")
        (folder / shell).write_text(done.stdout)
    return folder


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("trioecho c", "client check completion"),
        ("trioecho serve --tls-m", "--tls-min"),
        ("trioecho serve --metrics-format ", "text json"),
        ("trioecho report d", "diff"),
        ("trioecho report diff --fail-on w", "worse"),
        ("trioecho serve --certfile cer", "cert.pem"),
        *VALUES,
    ],
)
def test_bash_completes(line: str, completed: str, scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").touch()
    bash = [needs_program("bash"), "-c", _BASH, "bash", str(scripts / "bash"), *line.split(" ")]
    done = subprocess.run(bash, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.split() == completed.split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_scripts(shell: str, scripts: Path) -> None:
    done = subprocess.run(
        [needs_program(shell), "-n", str(scripts / shell)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(("line", "completed"), [*VALUES, ("trioecho serve --metrics-format ", "text json")])
def test_fish_completes_values_without_the_text_of_the_option(
    line: str, completed: str, scripts: Path, tmp_path: Path
) -> None:
    complete = 'source $argv[1]; complete -C "$argv[2]"'
    done = subprocess.run(
        [needs_program("fish"), "-N", "-c", complete, str(scripts / "fish"), line],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert sorted(done.stdout.splitlines()) == sorted(completed.split())


@pytest.mark.parametrize(
    ("words", "package"), [(("completion", "bash"), "shtab"), (("man",), "argparse-manpage")]
)
def test_a_missing_package_is_said_in_one_line(words: tuple[str, ...], package: str) -> None:
    module = package.replace("-", "_")
    program = f"import sys; sys.modules[{module!r}] = None; from trioecho.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=False
    )
    said = f"this needs {package}, which is not installed: pip install 'trioecho[shell]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"trioecho {words[0]}: {said}")
