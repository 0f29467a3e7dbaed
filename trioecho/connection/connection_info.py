"""What is known of a connection before its first message."""

from __future__ import annotations

import contextlib
import socket
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
        none, or if the other side is gone already. Behind a balancer that sends it (`ProxyProtocol`), the
        client's.
      is_tls: whether the connection is encrypted by TLS.
      alpn: the protocol that was agreed on by TLS; None if none was.
      proxy_address: the balancer's socket address, where it has sent the client's; of a Unix socket it is
        empty. Else None.
    """

    peer: str
    address: object
    is_tls: bool
    alpn: str | None = None
    proxy_address: object = None


def connection_info(transport: Transport, peer: str) -> ConnectionInfo:
    """Return what is known of the connection of a transport."""
    if isinstance(transport, TlsTransport):
        alpn = transport.codec.object.selected_alpn_protocol()
        return replace(connection_info(transport.below, peer), is_tls=True, alpn=alpn)
    below = socket_below(transport)
    address: object = None
    with contextlib.suppress(OSError):  # it is gone
        address = None if below is None else below.getpeername() or None  # a Unix socket's is empty
    is_tls = isinstance(transport, StreamTransport) and isinstance(transport._stream, trio.SSLStream)
    if transport.client_address is not None:
        return ConnectionInfo(peer, transport.client_address or None, is_tls, proxy_address=address or "")
    return ConnectionInfo(peer, address, is_tls)


def socket_below(transport: Transport) -> socket.socket | trio.socket.SocketType | None:
    """Return the socket that a transport has the bytes from; None if there is none, or another stream."""
    if isinstance(transport, TlsTransport):
        return socket_below(transport.below)
    if isinstance(transport, SocketTransport):
        return transport.socket
    stream = transport._stream if isinstance(transport, StreamTransport) else None
    below = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    return below.socket if isinstance(below, trio.SocketStream) else None
