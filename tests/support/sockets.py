"""Blocking sockets as peers, without the project's own client."""

from __future__ import annotations

import socket
import struct
import threading

import trio

LOOPBACK = "127.0.0.1"


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
