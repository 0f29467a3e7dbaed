"""The PROXY headers at the beginnings of a server's connections, with a clock of their own."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

import trio

from ..base.addresses import format_address
from ..base.proxy_header import NoProxyHeaderError, ProxyHeader, ProxyHeaderError, ProxyHeaderParser
from ..base.rate_limited_log import RateLimitedLog
from ..connection.channel import FrameChannel
from ..connection.leading_bytes import receive_at_most
from ..connection.transport import SocketTransport, Transport
from ..connection.trio_errors import ConnectionLostError
from ..framing.foreign_protocols import recognize
from ..limits import or_infinite
from .proxy_protocol import ProxyProtocol

_INTERNET = {socket.AF_INET, socket.AF_INET6}
_Handler = Callable[[FrameChannel], Awaitable[object]]

_WHO_SENDS_IT = (
    "does the balancer send one (HAProxy: send-proxy-v2; nginx: proxy_protocol on)? "
    "Clients cannot connect directly"
)


class ProxyHeaders:
    """Receives the header of each connection, and then hands its channel on.

    A peer that ends its connection before it has sent anything has done nothing wrong: balancers
    look in that way whether a server is there.

    Args:
      settings: which headers are accepted, and from whom.
      timeout_s: how long a header may take; 0 for any time.
      count: called with the kind of each error.
      log: where errors go, a line for each.
    """

    def __init__(
        self,
        settings: ProxyProtocol,
        *,
        timeout_s: float,
        count: Callable[[str], object],
        log: RateLimitedLog,
    ) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
        self._count = count
        self._log = log
        self._under_way: set[trio.CancelScope] = set()
        self._is_draining = False

    def drain(self) -> None:
        """Give up the connections whose header has not arrived: none of their frames has, either."""
        self._is_draining = True
        for scope in self._under_way:
            scope.cancel()

    async def serve(self, channel: FrameChannel, transport: Transport, handler: _Handler) -> object:
        """Serve one connection from its header on, and return what the handler does.

        Args:
          channel: whose peer gets the client's name.
          transport: the channel's, or the one below its TLS.
          handler: what comes after the header.
        """
        if await self._has_header(channel, transport):
            return await handler(channel)
        return None

    async def _has_header(self, channel: FrameChannel, transport: Transport) -> bool:
        balancer = channel.info.address
        if balancer is None and not _has_no_address(transport):
            return False  # it is gone, and what it sent before could be anybody's
        if not self._settings._is_allowed(balancer):
            why = "this peer is not among the balancers that may connect (proxy_allow_from)"
            self._note(channel, "proxy_not_allowed", why)
            await channel.aclose()
            return False
        parser = ProxyHeaderParser(self._settings.accepts)
        try:
            header = await self._receive_in_time(transport, parser)
        except NoProxyHeaderError as error:
            other = recognize(error.first_bytes)
            what = f": that begins {other.what}" if other is not None else ""
            self._note(channel, "proxy_header_invalid", f"{error}{what}; {_WHO_SENDS_IT}")
            return False
        except (ProxyHeaderError, ConnectionLostError) as error:
            if parser.received:
                self._note(channel, "proxy_header_invalid", str(error))
            return False
        if header is None:
            if not self._is_draining:
                came = "did not come to its end" if parser.received else "did not come"
                why = f"the PROXY header {came} within {self._timeout_s:g} s; {_WHO_SENDS_IT}"
                self._note(channel, "proxy_header_timeout", why)
            return False
        if header.source is not None:
            transport.client_address = header.source
            channel.peer = format_address(header.source)
        return True

    async def _receive_in_time(self, transport: Transport, parser: ProxyHeaderParser) -> ProxyHeader | None:
        """Return the header; None if it has not come in time, or before a drain began."""
        with trio.CancelScope(deadline=trio.current_time() + or_infinite(self._timeout_s)) as scope:
            if self._is_draining:
                scope.cancel()
            self._under_way.add(scope)
            try:
                return await _receive(transport, parser)
            finally:
                self._under_way.remove(scope)
        # What has arrived by then counts.
        return await _receive(transport, parser, only_arrived=True)

    def _note(self, channel: FrameChannel, kind: str, text: str) -> None:
        self._count(kind)
        self._log.warning(f"{channel.peer}: {text}")


def _has_no_address(transport: Transport) -> bool:
    """Return whether the peer is one of this machine, or of this process."""
    return not isinstance(transport, SocketTransport) or transport.socket.family not in _INTERNET


async def _receive(
    transport: Transport, parser: ProxyHeaderParser, *, only_arrived: bool = False
) -> ProxyHeader | None:
    header = None
    while header is None:
        data = await receive_at_most(transport, parser.wanted, only_arrived=only_arrived)
        if data is None:
            return None
        header = parser.receive(data)
    return header
