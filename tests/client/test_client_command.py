"""The command ``trioecho client`` against good servers and bad ones, none of them ours."""

from __future__ import annotations

import contextlib
import re
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.sockets import port_that_refuses, receive_all, receive_exactly, reset
from tests.support.wire import frame

Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def foreign_server(answer: Answer) -> Iterator[str]:
    """A server of blocking sockets that takes one connection; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD_S)

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(GUARD_S)
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def receive_frame(connection: socket.socket) -> bytes:
    return receive_exactly(connection, int.from_bytes(receive_exactly(connection, 4), "big"))


def echo_frames(connection: socket.socket, count: int) -> None:
    for _ in range(count):
        connection.sendall(frame(receive_frame(connection)))


def echo_bytes_at_once(connection: socket.socket) -> None:
    """Echoes what comes without waiting for whole frames, as `cat` would."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)


def change_the_third(connection: socket.socket) -> None:
    echo_frames(connection, 2)
    payload = receive_frame(connection)
    connection.sendall(frame(payload[:5] + bytes([payload[5] ^ 1]) + payload[6:]))
    receive_all(connection)


def repeat_the_second(connection: socket.socket) -> None:
    echo_frames(connection, 1)
    second = frame(receive_frame(connection))
    connection.sendall(second)
    receive_frame(connection)
    connection.sendall(second)
    receive_all(connection)


def shorten_the_third(connection: socket.socket) -> None:
    echo_frames(connection, 2)
    connection.sendall(frame(receive_frame(connection)[:-1]))
    receive_all(connection)


def close_after_two(connection: socket.socket) -> None:
    echo_frames(connection, 2)
    receive_frame(connection)


def truncate_the_third(connection: socket.socket) -> None:
    echo_frames(connection, 2)
    connection.sendall(frame(receive_frame(connection))[:-1])


def reset_after_two(connection: socket.socket) -> None:
    echo_frames(connection, 2)
    receive_exactly(connection, 4)
    reset(connection)


def be_silent_after_two(connection: socket.socket) -> None:
    echo_frames(connection, 2)
    receive_all(connection)


def speak_http(connection: socket.socket) -> None:
    receive_frame(connection)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-n", "1"],
        ["-n", "20", "--size", "0"],
        ["-n", "50", "--size", "0-64KiB"],
        ["-n", "2", "--size", "1MiB"],
    ],
)
def test_all_verified_is_exit_0(arguments: list[str]) -> None:
    with server_process() as server:
        done = run_in_process("client", f"127.0.0.1:{server.port}", *arguments)
        assert server.stop() == 0
    count = int(arguments[1]) if arguments else 100
    assert done.returncode == 0
    assert done.stderr == ""
    assert f"all {count} messages" in done.stdout
    assert re.search(
        r"time [\d.]+ s, [\d.,]+ messages/s, round trip ms: p50 [\d.]+, p99 [\d.]+, max", done.stdout
    )
    assert server.reports[-1]["messages_total"] == count


def test_ipv6_and_names() -> None:
    with server_process("--host", "::1") as server:
        assert run_in_process("client", f"[::1]:{server.port}").returncode == 0
    with server_process() as server:
        assert run_in_process("client", f"localhost:{server.port}").returncode == 0


def test_a_server_that_echoes_before_it_has_the_whole_frame_does_not_deadlock_it() -> None:
    with foreign_server(echo_bytes_at_once) as address:
        assert run_in_process("client", address, "-n", "2", "--size", "16MiB").returncode == 0


@pytest.mark.parametrize(
    ("answer", "number", "words"),
    [
        (change_the_third, 3, "differs at byte 5: from byte 1 expected "),
        (change_the_third, 3, "; byte 5 is "),
        (repeat_the_second, 3, "that of message 2"),
        (shorten_the_third, 3, "63 bytes instead of 64: the first 63 are right"),
        (close_after_two, 3, "closed the connection"),
        (truncate_the_third, 3, "after 67 of 68 bytes"),
        (reset_after_two, 3, "reset"),
        (be_silent_after_two, 3, "within 2 s"),
        (speak_http, 1, "HTTP response"),
    ],
)
def test_a_wrong_or_missing_echo_is_exit_1_and_says_which(answer: Answer, number: int, words: str) -> None:
    with foreign_server(answer) as address:
        # The others are in time on any machine, however busy.
        timeout = "2s" if answer is be_silent_after_two else "60s"
        done = run_in_process("client", address, "-n", "10", "--timeout", timeout)
    assert done.returncode == 1
    assert done.stderr.startswith(f"trioecho client: message {number}: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert f"{number - 1} of 10 messages" in done.stdout


def test_a_frame_that_is_too_long_is_told_without_advice_that_the_client_cannot_follow() -> None:
    def announce_much(connection: socket.socket) -> None:
        receive_frame(connection)
        connection.sendall((32 << 20).to_bytes(4, "big") + bytes(100))
        receive_all(connection)

    with foreign_server(announce_much) as address:
        done = run_in_process("client", address)
    assert done.returncode == 1
    assert "message 1: no echo: a frame of 33554432 bytes is over the limit" in done.stderr
    assert "max_frame_length" not in done.stderr


def test_where_nothing_ever_comes_the_server_is_asked_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # To it each question begins a frame over the limit, or is one; so there is always an answer or an end.
    monkeypatch.setattr("trioecho.client.asking._PATIENCE_S", GUARD_S)
    with server_process("--format", "u32le") as server:
        done = run_in_process("client", f"127.0.0.1:{server.port}", "--timeout", "5s")
    assert (done.returncode, done.stdout, done.stderr) == (
        3,
        "",
        f"trioecho client: 127.0.0.1:{server.port} replies to frames whose headers are u32le, not u32be: "
        "give --format u32le\n",
    )


def test_other_headers_are_written_and_read() -> None:
    sent = b""

    def answer(connection: socket.socket) -> None:
        nonlocal sent
        sent = receive_exactly(connection, 13)
        connection.sendall(sent)
        receive_all(connection)

    with foreign_server(answer) as address:
        run = run_in_process("client", address, "-n", "1", "--size", "5", "--format", "u64le+header")
    assert run.returncode == 0, run.stderr
    assert sent[:8] == (13).to_bytes(8, "little")


def test_an_unreachable_server_is_exit_3_and_one_line() -> None:
    with port_that_refuses() as port:
        for address, words in ((f"127.0.0.1:{port}", "refused"), ("no-such-host.invalid:1", "not known")):
            done = run_in_process("client", address)
            assert (done.returncode, done.stdout) == (3, "")
            assert done.stderr.count("\n") == 1
            assert words in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "HOST:PORT"),
        (["127.0.0.1"], "HOST:PORT"),
        (["::1:26066"], "[::1]:26066"),
        ([":26066"], "HOST:PORT"),
        (["127.0.0.1:0"], "port 0"),
        (["127.0.0.1:x"], "0 to 65535"),
        (["127.0.0.1:1", "-n", "0"], "at least 1"),
        (["127.0.0.1:1", "-n", "ten"], "whole number"),
        (["127.0.0.1:1", "--size", "big"], "64KiB"),
        (["127.0.0.1:1", "--size", "9-3"], "3-9"),
        (["127.0.0.1:1", "--size", "4GiB"], "4294967295"),
        (["127.0.0.1:1", "--timeout", "-1"], "--timeout"),
        (["127.0.0.1:1", "--format", "u25"], "u25be"),
        (["127.0.0.1:1", "--format", "w32"], "u32be"),
        (["127.0.0.1:1", "--format", "u8", "--size", "256"], "255"),
    ],
)
def test_bad_arguments_are_exit_2_and_one_line(arguments: list[str], words: str) -> None:
    done = run_in_process("client", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_nobody_has_to_read_the_results() -> None:
    with server_process() as server:
        client = f"{shlex.quote(sys.executable)} -m trioecho client 127.0.0.1:{server.port}"
        done = subprocess.run(
            ["sh", "-c", f"{{ {client}; echo exit $? >&2; }} | true"],
            capture_output=True,
            text=True,
            timeout=GUARD_S,
            check=False,
        )
    assert done.stderr == "exit 0\n"
