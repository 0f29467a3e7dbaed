"""``trioecho check`` as a command: what it says, how it exits, and what it leaves behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import SERVE, run_command
from tests.support.sockets import port_that_refuses
from tests.support.terminals import run_on_terminal
from trioecho.check.book.book import RULES
from trioecho.check.clients.book import CLIENTS
from trioecho.cli import main

LOOPBACK = "127.0.0.1"
OURS = shlex.join([sys.executable, *SERVE, "--port", "{port}"])
# The first frame of a segment is echoed, and what came with it is dropped.
BROKEN = """
import socket, sys, threading
def serve(peer):
    with peer:
        while data := peer.recv(65536):
            peer.sendall(data[: 4 + int.from_bytes(data[:4], "big")])
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


@pytest.fixture
def broken(tmp_path: Path) -> str:
    program = tmp_path / "student.py"
    program.write_text(BROKEN)
    return shlex.join([sys.executable, str(program), "{port}"])


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that reads a little and says one thing."""

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                peer.recv(100)
                peer.sendall(answer)

    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"{LOOPBACK}:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


# ---- the book ----


def test_the_list_has_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    ids = [found[1] for line in lines if (found := re.match(r"  (C?\d+\.\d+) ", line))]
    assert ids == [*RULES, *CLIENTS.rules]
    assert "C1 Delivery" in lines
    assert any(re.fullmatch(r"  2\.5   MUST    Two frames in one segment", line) for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_rule_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", "1.1", "--explain", "5", "--explain", "C3", "--explain", "C1.2"]) == 0
    out = capsys.readouterr().out
    for words in (
        "C3 Endings",
        "C3.4  A reset",
        "C1.2  One byte at a time",
        "1.1  A frame without payload",
        "requirement",
        "Erlang {packet, 4}",
        "5.3  Truncated",
    ):
        assert words in out
    assert max(map(len, out.splitlines())) <= 80


# ---- wrong usage ----


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no server to check; name it as HOST:PORT, or start it with --spawn"),
        (["2.5"], "no server to check"),
        (["127.0.0.1:1", "9.9"], "the book has no case 9.9; trioecho check --list shows all"),
        (["127.0.0.1:1", "8"], "the book has no case 8"),
        (["127.0.0.1:1", "C9.9"], "the book has no case C9.9"),
        (
            ["127.0.0.1:1", "C2.1"],
            "case C2.1 is not for a server; trioecho check --list shows those that are",
        ),
        (["--client", "true {port}", "2.1"], "case 2.1 is not for a client"),
        (["--client", "true {port}", "127.0.0.1:1"], "servers and clients have rules of their own"),
        (["--client", "python client.py"], "does not say where the port goes; write {port} there"),
        (["--client", "true {port}", "--max-frame-length", "1KiB"], "--max-frame-length is for servers"),
        (["--client", "true {port}", "--preset", "dns"], "--preset is for servers"),
        (["--client", "true {port}", "--reply-timeout", "x"], "'x'"),
        (["--explain", "nonsense"], "the book has no case nonsense"),
        (["localhost"], "'localhost' is no server, as 127.0.0.1:26066, and no case, as 2.3"),
        (["127.0.0.1:none"], "'none' is not a port"),
        (["--spawn", "python student.py"], "does not say where the port goes; write {port} there"),
        (["--spawn", "python 'student.py {port}"], "is no command: No closing quotation"),
        (["127.0.0.1:1", "--seed", "x"], "'x' is not a whole number"),
        (["127.0.0.1:1", "--jobs", "0"], "'0' is too few"),
        (["127.0.0.1:1", "--format", "q24"], "'q24' is not a frame format"),
    ],
)
def test_wrong_usage_is_told_in_a_line(
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


# ---- no server of frames ----


def test_nobody_listens() -> None:
    with port_that_refuses() as port:
        done = run_in_process("check", f"{LOOPBACK}:{port}")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"trioecho check: cannot connect to {LOOPBACK}:{port}: "
        "connection refused: does the server run, and on this port?\n"
    )


def test_who_does_not_listen_has_the_name_that_was_written() -> None:
    with port_that_refuses() as port:
        done = run_in_process("check", f"localhost:{port}")
    assert (done.returncode, done.stdout) == (3, "")
    # Of several addresses each was tried, and none is in the message.
    address = rf"( \({re.escape(LOOPBACK)}:{port}\)| \(\[::1\]:{port}\))?"
    assert re.fullmatch(
        f"trioecho check: cannot connect to localhost:{port}{address}: "
        r"connection refused: does the server run, and on this port\?\n",
        done.stderr,
    )


def test_the_port_of_an_http_server() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        done = run_in_process("check", address)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"trioecho check: {address} does not speak frames: "
        "it replies with 'HTTP/1.1 400 Bad Request'; this looks like an HTTP server\n"
    )


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("raise SystemExit('no such homework')", "ended with exit code 1 before it listened on port"),
        ("import time; time.sleep(60)", "does not listen on port"),
    ],
)
def test_a_command_that_gives_no_server(program: str, words: str) -> None:
    command = shlex.join([sys.executable, "-c", program, "{port}"])
    timeout = "0.5s" if "sleep" in program else "30s"
    done = run_in_process("check", "--spawn", command, "--spawn-timeout", timeout)
    assert (done.returncode, done.stdout) == (3, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    if "homework" in program:
        assert done.stderr.endswith("its last line was: no such homework\n")


# ---- verdicts ----


def test_a_good_server() -> None:
    done = run_in_process("check", "--spawn", OURS, "1.1", "2.5", "6.1", "-v")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())  # where a line is broken depends on this interpreter's path
    assert "✓ 2.5 Two frames in one segment: two frames in one segment both came back" in said
    assert "3 passed; seed 0" in said
    assert said.endswith(" is conformant.")
    assert done.stderr == ""


def test_a_terminal_of_another_age_gets_what_it_can_show() -> None:
    done = run_command("check", "--spawn", OURS, "1.1", env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "  + 1.1   A frame without payload" in done.stdout


def test_a_broken_server(broken: str) -> None:
    done = run_in_process("check", "--spawn", broken, "1.2", "2.5", "--seed", "7")
    assert done.returncode == 1, done.stderr
    for words in (
        "  ✓ 1.2   A frame of one byte",
        "  ✗ 2.5   Two frames in one segment",
        "  expected      the echoes of 2 frames, 18 bytes",
        "  likely cause  Replies stop after the first frame of a segment",
        "#1 sent 18 bytes\n        00 00 00 05 ",
        f"  reproduce     trioecho check --spawn {shlex.quote(broken)} 2.5 --seed 7",
        "1 passed, 1 failed; seed 7",
    ):
        assert words in done.stdout, done.stdout
    assert " ".join(done.stdout.split()).endswith(" is not conformant.")
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines if broken not in line and "reproduce" not in line)
    again = run_in_process("check", "--spawn", broken, "2.5", "--seed", "7")
    rows = [line for line in lines if line.startswith("        00 00")]
    assert rows
    assert all(row in again.stdout for row in rows)  # the same bytes


def test_a_broken_should_counts_only_if_that_is_asked_for() -> None:
    program = """
import socket, sys, threading
def serve(peer):
    with peer:
        while data := peer.recv(65536):
            if data[0] < 128:
                peer.sendall(data)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
    command = shlex.join([sys.executable, "-c", program, "{port}"])
    done = run_in_process("check", "--spawn", command, "1.2", "4.5")
    assert done.returncode == 0, done.stderr
    assert "1 passed, 1 warned" in done.stdout
    assert "except for 1 SHOULD" in " ".join(done.stdout.split())
    assert run_in_process("check", "--spawn", command, "1.2", "4.5", "--strict").returncode == 1


def test_several_servers_end_in_a_table(broken: str) -> None:
    no_server = "false {port}"
    done = run_in_process("check", "--spawn", OURS, "--spawn", broken, "--spawn", no_server, "2.5")
    assert done.returncode == 1, done.stderr
    *_, name_of_first, first, name_of_second, second, third = done.stdout.splitlines()
    assert (name_of_first, name_of_second) == (OURS, broken)  # too long to have figures beside them
    assert re.fullmatch(r" +conformant +1 passed +0 broken +0 warned", first)
    assert re.fullmatch(r" +not conformant +0 passed +1 broken +0 warned", second)
    assert re.fullmatch(r"false \{port\} +not tested", third)
    assert max(map(len, (first, second, third))) <= 80


# ---- terminals and signals ----


def test_colours_are_for_terminals_and_can_be_refused() -> None:
    command = [sys.executable, "-m", "trioecho", "check", "--spawn", OURS, "1.1"]
    _, coloured = run_on_terminal(command, TERM="xterm", NO_COLOR="")
    assert "\x1b[32m✓\x1b[0m 1.1" in coloured
    _, plain = run_on_terminal(command, TERM="xterm", NO_COLOR="1")
    assert "  ✓ 1.1   A frame without payload" in plain


def test_a_signal_ends_the_check_and_the_server_that_it_has_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = f"""
import os, socket, sys
with open({str(pids)!r}, "a") as file:
    print(os.getpid(), file=file)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
server.accept()
print("connected", file=open({str(tmp_path / "connected")!r}, "w"))
peer, _ = server.accept()
while peer.recv(100):
    pass
"""
    os.mkfifo(tmp_path / "connected")
    command = shlex.join([sys.executable, "-c", program, "{port}"])
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "check", "--spawn", command], stderr=subprocess.PIPE, text=True
    )
    assert (tmp_path / "connected").read_text() == "connected\n"  # so it has begun
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=GUARD_S)
    assert (process.returncode, errors) == (128 + signal.SIGTERM, "")
    [pid] = pids.read_text().split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
