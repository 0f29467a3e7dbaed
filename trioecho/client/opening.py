"""Opens a client of a service at an address: `open_frame_client`."""

from __future__ import annotations

import ssl
from functools import partial

from ..base.connect import open_stream
from ..base.endpoint import checked_port
from ..connection.connect import open_frame_channel
from ..framing import DEFAULT_MAX_FRAME_LENGTH, FrameFormat
from .frame_client import FrameClient
from .line import Key


def open_frame_client(
    host: str,
    port: int | None = None,
    *,
    ssl_context: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    format: FrameFormat | None = None,
    max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    key: Key | None = None,
    max_in_flight: int = 100,
    request_timeout_s: float = 60,
    connect_timeout_s: float = 10,
    frame_timeout_s: float = 60,
    write_timeout_s: float = 60,
    max_failures: int = 5,
) -> FrameClient:
    """Return a client of the service at an address, for an ``async with`` block.

    The block connects at its start. `FrameClient` explains the other arguments.

    Args:
      host: a name or an address; of a name all addresses are tried (RFC 8305). Or a Unix socket, as
        ``unix:/run/echo.sock``.
      port: the TCP port; a Unix socket has none.
      ssl_context: for TLS, such as ``ssl.create_default_context()``.
      server_hostname: whose certificate the service has to have; without it, the host's, and
        ``localhost`` on a Unix socket.
      format: as in `FrameClient`, and so are the others.
      max_frame_length: as there.
      key: as there.
      max_in_flight: as there.
      request_timeout_s: as there.
      connect_timeout_s: as there; the handshake of TLS counts.
      frame_timeout_s: as there.
      write_timeout_s: as there.
      max_failures: as there.

    Raises:
      ValueError: a size, a number, a clock or a format that cannot be.
      OSError: at the start of the block, the service cannot be reached.
    """
    number = checked_port(host, port)

    client = FrameClient(
        lambda: open_stream(host, number),
        format=format,
        max_frame_length=max_frame_length,
        key=key,
        max_in_flight=max_in_flight,
        request_timeout_s=request_timeout_s,
        connect_timeout_s=connect_timeout_s,
        frame_timeout_s=frame_timeout_s,
        write_timeout_s=write_timeout_s,
        max_failures=max_failures,
    )
    if ssl_context is not None:
        # Not a stream of Trio under TLS, which is slower: it takes a step for each record.
        client._open = partial(
            open_frame_channel,
            host,
            port,
            ssl_context=ssl_context,
            server_hostname=server_hostname,
            format=format,
            max_frame_length=max_frame_length,
            frame_timeout_s=frame_timeout_s,
            write_timeout_s=write_timeout_s,
        )
    return client
