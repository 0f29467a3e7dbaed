"""``trioecho send`` against services that are not ours, from arguments, files, pipes and a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import UTF8
from tests.support.sockets import port_that_refuses, receive_all, receive_exactly, reset
from tests.support.wire import frame, frames, whole_frames

SEND = (sys.executable, "-m", "trioecho", "send")


@contextlib.contextmanager
def service(*serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """A service of blocking sockets, with a function for each connection that it takes; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD_S)

        def run() -> None:
            for each in serve:
                connection, _ = listener.accept()
                connection.settimeout(GUARD_S)
                with connection, contextlib.suppress(ConnectionError):
                    each(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def receive_frame(connection: socket.socket) -> bytes | None:
    """The next payload; None at the end of the stream."""
    first = connection.recv(1)
    if not first:
        return None
    length = int.from_bytes(first + receive_exactly(connection, 3), "big")
    return receive_exactly(connection, length)


def shout(connection: socket.socket) -> None:
    while (payload := receive_frame(connection)) is not None:
        connection.sendall(frame(payload.upper()))


def run_with_input(text: bytes, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*SEND, *arguments],
        input=text,
        capture_output=True,
        timeout=GUARD_S,
        check=False,
        env={**os.environ, **UTF8},
    )


# ---- where messages come from, and how replies are shown ----


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["one", "two words"], "ONE\nTWO WORDS\n"),
        (["grüße"], "GRüßE\n"),  # bytes.upper() is for ASCII
        ([""], "(empty)\n"),
        (["--hex", "61 00"], "00000000  41 00                                            |A.|\n"),
        (["--base64", "YQ=="], "A\n"),
        (["a", "--show=json", "b"], '{"text": "A"}\n{"text": "B"}\n'),
        (["--hex", "ff", "--show=json"], '{"hex": "ff"}\n'),
        (["--show=raw", "a", "b"], "AB"),
        (["--", "--raw"], "--RAW\n"),
        (["a", "--", "-b", "-7"], "A\n-B\n-7\n"),
    ],
)
def test_messages_of_the_command_line(words: list[str], printed: str) -> None:
    with service(shout) as address:
        done = run_in_process("send", address, *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


def test_lines_of_stdin_are_sent_as_they_are() -> None:
    with service(shout) as address:
        done = run_with_input(b"a\n\n\xff\r\nlast", address, "--show=json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b'{"text": "A"}\n{"text": ""}\n{"hex": "ff0d"}\n{"text": "LAST"}\n'


def test_each_line_is_sent_when_it_has_come() -> None:
    with service(shout) as address:
        process = subprocess.Popen([*SEND, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            assert process.stdout.readline() == word.upper() + b"\n"
        process.stdin.close()
        assert process.wait(GUARD_S) == 0
        process.stdout.close()


def test_stdin_may_be_a_file_with_many_lines(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.write_bytes(b"".join(b"line %d\n" % number for number in range(5000)))
    with service(shout) as address, lines.open("rb") as stdin:
        done = subprocess.run(
            [*SEND, address], stdin=stdin, capture_output=True, timeout=GUARD_S, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == lines.read_bytes().upper()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("messages.jsonl", b'"a"\n{"hex": "62"}\n{"text": "c", "reply": "C"}\n'),
        ("messages.frames", frames(b"a", b"b", b"c")),
    ],
)
def test_messages_of_a_file(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with service(shout) as address:
        done = run_in_process("send", address, "--messages", str(tmp_path / name), "--show=raw")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ABC", "")


def test_headers_that_are_more_than_a_length_are_sent_and_shown() -> None:
    def serve(connection: socket.socket) -> None:
        assert receive_exactly(connection, 4) == b"\x05\x02hi"
        connection.sendall(b"\x07\x02ok")
        receive_all(connection)

    with service(serve, serve) as address:
        words = ("send", address, "--format", "any1,u8", "--header", "05 00", "hi")
        assert run_in_process(*words).stdout == "header 07 02\nok\n"
        assert run_in_process(*words, "--show=json").stdout == '{"header": "0702", "text": "ok"}\n'


# ---- when it ends ----


def test_wait_receives_more_than_one_reply() -> None:
    def push(connection: socket.socket) -> None:
        receive_frame(connection)
        connection.sendall(frames(b"one", b"two", b"three"))
        receive_all(connection)

    with service(push) as address:
        done = run_in_process("send", address, "--wait", "500ms", "subscribe")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\nthree\n", "")


def test_a_wait_of_0_lasts_until_the_service_closes_the_connection() -> None:
    def push(connection: socket.socket) -> None:
        receive_frame(connection)
        connection.sendall(frames(b"one", b"two"))

    with service(push) as address:
        done = run_in_process("send", address, "--wait", "0", "subscribe")
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\n", "")


def test_no_reply_sends_all_of_it_and_shows_nothing() -> None:
    received = []

    def take(connection: socket.socket) -> None:
        received.extend(whole_frames(receive_all(connection)))
        connection.sendall(frame(b"not wanted"))

    with service(take) as address:
        done = run_with_input(b"a\n" + b"b" * 1_000_000 + b"\n", address, "--no-reply")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert received == [b"a", b"b" * 1_000_000]


def test_stdin_that_ends_ends_the_stream() -> None:
    def count(connection: socket.socket) -> None:
        connection.sendall(frame(b"%d messages" % len(whole_frames(receive_all(connection)))))

    with service(count) as address:
        done = run_with_input(b"a\nb\n", address, "--wait", "60s")
    assert (done.returncode, done.stdout) == (0, b"2 messages\n")


def reply_once(connection: socket.socket) -> None:
    connection.sendall(frame(receive_frame(connection) or b""))


def reply_once_and_close(connection: socket.socket) -> None:
    reply_once(connection)
    receive_frame(connection)


def reply_once_and_reset(connection: socket.socket) -> None:
    reply_once(connection)
    receive_frame(connection)
    reset(connection)


def stay_silent(connection: socket.socket) -> None:
    receive_all(connection)


def serve_http(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("serve", "code", "printed", "words"),
    [
        ([reply_once_and_close], 1, "a\n", "the service closed the connection, after 1 reply to 2 messages"),
        ([reply_once_and_reset], 1, "a\n", "reset"),
        (
            [stay_silent] * 3,
            1,
            "",
            "nothing came for 0.5 s, after 0 replies to 2 messages; does it reply to frames",
        ),
        ([serve_http], 3, "", "is the peer an HTTP server?"),
        ([stay_silent, serve_http], 3, "", "is an HTTP server"),
    ],
    ids=["closes", "resets", "is silent", "HTTP", "HTTP that waits for a line"],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    serve: list[Callable[[socket.socket], object]], code: int, printed: str, words: str
) -> None:
    with service(*serve) as address:
        # Where replies do not come; the others are in time on any machine, however busy.
        timeout = "500ms" if stay_silent in serve else "60s"
        done = run_in_process("send", address, "a", "b", "--timeout", timeout)
    assert (done.returncode, done.stdout) == (code, printed)
    assert done.stderr.startswith(f"trioecho send: {address}")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_service_that_cannot_be_reached() -> None:
    with port_that_refuses() as port:
        address = f"127.0.0.1:{port}"
        done = run_in_process("send", address, "a")
    assert (done.returncode, done.stdout) == (3, "")
    reason = "connection refused: does the server run, and on this port?"
    assert done.stderr == f"trioecho send: cannot connect to {address}: {reason}\n"


@pytest.mark.parametrize(
    ("words", "explanation"),
    [
        (["--hex", "0"], "a MESSAGE is not hexadecimal; write two digits for each byte"),
        (["--base64", "0"], "a MESSAGE is not Base64"),
        (["--header", "x", "a"], "--header: 'x' is not hexadecimal"),
        (["--header", "00", "a"], "a header of u32be does not have 1 bytes"),
        (["a", "--messages", "x.jsonl"], "either MESSAGE or --messages"),
        (["--messages", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["--messages", "nowhere.txt"], ".jsonl nor in .frames"),
        (["--wait", "1s", "--no-reply"], "not allowed with"),
        (["--header", "", "a"], "--header: '' has no bytes"),
        (["--hx"], "did you mean --hex?"),
    ],
)
def test_wrong_usage_is_one_line_before_any_connection(words: list[str], explanation: str) -> None:
    done = run_in_process("send", "127.0.0.1:1", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert explanation in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_line_that_cannot_be_read_or_sent_is_wrong_usage() -> None:
    with service(stay_silent, shout) as address:
        done = run_with_input(b"xy\n", address, "--hex")
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"line 1 of stdin: 'xy' is not hexadecimal" in done.stderr
        done = run_with_input(b"x" * 11, address, "--max-frame-length", "10")
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"a payload of 11 bytes is over the limit of 10" in done.stderr


# ---- a terminal ----


class Terminal:
    """The command on a terminal, on which a person types."""

    def __init__(self, *arguments: str) -> None:
        self._ours, its = pty.openpty()
        self.process = subprocess.Popen(
            [*SEND, *arguments],
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
            env={**os.environ, **UTF8},
        )
        os.close(its)
        self.shown = b""

    def wait_for(self, text: str) -> None:
        """Read until the text is shown; what was shown before it is forgotten."""
        while text.encode() not in self.shown:
            self.shown += os.read(self._ours, 4096)
        self.shown = self.shown.partition(text.encode())[2]

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> tuple[int, bytes]:
        """Wait for the end; the exit code, and what was shown until then."""
        with contextlib.suppress(OSError):  # Linux's end of a terminal
            while piece := os.read(self._ours, 4096):
                self.shown += piece
        os.close(self._ours)
        return self.process.wait(GUARD_S), self.shown


def test_a_prompt_asks_for_one_line_after_the_other() -> None:
    with service(shout) as address:
        terminal = Terminal(address, "--hex")
        terminal.wait_for(f"{address}> ")
        terminal.type("61\n")
        terminal.wait_for(f"A\r\n{address}> ")
        terminal.type("x\n")
        terminal.wait_for("line 2 of stdin: 'x' is not hexadecimal")
        terminal.wait_for(f"\r\n{address}> ")
        terminal.type("62\n")
        terminal.wait_for(f"B\r\n{address}> ")
        terminal.type("\x04")
        assert terminal.end() == (0, b"\r\n")


def test_what_comes_while_a_person_types_stands_on_a_line_of_its_own() -> None:
    def push(connection: socket.socket) -> None:
        connection.sendall(frame(b"news"))
        receive_all(connection)

    with service(push) as address:
        terminal = Terminal(address)
        terminal.wait_for("news\r\n")
        terminal.wait_for(f"{address}> ")
        terminal.type("\x04")
        assert terminal.end() == (0, b"\r\n")


def test_a_service_that_closes_ends_the_prompt() -> None:
    with service(reply_once) as address:
        terminal = Terminal(address)
        terminal.wait_for(f"{address}> ")
        terminal.type("bye\n")
        terminal.wait_for("bye\r\n")  # what was typed
        terminal.wait_for("bye\r\n")  # the reply
        code, shown = terminal.end()
    assert code == 0
    assert shown.endswith(f"{address}: the service closed the connection\r\n".encode())


def test_an_interrupt_at_the_prompt_is_130_and_quiet() -> None:
    with service(stay_silent) as address:
        terminal = Terminal(address)
        terminal.wait_for(f"{address}> ")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == (130, b"\r\n")


def test_so_is_one_while_replies_are_waited_for() -> None:
    has_come = threading.Event()

    def take_one(connection: socket.socket) -> None:
        receive_frame(connection)
        has_come.set()
        receive_all(connection)

    with service(take_one) as address:
        process = subprocess.Popen([*SEND, address, "a"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert has_come.wait(GUARD_S)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=GUARD_S)
    assert (process.returncode, out, err) == (130, b"", b"")
