"""Opens a connection to a framed service: `open_frame_channel`."""

from __future__ import annotations

import ssl

import trio

from ..base.connect import open_stream
from ..base.endpoint import checked_port, tls_name
from ..base.tls_reasons import SAYS_NOTHING, TlsProblem
from ..framing import DEFAULT_MAX_FRAME_LENGTH, FrameFormat
from ..limits import Limits
from .channel import FrameChannel
from .tls_errors import TlsHandshakeError
from .tls_transport import TlsTransport
from .transport import Transport, open_transport


async def open_frame_channel(
    host: str,
    port: int | None = None,
    *,
    ssl_context: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    format: FrameFormat | None = None,
    max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    idle_timeout_s: float = 0,
    frame_timeout_s: float = 0,
    write_timeout_s: float = 0,
) -> FrameChannel:
    """Connect to a framed service.

    Args:
      host: a name or an address; of a name all addresses are tried (RFC 8305). Or a Unix socket, as
        ``unix:/run/echo.sock``.
      port: the TCP port; a Unix socket has none.
      ssl_context: for TLS, such as ``ssl.create_default_context()``.
      server_hostname: whose certificate the service has to have; without it, the host's, and
        ``localhost`` on a Unix socket.
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have, in either direction.
      idle_timeout_s: a clock of the channel, in seconds, as in `Limits`; 0, the
        default here, is off. None of the three limits how long it takes to connect;
        for that use `trio.fail_after`.
      frame_timeout_s: likewise.
      write_timeout_s: likewise.

    Raises:
      ValueError: a size, a clock or a format that cannot be.
      OSError: no address could be connected to, a port of this machine on which nobody
        listens among them (a socket can meet itself there); or the handshake of TLS has failed,
        and the message says why. A cancelled call leaves nothing open.
    """
    transport = open_transport(await open_stream(host, checked_port(host, port)))
    try:
        limits = Limits(
            max_frame_length=max_frame_length,
            idle_timeout_s=idle_timeout_s,
            frame_timeout_s=frame_timeout_s,
            write_timeout_s=write_timeout_s,
        )
        if ssl_context is not None:
            transport = await _under_tls(transport, ssl_context, server_hostname or tls_name(host))
        # As a server's, except that it shares nothing with others.
        return FrameChannel._of_server(
            transport, format or FrameFormat(), limits, "the peer", reactor=None, pool=None, on_sent=None
        )
    except BaseException:
        with trio.CancelScope() as scope:
            scope.cancel()
            await transport.aclose()
        raise


async def _under_tls(below: Transport, context: ssl.SSLContext, server_hostname: str) -> TlsTransport:
    """Return the connection under TLS, after the handshake; closing it is left to the caller."""
    try:
        transport = TlsTransport(below, context, server_side=False, server_hostname=server_hostname)
    except (ValueError, ssl.SSLError) as error:
        raise ValueError(f"server_hostname cannot be {server_hostname!r}: {error}") from error
    try:
        if await transport.shake_hands():
            return transport
        raise TlsHandshakeError(SAYS_NOTHING, TlsProblem.NO_TLS)
    except (TlsHandshakeError, trio.BrokenResourceError) as error:
        raise ConnectionError(str(error)) from error
