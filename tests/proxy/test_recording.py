"""`trioecho proxy --record-dir`: what both sides have sent is in files, to the byte."""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.faults import of_frames
from tests.support.guard import guarded
from tests.support.in_process import run_in_process
from tests.support.processes import server_process
from tests.support.proxies import proxy_process
from tests.support.sockets import LOOPBACK
from tests.support.streams import connect, listen, port_of, receive_exactly
from tests.support.wire import frame
from trioecho.proxy import CLEAN, Faults, FrameFault, WireRecording, recording, relay_connections

CORRUPT = of_frames(FrameFault.CORRUPT)


class Relaying:
    """A proxy that runs, and the server behind it."""

    def __init__(self, entrance: trio.SocketListener, server: trio.SocketListener) -> None:
        self._entrance = entrance
        self._server = server

    async def exchange(self, request: bytes, reply: bytes) -> None:
        """Send something each way over a connection of its own, and end that on both sides."""
        async with await connect(self._entrance) as client, await self._server.accept() as server:
            await client.send_all(request)
            await receive_exactly(server, len(request))
            await server.send_all(reply)
            await receive_exactly(client, len(reply))
            await client.send_eof()
            assert await server.receive_some() == b""
            await server.send_eof()
            assert await client.receive_some() == b""


@contextlib.asynccontextmanager
async def relaying(recorded: WireRecording, **options: Any) -> AsyncIterator[Relaying]:
    entrance, server = await listen(), await listen()
    with guarded():
        async with server, trio.open_nursery() as nursery:

            async def run() -> None:
                await relay_connections(
                    [entrance], LOOPBACK, port_of(server), recording=recorded, seed=1, **options
                )

            nursery.start_soon(run)
            yield Relaying(entrance, server)
            nursery.cancel_scope.cancel()


def recorded_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("faults", [CLEAN, CORRUPT], ids=["clean", "corrupt"])
async def test_what_both_sides_send_is_kept_as_it_was_before_any_fault(
    tmp_path: Path, faults: Faults
) -> None:
    async with relaying(WireRecording(tmp_path), to_server=faults, to_client=faults) as proxy:
        await proxy.exchange(frame(b"one") + frame(b"two"), frame(b"ONE"))
        await proxy.exchange(frame(b"three"), frame(b"THREE") * 3)
    assert recorded_in(tmp_path) == {
        "1-to-server.frames": frame(b"one") + frame(b"two"),
        "1-to-client.frames": frame(b"ONE"),
        "2-to-server.frames": frame(b"three"),
        "2-to-client.frames": frame(b"THREE") * 3,
    }


async def test_a_side_that_sends_nothing_has_no_file(tmp_path: Path) -> None:
    async with relaying(WireRecording(tmp_path)) as proxy:
        await proxy.exchange(b"", frame(b"welcome"))
    assert recorded_in(tmp_path) == {"1-to-client.frames": frame(b"welcome")}


async def test_only_the_first_bytes_of_the_first_connections_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(recording, "MAX_BYTES", 10)
    async with relaying(WireRecording(tmp_path)) as proxy:
        for _ in range(2):
            await proxy.exchange(frame(b"one") + frame(b"two"), frame(b"ONE"))
    assert recorded_in(tmp_path) == {
        "1-to-server.frames": (frame(b"one") + frame(b"two"))[:10],
        "1-to-client.frames": frame(b"ONE"),
    }


async def test_a_folder_that_is_lost_ends_the_recording_and_no_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "seen"
    with caplog.at_level(logging.INFO):
        async with relaying(WireRecording(folder)) as proxy:
            shutil.rmtree(folder)
            for _ in range(2):
                await proxy.exchange(frame(b"one"), frame(b"ONE"))
    assert [record.message for record in caplog.records] == [
        f"nothing more is recorded in {folder}: No such file or directory"
    ]


def test_the_other_commands_read_what_the_proxy_has_recorded(tmp_path: Path) -> None:
    folder = tmp_path / "a new" / "folder"
    with server_process() as server:
        with proxy_process(server.port, "--record-dir", str(folder)) as proxy:
            assert run_in_process("client", f"127.0.0.1:{proxy.port}", "-n", "3").returncode == 0
            proxy.process.send_signal(signal.SIGTERM)
            assert proxy.process.wait() == 0
        requests = str(folder / "1-to-server.frames")
        assert "3 whole frames" in run_in_process("formats", "--of", requests).stdout
        again = run_in_process("load", f"127.0.0.1:{server.port}", "--messages", requests, "-c", "1")
    assert again.returncode == 0
    assert "3 sent, " in again.stdout


def why_no_folder(name: str) -> str:
    """What this version of Python says of a name that cannot be one."""
    with pytest.raises(ValueError, match="null") as refused:
        Path(name).mkdir()
    return str(refused.value)


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        (".", "the folder has files already; name a new one"),
        ("file", "File exists"),
        ("file/folder", "Not a directory"),
        ("\0", why_no_folder("\0")),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_a_line(tmp_path: Path, folder: str, reason: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    path = f"{tmp_path}/{folder}"
    done = run_in_process("proxy", "127.0.0.1:1", "--record-dir", path)
    assert done.returncode == 2
    assert done.stderr.startswith("trioecho proxy: cannot record in '")
    assert done.stderr.endswith(f": {reason}\n")
