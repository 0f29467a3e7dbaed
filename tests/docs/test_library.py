"""Every program on the library's page of the guide does what the page says."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.checkout import ROOT
from tests.support.guard import GUARD_S
from tests.support.sockets import LOOPBACK, receive_all, receive_exactly
from tests.support.wire import frame, frames

PAGE = (ROOT / "trioecho" / "guide" / "library.md").read_text()
# By the heading above them.
PROGRAMS = {
    heading: program
    for heading, program in re.findall(
        r"^##+ ([^\n]+)\n(?:(?!^#).)*?^```python\n(.*?)^```", PAGE, re.M | re.S
    )
    if ">>>" not in program
}

# These take the place of serve_frames and run_service, to tell the test when the program serves, and where.
TELLING = """
import logging, trio, trioecho
class TellingLog(logging.Handler):
    def emit(self, record):
        words, _, port = record.getMessage().rpartition(":")
        if words.startswith("listening on"):
            print(port, flush=True)
def telling_run_service(handler, **options):
    logging.basicConfig(handlers=[TellingLog()], level=logging.INFO)
    trioecho.run_service(handler, port=0, on_report=lambda report: None, **options)
async def telling_serve_frames(handler, listeners):
    async with trio.open_nursery() as nursery:
        async def serve(task_status):
            await trioecho.serve_frames(handler, listeners, task_status=task_status)
        await nursery.start(serve)
        address = getattr(listeners[0], "transport_listener", listeners[0]).socket.getsockname()
        print(address[1] if isinstance(address, tuple) else address, flush=True)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextlib.contextmanager
def serving(heading: str) -> Iterator[str]:
    """The server of that part of the page, on any port, which is given."""
    program = PROGRAMS[heading].replace("26066", "0")
    for name in ("serve_frames(", "run_service("):
        program = program.replace(name, f"telling_{name}")
    process = subprocess.Popen([sys.executable, "-c", TELLING + program], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def connect(port: str) -> socket.socket:
    return socket.create_connection((LOOPBACK, int(port)), timeout=GUARD_S)


def asks(peer: socket.socket, message: bytes, reply: bytes) -> bool:
    peer.sendall(frame(message))
    return receive_exactly(peer, 4 + len(reply)) == frame(reply)


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=GUARD_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_these_are_all_programs_of_the_page() -> None:
    assert list(PROGRAMS) == [
        "A service",
        "A function that waits",
        "What a connection remembers",
        "A handler with a channel",
        "What lasts as long as the service",
        "Inside a program that runs Trio",
        "The client's side",
        "Requests of many tasks",
        "Replies in any order",
        "A key-value store",
        "A chat",
        "TLS",
        "Behind a balancer",
        "A Unix socket",
        "Tests without a network",
        "Tests without waiting",
    ]
    assert len(PROGRAMS) + 2 == PAGE.count("```python")


def test_the_service_in_four_lines() -> None:
    program = PROGRAMS["A service"]
    assert program in (ROOT / "README.md").read_text()
    assert len([line for line in program.splitlines() if line.strip()]) == 4


@pytest.mark.parametrize("heading", ["A service", "Inside a program that runs Trio"])
def test_the_services_that_shout(heading: str) -> None:
    with serving(heading) as port, connect(port) as peer:
        assert asks(peer, b"hello", b"HELLO")


def test_what_lasts_as_long_as_the_service() -> None:
    with serving("What lasts as long as the service") as port, connect(port) as peer:
        assert asks(peer, b"ada", b"1")
        assert asks(peer, b"alan", b"1")
        assert asks(peer, b"ada", b"2")


def test_the_function_that_waits() -> None:
    with serving("A function that waits") as port, connect(port) as peer:
        assert asks(peer, b"secret", hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 100_000))


def test_what_a_connection_remembers() -> None:
    with serving("What a connection remembers") as port, connect(port) as one, connect(port) as other:
        for peer, count in ((one, 1), (one, 2), (other, 1)):
            own = f"127.0.0.1:{peer.getsockname()[1]}"
            assert asks(peer, b"hello", f"message {count} of {own}".encode())


def test_the_handler_with_a_channel_and_its_client() -> None:
    with serving("A handler with a channel") as port:
        assert run(PROGRAMS["The client's side"].replace("26066", port)) == "[b'3', b'2', b'1']\n"
        with connect(port) as peer:
            peer.sendall(frame(b"not a number"))
            assert receive_all(peer) == b""
        with connect(port) as peer:
            assert asks(peer, b"1", b"1")


def test_requests_of_many_tasks() -> None:
    with serving("A service") as port:
        printed = run(PROGRAMS["Requests of many tasks"].replace("26066", port))
    assert sorted(printed.split()) == ["b'ONE'", "b'THREE'", "b'TWO'"]


def test_replies_in_any_order() -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(GUARD_S)
                questions = [
                    receive_exactly(connection, int.from_bytes(receive_exactly(connection, 2), "big"))
                    for _ in range(2)
                ]
                for question in reversed(questions):
                    # The identifier, flags, and as many records as the name has letters in front.
                    reply = question[:2] + b"\x81\x80\0\1\0" + question[12:13] + question[8:]
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)
                receive_all(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        printed = run(PROGRAMS["Replies in any order"].replace("5353", str(listener.getsockname()[1])))
        thread.join()
    assert sorted(printed.splitlines()) == ["example.net has 7 records", "example.org has 7 records"]


def test_behind_a_balancer() -> None:
    with serving("Behind a balancer") as port, connect(port) as peer:
        peer.sendall(b"PROXY TCP4 203.0.113.7 192.0.2.1 4242 26066\r\n")
        words = f"hello of 203.0.113.7:4242, by way of ('127.0.0.1', {peer.getsockname()[1]})"
        assert asks(peer, b"hello", words.encode())


def test_the_key_value_store() -> None:
    with serving("A key-value store") as port, connect(port) as one, connect(port) as other:
        assert asks(one, b"get colour", b"")
        assert asks(one, b"set colour bright red", b"ok")
        assert asks(other, b"get colour", b"bright red")
        assert asks(other, b"delete colour", b"error: neither set nor get")


def test_the_chat() -> None:
    with serving("A chat") as port, connect(port) as one:
        # A client that has had an echo is in the chat.
        assert asks(one, b"anybody here?", b"anybody here?")
        with connect(port) as other:
            assert asks(other, b"me", b"me")
            assert receive_exactly(one, 6) == frame(b"me")
            assert asks(one, b"bye", b"bye")
            one.shutdown(socket.SHUT_WR)
            assert receive_all(one) == b""
            assert receive_exactly(other, 7) == frame(b"bye")
            assert asks(other, b"alone", b"alone")


def test_a_client_of_the_chat_that_does_not_read_hinders_nobody() -> None:
    message = bytes(100_000)
    with serving("A chat") as port, connect(port) as silent:
        silent.sendall(frame(b"here I am"))
        assert receive_exactly(silent, 1)
        with connect(port) as other:
            for _ in range(300):
                assert asks(other, message, message)


def test_tls() -> None:
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path("server.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving("TLS") as port, context.wrap_socket(connect(port), server_hostname="localhost") as peer:
        assert asks(peer, b"hello", b"HELLO")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="has no Unix sockets")
def test_a_unix_socket() -> None:
    with serving("A Unix socket") as path, socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(GUARD_S)
        peer.connect(path)
        peer.sendall(frames(b"hello", b""))
        peer.shutdown(socket.SHUT_WR)
        assert receive_all(peer) == frames(b"hello", b"")


@pytest.mark.parametrize("heading", ["Tests without a network", "Tests without waiting"])
def test_the_tests_of_the_page_pass_and_can_fail(heading: str) -> None:
    program = PROGRAMS[heading]
    assert run(program) == ""
    broken = program.replace(".upper()", ".lower()").replace("began >= 300", "began >= 301")
    with pytest.raises(AssertionError):
        run(broken)
