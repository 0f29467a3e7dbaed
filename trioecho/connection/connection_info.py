"""What is known of a connection before its first message."""

from __future__ import annotations

from dataclasses import dataclass, replace

import trio

from .tls_transport import TlsTransport
from .transport import SocketTransport, StreamTransport, Transport


@dataclass(frozen=True)
class ConnectionInfo:
    """What a service knows of a connection when it begins.

    Attributes:
      peer: what the log calls the other side, as ``127.0.0.1:54321``.
      address: the other side's socket address, as ``socket.getpeername`` gives it; None where there is
        none, or if the other side is gone already.
      is_tls: whether the connection is encrypted by TLS.
      alpn: the protocol that was agreed on by TLS; None if none was.
    """

    peer: str
    address: object
    is_tls: bool
    alpn: str | None = None


def connection_info(transport: Transport, peer: str) -> ConnectionInfo:
    """Return what is known of the connection of a transport."""
    if isinstance(transport, TlsTransport):
        alpn = transport.codec.object.selected_alpn_protocol()
        return replace(connection_info(transport.below, peer), is_tls=True, alpn=alpn)
    stream = transport._stream if isinstance(transport, StreamTransport) else None
    below = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    address: object = None
    try:
        if isinstance(transport, SocketTransport):
            address = transport.socket.getpeername() or None  # a Unix socket's is empty
        elif isinstance(below, trio.SocketStream):
            address = below.socket.getpeername() or None
    except OSError:
        pass  # it is gone
    return ConnectionInfo(peer, address, isinstance(stream, trio.SSLStream))
