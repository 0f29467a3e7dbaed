"""Signals: every command has an answer to each, and what was ignored at the start stays ignored."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.server.workers.test_workers import wait_for_report, workers_of
from tests.support.guard import GUARD_S
from tests.support.processes import (
    SERVE_WITH_WORKERS,
    ServerProcess,
    in_one_process_and_slowly_in_two,
    in_one_process_or_two,
    server_process,
)
from tests.support.slow import slow
from tests.support.sockets import echoes
from tests.support.wire import frame


def ignore_sighup() -> None:
    """As nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def ignore_sigint() -> None:
    """As a shell without job control does for what it starts with &."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# ---- the service ----


@in_one_process_or_two
def test_sighup_drains(command: tuple[str]) -> None:
    with server_process(command=command) as server:
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello") * 7)
        assert server.stop(signal.SIGHUP) == 0
    assert "SIGHUP: draining" in server.log
    assert server.reports[-1]["final"] is True
    assert server.reports[-1]["messages_total"] == 7


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_that_ends_nothing_ends_no_command_that_is_being_imported(number: signal.Signals) -> None:
    program = (
        "import os, signal, sys, threading\n"
        "class Finder:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name in ('trioecho.cli.program', 'trio', 'trioecho.cli.serve'):\n"
        "            os.kill(os.getpid(), int(sys.argv[-1]))\n"
        "            print('sent', name, flush=True)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from trioecho.cli import main\n"
        "code = main(['serve', '--listen', 'fd://9999'])\n"
        "sys.exit(code if signal.getsignal(int(sys.argv[-1])) is signal.SIG_IGN else 'not ignored')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(int(number))],
        capture_output=True,
        text=True,
        check=False,
        timeout=GUARD_S,
    )
    assert (done.returncode, done.stdout.count("sent")) == (3, 3), done.stderr


@in_one_process_or_two
def test_sigusr1_reports_now_and_the_sum_of_all_reports_is_exact(command: tuple[str]) -> None:
    # No scheduled report comes: the interval is longer than the test.
    with server_process("--metrics-interval", "1h", command=command) as server:
        counted = 0
        for messages in (3, 4):
            with server.connect() as peer:
                assert echoes(peer, frame(b"hello") * messages)
            counted += messages
            reported = 0
            while reported < counted:  # a worker tells its counts a little later
                server.send_signal(signal.SIGUSR1)
                report = wait_for_report(server, lambda report: True)
                assert report["final"] is False
                reported = report["messages_total"]
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        assert server.stop() == 0
    assert server.reports[-1]["final"] is True
    assert (server.reports[-1]["messages"], server.reports[-1]["messages_total"]) == (1, 8)


def test_signals_to_all_processes_of_a_service_end_no_worker() -> None:
    with server_process(command=SERVE_WITH_WORKERS) as server:
        workers = workers_of(server)
        for pid in workers:
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                os.kill(pid, number)
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        assert workers_of(server) == workers
        assert server.stop() == 0


# ---- ignored at the start ----


@in_one_process_and_slowly_in_two
@pytest.mark.parametrize(
    ("ignore", "ignored", "ending"),
    [(ignore_sighup, "SIGHUP", "SIGTERM"), (ignore_sigint, "SIGINT", "SIGTERM")],
)
def test_a_service_leaves_ignored_what_was_ignored_at_its_start(
    command: tuple[str], ignore: object, ignored: str, ending: str
) -> None:
    with server_process(command=command, before=ignore) as server:  # type: ignore[arg-type] # both are functions
        with server.connect() as peer:
            server.send_signal(signal.Signals[ignored])
            assert echoes(peer, frame(b"hello"))
        assert server.stop(signal.Signals[ending]) == 0
    assert f"{ending}: draining" in server.log
    assert ignored not in server.log


@contextlib.contextmanager
def echo_server_that_hangs_up(pid: list[int]) -> Iterator[int]:
    """Its port; whoever connects first gets a SIGHUP before an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def echo(peer: socket.socket) -> None:
            with peer, contextlib.suppress(OSError):
                while data := peer.recv(1 << 16):
                    peer.sendall(data)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    while pid:
                        os.kill(pid.pop(), signal.SIGHUP)
                    threading.Thread(target=echo, args=(peer,)).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    ("command", "before", "exit_code"),
    [
        ("load {} -q --connections 1 --messages 1", ignore_sighup, 0),
        slow("load {} -q --connections 1 --messages 1", None, 129),
        slow("check {} 1.1", ignore_sighup, 0),
        ("check {} 1.1", None, 129),
    ],
    ids=["load, nohup", "load, without nohup", "check, nohup", "check, without nohup"],
)
def test_a_command_under_nohup_goes_on_at_sighup(command: str, before: object, exit_code: int) -> None:
    pid: list[int] = []
    with echo_server_that_hangs_up(pid) as port:
        process = subprocess.Popen(
            [sys.executable, "-m", "trioecho", *command.format(f"127.0.0.1:{port}").split()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=before,  # type: ignore[call-overload] # noqa: PLW1509 - one thread waits in accept
        )
        pid.append(process.pid)
        process.communicate(timeout=GUARD_S)
    assert process.returncode == exit_code


def test_the_demo_under_nohup_goes_on_at_sighup() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=ignore_sighup,  # noqa: PLW1509 - no thread runs
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=GUARD_S)
    assert process.returncode == 128 + signal.SIGTERM


# ---- what asks a server something, and waits ----


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("command", "known"),
    [("client {}", "{}: 0 of 100 messages (64 B) came back right\n"), ("send {} hello", "")],
)
def test_a_command_that_waits_for_a_server_ends_in_order_at_each_signal(
    command: str, known: str, number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD_S)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "trioecho", *command.format(address).split()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with listener.accept()[0]:
            process.send_signal(number)
            out, err = process.communicate(timeout=GUARD_S)
    assert (process.returncode, out, err) == (128 + number, known.format(address), "")


_INTERRUPTED = """
import contextlib, gc, io, os, signal, sys
import trioecho.cli.send
from trioecho.cli import main

os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

def interrupted(address, number):
    calls_left, has_begun, was_interrupted = number, False, False

    def note_call(frame, event, argument):
        nonlocal calls_left, has_begun, was_interrupted
        name = frame.f_code.co_name
        has_begun = has_begun or name == "_send"
        calls_left -= has_begun
        if calls_left < 0 or name == "leave":  # all lines of stdin have come
            sys.settrace(None)
            was_interrupted = calls_left < 0
            if was_interrupted:
                signal.raise_signal(signal.SIGINT)

    shown = io.StringIO()
    with contextlib.redirect_stderr(shown):
        sys.settrace(note_call)
        code = main(["send", address])
        sys.settrace(None)
        gc.collect()  # an async generator that nobody has closed would say so here
    return was_interrupted, code, shown.getvalue()

number = 0
while (ended := interrupted(sys.argv[1], number))[0]:
    if ended != (True, 130, ""):
        sys.exit(f"after {number} calls: {ended}")
    number += 13
print(number)
"""


def test_a_signal_in_any_step_of_a_command_is_130_and_quiet() -> None:
    """Also in those of Trio, and between two of an async generator; one call out of thirteen is tried."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        done = subprocess.run(
            [sys.executable, "-c", _INTERRUPTED, f"127.0.0.1:{listener.getsockname()[1]}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=GUARD_S,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 100


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_faulty_server_stops_at_each_signal_that_ends(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "faulty", "strips"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    server = ServerProcess(process)
    for harmless in (signal.SIGUSR1, signal.SIGUSR2):
        server.send_signal(harmless)
    with server.connect() as peer:
        assert echoes(peer, frame(b"hello"))
    assert server.stop(number) == 0
