"""Services whose requests and replies begin with an identifier of 4 bytes: right ones and broken ones."""

from __future__ import annotations

import socket
from collections.abc import Callable

from .asked_services import LIMIT, Service, frame, frames, refuse

Replies = Callable[[list[bytes]], list[bytes]]
_PLACES = 4


def reply_to(request: bytes) -> bytes:
    return request[:4] + request[4:].upper()


def in_batches(replies: Replies) -> Service:
    """A service that takes as many requests as have come, and gives the replies to them all at once."""

    def serve(peer: socket.socket) -> None:
        buffer = b""
        while data := peer.recv(1 << 16):
            buffer += data
            ready: list[bytes] = []
            while len(buffer) >= 4 and len(buffer) >= (end := 4 + int.from_bytes(buffer[:4], "big")):
                ready.append(buffer[4:end])
                buffer = buffer[end:]
            peer.sendall(b"".join(map(frame, replies([reply_to(each) for each in ready]))))
            if len(buffer) >= 4 and int.from_bytes(buffer[:4], "big") > LIMIT:
                refuse(peer)
                return

    return serve


def _swap_bodies(ready: list[bytes]) -> list[bytes]:
    """Give the first of several the body of another."""
    other = next((each[4:] for each in ready if each[4:] != ready[0][4:]), None) if ready else None
    return ready if other is None else [ready[0][:4] + other, *ready[1:]]


in_any_order = in_batches(lambda ready: ready[::-1])
loses_one_of_many = in_batches(lambda ready: ready[:1] + ready[2:])
replies_twice_to_one_of_many = in_batches(lambda ready: ready[:2] + ready[1:])
mixes_bodies_up = in_batches(_swap_bodies)


def in_order(peer: socket.socket) -> None:
    for payload in frames(peer):
        peer.sendall(frame(reply_to(payload)))


def forgets_the_identifier(peer: socket.socket) -> None:
    for payload in frames(peer):
        peer.sendall(frame(b"\0\0\0\0" + payload[4:].upper()))


def after_a_login(peer: socket.socket) -> None:
    """Reply to the first message with a greeting, and to none if it is another."""
    requests = frames(peer)
    if next(requests, None) != b"login":
        peer.sendall(frame(b"who are you?"))
        return
    peer.sendall(frame(b"welcome"))
    for payload in requests:
        peer.sendall(frame(reply_to(payload)))


class NotReadyYet:
    """A service that ends its first three connections without a reply."""

    def __init__(self) -> None:
        self.connections = 0

    def __call__(self, peer: socket.socket) -> None:
        self.connections += 1
        if self.connections > 3:
            in_order(peer)


class GivesToOthers:
    """A service that gives a reply to the connection that was served last, which may be another's."""

    def __init__(self) -> None:
        self._last: socket.socket | None = None

    def __call__(self, peer: socket.socket) -> None:
        for payload in frames(peer):
            to, self._last = self._last or peer, peer
            (to if to.fileno() >= 0 else peer).sendall(frame(reply_to(payload)))
