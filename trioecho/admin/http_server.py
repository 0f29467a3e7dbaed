"""An HTTP server that can neither disturb the process that it is in nor hold up its end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Sequence

import h11
import trio
from hypercorn.config import Config

from ..base.describe import describe
from ..base.exception_groups import leaves
from ..base.rate_limited_log import RateLimitedLog
from .http_connection import Application, HttpConnection, HttpLimits, HttpPaces
from .own_hosts import OwnHosts, is_loopback

logger: logging.Logger = logging.getLogger(__name__)

# accept(2) has failed; for want of descriptors, most likely.
_BACK_OFF_S = 0.1
# What nobody reads must not fill memory.
_SEND_BUFFER_BYTES = 1 << 16


async def serve_http(
    application: Application,
    listeners: Sequence[trio.SocketListener],
    limits: HttpLimits | None = None,
    *,
    hosts: Iterable[str] = (),
) -> None:
    """Serve an ASGI application until cancelled.

    What it does for strangers is bounded by ``limits``, in number, size and time. A listener on loopback
    serves requests for an address, for ``localhost`` and for the names ``hosts``, and refuses others
    (`OwnHosts`). Cancellation ends all connections at once.
    """
    limits = limits or HttpLimits()
    for listener in listeners:
        listener.socket.listen(limits.connections)  # a crowd that is gone must not stand in the queue
    server = _HttpServer(limits)
    hosts = tuple(hosts)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.log.run)
            for listener in listeners:
                is_local = is_loopback(listener.socket.getsockname())
                checked = OwnHosts(application, is_local=is_local, names=hosts)
                nursery.start_soon(server.accept_from, listener, checked, nursery)
    finally:
        server.log.flush()


class _HttpServer:
    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._paces = HttpPaces(limits)
        self._config = _hypercorn_config(limits)
        self._connections: dict[HttpConnection, None] = {}  # in the order in which they came
        self._room = trio.lowlevel.ParkingLot()
        self.log = RateLimitedLog(logger)

    async def accept_from(
        self, listener: trio.SocketListener, application: Application, nursery: trio.Nursery
    ) -> None:
        while True:
            await self._make_room()
            try:
                stream = await listener.accept()
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            except OSError as error:
                self.log.warning(f"admin: cannot accept: {describe(error)}; trying again")
                await trio.sleep(_BACK_OFF_S)
                continue
            connection = HttpConnection(stream, application, self._config, self._limits, self._paces)
            self._connections[connection] = None
            nursery.start_soon(self._serve, connection)
            await self._paces.accepts.wait_for_turn()

    async def _make_room(self) -> None:
        while len(self._connections) >= self._limits.connections:
            oldest = next((each for each in self._connections if not each.is_stream), None)
            if oldest is not None:
                oldest.close()
            await self._room.park()

    async def _serve(self, connection: HttpConnection) -> None:
        try:
            await connection.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must end only its own connection
            failure = next(leaves(error))
            if not isinstance(failure, h11.ProtocolError):  # that was the peer's
                self.log.warning(f"admin: a connection failed: {describe(failure)}")
        finally:
            del self._connections[connection]
            self._room.unpark_all()


def _hypercorn_config(limits: HttpLimits) -> Config:
    config = Config()
    config.errorlog = logger
    config.accesslog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = limits.head_bytes
    config.websocket_max_message_size = limits.head_bytes
    return config
