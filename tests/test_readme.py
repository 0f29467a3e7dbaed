"""README tells the truth: every command and every snippet in it is run here."""

from __future__ import annotations

import contextlib
import doctest
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trioecho.framing
from tests.load_results import RunOnAServerWithACapacity, made_result
from tests.processes import GUARD_S, frame, receive_exactly, run_command, server_process
from trioecho.cli import main

PYTHON = shlex.quote(sys.executable)
ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
(
    SERVE_COMMANDS,
    CLIENT_COMMANDS,
    LOAD_COMMANDS,
    REPORT_COMMANDS,
    CHECK_COMMANDS,
    FAULTY_COMMANDS,
    PROXY_COMMANDS,
) = (
    [command for command in COMMANDS if command.startswith(f"trioecho {name}")]
    for name in ("serve", "client", "load", "report", "check", "faulty", "proxy")
)
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHOUT, COUNT_DOWN, CLIENT, PAYLOAD_AGAIN, STUDENT = (snippet for snippet in SNIPPETS if ">>>" not in snippet)


def test_the_snippets_give_what_they_show() -> None:
    of_readme = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    of_docstring = doctest.testmod(trioecho.framing)
    for results in (of_readme, of_docstring):
        assert results.attempted >= 5
        assert results.failed == 0


def test_the_commands_are_those_that_are_run() -> None:
    assert {tuple(shlex.split(command)[:2]) for command in COMMANDS} == {
        ("scripts/demo",),  # by test_demo, as the command that it runs
        ("scripts/test",),  # by whoever reads this
        ("trioecho", "demo"),  # by test_demo
        ("trioecho", "serve"),
        ("trioecho", "client"),
        ("trioecho", "load"),
        ("trioecho", "report"),
        ("trioecho", "check"),
        ("trioecho", "faulty"),
        ("trioecho", "proxy"),
        ("scripts/bench",),  # by test_bench
        ("scripts/bench", "--quick"),
        ("scripts/bench", "decoder"),
    }
    for script in ("demo", "test", "check", "bench", "conformance"):
        assert os.access(ROOT / "scripts" / script, os.X_OK)


@pytest.mark.parametrize("command", SERVE_COMMANDS)
def test_serve_commands(command: str) -> None:
    with server_process(*shlex.split(command)[2:], "--port", "0") as server:
        assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("command", [command for command in CLIENT_COMMANDS if "50667" not in command])
def test_client_commands(command: str) -> None:
    with server_process() as server:
        done = run_command(*shlex.split(command.replace("50666", str(server.port)))[1:])
    assert done.returncode == 0


@pytest.mark.parametrize("command", [command for command in LOAD_COMMANDS if "--find-max" not in command])
def test_load_commands(command: str, tmp_path: Path) -> None:
    # Seconds of load would show no more than tenths, and a busy machine may break any objective.
    shorter = re.sub(r"(--duration |--ramp \S+/)\d+s", r"\g<1>200ms", command)
    with server_process() as server:
        words = shlex.split(shorter.replace("50666", str(server.port)))[1:]
        done = run_command(*words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode in (0, 5, 99), done.stderr
    for word in words:
        if word.endswith((".json", ".html", ".csv", ".hgrm")):
            assert (tmp_path / word).stat().st_size


@pytest.mark.parametrize("command", [command for command in LOAD_COMMANDS if "--find-max" in command])
def test_search_commands(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.cli.load.LoadRun", RunOnAServerWithACapacity)
    monkeypatch.setattr("sys.stderr", None)  # nothing is to be seen of its steps
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.parametrize("command", REPORT_COMMANDS)
def test_report_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "before", "after"):
        (tmp_path / f"{name}.json").write_text(made_result(seed=len(name)).to_json())
    assert main(shlex.split(command)[1:]) == 0


@pytest.mark.parametrize("command", CHECK_COMMANDS)
def test_check_commands(command: str, tmp_path: Path) -> None:
    # All cases would take long; test_check_run has them.
    words = shlex.split(command)[1:]
    if "--list" not in words and "--explain" not in words:
        words += [] if "4.6" in words else ["1.2", "2.1", "2.5"]
    for path in ("student.py", "ada/server.py", "alan/server.py"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(A_SERVER_AROUND_IT.replace("SERVE", STUDENT))
    with server_process() as server:
        words = [
            word.replace("50666", str(server.port))
            .replace("trioecho faulty", f"{PYTHON} -m trioecho faulty")
            .replace("python ada", f"{PYTHON} ada")
            .replace("python alan", f"{PYTHON} alan")
            .replace("python student", f"{PYTHON} student")
            for word in words
        ]
        done = run_command(*words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == ("--spawn" in words), done.stdout + done.stderr
    if "student.py" in command:
        assert "Two frames in one segment (MUST)" in done.stdout


# The student's server of README, at work.
A_SERVER_AROUND_IT = """
import socket, sys, threading

SERVE
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


@pytest.mark.parametrize("command", FAULTY_COMMANDS)
def test_faulty_commands(command: str) -> None:
    words = shlex.split(command)[1:]
    if "--port" not in words:
        assert run_command(*words).returncode == 0
        return
    words[words.index("--port") + 1] = "0"
    with listening(words) as (process, _):
        process.send_signal(signal.SIGINT)
        process.wait(GUARD_S)


@pytest.mark.parametrize("command", PROXY_COMMANDS)
def test_proxy_commands(command: str) -> None:
    with server_process() as server:
        words = shlex.split(command.replace("50667", "0").replace("50666", str(server.port)))[1:]
        with listening(words) as (process, port):
            done = run_command("client", f"127.0.0.1:{port}")
            assert done.returncode == ("--corrupt" in words)
            if "--corrupt" in words:
                assert done.stderr in README  # the same seed, the same fault
            process.send_signal(signal.SIGINT)
            assert process.wait(GUARD_S) == 0


@contextlib.contextmanager
def listening(words: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command that says where it listens, and that port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        while "listening on" not in (line := process.stdout.readline()):
            assert line, "it has ended"
        yield process, int(line.rpartition(":")[2])
    finally:
        process.kill()
        process.communicate()


def test_a_message_of_a_run_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text(made_result(seed=1).to_json())
    exec(PAYLOAD_AGAIN, {})  # noqa: S102 - it is README's


# Takes the place of serve_frames, to tell the test when the program serves, and where.
TELLING_SERVE_FRAMES = """
import trio, trioecho
async def telling_serve_frames(handler, listeners):
    async with trio.open_nursery() as nursery:
        async def serve(task_status):
            await trioecho.serve_frames(handler, listeners, task_status=task_status)
        await nursery.start(serve)
        print(listeners[0].socket.getsockname()[1], flush=True)
"""


@contextlib.contextmanager
def running(program: str) -> Iterator[int]:
    """A server of README on any port, which is given."""
    assert "50666" in program
    program = program.replace("50666", "0").replace("serve_frames(", "telling_serve_frames(")
    process = subprocess.Popen(
        [sys.executable, "-c", TELLING_SERVE_FRAMES + program], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def test_the_service_in_ten_lines() -> None:
    assert len([line for line in SHOUT.splitlines() if line.strip()]) < 10
    with running(SHOUT) as port, socket.create_connection(("127.0.0.1", port), timeout=GUARD_S) as peer:
        peer.sendall(frame(b"hello"))
        assert receive_exactly(peer, 9) == frame(b"HELLO")


def test_the_handler_with_a_channel_and_its_client() -> None:
    with running(COUNT_DOWN) as port:
        client = subprocess.run(
            [sys.executable, "-c", CLIENT.replace("50666", str(port))],
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            check=False,
        )
    assert client.stdout == "[b'3', b'2', b'1']\n"
