"""Opening a connection to the server, and what it means when that fails."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import AsyncIterator

import trio

from ...base.connect import connect, find_addresses
from ...base.endpoint import send_at_once
from .dialogue import ECHO, Dialogue
from .finding import Deviation, InconclusiveError, Kind
from .peer import Peer
from .peer_socket import PeerSocket, error_in_words
from .session import open_session
from .tls_client import TlsClient
from .tls_socket import HandshakeFailedError, TlsPeerSocket, handshake_deviation
from .transcript import Transcript
from .wire import Wire

_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
# Longest wait for a connection: a SYN that a full backlog has dropped is sent
# again after 1 s, 3 s and 7 s.
CONNECT_S = 8.0
# A server that serves one connection at a time shakes hands later.
_HANDSHAKE_S = 2.0


@contextlib.asynccontextmanager
async def connected(
    address: tuple[str, int],
    wire: Wire,
    transcript: Transcript,
    *,
    number: int,
    patience_s: float,
    receive_buffer: int | None = None,
    connect_s: float = CONNECT_S,
    dialogue: Dialogue = ECHO,
    tls: TlsClient | None = None,
) -> AsyncIterator[Peer]:
    """Open a connection, and a session on it; close it when the block is left in any way.

    Raises:
      Deviation: the server does not accept it.
    """
    began = trio.current_time()
    try:
        with trio.fail_after(connect_s):
            sock = await _connect(address, receive_buffer)
    except (OSError, trio.TooSlowError) as error:
        if isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES:
            raise InconclusiveError(f"this machine cannot open more connections: {error.strerror}") from None
        is_late = isinstance(error, trio.TooSlowError)
        reason = f"no reply within {connect_s:g} s" if is_late else error_in_words(error)
        if isinstance(error, ConnectionResetError):  # it was accepted, and reset before it was looked at
            transcript.happened(number, "connected, and the server reset it")
            raise Deviation(
                Kind.RESET, "a connection to be served", "the server reset the connection at once"
            ) from None
        transcript.happened(number, f"cannot connect: {reason}")
        raise Deviation(Kind.NO_CONNECTION, "a connection to be accepted", reason) from error
    transcript.happened(number, "connected")
    with contextlib.closing(peer_socket_of(sock, tls)) as peer_socket:
        await shake_hands(peer_socket, transcript, number)
        peer = Peer(
            peer_socket,
            wire,
            transcript,
            number,
            patience_s,
            connect_s=trio.current_time() - began,
            dialogue=dialogue,
        )
        await open_session(peer, dialogue, wire)
        yield peer


def peer_socket_of(sock: trio.socket.SocketType, tls: TlsClient | None) -> PeerSocket:
    """Return a connected socket as a peer has it, before any handshake."""
    return PeerSocket(sock) if tls is None else TlsPeerSocket(sock, tls)


async def shake_hands(peer_socket: PeerSocket, transcript: Transcript, number: int) -> None:
    """Make the handshake of a connection, if it has one and the server takes part in it by now.

    Raises:
      Deviation: it has failed.
    """
    if not isinstance(peer_socket, TlsPeerSocket):
        return
    try:
        is_done = await peer_socket.shake_hands(_HANDSHAKE_S)
    except HandshakeFailedError as error:
        transcript.happened(number, f"no connection under TLS: {error}")
        raise handshake_deviation(error) from error
    words = (
        f"under TLS: {peer_socket.agreed}" if is_done else f"no handshake of TLS within {_HANDSHAKE_S:g} s"
    )
    transcript.happened(number, words)


async def _connect(address: tuple[str, int], receive_buffer: int | None) -> trio.socket.SocketType:
    [family, kind, protocol, where], *_ = await find_addresses(*address)
    sock = trio.socket.socket(family, kind, protocol)
    try:
        send_at_once(sock)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock
