"""``trioecho serve --admin`` as a stranger meets it: what is shown is what was counted."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.http import Answer, ask, samples_of
from tests.support.in_process import run_in_process
from tests.support.processes import (
    SERVE,
    SERVE_WITH_WORKERS,
    ServerProcess,
    children_of,
    in_one_process_and_slowly_in_two,
    in_one_process_or_two,
    run_command,
    server_process,
)
from tests.support.sockets import receive_all, receive_exactly
from tests.support.wire import frame

FRAME = frame(b"hello")


class Watched:
    """A service, and its admin pages."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        line = server.read_log_line()
        found = re.search(r" admin on (http://\S+|unix:\S+)$", line.strip())
        assert found, line
        self.url = found[1]

    def ask(self, path: str, method: str = "GET") -> Answer:
        return ask(self.url, path, method)

    def samples(self) -> dict[str, float]:
        return samples_of(self.ask("/metrics").text)

    def wait_for(self, name: str, value: float) -> dict[str, float]:
        """The samples, when this one is that; workers send what they have counted five times a second."""
        deadline = time.monotonic() + GUARD_S
        while (samples := self.samples())[name] != value:
            assert time.monotonic() < deadline, samples
        return samples


@contextlib.contextmanager
def watched(*arguments: str, command: Sequence[str] = SERVE, admin: str = "127.0.0.1:0") -> Iterator[Watched]:
    with server_process("--admin", admin, *arguments, command=command) as server:
        yield Watched(server)


def echo(server: ServerProcess, count: int) -> socket.socket:
    """A connection on which so many frames were echoed."""
    peer = server.connect()
    for _ in range(count):
        peer.sendall(FRAME)
        assert receive_exactly(peer, len(FRAME)) == FRAME
    return peer


@in_one_process_or_two
def test_metrics_are_those_of_the_final_report(command: Sequence[str]) -> None:
    with watched(command=command) as watch:
        for _ in range(3):
            echo(watch.server, 10).close()
        with watch.server.connect() as peer:  # a frame that is too large
            peer.sendall(b"\xff\xff\xff\xff")
            assert receive_all(peer) == b""
        open_one = echo(watch.server, 5)
        samples = watch.wait_for("trioecho_messages_total", 35)
        samples = watch.wait_for('trioecho_errors_total{kind="frame_too_large"}', 1)
        samples = watch.wait_for("trioecho_connections", 1)
        samples = watch.wait_for("trioecho_received_bytes_total", 35 * len(FRAME) + 4)
        assert samples["trioecho_sent_bytes_total"] == 35 * len(FRAME)
        assert samples["trioecho_service_seconds_count"] == 35
        assert samples["trioecho_connections_accepted_total"] == 5
        assert samples["trioecho_workers"] == (1 if command == SERVE else 2)
        open_one.close()
        assert watch.server.stop() == 0
    final = watch.server.reports[-1]
    assert final["messages_total"] == 35
    assert final["errors"] == {"frame_too_large": 1}


def test_counts_do_not_fall_when_a_worker_dies() -> None:
    with watched(command=SERVE_WITH_WORKERS) as watch:
        for _ in range(8):  # on both, as the kernel divides them
            echo(watch.server, 5).close()
        watch.wait_for("trioecho_messages_total", 40)
        for child in children_of(watch.server.process.pid):
            os.kill(child, signal.SIGKILL)
        samples = watch.wait_for('trioecho_errors_total{kind="worker_died"}', 2)
        assert samples["trioecho_messages_total"] == 40
        assert samples["trioecho_service_seconds_count"] == 40
        watch.wait_for("trioecho_workers", 2)
        echo(watch.server, 2).close()
        watch.wait_for("trioecho_messages_total", 42)
        assert watch.server.stop() == 0
    assert watch.server.reports[-1]["messages_total"] == 42


@in_one_process_or_two
def test_ready_turns_at_the_first_signal_and_connections_come_in_for_the_delay(
    command: Sequence[str],
) -> None:
    with watched("--drain-delay", "1d", command=command) as watch:
        assert watch.ask("/readyz").status == 200
        watch.server.send_signal()
        assert "after 86400 s in which connections are still accepted" in watch.server.read_log_line()
        answer = watch.ask("/readyz")
        assert (answer.status, answer.text) == (503, "draining\n")
        assert watch.ask("/livez").status == 200
        echo(watch.server, 3).close()
        watch.wait_for("trioecho_messages_total", 3)
        assert watch.samples()["trioecho_draining"] == 1
        watch.server.send_signal()
        assert watch.server.wait() == 130
    assert watch.server.reports[-1]["messages_total"] == 3


def test_the_delay_ends_by_itself() -> None:
    with watched("--drain-delay", "50ms") as watch:
        assert watch.server.stop() == 0


def test_pages_are_there_in_a_drain() -> None:
    with watched("--grace", "1d") as watch:
        with watch.server.connect() as unfinished:
            unfinished.sendall(FRAME + FRAME[:5])
            assert receive_exactly(unfinished, len(FRAME)) == FRAME
            watch.server.send_signal()
            watch.server.read_log_line()
            assert watch.ask("/readyz").status == 503
            assert watch.samples()["trioecho_connections"] == 1
            unfinished.sendall(FRAME[5:])
            assert receive_exactly(unfinished, len(FRAME)) == FRAME
        assert watch.server.wait() == 0


def test_the_last_report_is_there_as_json() -> None:
    with watched("--metrics-interval", "0") as watch:
        none_yet = watch.ask("/report")
        assert (none_yet.status, none_yet.text) == (
            503,
            "no report yet; with --metrics-interval 0 there is none before the end, or SIGUSR1\n",
        )
        echo(watch.server, 4).close()
        watch.server.send_signal(signal.SIGUSR1)
        while (answer := watch.ask("/report")).status != 200:
            pass
        assert answer.headers["content-type"] == "application/json"
        assert watch.server.stop() == 0
    assert json.loads(answer.text) == watch.server.reports[0]
    assert watch.server.reports[0]["messages"] == 4


def test_only_get_and_only_what_there_is() -> None:
    with watched() as watch:
        head = watch.ask("/metrics", "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["content-length"]) > 1000
        refused = ask(watch.url, "/metrics", "POST", b"x" * 10_000)
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
        missing = watch.ask("/secret")
        assert missing.status == 404
        assert missing.text == "not here; there is /, /events, /livez, /metrics, /readyz, /report\n"
        assert watch.server.stop() == 0


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with watched(admin=f"unix:{path}") as watch:
        assert watch.url == f"unix:{path}"
        assert watch.ask("/livez").text == "alive\n"
        taken = run_command("serve", "--port", "0", "--admin", f"unix:{path}")
        assert taken.returncode == 3
        assert f"--admin: cannot listen on unix:{path}: " in taken.stderr
        assert watch.ask("/livez").status == 200
        assert watch.server.stop() == 0
    assert not path.exists()


def test_a_file_is_not_taken_for_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("precious")
    result = run_command("serve", "--port", "0", "--admin", f"unix:{path}")
    assert (result.returncode, path.read_text()) == (3, "precious")
    assert "--admin: cannot listen on" in result.stderr


def test_a_folder_that_is_not_there_is_one_line_that_names_the_option(tmp_path: Path) -> None:
    result = run_in_process("serve", "--port", "0", "--admin", f"unix:{tmp_path}/none/admin.sock")
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "--admin: cannot listen on unix:" in result.stderr


@in_one_process_and_slowly_in_two
def test_a_port_in_use_is_one_line(command: Sequence[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run_command("serve", "--port", "0", "--admin", f"127.0.0.1:{port}", *command[3:])
    assert result.returncode == 3
    [line] = result.stderr.splitlines()
    assert f"--admin: cannot listen on 127.0.0.1:{port}: another program holds the port" in line
    assert line.endswith("or choose another port; 0 is any that is free")


@pytest.mark.parametrize(
    ("service", "admin"),
    [
        (("--port", "{port}"), "127.0.0.1:{port}"),
        (("--port", "{port}"), "0.0.0.0:{port}"),
        (("--port", "{port}"), ":{port}"),
        (("--port", "{port}", "--workers", "2"), "localhost:{port}"),
        (("--listen", "0.0.0.0:{port}"), "127.0.0.1:{port}"),
        (("--listen", "[::]:{port}", "--ipv6only", "off"), "127.0.0.1:{port}"),
        (("--listen", "unix:{folder}/s"), "unix:{folder}/s"),
    ],
)
def test_the_address_of_the_service_is_one_line(service: Sequence[str], admin: str, tmp_path: Path) -> None:
    words = [word.format(port=26066, folder=tmp_path) for word in (*service, "--admin", admin)]
    result = run_in_process("serve", *words)  # it listens nowhere
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--admin and the service have the same address (" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["", "9126", "unix:", "::1:80", "127.0.0.1:http", "a b:80", "fd://x"])
def test_a_wrong_address_is_one_line(address: str) -> None:
    result = run_in_process("serve", "--admin", address)
    assert result.returncode == 2
    assert "--admin" in result.stderr


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "hypercorn" else find(name))
    result = run_in_process("serve", "--admin", "127.0.0.1:0")
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].endswith(
        "--admin needs hypercorn, which is not installed: pip install 'trioecho[admin]'"
    )


def test_without_admin_its_packages_are_not_imported() -> None:
    program = (
        "import sys, trioecho.cli.serve, trioecho.cli.service\n"
        "sys.exit(bool({'hypercorn', 'prometheus_client', 'trioecho.admin'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=GUARD_S).returncode == 0


def test_the_service_goes_on_when_admin_fails() -> None:
    program = (
        "import sys, trioecho.admin.http_server, trioecho.cli\n"
        "async def fail(application, listeners, limits, hosts):\n"
        "    await listeners[0].accept()\n"
        "    raise OSError('gone wrong')\n"
        "trioecho.admin.http_server.serve_http = fail\n"
        "sys.exit(trioecho.cli.main(['serve', *sys.argv[1:]]))"
    )
    with watched(command=("-c", program)) as watch:
        address = watch.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), GUARD_S):
            line = watch.server.read_log_line()
            assert line.strip().endswith("error: admin has failed, and all else goes on: gone wrong")
        with pytest.raises(ConnectionRefusedError):
            watch.ask("/livez")
        echo(watch.server, 3).close()
        assert watch.server.stop() == 0
    assert watch.server.reports[-1]["messages_total"] == 3
