"""``trioecho client`` and ``send`` under TLS: what works, and each failure in a line that says what to do."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import ServerProcess, run_command, server_process
from tests.support.sockets import receive_all
from tests.support.tls import Files, other_authority, write_files

NO_TRUST = "give the certificate of its CA with --cacert FILE, or trust any with --insecure"
NEEDS_ONE = (
    "demands a certificate of its clients; give one with --certfile FILE, and its key with --keyfile FILE"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def server(files: Files) -> Iterator[ServerProcess]:
    with server_process(*files.options) as process:
        yield process


@pytest.fixture(scope="module")
def strict_server(files: Files) -> Iterator[ServerProcess]:
    with server_process(*files.options, "--client-ca", files.client_ca) as process:
        yield process


def command_of(name: str, port: int) -> list[str]:
    return [name, f"localhost:{port}", *(["hello"] if name == "send" else ["-n", "3"])]


each_command = pytest.mark.parametrize("name", ["client", "send"])


@each_command
@pytest.mark.parametrize("way", ["trusted", "insecure", "as 127.0.0.1"])
def test_a_server_that_is_trusted_is_talked_to(
    name: str, way: str, server: ServerProcess, files: Files
) -> None:
    how = {
        "trusted": ["--cacert", files.client_ca],
        "insecure": ["-k"],
        "as 127.0.0.1": ["--cacert", files.client_ca, "--servername", "127.0.0.1"],
    }[way]
    done = run_in_process(*command_of(name, server.port), "--tls", *how)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("hello\n" if name == "send" else f"localhost:{server.port}: all 3 messages")


@each_command
def test_a_client_has_a_certificate_where_one_is_demanded(
    name: str, strict_server: ServerProcess, files: Files
) -> None:
    command = [*command_of(name, strict_server.port), "--tls", "--cacert", files.client_ca]
    assert run_in_process(*command, "--certfile", files.client_certfile).returncode == 0
    assert run_in_process(*command, "--cert", files.client_certfile).returncode == 0  # curl's name
    done = run_in_process(*command)
    assert done.returncode == 3
    assert done.stderr == f"trioecho {name}: localhost:{strict_server.port} {NEEDS_ONE}\n"


@each_command
def test_what_is_not_trusted_is_not_talked_to(name: str, server: ServerProcess, files: Files) -> None:
    begin = f"trioecho {name}: cannot connect to localhost:{server.port}: the peer's certificate is "
    done = run_in_process(*command_of(name, server.port), "--tls")
    assert done.returncode == 3
    assert done.stderr.startswith(f"{begin}not trusted: ")
    assert done.stderr.endswith(f"; {NO_TRUST}\n")
    other = ["--cacert", files.client_ca, "--servername", "example.org"]
    done = run_in_process(*command_of(name, server.port), "--tls", *other)
    assert done.returncode == 3
    assert done.stderr == (
        f"{begin}for another name: Hostname mismatch, certificate is not valid for 'example.org'; "
        "give a name that it is for with --servername NAME\n"
    )


@each_command
def test_without_the_option_a_server_under_tls_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, server: ServerProcess
) -> None:
    monkeypatch.setattr("trioecho.client.asking._PATIENCE_S", GUARD_S)
    done = run_in_process(*command_of(name, server.port))
    assert done.returncode == 3
    assert done.stderr == f"trioecho {name}: localhost:{server.port} is a TLS server: give --tls\n"


@contextlib.contextmanager
def plain_server(reply: bytes) -> Iterator[int]:
    """A server without TLS that sends this when something comes, and closes; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD_S)

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(GUARD_S)
            with connection:
                connection.recv(1 << 16)
                connection.sendall(reply)
                connection.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):
                    receive_all(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@each_command
@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "the service has closed the connection without a word, so it may speak no TLS"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "the peer speaks no TLS: it begins an HTTP response; is the peer an HTTP server?",
        ),
    ],
)
def test_a_server_that_speaks_no_tls(name: str, reply: bytes, words: str) -> None:
    with plain_server(reply) as port:
        command = [name, f"127.0.0.1:{port}", *(["hello"] if name == "send" else [])]
        done = run_in_process(*command, "--tls", "-k")
    assert done.returncode == 3
    begin = f"trioecho {name}: cannot connect to 127.0.0.1:{port}: "
    assert done.stderr == f"{begin}{words}; without --tls, frames are sent plain\n"


@each_command
def test_options_and_files_that_cannot_be_used_are_one_line(name: str, files: Files) -> None:
    key = str(files.folder / "key.pem")
    for options, words in (
        (["--cacert", "ca.pem"], "--cacert is for TLS: give --tls, too, or leave it out"),
        (["-k"], "--insecure is for TLS: give --tls, too, or leave it out"),
        (["--tls", "--keyfile", key], "--keyfile is for a certificate: give that with --certfile FILE"),
        (["--tls", "--servername", ""], "--servername is a name, and not empty"),
        (["--tls", "--cacert", key], f"{key} has no certificate in PEM in it"),
        (
            ["--tls", "--cacert", "missing.pem"],
            "cannot read missing.pem, the certificates of the server's CA: No such file or directory",
        ),
        (
            ["--tls", "--certfile", files.certfile],
            f"{files.certfile} has no private key in PEM in it; give the file that has it (keyfile)",
        ),
    ):
        done = run_in_process(*command_of(name, 1), *options)
        assert done.returncode == 2
        assert done.stderr == f"trioecho {name}: {words}\n"


@each_command
def test_a_certificate_that_the_server_does_not_trust(
    name: str, strict_server: ServerProcess, files: Files, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.pem"
    other_authority().issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(str(mine))
    command = [*command_of(name, strict_server.port), "--tls", "--cacert", files.client_ca]
    done = run_in_process(*command, "--certfile", str(mine))
    assert done.returncode == 3
    begin = (
        f"trioecho {name}: localhost:{strict_server.port} refuses the certificate of --certfile: it does not"
    )
    assert done.stderr.startswith(begin)
    assert done.stderr.endswith("; give one that the server trusts\n")
    assert done.stderr.count("\n") == 1


def test_the_keys_of_a_connection_are_written_where_the_environment_says(
    server: ServerProcess, files: Files, tmp_path: Path
) -> None:
    keys = tmp_path / "keys.log"
    command = [*command_of("send", server.port), "--tls", "--cacert", files.client_ca]
    done = run_command(*command, env=os.environ | {"SSLKEYLOGFILE": str(keys)})
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert "CLIENT_TRAFFIC_SECRET_0 " in keys.read_text()
    done = run_command(*command, env=os.environ | {"SSLKEYLOGFILE": str(tmp_path / "no" / "keys.log")})
    assert done.returncode == 2
    assert done.stderr.startswith("trioecho send: cannot write ")
    assert len(done.stderr.splitlines()) == 1


def test_the_lines_of_stdin_are_sent_and_then_this_half_ends(server: ServerProcess, files: Files) -> None:
    command = [*command_of("send", server.port)[:2], "--tls", "--cacert", files.client_ca]
    done = subprocess.run(
        [sys.executable, "-m", "trioecho", *command],
        input="one\ntwo\n",
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "one\ntwo\n")
