"""Each command that connects to a server connects to a Unix socket as well."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import trio

from tests.support.guard import GUARD_S, guarded
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.proxies import proxy_process
from tests.support.sockets import echoes
from tests.support.wire import frame
from trioecho import EndOfMessagesError, open_frame_channel, open_frame_client
from trioecho.base.connect import open_stream
from trioecho.base.endpoint import why_not_connected
from trioecho.load.engine.dialing import SocketDialer
from trioecho.load.engine.poller import open_poller

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    path = tmp_path_factory.mktemp("unix") / "echo.sock"
    with server_process("--metrics-interval", "0", listen=[f"unix:{path}"]) as running:
        yield running.addresses[0]
        assert running.stop() == 0


def test_the_client_verifies_echoes(server: str) -> None:
    result = run_in_process("client", server, "-n", "20", "--size", "0-64KiB")
    assert result.returncode == 0
    assert result.stdout.startswith(f"{server}: all 20 messages (0 to 65536 B) came back right\n")


def test_messages_of_ones_own_are_sent(server: str) -> None:
    assert run_in_process("send", server, "hello").stdout == "hello\n"


@pytest.mark.parametrize("churn", [(), ("--reconnect", "--per-connection", "10")])
def test_a_load_and_its_results_name_the_socket(server: str, tmp_path: Path, churn: tuple[str, ...]) -> None:
    file = tmp_path / "result.json"
    result = run_in_process("load", server, "-c", "5", "-n", "50", "--json", str(file), *churn)
    assert result.returncode == 0
    assert result.stdout.startswith(f"{server}: 5 connections")
    document = json.loads(file.read_text())
    assert (document["plan"]["host"], document["plan"]["port"]) == (server, 0)
    assert document["messages"] == 250
    again = run_in_process("report", "merge", str(file))
    assert again.returncode == 0
    assert again.stdout.startswith(f"{server}: 5 connections")


def test_a_server_is_checked(server: str) -> None:
    result = run_in_process("check", server, "1", "5")
    assert result.returncode == 0
    assert f"{server} is conformant." in " ".join(result.stdout.split())
    named = run_in_process("check", f"mine={server}", "1.2")
    assert named.returncode == 0
    assert "mine is conformant." in " ".join(named.stdout.split())


def test_the_proxy_passes_on_to_it(server: str) -> None:
    with proxy_process(server) as proxy, socket.create_connection(("127.0.0.1", proxy.port), GUARD_S) as peer:
        assert echoes(peer, frame(b"hello"))


@pytest.mark.parametrize("command", ["client {}", "send {} x", "load {}", "check {}", "check {} 1.2"])
def test_a_socket_without_a_server_is_one_line(tmp_path: Path, command: str) -> None:
    where = f"unix:{tmp_path}/gone.sock"
    result = run_in_process(*command.format(where).split())
    assert result.returncode == 3
    said = result.stderr.replace("\n", " ")
    assert f"cannot connect to {where}: there is no such socket: does the server run?" in said
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(f"{tmp_path}/gone.sock")
    result = run_in_process(*command.format(where).split())
    assert result.returncode == 3
    said = result.stderr.replace("\n", " ")
    assert f"cannot connect to {where}: nobody listens there: does the server run?" in said


@pytest.mark.parametrize("command", ["client {}", "send {} x", "load {}", "check {}", "formats --of {}"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("{}/file", "this is a file, and no socket"),
        ("{}", "this is a folder, and no socket"),
        pytest.param(
            "@trioecho-nobody-listens-here",
            "nobody listens there: does the server run?",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names without a file"),
        ),
    ],
)
def test_what_is_no_socket_of_a_server_is_called_what_it_is(
    tmp_path: Path, command: str, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    where = f"unix:{name.format(tmp_path)}"
    result = run_in_process(*command.format(where).split())
    assert result.returncode == 3
    assert f"cannot connect to {where}: {reason}" in result.stderr.replace("\n", " ")


def test_a_renewed_connection_to_a_socket_without_a_server_says_so(tmp_path: Path) -> None:
    """The later connections of a load are opened another way than the first ones."""
    path = f"{tmp_path}/gone.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(path)
    with open_poller() as poller:
        dialer = SocketDialer(poller, (socket.AF_UNIX, path), nursery=cast("trio.Nursery", None))
        with pytest.raises(ConnectionRefusedError) as failed:
            dialer.dial(0)
    assert why_not_connected(failed.value) == "nobody listens there: does the server run?"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("client unix:", "'unix:' has no path; write unix:/path"),
        ("load unix:" + "x" * 108, "and that of a Unix socket has 107 at most"),
        ("load unix:/x --source 127.0.0.1", "--bind is for TCP, and unix:/x has no addresses"),
        ("faulty strips unix:/x", "is a Unix socket, and this is for TCP alone; write HOST:PORT"),
        ("check unix:", "'unix:' has no path; write unix:/path"),
    ],
)
def test_what_makes_no_sense_is_one_line(words: str, reason: str) -> None:
    result = run_in_process(*words.split())
    assert result.returncode == 2
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


async def test_the_library_connects_to_it(server: str) -> None:
    with guarded():
        async with await open_frame_channel(server) as channel:
            await channel.send(b"hello")
            assert await channel.receive() == b"hello"
            await channel.send_eof()
            with pytest.raises(EndOfMessagesError):
                await channel.receive()
        async with open_frame_client(server) as client:
            assert await client.request(b"hello") == b"hello"


async def test_what_is_no_address_is_said_at_once() -> None:
    with pytest.raises(ValueError, match="give a port beside the host 'localhost', or unix:/path"):
        await open_frame_channel("localhost")
    with pytest.raises(ValueError, match="unix:/x has no port: leave it out"):
        open_frame_client("unix:/x", 80)
    with pytest.raises(ValueError, match=re.escape("has a path of 108 bytes")):
        await open_frame_channel("unix:" + "x" * 108)


async def test_who_finds_the_queue_full_waits(tmp_path: Path) -> None:
    path = f"{tmp_path}/echo.sock"
    accepted = []
    with guarded(), trio.socket.socket(socket.AF_UNIX) as listening:
        await listening.bind(path)
        listening.listen(0)
        async with await open_stream(f"unix:{path}", 0), trio.open_nursery() as nursery:

            async def connect() -> None:
                async with await open_stream(f"unix:{path}", 0) as stream:
                    assert await stream.receive_some() == b"hello"

            nursery.start_soon(connect)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(2):
                accepted.append(trio.SocketStream((await listening.accept())[0]))
            await accepted[1].send_all(b"hello")
    for stream in accepted:
        await stream.aclose()
