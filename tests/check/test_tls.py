"""``trioecho check --tls``: all rules over TLS, true verdicts, and failures in one line."""

from __future__ import annotations

import json
import shlex
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from tests.support.guard import SUITE_GUARD_S, guarded
from tests.support.in_process import run_in_process
from tests.support.processes import SERVE, ServerProcess, server_process
from tests.support.sockets import LOOPBACK
from tests.support.tls import Files, server_context, write_files
from trioecho.base.client_tls import ClientTls
from trioecho.check.client.finding import Deviation
from trioecho.check.client.peer import Peer
from trioecho.check.client.tls_client import TlsClient
from trioecho.check.client.tls_socket import TlsPeerSocket
from trioecho.check.client.transcript import Transcript
from trioecho.check.client.wire import Wire

# Half-closes, half a frame, refusals, what is sent byte by byte, and backpressure: where TLS could differ.
TELLING = ("1.7", "2.1", "2.6", "3.1", "3.4", "4.1", "4.7", "5.1", "5.2", "5.3", "5.4", "7.2")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def server(files: Files) -> Iterator[ServerProcess]:
    with server_process(*files.options) as process:
        yield process


@contextmanager
def tls_server(serve: Callable[[ssl.SSLSocket], None]) -> Iterator[int]:
    """A server with a thread for each connection; its port."""

    def one(plain: socket.socket) -> None:
        with suppress(OSError), server_context().wrap_socket(plain, server_side=True) as connection:
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def echo(connection: ssl.SSLSocket) -> None:
    """Echo frames; at the client's end of the stream, end without what is due, as many libraries do."""
    received = b""
    while data := connection.recv(1 << 16):
        received += data
        while len(received) >= 4 and len(received) >= (size := 4 + int.from_bytes(received[:4], "big")):
            connection.sendall(received[:size])
            received = received[size:]


def without_half_close(connection: ssl.SSLSocket) -> None:
    """Echo what came when a moment has passed; the end of the stream is earlier, and ends all."""
    received = b""
    connection.settimeout(0.05)
    while True:
        try:
            data = connection.recv(1 << 16)
            if not data:
                return
            received += data
        except TimeoutError:
            if received:
                connection.settimeout(5)
                connection.sendall(received)
                connection.settimeout(0.05)
                received = b""


def test_trioecho_serve_is_right_under_tls(server: ServerProcess, files: Files, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ("--tls", "--cacert", files.client_ca, "--json", str(report))
    done = run_in_process("check", f"localhost:{server.port}", *TELLING, *options)
    assert (done.returncode, done.stderr) == (0, "")
    [document] = json.loads(report.read_text())["servers"]
    assert {case["verdict"] for case in document["results"]} == {"pass"}
    assert any(note.startswith("under TLS: TLSv1.3, ") for note in document["notes"])
    assert f"--tls --cacert {files.client_ca}" in document["results"][0]["reproduce"]


@pytest.mark.slow
def test_trioecho_serve_is_right_under_tls_in_every_case(files: Files) -> None:
    ours = shlex.join([sys.executable, *SERVE, "--port", "{port}", *files.options])
    words = ["check", "--spawn", ours, "--tls", "--cacert", files.client_ca]
    done = run_in_process(*words, guard_s=SUITE_GUARD_S)
    assert done.returncode == 0, done.stdout
    assert "53 passed; " in done.stdout


def test_servers_side_by_side_are_checked_under_tls(server: ServerProcess, files: Files) -> None:
    address = f"localhost:{server.port}"
    options = ("--tls", "--cacert", files.client_ca)
    done = run_in_process("check", f"one={address}", f"other={address}", "1.2", "5.1", *options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_server_without_half_close_is_not_blamed_for_it(files: Files) -> None:
    with tls_server(without_half_close) as port:
        done = run_in_process(
            "check", f"localhost:{port}", "1.2", "5.1", "-v", "--tls", "--cacert", files.client_ca
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TLS as this server has it has no half-close" in " ".join(done.stdout.split())


def test_what_is_wrong_is_found_under_tls(files: Files) -> None:
    def flip(connection: ssl.SSLSocket) -> None:
        while data := connection.recv(1 << 16):
            connection.sendall(data[:4] + bytes(each ^ 1 for each in data[4:]))

    with tls_server(flip) as port:
        done = run_in_process("check", f"localhost:{port}", "1.2", "--tls", "--cacert", files.client_ca)
    assert done.returncode == 1
    assert "✗ 1.2" in done.stdout


def test_a_server_that_is_not_trusted_is_one_line(server: ServerProcess, files: Files) -> None:
    done = run_in_process("check", f"localhost:{server.port}", "1.2", "--tls")
    assert done.returncode == 3
    assert "the server's certificate is not trusted: " in done.stderr
    assert done.stderr.endswith("with --cacert FILE, or trust any with --insecure\n")
    assert done.stderr.count("\n") == 1
    other = ("--cacert", files.client_ca, "--servername", "example.org")
    done = run_in_process("check", f"localhost:{server.port}", "1.2", "--tls", *other)
    assert "the server's certificate is for another name: " in done.stderr


def test_a_server_of_the_other_kind_is_named(server: ServerProcess) -> None:
    done = run_in_process("check", f"localhost:{server.port}", "1.2")
    assert done.returncode == 3
    assert done.stderr.endswith("this looks like a TLS server: give --tls\n")
    with server_process() as plain:
        done = run_in_process("check", f"{LOOPBACK}:{plain.port}", "1.2", "--tls", "-k")
    assert done.returncode == 3
    assert done.stderr.endswith("; without --tls, frames are sent plain\n")


def test_a_server_that_demands_a_certificate(files: Files) -> None:
    with server_process(*files.options, "--client-ca", files.client_ca) as strict:
        command = ["check", f"localhost:{strict.port}", "1.2", "--tls", "--cacert", files.client_ca]
        done = run_in_process(*command)
        assert done.returncode == 3
        assert "demands a certificate of its clients; give one with --certfile FILE" in done.stderr
        assert done.stderr.count("\n") == 1
        assert run_in_process(*command, "--certfile", files.client_certfile).returncode == 0


def test_clients_are_checked_without_tls() -> None:
    done = run_in_process("check", "--client", "client {host} {port}", "--tls")
    assert done.returncode == 2
    assert done.stderr == "trioecho check: --tls is for servers, and --client checks a client\n"


# ---- the socket ----


def peer_of(sock: trio.socket.SocketType, files: Files) -> Peer:
    tls = TlsClient(ClientTls(cacert=files.client_ca), "localhost")
    return Peer(TlsPeerSocket(sock, tls), Wire(), Transcript(), 1, 5.0)


async def connect(port: int) -> trio.socket.SocketType:
    sock = trio.socket.socket()
    await sock.connect((LOOPBACK, port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 13)
    return sock


async def test_all_that_counts_as_sent_comes_back_although_the_system_took_it_in_parts(files: Files) -> None:
    frame = Wire().frame(bytes(range(256)) * 2000)
    with tls_server(echo) as port, guarded():
        peer = peer_of(await connect(port), files)
        await peer.exchange([frame[:100_000], frame[100_000:], frame], frame + frame)
        sent = await peer.send_until_blocked(frame, 1 << 26, stall_s=0.2)
        # What the system took in part goes on its way while others wait to receive.
        whole = sent - sent % len(frame)
        await peer.expect(frame * (whole // len(frame)))
        peer.close()


async def test_a_server_that_does_not_shake_hands_is_silent(files: Files) -> None:
    with guarded():
        listener = trio.socket.socket()
        await listener.bind((LOOPBACK, 0))
        listener.listen(5)
        peer = peer_of(await connect(listener.getsockname()[1]), files)
        assert await peer.receive(within_s=0.3) is not None
        (await listener.accept())[0].close()
        with pytest.raises(Deviation, match="under TLS"):
            await peer.receive()
        peer.close()
        listener.close()
