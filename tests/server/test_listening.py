"""Where a service listens, as its options say it: ports, Unix sockets, descriptors."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.in_process import run_in_process
from tests.support.processes import (
    SERVE,
    SERVE_WITH_WORKERS,
    in_one_process_and_slowly_in_two,
    server_process,
)
from tests.support.slow import slow
from tests.support.sockets import LOOPBACK, echoes
from tests.support.wire import frame

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")

# The workers import it.
PROGRAM = """
import sys
from trioecho import run_service

def shout(message: bytes) -> bytes:
    return message.upper()

if __name__ == "__main__":
    sys.exit(run_service(shout, listen=["127.0.0.1:0", "unix:" + sys.argv[1]], unix_mode=0o640, WORKERS))
"""


@in_one_process_and_slowly_in_two
def test_each_address_is_served_and_said(command: tuple[str], tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    listen = (f"{LOOPBACK}:0", f"unix:{path}", "[::1]:0")
    with server_process("--unix-mode", "0640", listen=listen, command=command) as server:
        assert [each.rpartition(":")[0] for each in server.addresses] == [LOOPBACK, "unix", "[::1]"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for place in range(3):
            with server.connect(place) as peer:
                assert echoes(peer, frame(b"hello"))
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 3
    assert list(tmp_path.iterdir()) == []


def test_a_number_is_the_port_of_the_hosts() -> None:
    with server_process("--host", "::1", "--host", LOOPBACK, listen=["0"]) as server:
        assert server.addresses == [f"[::1]:{server.port}", f"{LOOPBACK}:{server.port}"]
        assert server.stop() == 0


@pytest.mark.parametrize("address", [":0", "[::]:0"])
def test_both_families_are_served(address: str) -> None:
    both = server_process(*(("--ipv6only", "off") if address != ":0" else ()), listen=[address])
    with both as server:
        for host in (LOOPBACK, "::1"):
            with socket.create_connection((host, server.port), GUARD_S) as peer:
                assert echoes(peer, frame(b"hello"))
        assert server.stop() == 0
    assert "IPv6 only" not in server.log


def test_every_address_is_one_socket_where_it_has_both_families() -> None:
    with server_process("--ipv6only", "off", listen=[":0"]) as server:
        assert server.addresses == [f"[::]:{server.port}"]
        assert server.stop() == 0


@pytest.mark.parametrize("command", [SERVE, slow(SERVE_WITH_WORKERS)], ids=["one process", "workers"])
def test_a_descriptor_is_served(command: tuple[str]) -> None:
    with socket.create_server((LOOPBACK, 0)) as opened:
        number, (host, port) = opened.fileno(), opened.getsockname()
        with server_process(listen=[f"fd://{number}"], command=command, pass_fds=[number]) as server:
            assert server.addresses == [f"{host}:{port}"]
            with server.connect() as peer:
                assert echoes(peer, frame(b"hello"))
            assert server.stop() == 0


def test_the_file_is_relative_to_where_the_service_was_started(tmp_path: Path) -> None:
    with server_process(listen=["unix:echo.sock"], cwd=tmp_path) as server:
        assert server.addresses == ["unix:echo.sock"]
        assert (tmp_path / "echo.sock").is_socket()
        assert server.stop() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_a_killed_service_has_left_is_replaced(tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/echo.sock"]
    with server_process(listen=listen) as killed:
        killed.stop(signal.SIGKILL)
    assert (tmp_path / "echo.sock").is_socket()
    with server_process(listen=listen) as server:
        with server.connect() as peer:
            assert echoes(peer, frame(b"hello"))
        result = run_in_process("serve", "--listen", listen[0])
        assert result.returncode == 3
        assert f"cannot listen on {listen[0]}: another program listens there" in result.stderr
        assert server.stop() == 0


def test_nothing_is_left_of_a_service_that_could_not_start(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        where = f"{LOOPBACK}:{taken.getsockname()[1]}"
        result = run_in_process("serve", "--listen", f"unix:{tmp_path}/echo.sock", "--listen", where)
    assert result.returncode == 3
    assert result.stderr.startswith(
        f"trioecho serve: cannot listen on {where}: another program holds the port"
    )
    assert result.stderr.endswith("or choose another port; 0 is any that is free\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("0.0.0.0", LOOPBACK),  # noqa: S104 - refused
        (LOOPBACK, "0.0.0.0"),  # noqa: S104 - refused
        (LOOPBACK, "localhost"),
    ],
)
def test_an_address_in_another_one_of_the_service_is_not_said_to_be_another_programs(
    first: str, second: str
) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
    result = run_in_process("serve", "--listen", f"{first}:{port}", "--listen", f"{second}:{port}")
    assert result.returncode == 3
    assert result.stderr == (
        f"trioecho serve: cannot listen on {second}:{port}: this service listens on {first}:{port} already; "
        "leave one of them out\n"
    )


def test_an_address_of_the_other_family_does_not_hide_another_program() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:  # noqa: S104 - nobody connects
        port = taken.getsockname()[1]
        result = run_in_process("serve", "--listen", f"[::1]:{port}", "--listen", f"0.0.0.0:{port}")
    assert result.returncode == 3
    assert f"cannot listen on 0.0.0.0:{port}: another program holds the port" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ("--listen nowhere", 2, "'nowhere' is not an address to listen on"),
        ("--listen 70000", 2, "'70000' is not a port"),
        ("--listen 1 --port 2", 2, "argument --port: not allowed with argument --listen"),
        ("--listen unix:/x --host ::1", 2, "--listen has the host: leave out --host"),
        ("--listen fd://77", 3, "cannot listen on fd://77: it is not open"),
        ("--listen [fe80::1]:0", 3, "a link-local address needs its interface, as fe80::1%eth0"),
        ("--listen unix:/nowhere/x", 3, "cannot listen on unix:/nowhere/x: there is no folder /nowhere"),
        ("--listen unix:" + "x" * 108, 2, "107 at most"),
        ("--unix-mode 0660", 2, "--unix-mode is for a Unix socket"),
        ("--unix-owner root", 2, "--unix-owner is for a Unix socket"),
        (
            "--listen unix:@x --unix-mode 0600",
            2,
            "and unix:@x has none, so every user of this machine may connect:",
        ),
        ("--listen unix:@x --unix-owner root", 2, "--unix-owner is for a Unix socket that has a file, and"),
        ("--listen unix:x --unix-mode 0888", 2, "'0888' is no mode of a socket"),
        ("--listen unix:x --unix-owner nobody-here", 2, "no user 'nobody-here'"),
        ("--ipv6only maybe", 2, "is not one of on, off"),
    ],
)
def test_what_cannot_be_listened_on_is_one_line(words: str, code: int, reason: str) -> None:
    result = run_in_process("serve", *words.split())
    assert result.returncode == code
    assert result.stderr.startswith("trioecho serve: ")
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_descriptor_that_does_not_listen_is_one_line() -> None:
    with socket.socket() as opened:
        result = run_in_process("serve", "--listen", f"fd://{opened.fileno()}")
        assert result.returncode == 3
        assert "it does not listen for TCP connections, nor for those of a Unix socket\n" in result.stderr
        opened.getsockname()  # it is still open


@pytest.mark.parametrize("workers", ["workers=1", slow("workers=2")])
def test_a_program_listens_where_it_says(tmp_path: Path, workers: str) -> None:
    program, path = tmp_path / "shop.py", tmp_path / "shop.sock"
    program.write_text(PROGRAM.replace("WORKERS", workers))
    process = subprocess.Popen(
        [sys.executable, program, path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stderr is not None
        assert process.stderr.readline().endswith(f" and unix:{path}\n")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(GUARD_S)
            peer.connect(str(path))
            peer.sendall(frame(b"hello"))
            assert peer.recv(100) == frame(b"HELLO")
        process.send_signal(signal.SIGTERM)
        assert process.wait(GUARD_S) == 0
    assert not path.exists()


def test_a_program_that_cannot_listen_gets_an_error(tmp_path: Path) -> None:
    from trioecho import run_service

    with pytest.raises(ValueError, match="listen: 'nowhere' is not an address to listen on"):
        run_service(bytes.upper, listen="nowhere")
    with pytest.raises(ValueError, match="unix_owner: 'nobody-here' is no owner"):
        run_service(bytes.upper, listen="unix:x", unix_owner="nobody-here")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        run_service(bytes.upper, listen=f"unix:{tmp_path}/nowhere/x")
    assert list(tmp_path.iterdir()) == []
