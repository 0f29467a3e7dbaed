"""A side of a connection under TLS: what passes, and has faults, is what it says inside."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass

import trio

from ..base.describe import describe
from ..base.tls_reasons import SAYS_NOTHING
from ..connection.tls_errors import TlsHandshakeError
from ..connection.tls_transport import TlsTransport
from ..connection.transport import SocketTransport
from ..connection.trio_errors import ConnectionLostError
from .pump import Side

_HANDSHAKE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class ProxyTls:
    """Where a proxy ends TLS, and where it begins it.

    Attributes:
      listening: the context for clients; None if what they send passes as it is.
      target: the context for the server; None if what it gets is not under TLS by the proxy.
      target_hostname: whose certificate the server has to have; None for the host's.
    """

    listening: ssl.SSLContext | None = None
    target: ssl.SSLContext | None = None
    target_hostname: str | None = None


# All bytes pass as they are.
NO_TLS: ProxyTls = ProxyTls()


class NoTlsError(Exception):
    """A side does not come under TLS; the message says why."""


class TlsSide(Side):
    """A side under TLS, after its handshake."""

    def __init__(self, transport: SocketTransport, tls: TlsTransport) -> None:
        super().__init__(transport)
        self._tls = tls
        # Whether nothing is left of what was received before.
        self._is_drained = False

    async def wait_readable(self) -> None:
        if self._is_drained:
            await self.transport.wait_readable()
        else:
            await trio.lowlevel.checkpoint()

    def _receive_nowait(self, buffer: memoryview | None) -> bytes | memoryview | None:
        data = self._tls.receive_nowait(buffer)
        self._is_drained = data is None
        return data

    def send_nowait(self, data: bytes | memoryview) -> int:
        return self._tls.send_nowait(data)

    def send_eof(self) -> None:
        codec = self._tls.codec
        codec.end()
        self._is_drained = False
        # All else was accepted by now; without room even for this, the end of the stream follows alone.
        with contextlib.suppress(trio.BrokenResourceError):
            self.transport.send_nowait(codec.take_records())
        super().send_eof()

    async def aclose(self) -> None:
        await self._tls.aclose()


async def open_tls_side(
    transport: SocketTransport,
    context: ssl.SSLContext,
    buffer: memoryview,
    *,
    server_hostname: str | None = None,
) -> TlsSide:
    """Put a side under TLS.

    Args:
      transport: connected; closing it is left to the caller if that fails.
      context: of a server, if the side is a client; of a client, if it is a server.
      buffer: where to decrypt; all sides can share one.
      server_hostname: whose certificate the side has to have; None for a client.

    Raises:
      NoTlsError: the handshake has failed, or has not come to its end within 10 s.
    """
    try:
        tls = TlsTransport(
            transport,
            context,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
            shared_buffer=buffer,
        )
        with trio.fail_after(_HANDSHAKE_TIMEOUT_S):
            if await tls.shake_hands():
                return TlsSide(transport, tls)
        raise NoTlsError(SAYS_NOTHING.replace("service", "other side"))
    except trio.TooSlowError:
        raise NoTlsError(f"it did not come to its end within {_HANDSHAKE_TIMEOUT_S:g} s") from None
    except (TlsHandshakeError, ConnectionLostError, ssl.SSLError, ValueError) as error:
        raise NoTlsError(describe(error)) from error
