"""`run_service`: a service of a few lines, as a program of its own."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.guard import GUARD_S
from tests.support.processes import ServerProcess
from tests.support.slow import slow
from tests.support.sockets import LOOPBACK, receive_all, receive_exactly
from tests.support.tls import client_context, write_files
from tests.support.wire import frame, frames, whole_frames
from trioecho import TlsFiles, TlsFilesError, run_service

SHOUT = """
import sys
from trioecho import Limits, run_service

def shout(message: bytes) -> bytes:
    if not message:
        raise KeyError("nothing to shout")
    return message.upper()
"""
RUN = "sys.exit(run_service(shout, port=0))"
STORE = """
import contextlib, sys, trio
from trioecho import run_service

@contextlib.asynccontextmanager
async def store():
    print("entered", flush=True)
    try:
        START
        yield lambda message: message.upper()
    finally:
        print("left", flush=True)

def report(report):
    print("reported", flush=True)

status = run_service(store, port=0, report_interval_s=0, on_report=report)
print("and on", status)
"""


@contextlib.contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def running_file(program: Path) -> Iterator[ServerProcess]:
    """A program that its workers can import."""
    process = subprocess.Popen(
        [sys.executable, program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield ServerProcess(process)
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def service(program: str) -> Iterator[ServerProcess]:
    with running(program) as process:
        yield ServerProcess(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_reports_and_drains(number: signal.Signals) -> None:
    with service(SHOUT + RUN) as server:
        with server.connect() as peer:
            peer.sendall(frames(b"hello", b"again"))
            assert receive_exactly(peer, 18) == frames(b"HELLO", b"AGAIN")
        assert server.stop(number) == 0
    assert "2 in all" in server.output.splitlines()[-1]
    assert "(final)" in server.output.splitlines()[-1]
    assert "Traceback" not in server.log
    assert f"{number.name}: draining" in server.log


def test_a_signal_in_the_middle_of_traffic_gives_an_exact_prefix() -> None:
    messages = [b"message %d" % number for number in range(20_000)]
    with service(SHOUT + RUN) as server, server.connect() as peer:
        peer.sendall(frames(*messages))
        first = receive_exactly(peer, 1)
        server.send_signal()
        replies = whole_frames(first + receive_all(peer))
        assert server.wait() == 0
    assert replies == [message.upper() for message in messages[: len(replies)]]
    assert f"{len(replies):,} in all" in server.output.splitlines()[-1]


def test_a_function_that_raises_ends_its_own_connection_only() -> None:
    with service(SHOUT + RUN) as server, server.connect() as other:
        with server.connect() as peer:
            peer.sendall(frames(b"before", b"", b"after"))
            assert receive_all(peer) == frame(b"BEFORE")
        other.sendall(frame(b"still here"))
        assert receive_exactly(other, 14) == frame(b"STILL HERE")
        other.close()
        assert server.stop() == 0
    line = server.log.splitlines()[0]
    assert "the handler failed; its connection is closed: KeyError: 'nothing to shout' (<string>:7)" in line
    assert "handler_failed 1" in server.output.splitlines()[-1]


def test_the_limits_are_those_that_were_given() -> None:
    program = SHOUT + "sys.exit(run_service(shout, port=0, limits=Limits(max_frame_length=4)))"
    with service(program) as server, server.connect() as peer:
        peer.sendall(frames(b"four", b"fives"))
        assert receive_all(peer) == frame(b"FOUR")
        assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_context_manager_is_left_after_the_drain(number: signal.Signals) -> None:
    with service(STORE.replace("START", "pass")) as server:
        with server.connect() as peer:
            peer.sendall(frame(b"hello"))
            assert receive_exactly(peer, 9) == frame(b"HELLO")
        assert server.stop(number) == 0
    assert server.output.splitlines() == ["entered", "reported", "left", "and on 0"]


def test_a_context_manager_is_left_at_a_second_signal() -> None:
    program = STORE.replace("START", "pass").replace("lambda message: message.upper()", "stay")
    program = program.replace("@", "async def stay(message: bytes): await trio.sleep_forever()\n@", 1)
    with service(program) as server, server.connect() as peer:
        peer.sendall(frame(b"hello"))
        server.send_signal(signal.SIGINT)
        assert "draining 1 connection" in server.read_log_line()
        server.send_signal(signal.SIGINT)
        assert server.wait() == 0
    assert server.output.splitlines() == ["entered", "reported", "left", "and on 130"]


def test_a_signal_ends_a_context_manager_that_does_not_start() -> None:
    with running(STORE.replace("START", "await trio.sleep_forever()")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "entered\n"
        process.send_signal(signal.SIGINT)
        output, log = process.communicate(timeout=GUARD_S)
    assert output.splitlines() == ["left", "and on 0"]
    assert "SIGINT: the service had not started" in log
    assert "Traceback" not in log


def test_a_context_manager_that_cannot_start_raises_what_it_raises() -> None:
    with running(STORE.replace("START", "raise OSError('no database')")) as process:
        output, log = process.communicate(timeout=GUARD_S)
    assert (output, process.returncode) == ("entered\nleft\n", 1)
    assert log.splitlines()[-1] == "OSError: no database"
    assert "listening" not in log


def test_the_program_has_its_own_log_and_its_own_signals_afterwards() -> None:
    program = """
import logging, signal, sys
logging.basicConfig(format="ours: %(message)s", level=logging.INFO)
from trioecho import run_service
before = signal.getsignal(signal.SIGINT)
run_service(bytes.upper, port=0)
assert signal.getsignal(signal.SIGINT) is before
"""
    with service(program) as server:
        assert server.first_line.startswith("ours: listening on ")
        assert server.stop(signal.SIGINT) == 0
    assert all(line.startswith("ours: ") for line in server.log.splitlines())


def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: another program") as error:
            run_service(bytes.upper, port=port, on_report=print)
    assert error.value.errno is not None


@pytest.mark.parametrize("workers", [1, slow(2)])
def test_under_tls_with_files_that_each_process_reads(workers: int, tmp_path: Path) -> None:
    files = write_files(tmp_path)
    main = f"""
if __name__ == "__main__":
    tls = TlsFiles({files.certfile!r}, {files.keyfile!r})
    sys.exit(run_service(shout, port=0, ssl_context=tls, workers={workers}))
"""
    program = tmp_path / "shout_under_tls.py"
    program.write_text(SHOUT + "from trioecho import TlsFiles\n" + main)
    with running_file(program) as server:
        with client_context().wrap_socket(server.connect(), server_hostname="localhost") as peer:
            peer.sendall(frame(b"hello"))
            assert receive_exactly(peer, 9) == frame(b"HELLO")
        server.send_signal(signal.SIGHUP)
        assert f"SIGHUP: {files.certfile} was read again, for new connections" in server.read_log_line()
        assert server.stop() == 0


def test_under_tls_with_a_context_of_the_programs_own_and_a_hangup_drains(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    context = f"""
import ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain({files.certfile!r}, {files.keyfile!r})
"""
    with service(SHOUT + context + RUN.replace("port=0", "port=0, ssl_context=context")) as server:
        with client_context().wrap_socket(server.connect(), server_hostname="localhost") as peer:
            peer.sendall(frame(b"hello"))
            assert receive_exactly(peer, 9) == frame(b"HELLO")
        assert server.stop(signal.SIGHUP) == 0


def test_files_and_contexts_that_cannot_be_used_are_errors() -> None:
    with pytest.raises(TlsFilesError, match=r"cannot read missing\.pem, the certificate"):
        run_service(bytes.upper, port=0, ssl_context=TlsFiles("missing.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match="several workers cannot share an SSLContext"):
        run_service(bytes.upper, port=0, ssl_context=context, workers=2)


@pytest.mark.parametrize("options", [{"unix_mode": 0o600}, {"unix_owner": "root"}])
@pytest.mark.parametrize("listen", ["unix:@nothing", "127.0.0.1:0"])
def test_a_mode_or_an_owner_without_a_file_is_an_error(listen: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} is for a Unix socket that has a file"):
        run_service(bytes.upper, listen=listen, **options)


def test_what_cannot_be_served_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="cannot be served"):
        run_service(b"hello")  # type: ignore[arg-type]


async def test_where_trio_runs_there_is_another_function() -> None:
    await trio.lowlevel.checkpoint()
    with pytest.raises(RuntimeError, match="use serve_frames"):
        run_service(bytes.upper)
