"""A service on a Unix socket: what differs from TCP (test_serve_command has what does not)."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import trio

from tests.support.guard import GUARD_S
from tests.support.processes import (
    SERVE_WITH_WORKERS,
    in_one_process_and_slowly_in_two,
    server_process,
    suspend,
)
from tests.support.serving import serving
from tests.support.sockets import echoes, receive_all
from tests.support.wire import frame
from trioecho import ConnectionInfo, reply_per_connection

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")


@in_one_process_and_slowly_in_two
def test_large_frames_come_back(command: tuple[str], tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/echo.sock"]
    data = b"".join(frame(os.urandom(1 << size)) for size in range(24)) + frame(b"")
    with server_process("--max-frame-length", "8MiB", command=command, listen=listen) as server:
        with server.connect() as peer:
            assert echoes(peer, data * 2)
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 50
    assert server.reports[-1]["errors"] == {}


def test_the_log_names_a_peer_by_its_number_and_process(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with server_process(listen=[f"unix:{path}"]) as server:
        for number in (1, 2):
            with server.connect() as peer:
                peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert receive_all(peer) == b""
            assert f" unix:{path} #{number} (process {os.getpid()}): " in server.read_log_line()
        assert server.stop() == 0


async def test_a_peer_has_no_address(tmp_path: Path) -> None:
    path, seen = f"{tmp_path}/echo.sock", list[ConnectionInfo]()

    def reply_to(connection: ConnectionInfo) -> object:
        seen.append(connection)
        return bytes.upper

    listening = trio.socket.socket(socket.AF_UNIX)
    await listening.bind(path)
    listening.listen()
    async with serving(reply_per_connection(reply_to), [trio.SocketListener(listening)]):  # type: ignore[arg-type]  # of any message
        async with await trio.open_unix_socket(path) as client:
            await client.send_all(frame(b"hello"))
            assert await client.receive_some() == frame(b"HELLO")
    [connection] = seen
    assert connection.address is None
    assert connection.peer == f"unix:{path} #1 (process {os.getpid()})"


def test_who_was_queued_when_the_drain_began_is_served(tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/echo.sock"]
    with server_process(listen=listen) as server:
        suspend(server.process.pid)
        queued = [server.connect() for _ in range(20)]
        for peer in queued:
            peer.sendall(frame(b"queued"))
        server.send_signal()
        server.send_signal(18)  # SIGCONT
        for peer in queued:
            assert receive_all(peer) == frame(b"queued")
            peer.close()
        assert server.wait() == 0
    assert list(tmp_path.iterdir()) == []


def test_who_comes_during_a_drain_finds_no_socket_and_who_was_there_is_served(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with server_process(listen=[f"unix:{path}"]) as server, server.connect() as peer:
        peer.sendall(frame(b"hello") + frame(b"unfinished")[:6])
        assert peer.recv(9) == frame(b"hello")
        server.send_signal()
        assert "draining 1 connection" in server.read_log_line()
        while path.exists():
            os.sched_yield()
        peer.sendall(frame(b"unfinished")[6:])
        assert receive_all(peer) == frame(b"unfinished")
        assert server.wait() == 0


@pytest.mark.slow
def test_workers_accept_from_one_socket(tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/echo.sock"]
    with server_process(command=SERVE_WITH_WORKERS, listen=listen) as server:
        peers = [server.connect() for _ in range(60)]
        for peer in peers:
            assert echoes(peer, frame(b"hello"))
        for peer in peers:
            peer.sendall(frame(b"unfinished")[:6])
        server.send_signal()
        assert "SIGTERM: draining " in server.read_log_line()
        for peer in peers:
            peer.sendall(frame(b"unfinished")[6:])
            assert receive_all(peer) == frame(b"unfinished")
            peer.close()
        assert server.wait() == 0
    assert server.reports[-1]["messages_total"] == 2 * len(peers)
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_service_is_left(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with server_process(listen=[f"unix:{path}"]) as server:
        path.unlink()
        with server_process(listen=[f"unix:{path}"]) as another:
            assert server.stop() == 0
            with another.connect() as peer:
                peer.settimeout(GUARD_S)
                assert echoes(peer, frame(b"hello"))
            assert another.stop() == 0
    assert not path.exists()
