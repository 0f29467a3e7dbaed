"""Keys of TLS 1.3 that a client changes while frames are under way. The client is OpenSSL's own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.processes import in_one_process_and_slowly_in_two, server_process
from tests.support.programs import needs_program
from tests.support.tls import write_files
from tests.support.wire import frame


class Client:
    """``openssl s_client``: what is written to it goes to the server, except for its commands."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def read_until(self, end: bytes) -> None:
        """Read what came from the server, and what the program says, up to and with this."""
        assert self._process.stdout is not None
        read = b""
        while not read.endswith(end):
            piece = os.read(self._process.stdout.fileno(), 1)
            assert piece, read
            read += piece


# K asks the server for new keys of its own, too; k does not.
@pytest.mark.parametrize("change", [b"K\n", b"k\n"], ids=["both sides", "its own"])
@in_one_process_and_slowly_in_two
def test_a_client_changes_keys_in_the_middle_of_frames(
    command: tuple[str], change: bytes, tmp_path: Path
) -> None:
    openssl = needs_program("openssl")
    files = write_files(tmp_path)
    with server_process(*files.options, command=command) as server:
        words = [openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_3", "-brief"]
        with subprocess.Popen(
            [*words, "-CAfile", files.client_ca],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        ) as process:
            client = Client(process)
            client.write(frame(b"hello") + frame(b"world")[:6])
            client.read_until(frame(b"hello"))
            for _ in range(20):
                client.write(change)
                client.read_until(b"KEYUPDATE\n")
                client.write(frame(b"world")[6:] + frame(b"world")[:6])
                client.read_until(frame(b"world"))
            process.kill()
            process.wait(GUARD_S)
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 21
