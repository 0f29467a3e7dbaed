"""A peer that speaks TLS by hand, so that a test decides which bytes of a record go out, and when."""

from __future__ import annotations

import contextlib
import socket
import ssl

import trio

from .tls import client_context


class TlsPeer:
    """A client without a socket, on Python's own `ssl` alone.

    Args:
      context: of a client.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = (context or client_context()).wrap_bio(
            self._incoming, self._outgoing, server_hostname="localhost"
        )
        self.is_established = False

    def shake_hands(self, raw: bytes = b"") -> bytes:
        """Take what came; return what to send for the handshake."""
        self._incoming.write(raw)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.do_handshake()
            self.is_established = True
        return self._outgoing.read()

    def records(self, data: bytes) -> bytes:
        """Return the records of these bytes."""
        self.object.write(data)
        return self._outgoing.read()

    def end(self) -> bytes:
        """Return the record that says that no more will come."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.object.unwrap()
        return self._outgoing.read()

    def decrypt(self, raw: bytes) -> bytes:
        """Return what is in the records that are whole with these bytes."""
        self._incoming.write(raw)
        data = b""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while piece := self.object.read(1 << 16):
                data += piece
        return data


def shake_hands(peer: TlsPeer, plain: socket.socket) -> None:
    """Make the handshake over a socket that blocks."""
    plain.sendall(peer.shake_hands())
    while not peer.is_established:
        plain.sendall(peer.shake_hands(plain.recv(1 << 16)))


def receive(peer: TlsPeer, plain: socket.socket, size: int) -> bytes:
    """Receive so many bytes, or fewer if the stream ends before."""
    data = b""
    while len(data) < size and (raw := plain.recv(1 << 16)):
        data += peer.decrypt(raw)
    return data


async def shake_hands_async(peer: TlsPeer, stream: trio.abc.Stream) -> None:
    """Make the handshake over a stream of Trio."""
    await stream.send_all(peer.shake_hands())
    while not peer.is_established:
        await stream.send_all(peer.shake_hands(bytes(await stream.receive_some())))


async def receive_async(peer: TlsPeer, stream: trio.abc.Stream, size: int) -> bytes:
    """Receive so many bytes, or fewer if the stream ends before."""
    data = b""
    while len(data) < size and (raw := await stream.receive_some()):
        data += peer.decrypt(bytes(raw))
    return data
