"""Keys of TLS 1.3 that a client changes while frames are under way, or does nothing else.

The first client is OpenSSL's own. It refuses to flood, so the others write their records by hand.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.guard import GUARD_S
from tests.support.processes import (
    SERVE,
    SERVE_WITHOUT_REACTOR,
    in_one_process_and_slowly_in_two,
    resident_bytes,
    server_process,
)
from tests.support.programs import needs_program
from tests.support.tls import client_context, write_files
from tests.support.tls_by_hand import TlsPeer, receive, shake_hands
from tests.support.tls_flood import RecordWriter, open_writer
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


# ---- floods ----

both_ways = pytest.mark.parametrize("command", [SERVE, SERVE_WITHOUT_REACTOR], ids=["reactor", "tasks"])
floods = pytest.mark.parametrize(
    "record",
    [
        RecordWriter.key_update,
        lambda writer: writer.key_update(asks_for_one=True),
        lambda writer: writer.data(b""),
    ],
    ids=["keys", "keys of both sides", "empty records"],
)


@both_ways
@floods
def test_who_sends_nothing_but_records_without_data_is_dropped(
    command: tuple[str, ...], record: Callable[[RecordWriter], bytes], tmp_path: Path
) -> None:
    files = write_files(tmp_path)
    with (
        server_process(*files.options, command=command) as server,
        server.connect() as plain,
        server.connect() as other,
    ):
        witness = TlsPeer()
        shake_hands(witness, other)
        peer, writer = open_writer(plain)
        plain.sendall(writer.data(frame(b"one")))
        assert receive(peer, plain, 7) == frame(b"one")
        # The end comes while this is sent.
        with contextlib.suppress(ConnectionError):
            plain.sendall(b"".join(record(writer) for _ in range(2000)))
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            receive(peer, plain, 1)
        other.sendall(witness.records(frame(b"two")))
        assert receive(witness, other, 7) == frame(b"two")
        other.close()
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"connection_lost": 1}
    assert server.reports[-1]["messages_total"] == 2
    assert len(server.log.splitlines()) == 2  # and that of the drain


@both_ways
def test_keys_between_frames_keep_nobody_waiting_and_take_no_memory(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """Between two bytes of data are as many records without data as may be."""
    files = write_files(tmp_path)
    with (
        server_process(*files.options, command=command) as server,
        server.connect() as plain,
        server.connect() as other,
    ):
        witness = TlsPeer()
        shake_hands(witness, other)
        peer, writer = open_writer(plain)
        before = 0
        for number in range(6):
            wire = b"".join(
                b"".join(writer.key_update() for _ in range(30)) + writer.data(bytes([byte]))
                for byte in frame(bytes(60))
            )
            plain.sendall(wire)
            other.sendall(witness.records(frame(b"hello")))
            assert receive(witness, other, 9) == frame(b"hello")
            assert receive(peer, plain, 64) == frame(bytes(60))
            if number == 2:
                before = resident_bytes(server.process.pid)
        assert resident_bytes(server.process.pid) - before < 2 << 20
        plain.close()
        other.close()
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {}
    assert server.reports[-1]["messages_total"] == 12


def test_records_without_data_are_no_activity(tmp_path: Path) -> None:
    """New keys at every sign of life of the server do not keep the connection."""
    files = write_files(tmp_path)
    with (
        server_process(*files.options, "--idle-timeout", "1s") as server,
        server.connect() as plain,
    ):
        peer, writer = open_writer(plain)
        plain.sendall(writer.data(frame(b"one")))
        assert receive(peer, plain, 7) == frame(b"one")
        plain.settimeout(0.1)
        while True:
            try:
                if not plain.recv(1 << 16):
                    break
            except TimeoutError:
                plain.sendall(writer.key_update())
        assert server.stop() == 0
    assert server.reports[-1]["errors"] == {"idle_timeout": 1}


def test_a_client_may_not_negotiate_anew(tmp_path: Path) -> None:
    openssl = needs_program("openssl")
    files = write_files(tmp_path)
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with server_process(*files.options) as server, server.connect() as other:
        witness = TlsPeer(context)
        shake_hands(witness, other)
        words = [openssl, "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-brief"]
        with subprocess.Popen(
            [*words, "-CAfile", files.client_ca],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        ) as process:
            client = Client(process)
            client.write(frame(b"hello"))
            client.read_until(frame(b"hello"))
            client.write(b"R\n")
            client.read_until(b"no renegotiation")
            process.kill()
            process.wait(GUARD_S)
        other.sendall(witness.records(frame(b"two")))
        assert receive(witness, other, 7) == frame(b"two")
        other.close()
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 2
