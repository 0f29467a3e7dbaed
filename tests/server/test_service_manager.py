"""Sockets that a service manager passes, and what it is told: as systemd has it, and with its own tool."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.notifications import Notifications, open_notifications
from tests.support.processes import SERVE
from tests.support.programs import needs_program
from tests.support.slow import slow
from tests.support.sockets import LOOPBACK, echoes
from tests.support.wire import frame

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a service manager passes descriptors")


# Puts descriptors where a service manager does, and becomes the service.
LAUNCH = """
import os, sys
passed = [int(word) for word in sys.argv[2].split()]
for place, descriptor in enumerate(passed):
    os.dup2(descriptor, 3 + place)
os.environ.update(LISTEN_PID=sys.argv[1] or str(os.getpid()), LISTEN_FDS=str(len(passed)))
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


@contextlib.contextmanager
def activated(
    *passed: socket.socket, options: tuple[str, ...] = (), process_id: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """``trioecho serve``, to which sockets are passed as descriptors 3 and following."""
    descriptors = " ".join(str(each.fileno()) for each in passed)
    command = [*SERVE, "--port", "0", "--metrics-interval", "0", *options]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, process_id, descriptors, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[each.fileno() for each in passed],
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def listener() -> socket.socket:
    """Return a socket that listens, on a descriptor that is none of those to be passed."""
    with socket.create_server((LOOPBACK, 0), backlog=100) as opened:
        high = os.dup(opened.fileno())
        while high < 10:
            high = os.dup(opened.fileno())
    return socket.socket(fileno=high)


def unix_listener(path: Path) -> socket.socket:
    opened = socket.socket(socket.AF_UNIX)
    opened.bind(str(path))
    opened.listen(100)
    return opened


slow_with_workers = pytest.mark.parametrize(
    "options", [(), slow(("--workers", "2"))], ids=["one process", "workers"]
)


def say_when_ready(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


# ---- sockets ----


def test_the_service_listens_on_what_was_passed() -> None:
    with listener() as first, listener() as second, activated(first, second) as process:
        ports = [each.getsockname()[1] for each in (first, second)]
        expected = " and ".join(f"{LOOPBACK}:{port}" for port in ports)
        assert say_when_ready(process).endswith(f"Z listening on {expected}\n")
        for port in ports:
            with socket.create_connection((LOOPBACK, port), GUARD_S) as peer:
                assert echoes(peer, frame(b"hello"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD_S) == 0


def test_nobody_is_refused_while_the_service_is_started_again() -> None:
    with listener() as passed, contextlib.ExitStack() as peers:
        address = passed.getsockname()

        def connect() -> socket.socket:
            return peers.enter_context(socket.create_connection(address, GUARD_S))

        early = connect()
        early.sendall(frame(b"before any"))
        with activated(passed) as process:
            say_when_ready(process)
            assert early.recv(100) == frame(b"before any")
            process.send_signal(signal.SIGTERM)
            assert process.wait(GUARD_S) == 0
        assert early.recv(1) == b""  # drained, and not reset
        between = connect()
        between.sendall(frame(b"between two"))
        with activated(passed) as process:
            assert between.recv(100) == frame(b"between two")
            assert echoes(connect(), frame(b"after"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(GUARD_S) == 0


def test_what_was_passed_to_another_process_is_not_touched() -> None:
    with listener() as passed, activated(passed, process_id="1") as process:
        assert f":{passed.getsockname()[1]}\n" not in say_when_ready(process)


def test_what_does_not_listen_is_one_line() -> None:
    with listener() as passed, socket.socket() as unconnected:
        os.dup2(unconnected.fileno(), passed.fileno())
        with activated(passed) as process:
            _, said = process.communicate(timeout=GUARD_S)
    assert process.returncode == 3
    assert said == (
        "trioecho serve: descriptor 3, which was passed to listen on, does not listen for TCP connections, "
        "nor for those of a Unix socket\n"
    )


@slow_with_workers
def test_what_a_manager_calls_its_sockets_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = tmp_path / "echo.sock"
    monkeypatch.setenv("LISTEN_FDNAMES", "web:local")
    with listener() as port, unix_listener(path) as local, activated(port, local, options=options) as process:
        where = f"{LOOPBACK}:{port.getsockname()[1]}"
        assert say_when_ready(process).endswith(f"Z listening on {where} and unix:{path}\n")
        said = f"Z passed by the service manager: web ({where}), local (unix:{path})\n"
        assert say_when_ready(process).endswith(said)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(GUARD_S)
            peer.connect(str(path))
            assert echoes(peer, frame(b"hello"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD_S) == 0
    assert path.is_socket()  # it is the manager's


@pytest.mark.slow
def test_several_processes_accept_from_one_queue_and_nobody_is_refused_between_two_runs() -> None:
    with listener() as passed, contextlib.ExitStack() as peers:

        def connect() -> socket.socket:
            return peers.enter_context(socket.create_connection(passed.getsockname(), GUARD_S))

        for _ in range(2):
            early = [connect() for _ in range(5)]
            with activated(passed, options=("--workers", "2")) as process:
                for peer in [*early, *(connect() for _ in range(5))]:
                    assert echoes(peer, frame(b"hello"))
                process.send_signal(signal.SIGTERM)
                assert process.wait(GUARD_S) == 0
            for peer in early:
                assert peer.recv(1) == b""  # drained, and not reset


@pytest.mark.slow
def test_a_function_that_changes_is_served_anew_on_what_was_passed(tmp_path: Path) -> None:
    module = tmp_path / "shop.py"
    module.write_text("def reply(message: bytes) -> bytes:\n    return b'old'\n")
    options = (f"{module}:reply", "--reload", "--workers", "2")
    with listener() as passed, activated(passed, options=options) as process:
        say_when_ready(process)
        peer = socket.create_connection(passed.getsockname(), GUARD_S)
        with peer:
            peer.sendall(frame(b"?"))
            assert peer.recv(100) == frame(b"old")
            module.write_text("def reply(message: bytes) -> bytes:\n    return b'newer'\n")
            while peer.recv(100):
                pass
        answers = set()
        while frame(b"newer") not in answers:
            with (
                socket.create_connection(passed.getsockname(), GUARD_S) as peer,
                contextlib.suppress(OSError),
            ):
                peer.sendall(frame(b"?"))
                answers.add(peer.recv(100))
        assert answers <= {frame(b"old"), frame(b"newer"), b""}
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD_S) == 0


# ---- reports ----


@contextlib.contextmanager
def manager(monkeypatch: pytest.MonkeyPatch, *, abstract: bool) -> Iterator[Notifications]:
    """A service manager that is told of the service."""
    with open_notifications(abstract=abstract) as told:
        monkeypatch.setenv("NOTIFY_SOCKET", told.address)
        yield told


@pytest.mark.parametrize(
    "abstract",
    [False, pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="is Linux's"))],
)
def test_the_service_says_when_it_is_ready_and_when_it_stops(
    monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    with (
        manager(monkeypatch, abstract=abstract) as told,
        listener() as passed,
        activated(passed, options=("--metrics-interval", "10ms")) as process,
    ):
        port = passed.getsockname()[1]
        told.lines_until(f"STATUS=listening on {LOOPBACK}:{port}")
        with socket.create_connection((LOOPBACK, port), GUARD_S) as peer:
            assert echoes(peer, frame(b"hello"))
            while not re.fullmatch(r"STATUS=[\d,]+ messages/s, 1 connection", told.next()):
                pass
            peer.sendall(frame(b"unfinished")[:6])
            process.send_signal(signal.SIGTERM)
            stopping = told.lines_until("STOPPING=1")
            assert "READY=1" not in stopping
            told.lines_until("EXTEND_TIMEOUT_USEC=10000000")
            peer.sendall(frame(b"unfinished")[6:])
            assert peer.recv(100) == frame(b"unfinished")
        assert process.wait(GUARD_S) == 0


def test_the_service_says_that_it_is_alive_while_its_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    with manager(monkeypatch, abstract=False) as told, listener() as passed, activated(passed) as process:
        for _ in range(3):
            told.lines_until("WATCHDOG=1")
        os.kill(process.pid, signal.SIGSTOP)
        told.forget()
        os.kill(process.pid, signal.SIGCONT)
        told.lines_until("WATCHDOG=1")


def test_a_manager_that_is_gone_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    with listener() as passed, activated(passed) as process:
        with socket.create_connection(passed.getsockname(), GUARD_S) as peer:
            assert echoes(peer, frame(b"hello"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD_S) == 0


# ---- systemd's own tool ----


def test_systemd_starts_it_at_the_first_connection() -> None:
    with listener() as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [needs_program("systemd-socket-activate"), "-l", f"{LOOPBACK}:{port}", sys.executable, *SERVE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        said = [process.stderr.readline()]
        with socket.create_connection((LOOPBACK, port), GUARD_S) as peer:
            assert echoes(peer, frame(b"hello"))
        process.send_signal(signal.SIGTERM)
        said += process.stderr.read().splitlines(keepends=True)
        assert process.wait(GUARD_S) == 0
    assert any(f"listening on {LOOPBACK}:{port}" in line for line in said), said
    assert Path(f"/proc/{process.pid}").exists() is False


def test_systemd_starts_it_on_a_unix_socket_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    activate = [needs_program("systemd-socket-activate"), "-l", str(path), "--fdname", "local"]
    process = subprocess.Popen(
        [*activate, sys.executable, *SERVE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, socket.socket(socket.AF_UNIX) as peer:
        assert process.stderr is not None
        said = [process.stderr.readline()]
        peer.settimeout(GUARD_S)
        peer.connect(str(path))
        assert echoes(peer, frame(b"hello"))
        process.send_signal(signal.SIGTERM)
        said += process.stderr.read().splitlines(keepends=True)
        assert process.wait(GUARD_S) == 0
    assert any(line.endswith(f"passed by the service manager: local (unix:{path})\n") for line in said), said
