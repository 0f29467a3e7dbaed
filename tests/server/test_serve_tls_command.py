"""``trioecho serve --certfile``, as a stranger meets it: real sockets, real signals."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.guard import GUARD_S
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
from tests.support.slow import slow
from tests.support.sockets import receive_all, receive_exactly
from tests.support.tls import Files, authority, client_context, days_ago, write_files
from tests.support.tls_by_hand import TlsPeer, shake_hands
from tests.support.wire import frame, whole_frames


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return write_files(tmp_path)


def connect(server: ServerProcess, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    below = server.connect()
    try:
        return (context or client_context()).wrap_socket(below, server_hostname="localhost")
    except BaseException:
        below.close()
        raise


def number_of(certificate: trustme.LeafCert) -> bytes:
    """The certificate itself, as a peer gets it."""
    return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


def echoes(peer: ssl.SSLSocket, data: bytes) -> bool:
    """Send frames that fit into the kernel's buffers: no two threads may use one connection of OpenSSL."""
    peer.sendall(data)
    return receive_exactly(peer, len(data)) == data


@in_one_process_and_slowly_in_two
def test_echoes_under_tls_and_counts_exactly(command: tuple[str], files: Files) -> None:
    with server_process(*files.options, command=command) as server:
        with connect(server) as peer:
            assert echoes(peer, frame(b"hello") + frame(b"") + frame(bytes(60_000)))
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 3
    assert server.reports[-1]["errors"] == {}


@pytest.mark.slow
def test_the_oldest_version_and_the_ciphers_are_those_of_the_options(files: Files) -> None:
    cipher = "ECDHE-ECDSA-AES256-GCM-SHA384"
    with server_process(*files.options, "--ciphers", cipher) as server:
        older = client_context()
        older.maximum_version = ssl.TLSVersion.TLSv1_2
        with connect(server, older) as peer:
            assert echoes(peer, frame(b"hello"))
            assert (peer.version(), (peer.cipher() or ("",))[0]) == ("TLSv1.2", cipher)
        server.stop()
    with server_process(*files.options, "--tls-min", "1.3") as server:
        with pytest.raises(ssl.SSLError):
            connect(server, older)
        with connect(server) as peer:
            assert echoes(peer, frame(b"hello"))
        server.stop()
    assert server.reports[-1]["errors"] == {"tls_handshake_failed": 1}
    assert "the TLS handshake failed: the peer speaks no version of TLS that is spoken here" in server.log


@in_one_process_and_slowly_in_two
def test_who_has_no_certificate_is_refused_where_one_is_demanded(command: tuple[str], files: Files) -> None:
    with server_process(*files.options, "--client-ca", files.client_ca, command=command) as server:
        with connect(server, client_context(with_certificate=True)) as peer:
            assert echoes(peer, frame(b"hello"))
        # With TLS 1.3, the client learns of it only when it receives.
        with connect(server) as stranger, pytest.raises(ssl.SSLError, match="certificate required"):
            stranger.recv(1)
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"tls_handshake_failed": 1}
    assert "the peer has sent no certificate, and needs one here" in server.log


@in_one_process_and_slowly_in_two
def test_a_peer_that_never_says_hello_frees_its_place(command: tuple[str], files: Files) -> None:
    options = (*files.options, "--tls-handshake-timeout", "0.1s", "--max-connections", "2")
    with server_process(*options, command=command) as server:
        silent = [server.connect() for _ in range(4)]  # more than there are places
        for peer in silent:
            assert receive_all(peer) == b""
            peer.close()
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"tls_handshake_timeout": 4}
    assert server.log.count("the TLS handshake did not begin within 0.1 s") == 4


# ---- files that cannot be used ----


def test_what_is_wrong_is_one_line_and_nothing_listens(files: Files, tmp_path: Path) -> None:
    cert, key = files.certfile, files.keyfile
    old = write_files_of_old(tmp_path)
    for options, words in (
        (
            ("--certfile", "missing.pem"),
            "cannot read missing.pem, the certificate: No such file or directory",
        ),
        (
            ("--certfile", cert),
            f"{cert} has no private key in PEM in it; give the file that has it (keyfile)",
        ),
        (old.options, f"the certificate in {old.certfile} has expired (openssl x509 -enddate"),
        (("--certfile", cert, "--keyfile", old.keyfile), f"the key in {old.keyfile} does not fit the"),
        ((*files.options, "--client-ca", key), f"{key} has no certificate in PEM in it"),
        ((*files.options, "--ciphers", "NONE"), "OpenSSL knows no cipher 'NONE'"),
        (("--keyfile", key), "--keyfile is for TLS: give --certfile, too, or leave it out"),
        (("--tls-min", "1.3"), "--tls-min is for TLS: give --certfile, too"),
    ):
        done = run_in_process("serve", "--port", "0", *options)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith(f"trioecho serve: {words}")
        assert len(done.stderr.splitlines()) == 1


def write_files_of_old(folder: Path) -> Files:
    (folder / "old").mkdir()
    return write_files(folder / "old", authority().issue_cert("localhost", not_after=days_ago(1)))


@in_one_process_or_two
def test_the_files_are_looked_at_before_the_handler_starts(
    command: tuple[str], files: Files, tmp_path: Path
) -> None:
    handler = tmp_path / "shop.py"
    handler.write_text(
        "import contextlib\n"
        "@contextlib.asynccontextmanager\n"
        "async def shop():\n"
        "    print('entered', flush=True)\n"
        "    yield bytes.upper\n"
    )
    Path(files.keyfile).unlink()
    done = run_command("serve", *command[3:], f"{handler}:shop", "--port", "0", *files.options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"cannot read {files.keyfile}, the key" in done.stderr


# ---- SIGHUP ----


@in_one_process_or_two
def test_a_hangup_has_the_files_read_again_for_new_connections(command: tuple[str], files: Files) -> None:
    with server_process(*files.options, command=command) as server, connect(server) as old:
        assert echoes(old, frame(b"one"))
        newer = authority().issue_cert("localhost")
        files.write(newer)
        server.send_signal(1)
        assert f"SIGHUP: {files.certfile} was read again, for new connections" in server.read_log_line()
        until = time.monotonic() + GUARD_S
        while True:  # workers read it a little later
            with connect(server) as new:
                assert echoes(new, frame(b"two"))
                if new.getpeercert(binary_form=True) == number_of(newer):
                    break
            assert time.monotonic() < until
        assert echoes(old, frame(b"three"))
        old.close()
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {}


@in_one_process_and_slowly_in_two
def test_files_that_cannot_be_used_leave_all_as_it_was(command: tuple[str], files: Files) -> None:
    good = Path(files.certfile).read_bytes()
    with server_process(*files.options, command=command) as server:
        Path(files.certfile).write_text("nothing")
        server.send_signal(1)
        line = server.read_log_line()
        words = f"SIGHUP: {files.certfile} has no certificate in PEM in it; the certificate stays as it was"
        assert words in line
        with connect(server) as peer:
            assert echoes(peer, frame(b"hello"))
            assert peer.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(
                good.decode().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
            )
        assert server.stop() == 0


def test_a_worker_waits_for_files_that_can_be_used_and_says_why(files: Files) -> None:
    good = Path(files.certfile).read_text()
    with server_process(*files.options, command=SERVE_WITH_WORKERS) as server:
        Path(files.certfile).write_text("nothing")
        os.kill(children_of(server.process.pid)[0], signal.SIGKILL)
        assert "was ended by SIGKILL; starting another" in server.read_log_line()
        why = f"before it could serve: {files.certfile} has no certificate in PEM in it; starting another"
        assert why in server.read_log_line()
        Path(files.certfile).write_text(good)
        assert server.stop() == 0


# ---- the drain ----


@in_one_process_and_slowly_in_two
def test_a_drain_echoes_what_has_come_and_finishes_a_frame_that_has_begun(
    command: tuple[str], files: Files
) -> None:
    with server_process(*files.options, "--grace", "60s", command=command) as server:
        with connect(server) as idle, connect(server) as peer:
            assert echoes(idle, frame(b"one"))
            peer.sendall(frame(b"two") + frame(b"hello")[:6])
            assert receive_exactly(peer, 7) == frame(b"two")
            server.send_signal()
            assert receive_all(idle) == b""  # which is the end that TLS says, or it would be an error
            peer.sendall(frame(b"hello")[6:])
            assert receive_all(peer) == frame(b"hello")
        assert server.wait() == 0
    assert server.reports[-1]["messages_total"] == 3
    assert server.reports[-1]["errors"] == {}


@in_one_process_and_slowly_in_two
def test_each_client_of_a_drain_gets_an_exact_prefix(command: tuple[str], files: Files) -> None:
    sent = b"".join(frame(b"%d" % number * 20) for number in range(800))  # fits into the kernel's buffers
    with server_process(*files.options, command=command) as server, contextlib.ExitStack() as opened:
        peers = [opened.enter_context(connect(server)) for _ in range(4)]
        for peer in peers:
            peer.sendall(sent)
        received = [receive_exactly(peer, 100) for peer in peers]
        server.send_signal()
        received = [begun + receive_all(peer) for begun, peer in zip(received, peers, strict=True)]
        opened.close()
        assert server.wait() == 0
    messages = 0
    for echoed in received:
        assert sent.startswith(echoed)
        messages += len(whole_frames(echoed))
        assert b"".join(frame(payload) for payload in whole_frames(echoed)) == echoed
    assert server.reports[-1]["messages_total"] == messages


def test_a_peer_that_stops_inside_a_record_is_waited_for_as_one_inside_a_frame(files: Files) -> None:
    clocks = ("--grace", "0", "--frame-timeout", "0.3s")
    with server_process(*files.options, *clocks) as server, server.connect() as plain:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                peer.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(1 << 16))
        peer.write(frame(b"one"))
        plain.sendall(outgoing.read())
        while True:
            try:
                assert peer.read(7) == frame(b"one")
                break
            except ssl.SSLWantReadError:
                incoming.write(plain.recv(1 << 16))
        peer.write(frame(b"two"))
        plain.sendall(outgoing.read()[:-1])
        assert server.stop() == 0


def test_past_the_grace_what_is_unfinished_is_aborted(files: Files) -> None:
    with server_process(*files.options, "--grace", "0.1s") as server, connect(server) as peer:
        peer.sendall(frame(b"one") + frame(b"hello")[:6])
        assert receive_exactly(peer, 7) == frame(b"one")
        assert server.stop() == 4
    assert server.reports[-1]["errors"] == {"aborted": 1}


@pytest.mark.parametrize("length", [96, 5000])
@pytest.mark.parametrize(
    ("command", "signals"),
    [(SERVE, 1), (SERVE, 2), slow(SERVE_WITH_WORKERS, 1)],
    ids=["one process", "two signals", "workers"],
)
def test_what_is_counted_at_an_abort_is_what_a_peer_can_read_that_has_not_read_before(
    command: tuple[str], length: int, signals: int, files: Files, tmp_path: Path
) -> None:
    """A Unix socket gives its peer all that was accepted, also after the end."""
    where = ("--grace", "0.1s") if signals == 1 else ("--grace", "1h")
    listen = [f"unix:{tmp_path}/echo.sock"]
    with server_process(*files.options, *where, listen=listen, command=command) as server:
        plain, peer = server.connect(), TlsPeer()
        shake_hands(peer, plain)
        plain.settimeout(0.5)
        with contextlib.suppress(TimeoutError):  # the server does not read on, as nobody takes its echoes
            while True:
                plain.sendall(peer.records(frame(bytes(length)) * (60_000 // length)))
        plain.settimeout(GUARD_S)
        server.send_signal()
        assert "SIGTERM" in server.read_log_line()
        if signals == 2:
            server.send_signal()
        code = server.wait()
        with contextlib.suppress(ConnectionResetError):
            received = 0
            while raw := plain.recv(1 << 16):
                received += len(peer.decrypt(raw))
        plain.close()
    assert code == (4 if signals == 1 else 130)
    assert server.reports[-1]["messages_total"] == received // (4 + length) > 0


# ---- bad peers ----


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    files = write_files(tmp_path_factory.mktemp("files"))
    with server_process(*files.options, command=SERVE) as server:
        yield server


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "it begins an HTTP request; is the peer an HTTP client?"),
        (frame(b"hello"), "is no TLS; does the peer send frames without TLS?"),
        (b"\x16\x03\x01\0\5\x1b[31m", "TLS: "),
    ],
)
def test_a_peer_without_tls_is_one_line(sent: bytes, words: str, tls_server: ServerProcess) -> None:
    with tls_server.connect() as peer:
        peer.sendall(sent)
        peer.shutdown(socket.SHUT_WR)
        receive_all(peer)
        line = tls_server.read_log_line()
    assert "the TLS handshake failed: " in line
    assert words in line
    assert line[:-1].isprintable()


def test_who_does_not_trust_the_certificate_is_one_line(tls_server: ServerProcess) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(tls_server, ssl.create_default_context())
    assert "the peer does not trust the certificate of this side (unknown CA)" in tls_server.read_log_line()


@in_one_process_or_two
def test_the_protocol_that_both_speak_is_agreed_on(command: tuple[str], files: Files) -> None:
    with server_process(*files.options, "--alpn", "echo/2,echo/1", command=command) as server:
        for offered, agreed in ((["echo/1", "echo/2"], "echo/2"), (["h2"], None), ([], None)):
            context = client_context()
            if offered:
                context.set_alpn_protocols(offered)
            with connect(server, context) as peer:
                assert peer.selected_alpn_protocol() == agreed
                assert echoes(peer, frame(b"hello"))
