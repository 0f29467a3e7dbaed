"""The guide's page "Your protocol in ten minutes": every command of it, in order, on a real service."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.guard import GUARD_S
from tests.support.sockets import LOOPBACK, free_port

PAGE = (ROOT / "trioecho" / "guide" / "your-protocol.md").read_text()
# The proxy's is taken by the system, and read from what the proxy prints.
DEVICE_PORT, PROXY_PORT = "5020", "5021"
SNIPPETS = {
    match[1]: match[0] for match in re.findall(r"^```python\n((?:# (\w+\.py))\n.*?)^```", PAGE, re.M | re.S)
}
REQUESTS = PAGE.partition("```json\n")[2].partition("```")[0]


def steps() -> list[tuple[str, list[str]]]:
    """The commands, in order, each with the lines that are shown of its output."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


class Reader:
    """Someone who does what the page says, in a folder with its files, with other ports."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {DEVICE_PORT: str(free_port())}
        self._running: list[subprocess.Popen[str]] = []
        for name, text in SNIPPETS.items():
            (folder / name).write_text(text.replace(DEVICE_PORT, self._ports[DEVICE_PORT]))
        (folder / "requests.jsonl").write_text(REQUESTS)

    def words(self, command: str) -> list[str]:
        for port, here in self._ports.items():
            command = command.replace(port, here)
        program, *rest = shlex.split(command.replace(f"--port {PROXY_PORT}", "--port 0"))
        return [sys.executable, *(["-m", "trioecho"] if program == "trioecho" else []), *rest]

    def start(self, command: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.words(command),
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return process

    def start_device(self, command: str) -> None:
        process = self.start(command)
        while process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection((LOOPBACK, int(self._ports[DEVICE_PORT]))).close()
                return
        raise AssertionError(process.communicate()[1])

    def start_proxy(self, command: str) -> None:
        process = self.start(command)
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "listening on" in line
        self._ports[PROXY_PORT] = line.rpartition(":")[2].strip()

    def end_proxy(self) -> None:
        proxy = self._running.pop()
        proxy.send_signal(signal.SIGINT)
        assert proxy.wait(GUARD_S) == 0
        proxy.communicate()

    def see(self, command: str, shown: list[str]) -> None:
        done = subprocess.run(
            self.words(command), cwd=self._folder, capture_output=True, text=True, timeout=300, check=False
        )
        # 5: this machine could not send more, which is no matter here.
        right = (0, 5) if " load " in command else (0,)
        assert done.returncode in right, done.stdout + done.stderr
        printed = done.stdout.replace(self._ports[DEVICE_PORT], DEVICE_PORT).splitlines()
        assert [line for line in shown if line not in printed] == [], done.stdout

    def end(self) -> None:
        for process in self._running:
            process.kill()
            process.communicate()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    pytest.importorskip("pyModbusTCP")
    someone = Reader(tmp_path)
    yield someone
    someone.end()


def follow(reader: Reader, *, with_all_cases: bool) -> None:
    for command, shown in steps():
        is_whole_check = "check" in command and "requests.jsonl" not in command
        if command == "python device.py":
            reader.start_device(command)
        elif " proxy " in command:
            reader.start_proxy(command)
        elif is_whole_check and not with_all_cases:
            reader.see(command.replace(DEVICE_PORT, f"{DEVICE_PORT} 1 2.1 2.5"), shown)
        else:
            reader.see(command, shown)
        if command.startswith("python client.py"):
            reader.end_proxy()


def test_a_reader_gets_what_the_page_shows(reader: Reader) -> None:
    follow(reader, with_all_cases=False)


@pytest.mark.slow
def test_a_reader_gets_what_the_page_shows_with_every_case(reader: Reader) -> None:
    follow(reader, with_all_cases=True)


def test_the_page_goes_from_bytes_to_load() -> None:
    commands = [command.split()[1] for command, _ in steps() if command.startswith("trioecho ")]
    assert list(dict.fromkeys(commands)) == ["proxy", "formats", "send", "check", "load"]
    assert set(SNIPPETS) == {"device.py", "client.py"}
