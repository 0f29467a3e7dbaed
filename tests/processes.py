"""The installed command in a subprocess, and peers of blocking stdlib sockets.

Nothing here uses the project's own framing or client, so that a mistake in them
cannot hide itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

# Only so that a test that hangs fails: nothing waits this long when all is well.
GUARD_S = 60.0


# What a command writes is read as UTF-8, wherever the tests run.
UTF8 = {"PYTHONIOENCODING": "utf-8"}


def run_command(
    *arguments: str, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run ``trioecho ARGUMENTS`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "trioecho", *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **UTF8, **(env or {})},
        timeout=GUARD_S,
        stdin=subprocess.DEVNULL,
        check=False,
        **options,
    )


SERVE = ("-m", "trioecho", "serve")
# As on a platform without epoll: every connection's task drives it.
SERVE_WITHOUT_HUB = (
    "-c",
    "import sys, trioecho.cli, trioecho.server\n"
    "trioecho.server.open_hub = lambda: None\n"
    "sys.exit(trioecho.cli.main(['serve', *sys.argv[1:]]))",
)
SERVE_WITH_WORKERS = (*SERVE, "--workers", "2")


class ServerProcess:
    """``trioecho serve`` in a subprocess, listening."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.first_line = self.read_log_line()
        match = re.search(r"listening on (\S+):(\d+)$", self.first_line.strip())
        assert match, f"not ready: {self.first_line!r} {process.communicate()!r}"
        self.host = match[1].strip("[]")
        self.port = int(match[2])
        self.log = ""
        self.output = ""

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        peer = socket.socket(family)
        if receive_buffer is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.settimeout(GUARD_S)
        peer.connect((self.host, self.port))
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
    command: Sequence[str] = SERVE,
    stdout: int = subprocess.PIPE,
    before: Callable[[], None] | None = None,
) -> Iterator[ServerProcess]:
    """A server that reports in JSON; killed if it still runs at the end."""
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(port), "--metrics-format", "json", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
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


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def receive_exactly(peer: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = peer.recv(count - len(received))
        if not piece:
            break
        received += piece
    return received


def receive_all(peer: socket.socket) -> bytes:
    """Everything until the end; a reset is a ConnectionResetError."""
    received = bytearray()
    while piece := peer.recv(1 << 16):
        received += piece
    return bytes(received)


def echoes(peer: socket.socket, data: bytes) -> bool:
    """Send frames, in a thread of its own, and see whether they come back as they were."""
    sender = threading.Thread(target=peer.sendall, args=(data,))
    sender.start()
    received = receive_exactly(peer, len(data))
    sender.join()
    return received == data


def reset(peer: socket.socket) -> None:
    """Close a connection with an RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()


def resident_bytes(pid: int) -> int:
    """The memory of a process, by Linux's account."""
    with open(f"/proc/{pid}/statm") as statm:  # noqa: PTH123 - not a file but the kernel
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
