"""The reports of ``trioecho check``, asked for on its command line."""

from __future__ import annotations

import csv
import json
import shlex
import signal
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import SERVE
from trioecho.cli import main

GOOD = shlex.join([sys.executable, *SERVE, "--port", "{port}"])
# Two frames in one piece come back the wrong way round. Whatever comes, the server
# writes markup, an escape sequence and a byte that is no UTF-8.
BAD_CODE = r"""
import contextlib, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    with contextlib.suppress(ConnectionError), server.accept()[0] as peer:
        while data := peer.recv(65536):
            sys.stdout.buffer.write(b"<b>]]>\x1b[2J\xff\n")
            sys.stdout.flush()
            peer.sendall(data if len(data) <= 9 else data[::-1])
"""
NO_SERVER = shlex.join([sys.executable, "-c", "import sys; sys.exit('no <b>server</b>')", "{port}"])
CASES = ("1.2", "2.5", "4.8")


@pytest.fixture
def bad(tmp_path: Path) -> str:
    """A command that starts a server which is not right."""
    program = tmp_path / "bad.py"
    program.write_text(BAD_CODE)
    return shlex.join([sys.executable, str(program), "{port}"])


def test_all_reports_of_one_run(bad: str, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html", "rubric-csv")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    done = run_in_process("check", "--spawn", bad, *CASES, *options)
    assert done.returncode == 1, done.stderr
    assert "✗ 2.5" in done.stdout

    [server] = json.loads(files["json"].read_text("ascii"))["servers"]
    assert server["command"] == server["target"] == bad
    assert {result["id"]: result["verdict"] for result in server["results"]}["2.5"] == "fail"

    suites = ET.fromstring(files["junit"].read_bytes())  # noqa: S314 - our own
    assert [suite.get("name") for suite in suites] == [
        "1 Framing",
        "2 Byte stream",
        "4 Limits",
    ]
    assert [suite.get("failures") for suite in suites][:2] == ["0", "1"]

    html = files["html"].read_text("utf-8")
    assert 'id="case-2.5"' in html
    assert "<b>]]>" not in html

    assert files["rubric-csv"].read_bytes().startswith(b"\xef\xbb\xbfserver,")
    with files["rubric-csv"].open(encoding="utf-8-sig", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["framing robustness"], row["correctness"]) == ("0", "25")


def test_a_report_may_go_to_stdout_and_the_words_to_stderr() -> None:
    done = run_in_process("check", "--spawn", GOOD, *CASES, "--json", "-")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "conformant"
    assert "✓ 2.5" in done.stderr


def test_the_rubric_of_several_servers_is_a_table_and_a_sheet_for_each(bad: str) -> None:
    done = run_in_process(
        "check", "--spawn", GOOD, "--spawn", bad, "--spawn", NO_SERVER, *CASES, "--rubric", "--rubric-points",
        "40,30,20,10",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["server", "correct", "robust", "edges", "analysis", "sum"]
    assert lines[3].split() == ["40/40", "30/30", "20/20", "-/10", "90/90"]
    assert done.stdout.count("Grade of ") == 3
    assert "no <b>server</b>" in done.stdout
    assert "✓" not in done.stdout
    told = done.stderr.splitlines()
    assert told[:2] == [f"{GOOD}: conformant", f"{bad}: not conformant"]
    assert told[2].startswith(f"trioecho check: {NO_SERVER}: the server ended with exit code 1")


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def address_of(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def test_a_file_that_cannot_be_written_is_told_before_any_connection(
    listener: socket.socket, tmp_path: Path
) -> None:
    where = tmp_path / "not there" / "report.html"
    made = tmp_path / "report.json"
    with listener:
        done = run_in_process("check", address_of(listener), "--json", str(made), "--html", str(where))
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert done.returncode == 2
    assert done.stderr == f"trioecho check: cannot write {where}: No such file or directory\n"
    assert not made.exists()


@pytest.mark.parametrize("twice", ["report", "-"])
def test_two_reports_do_not_share_a_file(twice: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "127.0.0.1:1", "--json", twice, "--html", twice]) == 2
    assert capsys.readouterr().err == (
        f"trioecho check: {twice} cannot take two reports; give each a file of its own\n"
    )


@pytest.mark.parametrize("points", ["1,2,3", "a,b,c,d", "1,2,3,-1", "1,2,3,nan", ""])
def test_points_are_four_numbers(points: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", "127.0.0.1:1", "--rubric-points", points])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(
        f"trioecho check: argument --rubric-points: {points!r} is not four numbers of points"
    )


def test_an_older_report_stays_until_there_is_a_new_one(listener: socket.socket, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text("precious")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "trioecho", "check", address_of(listener)),
            *("--json", str(old), "--html", str(new)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with listener:
        listener.accept()[0].close()  # so it has begun
        process.send_signal(signal.SIGINT)
        assert process.wait(GUARD_S) == 130
    assert old.read_text() == "precious"
    assert not new.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_fills_up_is_told() -> None:
    done = run_in_process("check", "--spawn", GOOD, "1.2", "--json", "/dev/full")
    assert done.returncode == 2
    assert done.stderr.endswith("cannot write /dev/full: No space left on device\n")
