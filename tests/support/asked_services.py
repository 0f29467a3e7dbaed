"""Services of frames that do not echo, of blocking sockets: one that is right, and others with a bug in each.

Most reply with the request in upper case, how often this connection has asked, and the time.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator

from .sockets import receive_exactly

LIMIT = 1 << 16


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


def reply(payload: bytes, count: int) -> bytes:
    return frame(payload.upper() + b" #%d at %.3f" % (count, time.time()))


def frames(peer: socket.socket, limit: int = LIMIT) -> Iterator[bytes]:
    while len(header := receive_exactly(peer, 4)) == 4:
        length = int.from_bytes(header, "big")
        if length > limit:
            refuse(peer)
            return
        payload = receive_exactly(peer, length)
        if len(payload) < length:
            return
        yield payload


def refuse(peer: socket.socket) -> None:
    """End with FIN, and read on for a moment, so that no reset destroys what was sent."""
    peer.shutdown(socket.SHUT_WR)
    peer.settimeout(0.5)
    while peer.recv(1 << 16):
        pass


def right(peer: socket.socket) -> None:
    for count, payload in enumerate(frames(peer), 1):
        peer.sendall(reply(payload, count))


def right_and_says_why_it_refuses(peer: socket.socket) -> None:
    """As many do: an error in a frame of its own, then the end."""
    for count in itertools.count(1):
        header = receive_exactly(peer, 4)
        length = int.from_bytes(header, "big")
        if len(header) < 4:
            return
        if length > LIMIT:
            peer.sendall(frame(b"ERROR too long"))
            refuse(peer)
            return
        payload = receive_exactly(peer, length)
        if len(payload) < length:
            return
        peer.sendall(reply(payload, count))


def takes_a_receive_for_a_frame(peer: socket.socket) -> None:
    for count in itertools.count(1):
        data = peer.recv(1 << 16)
        if not data:
            return
        peer.sendall(reply(data[4:], count))


def drops_the_second_of_a_segment(peer: socket.socket) -> None:
    buffer = b""
    count = 0
    while data := peer.recv(1 << 16):
        buffer += data
        end = 4 + int.from_bytes(buffer[:4], "big")
        if len(buffer) >= max(4, end):
            count += 1
            peer.sendall(reply(buffer[4:end], count))
            buffer = b""


def swaps_two_that_come_together(peer: socket.socket) -> None:
    buffer = b""
    count = 0
    while data := peer.recv(1 << 16):
        buffer += data
        ready: list[bytes] = []
        while len(buffer) >= 4 and len(buffer) >= (end := 4 + int.from_bytes(buffer[:4], "big")):
            count += 1
            ready.append(reply(buffer[4:end], count))
            buffer = buffer[end:]
        for at in range(0, len(ready) - 1, 2):
            ready[at], ready[at + 1] = ready[at + 1], ready[at]
        peer.sendall(b"".join(ready))


def ignores_the_limit(peer: socket.socket) -> None:
    for count, payload in enumerate(frames(peer, limit=1 << 32), 1):
        peer.sendall(reply(payload[:100], count))


def replies_to_a_truncated_frame(peer: socket.socket) -> None:
    for count in itertools.count(1):
        header = receive_exactly(peer, 4)
        length = int.from_bytes(header, "big")
        if len(header) < 4:
            return
        if length > LIMIT:
            refuse(peer)
            return
        payload = receive_exactly(peer, length)
        if payload:
            peer.sendall(reply(payload, count))
        if len(payload) < length:
            return


def replies_once(peer: socket.socket) -> None:
    for payload in itertools.islice(frames(peer), 1):
        peer.sendall(reply(payload, 1))


Service = Callable[[socket.socket], None]
