"""What the log of the service has in it: its form, its levels, and how little an idle one writes."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from tests.support.guard import GUARD_S
from tests.support.processes import run_command, server_process
from tests.support.sockets import echoes, receive_all
from tests.support.wire import frame

SERVE_JSON_LOG = ["-m", "trioecho", "serve", "--port", "0", "--log-format", "json"]


def log_of(*options: str) -> list[dict[str, Any]]:
    """The log of a service at which a peer announces more than the limit."""
    process = subprocess.Popen(
        [sys.executable, *SERVE_JSON_LOG, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        first = process.stderr.readline()
        address, _, port = json.loads(first)["message"].removeprefix("listening on ").rpartition(":")
        announce_too_much(address, int(port))
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 0
    return [json.loads(line) for line in (first + rest).splitlines()]


def announce_too_much(host: str, port: int) -> None:
    with socket.create_connection((host, port), GUARD_S) as peer:
        peer.sendall(b"\0\x7f\0\0")
        assert receive_all(peer) == b""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_log_for_programs_has_an_object_a_line(workers: str) -> None:
    log = log_of("--workers", workers)
    assert all(set(line) == {"time", "level", "message"} for line in log)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in log)
    refused = [line for line in log if "127.0.0.1" in line["message"] and "limit" in line["message"]]
    assert [line["level"] for line in refused] == ["warning"]
    assert {line["level"] for line in log if line not in refused} == {"info"}
    assert any(line["message"].startswith("SIGTERM: draining") for line in log)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_in_a_log_for_people_what_is_more_than_news_has_its_level(workers: str) -> None:
    with server_process("--workers", workers) as server:
        announce_too_much("127.0.0.1", server.port)
        assert server.stop() == 0
    lines = [server.first_line, *server.log.splitlines()]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ", line) for line in lines)
    assert [line for line in lines if re.search(r"Z warning: (worker \d: )?127.0.0.1:.*limit", line)]
    assert not [line for line in lines if "info" in line]


def test_an_idle_service_that_is_quiet_writes_little() -> None:
    with server_process("--metrics-interval", "1ms", "--quiet-when-idle") as server:
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        run_command("--version")  # takes many intervals
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 1
    # What is left: one before, a few around each change, the final one.
    assert len(server.reports) < 20


def test_an_idle_service_reports_when_it_is_asked_to() -> None:
    with server_process("--metrics-interval", "1ms", "--quiet-when-idle") as server:
        assert server.process.stdout is not None
        for _ in range(5):
            assert json.loads(server.process.stdout.readline())["messages"] == 0
            server.send_signal(signal.SIGUSR1)
        assert server.stop() == 0
