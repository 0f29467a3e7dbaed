"""The promises about bytes (W1 to W5), seen from outside: cuts of every kind on a real connection."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.support.processes import SERVE, SERVE_WITHOUT_REACTOR, ServerProcess, server_process
from tests.support.sockets import echoes, receive_all, receive_exactly
from tests.support.wire import frame


@pytest.fixture(scope="module", params=[SERVE, SERVE_WITHOUT_REACTOR], ids=["reactor", "tasks"])
def server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    with server_process("--max-frame-length", "16MiB", command=request.param) as process:
        yield process


@pytest.fixture
def peer(server: ServerProcess) -> Iterator[socket.socket]:
    with server.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


THREE = frame(b"first") + frame(b"") + frame(bytes(range(256)))


def test_one_byte_at_a_time(peer: socket.socket) -> None:
    for at in range(len(THREE)):
        peer.sendall(THREE[at : at + 1])
    assert receive_exactly(peer, len(THREE)) == THREE


@pytest.mark.parametrize("cut", range(1, 20))
def test_cut_in_two_with_the_first_half_surely_received(peer: socket.socket, cut: int) -> None:
    # The echo of a frame in front of the cut tells that its bytes were received.
    peer.sendall(frame(b"ping") + THREE[:cut])
    assert receive_exactly(peer, 8) == frame(b"ping")
    peer.sendall(THREE[cut:])
    assert receive_exactly(peer, len(THREE)) == THREE


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65535, 65536, 1 << 20, 16 << 20])
def test_sizes_up_to_the_limit(peer: socket.socket, size: int) -> None:
    assert echoes(peer, frame(random.Random(size).randbytes(size)) + frame(b"next"))


def test_thousands_of_frames_in_one_send(peer: socket.socket) -> None:
    assert echoes(peer, b"".join(frame(b"%d" % number) for number in range(20_000)))


def test_a_frame_over_thousands_of_segments(peer: socket.socket) -> None:
    data = frame(random.Random(1).randbytes(10_000))

    def send() -> None:
        for at in range(0, len(data), 3):
            peer.sendall(data[at : at + 3])

    sender = threading.Thread(target=send)
    sender.start()
    assert receive_exactly(peer, len(data)) == data
    sender.join()


def test_payloads_that_look_like_headers_and_all_byte_values(peer: socket.socket) -> None:
    assert echoes(
        peer, frame(frame(frame(b""))) + frame(b"\0\0\0\0") + frame(b"\xff" * 9) + frame(bytes(range(256)))
    )


def test_empty_frames_are_frames(peer: socket.socket) -> None:
    assert echoes(peer, frame(b"") * 1000)


@pytest.mark.parametrize("data", [b"", THREE, THREE * 3000], ids=["nothing", "three", "many"])
def test_half_close_gets_every_echo_and_then_the_end(peer: socket.socket, data: bytes) -> None:
    def send() -> None:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    assert receive_all(peer) == data
    sender.join()


def test_a_stalled_peer_holds_nobody_up(server: ServerProcess, peer: socket.socket) -> None:
    peer.sendall(frame(b"never whole")[:7])
    for _ in range(3):
        with server.connect() as other:
            assert echoes(other, THREE)


def test_a_peer_whose_input_never_ends_starves_nobody(server: ServerProcess, peer: socket.socket) -> None:
    is_over = threading.Event()

    def send() -> None:
        while not is_over.is_set():
            peer.sendall(frame(bytes(1000)) * 60)
        peer.shutdown(socket.SHUT_WR)

    def receive() -> None:
        while peer.recv(1 << 20):
            pass

    threads = [threading.Thread(target=send), threading.Thread(target=receive)]
    for thread in threads:
        thread.start()
    try:
        with server.connect() as other:
            for number in range(200):
                assert echoes(other, frame(b"%d" % number))
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
