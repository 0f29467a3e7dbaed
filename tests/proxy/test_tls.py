"""The proxy between sides under TLS: faults are of what is inside, and ends are passed on."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.guard import GUARD_S, guarded
from tests.support.in_process import run_in_process
from tests.support.processes import ServerProcess, server_process
from tests.support.proxies import ProxyProcess, proxy_process
from tests.support.sockets import receive_all, receive_exactly
from tests.support.tls import Files, client_context, write_files
from tests.support.wire import frame
from trioecho.testing import ProxyClient, ProxyCommandError, open_fault_proxy


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def plain_server() -> Iterator[ServerProcess]:
    with server_process() as process:
        yield process


@pytest.fixture(scope="module")
def tls_server(files: Files) -> Iterator[ServerProcess]:
    with server_process(*files.options) as process:
        yield process


def target(files: Files) -> tuple[str, ...]:
    return "--target-tls", "--target-cacert", files.client_ca, "--target-servername", "localhost"


@contextlib.contextmanager
def connected(proxy: ProxyProcess, *, under_tls: bool) -> Iterator[socket.socket]:
    with proxy.connect() as plain:
        plain.settimeout(GUARD_S)
        if not under_tls:
            yield plain
            return
        with client_context().wrap_socket(plain, server_hostname="localhost") as peer:
            yield peer


@pytest.mark.parametrize("listening", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("to_server", [False, True], ids=["plain", "tls"])
def test_what_is_inside_passes_between_sides_with_and_without_tls(
    listening: bool, to_server: bool, plain_server: ServerProcess, tls_server: ServerProcess, files: Files
) -> None:
    server = tls_server if to_server else plain_server
    options = (*(files.options if listening else ()), *(target(files) if to_server else ()))
    data = b"".join(frame(os.urandom(size)) for size in (0, 1, 70_000, 300_000))
    with proxy_process(server.port, *options) as proxy:
        with connected(proxy, under_tls=listening) as peer:
            for begin in range(0, len(data), 50_000):
                piece = data[begin : begin + 50_000]
                peer.sendall(piece)
            assert receive_exactly(peer, len(data)) == data
        assert proxy.stop() == 0
    assert f"bytes: {len(data):,} to the server, {len(data):,} to the client" in proxy.output


def test_a_fault_is_of_a_frame_inside(plain_server: ServerProcess, files: Files) -> None:
    with (
        proxy_process(
            plain_server.port, *files.options, "--corrupt", "--on-frame", "2", "--slice", "1-9"
        ) as proxy,
        connected(proxy, under_tls=True) as peer,
    ):
        good, bad = frame(b"good" * 50), frame(b"bad!" * 50)
        peer.sendall(good + bad)
        received = receive_exactly(peer, len(good + bad))
    assert received[: len(good)] == good
    differing = bytes(one ^ other for one, other in zip(received[len(good) :], bad, strict=True))
    # One bit on each of the two ways.
    assert sum(each.bit_count() for each in differing) in (0, 2)
    assert not any(differing[:4])


def test_without_options_tls_passes_as_it_is(tls_server: ServerProcess) -> None:
    with proxy_process(tls_server.port) as proxy, connected(proxy, under_tls=True) as peer:
        peer.sendall(frame(b"hello"))
        assert receive_exactly(peer, 9) == frame(b"hello")


def test_ends_of_streams_are_passed_on(tls_server: ServerProcess, files: Files) -> None:
    """The client ends its half by TLS, and gets the rest, and then the server's end."""
    with proxy_process(tls_server.port, *files.options, *target(files)) as proxy, proxy.connect() as plain:
        plain.settimeout(GUARD_S)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                peer.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(1 << 16))
        peer.write(frame(b"last"))
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.unwrap()
        plain.sendall(outgoing.read())
        plain.shutdown(socket.SHUT_WR)
        incoming.write(receive_all(plain))
        assert peer.read(100) == frame(b"last")
        with pytest.raises(ssl.SSLZeroReturnError):
            peer.read(100)


def test_load_through_both_loses_nothing(tls_server: ServerProcess, files: Files) -> None:
    options = ("--tls", "--cacert", files.client_ca, "--saturation", "warn", "-n", "50", "--size", "0-64KiB")
    with proxy_process(tls_server.port, *files.options, *target(files), "--slice", "1000-9000") as proxy:
        done = run_in_process(
            "load", f"localhost:{proxy.port}", *options, "--pipeline", "4", "--per-connection", "20"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "250 sent, 250 came back right" in done.stdout


@pytest.mark.slow
def test_connections_that_are_reset_while_they_are_closed_do_not_end_the_proxy(
    tls_server: ServerProcess, files: Files
) -> None:
    with proxy_process(tls_server.port, *files.options, *target(files)) as proxy:
        address = f"localhost:{proxy.port}"
        done = run_in_process("check", address, "--tls", "--cacert", files.client_ca, "7.3")
        assert done.returncode == 0, done.stdout + done.stderr
        assert proxy.stop() == 0


def test_recordings_are_of_what_is_inside(plain_server: ServerProcess, files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "record"
    with proxy_process(plain_server.port, *files.options, "--record-dir", str(folder)) as proxy:
        with connected(proxy, under_tls=True) as peer:
            peer.sendall(frame(b"hello"))
            assert receive_exactly(peer, 9) == frame(b"hello")
        proxy.stop()
    assert (folder / "1-to-server.frames").read_bytes() == frame(b"hello")
    assert (folder / "1-to-client.frames").read_bytes() == frame(b"hello")


def test_a_handshake_that_fails_is_one_line(
    plain_server: ServerProcess, tls_server: ServerProcess, files: Files
) -> None:
    with proxy_process(plain_server.port, *files.options) as proxy:
        with proxy.connect() as peer:
            peer.settimeout(GUARD_S)
            peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                receive_all(peer)
        proxy.stop()
    assert "connection 1: the TLS handshake with the client failed: the peer speaks no TLS: " in proxy.log
    with proxy_process(tls_server.port, "--target-tls") as proxy:
        with proxy.connect() as peer, contextlib.suppress(ConnectionError):
            peer.settimeout(GUARD_S)
            receive_all(peer)
        proxy.stop()
    assert (
        "connection 1: the TLS handshake with the server failed: the peer's certificate is not " in proxy.log
    )


def test_options_that_cannot_be_used_are_one_line(files: Files) -> None:
    for options, words in (
        (
            ["--target-cacert", "ca.pem"],
            "--target-cacert is for TLS: give --target-tls, too, or leave it out",
        ),
        (["--keyfile", files.keyfile], "--keyfile is for TLS: give --certfile, too, or leave it out"),
        (["--certfile", ""], "--certfile is a file, and not empty"),
        (
            ["--target-tls", "--target-cacert", "missing.pem"],
            "cannot read missing.pem, the certificates of the server's CA: No such file or directory",
        ),
    ):
        done = run_in_process("proxy", "127.0.0.1:1", "--port", "0", *options)
        assert done.returncode == 2
        assert done.stderr == f"trioecho proxy: {words}\n"


# ---- of each proxy of a file ----


def test_each_proxy_of_a_file_has_its_own_tls(
    tmp_path: Path, plain_server: ServerProcess, tls_server: ServerProcess, files: Files
) -> None:
    path = tmp_path / "proxies.toml"
    to_tls = (
        f"target = 'localhost:{tls_server.port}'\ntarget-tls = true\ntarget-cacert = '{files.client_ca}'\n"
    )
    of_clients = f"certfile = '{files.certfile}'\nkeyfile = '{files.keyfile}'\n"
    path.write_text(
        f"[[proxy]]\nname = 'inside'\n{to_tls}{of_clients}"
        f"[[proxy]]\nname = 'begins'\n{to_tls}target-alpn = ['echo/1']\n"
        f"[[proxy]]\nname = 'ends'\ntarget = 'localhost:{plain_server.port}'\n{of_clients}"
        "alpn = 'echo/2,echo/1'\n"
        f"[[proxy]]\nname = 'trusting'\ntarget = '127.0.0.1:{tls_server.port}'\ntarget-tls = true\n"
        "target-insecure = true\n"
        f"[[proxy]]\nname = 'strict'\n{to_tls}target-servername = 'elsewhere.example'\n"
    )
    with proxy_process(None, "--proxies", str(path)) as proxy:
        lines = [proxy.first_line, *(proxy.read_log_line() for _ in range(4))]
        ports = [int(line.rpartition(":")[2]) for line in lines]
        for port, under_tls in zip(ports[:4], (True, False, True, False), strict=True):
            with socket.create_connection(("127.0.0.1", port), GUARD_S) as plain:
                peer = (
                    client_context().wrap_socket(plain, server_hostname="localhost") if under_tls else plain
                )
                peer.sendall(frame(b"hello"))
                assert receive_exactly(peer, 9) == frame(b"hello")
                peer.close()
        with socket.create_connection(("127.0.0.1", ports[4]), GUARD_S) as refused:
            with contextlib.suppress(ConnectionResetError):
                assert receive_all(refused) == b""
        assert "strict: connection 1: the TLS handshake with the server failed" in proxy.read_log_line()


def test_a_proxy_of_a_file_has_the_tls_of_the_options_where_it_says_none(
    tmp_path: Path, plain_server: ServerProcess, tls_server: ServerProcess, files: Files
) -> None:
    path = tmp_path / "proxies.toml"
    path.write_text(
        f"[[proxy]]\nname = 'both'\ntarget = 'localhost:{tls_server.port}'\n"
        f"[[proxy]]\nname = 'plain'\ntarget = 'localhost:{plain_server.port}'\ntarget-tls = false\n"
    )
    with proxy_process(None, "--proxies", str(path), *files.options, *target(files)) as proxy:
        for line in (proxy.first_line, proxy.read_log_line()):
            with socket.create_connection(("127.0.0.1", int(line.rpartition(":")[2])), GUARD_S) as plain:
                with client_context().wrap_socket(plain, server_hostname="localhost") as peer:
                    peer.sendall(frame(b"hello"))
                    assert receive_exactly(peer, 9) == frame(b"hello")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("certfile = 'nowhere.pem'", "cannot read nowhere.pem, the certificate: "),
        ("certfile = ''", "certfile is a text, and not empty"),
        ("keyfile = 'key.pem'", "keyfile is for TLS: give certfile, too, or leave it out"),
        ("certfile = 'CERT'\nkeyfile = 'KEY'\ntls-min = '1.1'", "tls_min is 1.2 or 1.3, not '1.1'"),
        ("certfile = 'CERT'\nkeyfile = 'KEY'\nalpn = [7]", "alpn is a list of protocols, as 'echo/2,echo/1'"),
        (
            "target-cacert = 'ca.pem'",
            "target_cacert is for TLS: give target_tls = true, too, or leave it out",
        ),
        ("target-tls = 'yes'", "target_tls is true or false"),
        ("target-tls = true\ntarget-cacert = 'nowhere.pem'", "cannot read nowhere.pem, "),
        ("target-tls = true\ntarget-keyfile = 'key.pem'", "a keyfile is for a certificate"),
        ("target-tls = true\ntarget-servername = '.x'", "target_servername: '.x' is not the name of a host"),
        ("target-key = 'key.pem'", "a proxy has no 'target-key'; did you mean target_keyfile?"),
    ],
)
def test_tls_of_a_file_that_makes_no_sense_is_one_line(
    tmp_path: Path, files: Files, line: str, words: str
) -> None:
    path = tmp_path / "proxies.toml"
    line = line.replace("CERT", files.certfile).replace("KEY", files.keyfile)
    path.write_text(f"[[proxy]]\nname = 'a'\ntarget = 'b:1'\n{line}\n")
    done = run_in_process("proxy", "--proxies", str(path))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{path}: proxy 1: {words}" in done.stderr


async def test_a_proxy_of_a_test_speaks_tls(tls_server: ServerProcess, files: Files) -> None:
    tls = {"target_tls": True, "target_cacert": files.client_ca}
    async with open_fault_proxy(("localhost", tls_server.port), tls=tls) as proxy:
        async with await trio.open_tcp_stream(*proxy.address) as stream:
            with guarded():
                await stream.send_all(frame(b"hello"))
                received = b""
                while len(received) < 9:
                    received += await stream.receive_some()
    assert received == frame(b"hello")


def test_the_api_takes_and_shows_tls_and_does_not_change_it(tls_server: ServerProcess, files: Files) -> None:
    with proxy_process("127.0.0.1:1", "--admin", "127.0.0.1:0") as process:
        client = ProxyClient(process.read_log_line().split(" admin on ")[1].strip())
        tls = {
            "certfile": files.certfile,
            "keyfile": files.keyfile,
            "target_tls": True,
            "target_insecure": True,
        }
        proxy = client.add_proxy("one", f"localhost:{tls_server.port}", tls=tls)
        shown = client.request("GET", "/proxies/one")
        assert {key: shown[key] for key in tls} == tls
        with pytest.raises(ProxyCommandError, match="certfile stays; target, faults"):
            client.request("PATCH", "/proxies/one", {"certfile": "other.pem"})
        with socket.create_connection(proxy.address, GUARD_S) as plain:
            with client_context().wrap_socket(plain, server_hostname="localhost") as peer:
                peer.sendall(frame(b"hello"))
                assert receive_exactly(peer, 9) == frame(b"hello")
