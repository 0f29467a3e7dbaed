"""Blocking sockets as peers, without the project's own client."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import trio

from trioecho.check.spawned.free_port import reserved_port

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def port_that_refuses() -> Iterator[int]:
    """A port on which nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        yield bound.getsockname()[1]


def free_port() -> int:
    """A port that a server can have soon: no socket that asks for any port is given it meanwhile."""
    with reserved_port(LOOPBACK) as port:
        return port


def receive_exactly(peer: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        piece = peer.recv(count - len(received))
        if not piece:
            break
        received += piece
    return received


def receive_all(peer: socket.socket) -> bytes:
    """Everything until the end; a reset is a ConnectionResetError."""
    received = bytearray()
    while piece := peer.recv(1 << 16):
        received += piece
    return bytes(received)


def echoes(peer: socket.socket, data: bytes) -> bool:
    """Send frames, in a thread of its own, and see whether they come back as they were."""
    sender = threading.Thread(target=peer.sendall, args=(data,))
    sender.start()
    received = receive_exactly(peer, len(data))
    sender.join()
    return received == data


def reset(peer: socket.socket | trio.socket.SocketType) -> None:
    """Close a connection with an RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
