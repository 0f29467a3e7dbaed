"""The handshakes of TLS at the beginnings of a server's connections, with a clock of their own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from ..base.rate_limited_log import RateLimitedLog
from ..connection.channel import FrameChannel
from ..connection.tls_errors import TlsHandshakeError
from ..connection.tls_transport import TlsTransport
from ..connection.trio_errors import ConnectionLostError
from ..limits import or_infinite


class _HandshakeTimeoutError(Exception):
    pass


# For what has arrived by the end of a handshake's time, which takes no waiting where a peer reads.
_LAST_LOOK_S = 0.1


class Handshakes:
    """Shakes hands on each connection, and then hands its channel to the handler.

    A peer that ends its connection before it has sent anything has done nothing wrong: balancers
    look in that way whether a server is there.

    Args:
      handler: of channels.
      timeout_s: how long a handshake may take; 0 for any time.
      count: called with the kind of each error.
      log: where errors go, a line for each.
      logger: where it is noted what was agreed on, at the level of debugging.
    """

    def __init__(
        self,
        handler: Callable[[FrameChannel], Awaitable[object]],
        *,
        timeout_s: float,
        count: Callable[[str], object],
        log: RateLimitedLog,
        logger: logging.Logger,
    ) -> None:
        self._handler = handler
        self._timeout_s = timeout_s
        self._count = count
        self._log = log
        self._logger = logger
        self._under_way: dict[TlsTransport, trio.CancelScope] = {}
        self._is_draining = False

    def drain(self) -> None:
        """Give up the peers that have not sent anything; the others may go on."""
        self._is_draining = True
        for transport, scope in self._under_way.items():
            if not transport.has_received:
                scope.cancel()

    async def serve(self, channel: FrameChannel, transport: TlsTransport) -> object:
        """Serve one connection from its handshake on, and return what the handler does."""
        if await self._is_established(channel, transport):
            self._note_agreement(channel, transport)
            return await self._handler(channel)
        return None

    async def _is_established(self, channel: FrameChannel, transport: TlsTransport) -> bool:
        try:
            return await self._shake_hands(transport)
        except (TlsHandshakeError, ConnectionLostError) as error:
            if isinstance(error, ConnectionLostError) and not transport.has_received:
                return False
            self._note(channel, "tls_handshake_failed", f"the TLS handshake failed: {error}")
        except _HandshakeTimeoutError:
            what_came = "did not come to its end" if transport.has_received else "did not begin"
            why = f"the TLS handshake {what_came} within {self._timeout_s:g} s"
            self._note(channel, "tls_handshake_timeout", why)
        return False

    async def _shake_hands(self, transport: TlsTransport) -> bool:
        deadline = trio.current_time() + or_infinite(self._timeout_s)
        while True:
            with trio.CancelScope(deadline=deadline) as scope:
                if self._is_draining and not transport.has_received:
                    scope.cancel()
                self._under_way[transport] = scope
                try:
                    return await transport.shake_hands()
                finally:
                    del self._under_way[transport]
            # What has arrived by then counts.
            with trio.move_on_after(_LAST_LOOK_S):  # it may wait for a peer that does not read
                if await transport.shake_hands(only_arrived=True):
                    return True
            if trio.current_time() >= deadline:
                raise _HandshakeTimeoutError
            if not transport.has_received:
                return False

    def _note_agreement(self, channel: FrameChannel, transport: TlsTransport) -> None:
        if self._logger.isEnabledFor(logging.DEBUG):
            connection = transport.codec.object
            name, *_ = connection.cipher() or ("no cipher",)
            protocol = connection.selected_alpn_protocol() or "none"
            text = "%s: %s, %s, ALPN: %s"
            self._logger.debug(text, channel.peer, connection.version(), name, protocol)

    def _note(self, channel: FrameChannel, kind: str, text: str) -> None:
        self._count(kind)
        self._log.warning(f"{channel.peer}: {text}")
