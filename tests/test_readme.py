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
from tests.processes import GUARD_S, frame, receive_exactly, run_command, server_process

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (.+?)(?:\s+#.*)?$", README, re.MULTILINE)
SERVE_COMMANDS, CLIENT_COMMANDS = (
    [command for command in COMMANDS if command.startswith(f"trioecho {name}")]
    for name in ("serve", "client")
)
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SHOUT, COUNT_DOWN, CLIENT = (snippet for snippet in SNIPPETS if ">>>" not in snippet)


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
    }
    for script in ("demo", "test", "check"):
        assert os.access(ROOT / "scripts" / script, os.X_OK)


@pytest.mark.parametrize("command", SERVE_COMMANDS)
def test_serve_commands(command: str) -> None:
    with server_process(*shlex.split(command)[2:], "--port", "0") as server:
        assert server.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("command", CLIENT_COMMANDS)
def test_client_commands(command: str) -> None:
    with server_process() as server:
        done = run_command(*shlex.split(command.replace("50666", str(server.port)))[1:])
    assert done.returncode == 0


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
