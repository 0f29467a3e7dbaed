"""A class: a server for each file, several side by side, and reports that hold all of them."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.check.test_cut_short import TELLS_AND_FALLS_SILENT
from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import UTF8, children_of, run_command
from trioecho.check.book.book import select
from trioecho.check.spawned.process_tree import is_running
from trioecho.cli import main
from trioecho.faulty import FAULTY_SERVERS

# As a student writes it: a module of their own, and a file of their own, beside it.
GOOD = """
import socket, sys, threading
from frames import receive
def serve(peer):
    with peer:
        while (frame := receive(peer)) is not None:
            peer.sendall(frame)
host = open("host.txt").read()
server = socket.create_server((host, int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""
FRAMES = """
def receive(peer):
    header = peer.recv(4, 0x100)
    payload = peer.recv(n, 0x100) if (n := int.from_bytes(header, "big")) else b""
    return header + payload if len(header) == 4 and len(payload) == n else None
"""
# Two frames in one piece come back the wrong way round.
BROKEN = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    with server.accept()[0] as peer:
        while data := peer.recv(65536):
            peer.sendall(data if len(data) <= 9 else data[::-1])
"""
NO_PYTHON = "def main(:\n    pass\n"
CLASS = shlex.join([sys.executable, "{file}", "{port}"])
FAULTY, PORT = (sys.executable, "-m", "trioecho", "faulty"), ("--port", "{port}")
CASES = ("1.2", "2.5")


@pytest.fixture
def submissions(tmp_path: Path) -> Path:
    """Of Ada, Alan and Grace."""
    folder = tmp_path / "submissions"
    for name, program in (("ada", GOOD), ("alan", BROKEN), ("grace", NO_PYTHON)):
        (folder / name).mkdir(parents=True)
        (folder / name / "server.py").write_text(program)
    (folder / "ada" / "frames.py").write_text(FRAMES)
    (folder / "ada" / "host.txt").write_text("127.0.0.1")
    return folder


def files_in(submissions: Path) -> list[str]:
    return sorted(str(path) for path in submissions.glob("*/server.py"))


def test_all_reports_of_a_class(submissions: Path, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"class.{kind}" for kind in ("json", "junit", "html", "rubric-csv")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    pages = tmp_path / "new" / "pages"
    done = run_in_process(
        "check", "--class", CLASS, *files_in(submissions), *options, *CASES, "--html-dir", str(pages)
    )
    assert done.returncode == 1, done.stderr

    lines = done.stdout.splitlines()
    assert lines[0].split() == ["server", "verdict", "points", "broken", "rules"]
    assert lines[2].split() == ["ada", "conformant", "50/50"]
    assert lines[3].split() == ["alan", "not", "conformant", "25/50", "2.5"]
    assert " ".join("\n".join(lines[4:]).split()).startswith("grace not tested - the server ended with exit ")
    assert "SyntaxError" in done.stdout
    assert f"wrote {pages}/index.html and 3 pages" in done.stdout
    assert len(done.stderr.splitlines()) == 3
    assert "  ada: conformant: 2 passed\n" in done.stderr
    assert "  alan: not conformant: 1 passed, 1 failed\n" in done.stderr
    assert "  grace: not tested: the server ended with exit code 1 before it listened" in done.stderr

    servers = json.loads(files["json"].read_text())["servers"]
    assert [server["target"] for server in servers] == ["ada", "alan", "grace"]
    assert servers[0]["command"] == CLASS.replace("{file}", str(submissions / "ada" / "server.py"))
    packages = {suite.get("package") for suite in ET.fromstring(files["junit"].read_bytes())}  # noqa: S314 - our own
    assert packages == {"ada", "alan", "grace"}
    with files["rubric-csv"].open(encoding="utf-8-sig", newline="") as file:
        assert [row["server"] for row in csv.DictReader(file)] == ["ada", "alan", "grace"]
    assert "3 servers" in files["html"].read_text("utf-8")
    assert {page.name for page in pages.iterdir()} == {"ada.html", "alan.html", "grace.html", "index.html"}

    [failed] = [result for result in servers[1]["results"] if result["verdict"] == "fail"]
    again = run_in_process(*shlex.split(failed["reproduce"])[1:])
    assert again.returncode == 1, again.stderr
    assert "✗ 2.5" in again.stdout


def test_a_server_of_a_class_is_started_in_its_folder_with_the_environment_of_the_user(
    tmp_path: Path,
) -> None:
    program = tmp_path / "ada.py"
    program.write_text(
        "import os, sys; sys.exit(f'{os.getcwd()} {os.environ.get(\"PYTHONPATH\")} ' + sys.argv[2])"
    )
    words = ["--class", f"{CLASS} {{dir}}", str(program), "--spawn", "false {port}"]
    done = run_command("check", *words, env={"PYTHONPATH": "one:two"}, cwd="/")
    assert done.returncode == 3
    assert f"its last line was: {tmp_path} one:two {tmp_path}\n" in done.stderr


@pytest.mark.slow
def test_a_program_is_found_where_the_user_is_and_a_folder_is_a_submission_too(tmp_path: Path) -> None:
    runner = tmp_path / "run"
    runner.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$1"/server.py "$2"\n')
    runner.chmod(0o755)
    for name in ("ada", "alan"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "server.py").write_text(BROKEN)
    done = run_in_process("check", "1.2", "--class", "./run {file} {port}", "ada", "A=alan", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[2:]] == [
        ["ada", "conformant"],
        ["A", "conformant"],
    ]


@pytest.mark.slow
def test_implementations_have_the_names_that_they_are_given(submissions: Path, tmp_path: Path) -> None:
    broken = shlex.join([sys.executable, str(submissions / "alan" / "server.py"), "{port}"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    report = tmp_path / "report.json"
    done = run_in_process("check", f"go={nobody}", "2.5", "--spawn", f"C++={broken}", "--json", str(report))
    assert done.returncode == 1, done.stderr
    servers = json.loads(report.read_text())["servers"]
    assert [(each["target"], each["outcome"]) for each in servers] == [
        ("go", "not tested"),
        ("C++", "not conformant"),
    ]
    assert servers[1]["command"] == broken
    assert (
        servers[1]["results"][0]["reproduce"] == f"trioecho check --spawn {shlex.quote(broken)} 2.5 --seed 0"
    )
    assert done.stderr.startswith(f"trioecho check: go: cannot connect to {nobody}: ")
    assert "C++ is not conformant." in done.stdout
    assert re.search(rf"(?m)^C\+\+\nstarted on 127.0.0.1:\d+ by {re.escape(broken)}$", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--class", "a {port}", "."], "does not say where each FILE goes; write {file} there, or {dir}"),
        (["--class", "python {file}", "."], "does not say where the port goes; write {port} there"),
        (["--class", "run {file} {port}"], "--class has no files; name them, as submissions/*/server.py"),
        (["--class", "run {file} {port}", "2.5"], "--class has no files"),
        (["--class", "run {file} {port}", "no/*.py"], "there is no file 'no/*.py'; write FILE or NAME=FILE"),
        (["--class", "run {file} {port}", "a=no.py"], "there is no file 'no.py'; write FILE or NAME=FILE"),
        (["--class", "run {file} {port}", ".", ".", "9.9"], "the book has no case 9.9"),
        (["--class", "run {file} {port}", "/dev", "/dev"], "two servers are called '/dev'; give each a name"),
        (["--class", "run {file} {port}", "a=/dev", "a=/usr"], "two servers are called 'a'"),
        (["--class", "a {file} {port}", "--class", "b {file} {port}", "."], "a class has one --class"),
        (["--spawn", "a=x {port}", "--spawn", "a=y {port}"], "two servers are called 'a'"),
        (["a=127.0.0.1:1", "a=127.0.0.1:2"], "two servers are called 'a'"),
        (["a=localhost"], "'a=localhost' is no server"),
        (["127.0.0.1:1", "--side-by-side", "0"], "'0' is too few"),
        (["127.0.0.1:1", "--html-dir", "/dev/null"], "cannot write to the folder /dev/null: "),
        (["127.0.0.1:1", "--html-dir", ""], "cannot write to the folder ''"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        exit_code: object = main(["check", *arguments])
    except SystemExit as error:
        exit_code = error.code
    out, err = capsys.readouterr()
    assert exit_code == 2
    assert words in err
    assert (out, err.count("\n")) == ("", 1)


def test_no_report_may_have_the_name_of_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "index.html"
    assert main(["check", "127.0.0.1:1", "--html", str(report), "--html-dir", str(tmp_path)]) == 2
    assert f"{report} is in the folder of pages" in capsys.readouterr().err


# ---- ends ----


class Tells:
    """A server that tells when it has a connection."""

    def __init__(self, pipe: Path, pid_file: Path) -> None:
        self.pipe = pipe
        self.pid_file = pid_file
        self.command = f"{CLASS} {shlex.quote(str(pipe))}"

    def wait(self) -> None:
        assert self.pipe.read_text() == "connected"

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trioecho", "check", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, **UTF8},
    )


def wait_for_end(pid: int) -> None:
    while is_running(pid):
        os.sched_yield()


@pytest.fixture
def tells(submissions: Path, tmp_path: Path) -> Tells:
    """Grace's server, that says when it has a connection, and then nothing any more."""
    os.mkfifo(tmp_path / "pipe")
    told = Tells(tmp_path / "pipe", tmp_path / "pid")
    program = (
        f"import os; open({str(told.pid_file)!r}, 'w').write(str(os.getpid()))\n{TELLS_AND_FALLS_SILENT}"
    )
    (submissions / "grace" / "server.py").write_text(program)
    return told


def test_ctrl_c_writes_what_was_decided(submissions: Path, tmp_path: Path, tells: Tells) -> None:
    pages = tmp_path / "pages"
    (submissions / "ken").mkdir()
    (submissions / "ken" / "server.py").write_text(BROKEN)
    files = [str(submissions / name / "server.py") for name in ("ada", "grace", "ken")]
    words = ["--class", tells.command, *files, *CASES, "--html-dir", str(pages), "--side-by-side", "1"]
    process = start(*words)
    tells.wait()  # and the second one has begun
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=GUARD_S)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    rows = [line.split()[:2] for line in out.splitlines() if line.startswith(("ada", "grace", "ken"))]
    assert rows == [["ada", "conformant"], ["grace", "not"], ["ken", "not"]]
    assert "interrupted before it was its turn" in (pages / "ken.html").read_text("utf-8")
    assert "1 conformant, 2 not tested" in (pages / "index.html").read_text("utf-8")
    assert not is_running(tells.pid)


@pytest.mark.slow
def test_a_process_that_is_killed_concerns_its_own_server_only(submissions: Path, tells: Tells) -> None:
    files = [str(submissions / name / "server.py") for name in ("grace", "ada")]
    process = start("--class", tells.command, *files, *CASES, "--side-by-side", "1")
    tells.wait()
    [worker] = children_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    out, errors = process.communicate(timeout=GUARD_S)
    assert process.returncode == 3, errors
    assert "grace: not tested: the process that checked it ended by SIGKILL without a result\n" in errors
    assert "ada     conformant" in out
    wait_for_end(tells.pid)


@pytest.mark.slow
def test_nothing_is_left_of_a_class_whose_process_is_killed(submissions: Path, tells: Tells) -> None:
    files = [str(submissions / name / "server.py") for name in ("grace", "ada")]
    process = start("--class", tells.command, *files, *CASES, "--side-by-side", "1")
    tells.wait()
    [worker] = children_of(process.pid)
    process.kill()
    process.communicate(timeout=GUARD_S)
    wait_for_end(worker)
    assert not is_running(tells.pid)


@pytest.mark.slow
def test_verdicts_do_not_depend_on_who_is_checked_beside(tmp_path: Path) -> None:
    names = ("one-frame-per-recv", "empty-is-eof", "short-payload")
    cases, report = ("1.1", "1.2", "2.5"), tmp_path / "report.json"
    words = [word for name in names for word in ("--spawn", f"{name}={shlex.join([*FAULTY, name, *PORT])}")]
    done = run_in_process("check", *words, *cases, "--side-by-side", "3", "--json", str(report))
    assert done.returncode == 1, done.stderr
    for server in json.loads(report.read_text())["servers"]:
        fails = {rule.id for rule in select(FAULTY_SERVERS[server["target"]].bug.fails)}
        failed = {result["id"] for result in server["results"] if result["verdict"] == "fail"}
        assert failed == fails & set(cases), server["target"]
