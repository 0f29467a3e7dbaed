"""``trioecho check --client`` as a command: what it says, and how it exits."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process

# A right client of one message, but for a timeout.
GOOD = """
import socket, sys
def exactly(count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            sys.exit("the end came too early")
        data += piece
    return data
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    sock.sendall(b"\\0\\0\\0\\5hello")
    if exactly(4) != b"\\0\\0\\0\\5" or exactly(5) != b"hello":
        sys.exit("a wrong reply")
"""
BROKEN = GOOD.replace('sys.exit("a wrong reply")', 'print("a wrong reply")')


@pytest.fixture
def good(tmp_path: Path) -> str:
    return command_of(tmp_path, "good.py", GOOD)


@pytest.fixture
def broken(tmp_path: Path) -> str:
    return command_of(tmp_path, "broken.py", BROKEN)


def command_of(folder: Path, name: str, program: str) -> str:
    (folder / name).write_text(program)
    return shlex.join([sys.executable, str(folder / name), "{host}", "{port}"])


def test_clients_are_compared_in_a_table(good: str, broken: str) -> None:
    commands = [word for each in (good, broken, "no-such-program {port}") for word in ("--client", each)]
    done = run_in_process("check", *commands, "C1.3", "C2.1", "-v")
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "✓ C1.3 Cut in the header: 1 reply came cut in the header" in said
    assert "✗ C2.1 A byte that differs (MUST)" in said
    assert "actual the client ended with exit code 0" in said
    assert f"reproduce trioecho check --client {shlex.quote(broken)} C2.1 --seed 0" in said
    *_, first, _, second, third = done.stdout.splitlines()
    assert first.split() == ["conformant", "2", "passed", "0", "broken", "0", "warned"]
    assert second.split() == ["not", "conformant", "1", "passed", "1", "broken", "0", "warned"]
    assert third.split() == ["no-such-program", "{port}", "not", "tested"]
    assert done.stderr == (
        "trioecho check: no-such-program {port}: cannot start 'no-such-program': No such file or directory\n"
    )


def test_a_client_that_cannot_be_tried_is_one_line() -> None:
    done = run_in_process("check", "--client", "false {port}")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert "the client ended with exit code 1 and has not connected to 127.0.0.1:" in done.stderr


def test_reports_are_written(good: str, tmp_path: Path) -> None:
    report, page = tmp_path / "check.json", tmp_path / "check.html"
    done = run_in_process(
        "check", "--client", good, "C1.1", "--json", str(report), "--html", str(page), "--rubric"
    )
    assert done.returncode == 0, done.stderr
    [client] = json.loads(report.read_text())["clients"]
    assert (client["outcome"], client["client"]["messages"]) == ("conformant", 1)
    assert "C1.1" in page.read_text()
    assert "Only 1 of the book's 38 rules were asked for." in done.stdout


def test_ctrl_c_prints_what_was_decided_and_leaves_no_client(good: str, tmp_path: Path) -> None:
    fifo, was_started = tmp_path / "waits", tmp_path / "started"
    os.mkfifo(fifo)
    # From its second start on, which is for a case, it says that it waits for its reply.
    says = f"""\
    import os, pathlib
    if pathlib.Path({str(was_started)!r}).exists():
        print(os.getpid(), file=open({str(fifo)!r}, "w"), flush=True)
    pathlib.Path({str(was_started)!r}).touch()
    if exactly(4)"""
    waits = GOOD.replace("    if exactly(4)", says)
    command = command_of(tmp_path, "waits.py", waits)
    words = [sys.executable, "-m", "trioecho", "check", "--client", command, "C3.6", "--reply-timeout", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with fifo.open() as file:
        pid = int(file.readline())
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=GUARD_S)
    assert (process.returncode, errors) == (130, "")
    assert "the run was interrupted before it was tried" in " ".join(out.split())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
