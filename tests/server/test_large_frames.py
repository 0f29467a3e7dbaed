"""`trioecho serve` and frames so large that they go through pipes, where the system has these."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.processes import (
    SERVE,
    SERVE_WITH_WORKERS,
    SERVE_WITHOUT_REACTOR,
    ServerProcess,
    server_process,
)
from tests.support.slow import slow
from tests.support.sockets import receive_all, receive_exactly, reset
from tests.support.wire import frame, frames, header
from trioecho.connection.splicing import PIPE_DESCRIPTORS

MIB = 1 << 20
LIMIT = ("--max-frame-length", "64MiB")
# Sends large frames through pipes as long as that is possible, and then no more.
REFUSED = (
    "-c",
    "import itertools, os, sys, trioecho.cli\n"
    "real, calls = os.splice, itertools.count()\n"
    "def splice(*arguments, **options):\n"
    "    if next(calls) >= {allowed}:\n"
    "        raise OSError({number}, 'refused')\n"
    "    return real(*arguments, **options)\n"
    "os.splice = splice\n"
    "sys.exit(trioecho.cli.main(['serve', *sys.argv[1:]]))",
)


def refused(allowed: int, number: str) -> Sequence[str]:
    return REFUSED[0], REFUSED[1].format(allowed=allowed, number=f"__import__('errno').{number}")


needs_splice = pytest.mark.skipif(not hasattr(os, "splice"), reason="needs splice(2)")
COMMANDS = [
    pytest.param(SERVE, id="one process"),
    pytest.param(SERVE_WITH_WORKERS, id="workers"),
    slow(SERVE_WITHOUT_REACTOR),
    pytest.param(refused(0, "EPERM"), id="forbidden", marks=needs_splice),
    pytest.param(refused(5, "EINVAL"), id="refused", marks=[needs_splice, pytest.mark.slow]),
    pytest.param(refused(4, "EPERM"), id="refused once more", marks=[needs_splice, pytest.mark.slow]),
]


def payload(length: int, seed: int = 0) -> bytes:
    pattern = bytes((seed + 7 * number) % 251 for number in range(1009))
    return (pattern * (length // len(pattern) + 1))[:length]


MIXED = [128 << 10, 0, 5, MIB, 70_000, 300_000, 1, 16 * MIB, 64, 2 * MIB, 2 * MIB, 0, 128 << 10]


def mixed_wire(seed: int) -> bytes:
    return frames(*(payload(length, seed + number) for number, length in enumerate(MIXED)))


def send_in_thread(peer: socket.socket, wire: bytes, cut: int | None = None) -> threading.Thread:
    def send() -> None:
        for start in range(0, len(wire), cut or len(wire)):
            peer.sendall(wire[start : start + (cut or len(wire))])
        peer.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def descriptors(server: ServerProcess) -> list[str]:
    """What the server has open; what it closes meanwhile may be left out."""
    found = []
    for entry in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(entry.readlink()))
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_large_and_small_frames_in_any_order_come_back_as_they_were(command: Sequence[str]) -> None:
    with server_process(*LIMIT, command=command) as server:
        for cut in (None, 1000, 100_000):
            wire = mixed_wire(cut or 0)
            with server.connect() as peer:
                sender = send_in_thread(peer, wire, cut)
                assert receive_all(peer) == wire
                sender.join()
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 3 * len(MIXED)


def test_the_largest_frames_come_back_as_they_were() -> None:
    wire = frame(payload(64 * MIB)) + frame(b"") + frame(payload(64 * MIB, 1))
    with server_process(*LIMIT) as server:
        with server.connect() as peer:
            sender = send_in_thread(peer, wire)
            assert receive_all(peer) == wire
            sender.join()
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_many_large_frames_at_once_leave_no_descriptor_open() -> None:
    wire = frame(b"small") + frame(payload(2 * MIB)) * 3
    peers = []
    with server_process(*LIMIT) as server:
        pipes_before = sum(link.startswith("pipe:") for link in descriptors(server))
        for _ in range(2):
            peers = [server.connect() for _ in range(50)]
            senders = [send_in_thread(peer, wire) for peer in peers]
            for peer in peers:
                assert receive_all(peer) == wire
            for peer, sender in zip(peers, senders, strict=True):
                sender.join()
                peer.close()
        with server.connect() as last:  # all others are closed by the time that this one is served
            last.sendall(frame(b"last"))
            assert receive_exactly(last, 8) == frame(b"last")
        pipes_then = sum(link.startswith("pipe:") for link in descriptors(server))
        assert pipes_before < pipes_then <= pipes_before + PIPE_DESCRIPTORS
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 2 * 50 * 4 + 1


def test_with_few_descriptors_large_frames_are_served_all_the_same() -> None:
    resource = pytest.importorskip("resource")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))

    wire = frame(payload(2 * MIB)) * 2
    with server_process(*LIMIT, before=limit) as server:
        peers = [server.connect() for _ in range(15)]
        senders = [send_in_thread(peer, wire) for peer in peers]
        for peer in peers:
            assert receive_all(peer) == wire
        for peer, sender in zip(peers, senders, strict=True):
            sender.join()
            peer.close()
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 30


BEGUN = frame(payload(MIB)) + header(4 * MIB) + payload(MIB, 3)


def test_a_half_close_inside_a_large_frame_echoes_nothing_of_it() -> None:
    with server_process(*LIMIT) as server:
        with server.connect() as peer:
            sender = send_in_thread(peer, BEGUN)
            assert receive_all(peer) == frame(payload(MIB))
            sender.join()
        assert f"after {MIB + 4} of {4 * MIB + 4} bytes" in server.read_log_line()
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 1


def test_a_reset_inside_a_large_frame_ends_only_that_connection() -> None:
    with server_process(*LIMIT) as server:
        with server.connect() as other:
            other.sendall(header(MIB) + payload(MIB)[:-1])
            peer = server.connect()
            peer.sendall(BEGUN)
            assert receive_exactly(peer, MIB + 4) == frame(payload(MIB))
            reset(peer)
            assert "connection lost" in server.read_log_line()
            other.sendall(payload(MIB)[-1:])
            assert receive_exactly(other, MIB + 4) == frame(payload(MIB))
        assert server.stop() == 0
    assert server.reports[-1]["messages_total"] == 2


def test_a_drain_inside_a_large_frame_waits_for_its_rest() -> None:
    wire = BEGUN + payload(4 * MIB, 3)[MIB:]
    with server_process(*LIMIT) as server:
        with server.connect() as peer:
            peer.sendall(BEGUN)
            assert receive_exactly(peer, MIB + 4) == frame(payload(MIB))
            server.send_signal()
            assert "draining" in server.read_log_line()
            sender = send_in_thread(peer, wire[len(BEGUN) :])
            assert receive_all(peer) == wire[MIB + 4 :]
            sender.join()
        assert server.wait() == 0
    assert server.reports[-1]["messages_total"] == 2


def test_a_drain_sends_what_its_peer_reads_late() -> None:
    wire = frame(payload(16 * MIB))
    with server_process(*LIMIT) as server:
        with server.connect(receive_buffer=1 << 16) as peer:
            peer.sendall(wire)  # all of it is at the server, or on its way: it reads before it sends
            server.send_signal()
            assert "draining" in server.read_log_line()
            assert receive_all(peer) == wire
        assert server.wait() == 0
    assert server.reports[-1]["messages_total"] == 1


@pytest.mark.parametrize(
    ("option", "part"), [("--frame-timeout", BEGUN), ("--write-timeout", frame(payload(32 * MIB)))]
)
def test_a_clock_ends_a_connection_with_a_large_frame(option: str, part: bytes) -> None:
    with server_process(*LIMIT, option, "0.5") as server:
        with server.connect(receive_buffer=1 << 16) as peer:
            peer.sendall(part)
            line = server.read_log_line()
            assert str(peer.getsockname()[1]) in line
            assert "0.5 s" in line
        assert server.stop() == 0
    assert server.reports[-1]["errors"] != {}
