"""The installed command in a subprocess."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from .guard import GUARD_S
from .slow import slow

# What a command writes is read as UTF-8, wherever the tests run.
UTF8 = {"PYTHONIOENCODING": "utf-8"}


def run_command(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    guard_s: float = GUARD_S,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run ``trioecho ARGUMENTS`` to its end, or what stands before it, which then runs it."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "trioecho", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **UTF8, **(env or {})},
        timeout=guard_s,
        stdin=subprocess.DEVNULL,
        check=False,
        **options,
    )


SERVE = ("-m", "trioecho", "serve")
# As on a platform without epoll: every connection's task drives it.
SERVE_WITHOUT_REACTOR = (
    "-c",
    "import sys, trioecho.cli, trioecho.server.serving\n"
    "trioecho.server.serving.open_reactor = lambda: None\n"
    "sys.exit(trioecho.cli.main(['serve', *sys.argv[1:]]))",
)
SERVE_WITH_WORKERS = (*SERVE, "--workers", "2")
in_one_process_or_two = pytest.mark.parametrize(
    "command", [SERVE, SERVE_WITH_WORKERS], ids=["one process", "workers"]
)
# Where what a worker does is the same that one process does.
in_one_process_and_slowly_in_two = pytest.mark.parametrize(
    "command", [SERVE, slow(SERVE_WITH_WORKERS)], ids=["one process", "workers"]
)


def _parts(address: str) -> tuple[str, int]:
    """Return host and port; of a Unix socket the address, and 0."""
    if address.startswith("unix:"):
        return address, 0
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class ServerProcess:
    """``trioecho serve`` in a subprocess, listening."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.first_line = self.read_log_line()
        match = re.search(r"listening on (\S+(?: and \S+)*)$", self.first_line.strip())
        assert match, f"not ready: {self.first_line!r} {process.communicate()!r}"
        self.addresses = match[1].split(" and ")
        self.host, self.port = _parts(self.addresses[0])
        self.log = ""
        self.output = ""

    def connect(self, place: int = 0, *, receive_buffer: int | None = None) -> socket.socket:
        """Connect to the first of its addresses, or to another one."""
        host, port = _parts(self.addresses[place])
        address: str | tuple[str, int] = (host, port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if host.startswith("unix:"):
            family, address = socket.AF_UNIX, host.removeprefix("unix:")
        peer = socket.socket(family)
        if receive_buffer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.settimeout(GUARD_S)
        try:
            peer.connect(address)
        except OSError:
            peer.close()
            raise
        return peer

    def send_signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def read_log_line(self) -> str:
        """Wait for the next line of the log."""
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def wait(self) -> int:
        """Wait for the end; the output is complete after that, and what was not read of the log."""
        self.output, self.log = self.process.communicate(timeout=GUARD_S)
        return self.process.returncode

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.send_signal(number)
        return self.wait()

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]


@contextlib.contextmanager
def server_process(
    *arguments: str,
    port: int = 0,
    listen: Sequence[str] = (),
    command: Sequence[str] = SERVE,
    stdout: int = subprocess.PIPE,
    before: Callable[[], None] | None = None,
    pass_fds: Sequence[int] = (),
    cwd: Path | None = None,
    prefix: Sequence[str] = (),
) -> Iterator[ServerProcess]:
    """A server that reports in JSON; killed if it still runs at the end. What stands before it runs it."""
    where = [word for address in listen for word in ("--listen", address)] or ["--port", str(port)]
    process = subprocess.Popen(
        [*prefix, sys.executable, *command, *where, "--metrics-format", "json", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=pass_fds,
        cwd=cwd,
        preexec_fn=before,  # noqa: PLW1509 - no thread of a test runs while a server is started
    )
    try:
        yield ServerProcess(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, whichever of its threads did."""
    tasks = Path(f"/proc/{pid}/task")
    return sorted(int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split())


def suspend(pid: int) -> None:
    """Stop a process, and wait until it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        os.sched_yield()


def resident_bytes(pid: int) -> int:
    """The memory of a process, by Linux's account."""
    with open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123 - not a file but the kernel
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
