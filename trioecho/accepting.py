"""How connections get from a listener into the server."""

from __future__ import annotations

import abc
import errno
import selectors
import socket

import trio

from .hub import Hub
from .transport import SocketTransport, Transport, open_transport

# accept(2) failed because that one connection did: "Linux accept() passes
# already-pending network errors on the new socket as an error code" (accept(2)).
_CONNECTION_FAILED = {
    getattr(errno, name)
    for name in (
        "EPERM",
        "ECONNABORTED",
        "EPROTO",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "ENONET",
        "EHOSTUNREACH",
        "EOPNOTSUPP",
        "ENETUNREACH",
    )
    if hasattr(errno, name)
}


class Acceptor(trio.abc.AsyncResource):
    """Takes connections from one listener; owns it.

    Waiting and taking are apart, so that a server can look in between whether
    it has room, and can empty the queue when it stops: closing a listening
    socket resets the connections that are still queued in it.
    """

    @abc.abstractmethod
    async def wait(self) -> None:
        """Wait until a connection is queued.

        Raises:
          OSError: as accept(2).
        """

    @abc.abstractmethod
    async def take(self) -> tuple[Transport, str] | None:
        """A queued connection and what to call its peer; None if there is none.

        Raises:
          OSError: as accept(2).
        """


class SocketAcceptor(Acceptor):
    """For plain sockets. Trio's listener can only wait, hence a duplicate of its socket."""

    def __init__(
        self, listener: trio.SocketListener, shared_buffer: memoryview, hub: Hub | None = None
    ) -> None:
        self._listener = listener
        self._shared_buffer = shared_buffer
        self._hub = hub
        trio_socket = listener.socket
        self._socket = socket.fromfd(trio_socket.fileno(), trio_socket.family, trio_socket.type)
        self._socket.setblocking(False)
        if hub is not None:
            hub.watch(self._socket)

    async def wait(self) -> None:
        await trio.lowlevel.wait_readable(self._socket)

    async def take(self) -> tuple[Transport, str] | None:
        while True:
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno not in _CONNECTION_FAILED:
                    raise
            else:
                return SocketTransport(connection, self._shared_buffer), format_address(address)

    async def aclose(self) -> None:
        if self._socket.fileno() >= 0:
            if self._hub is not None:
                self._hub.unwatch(self._socket)
            self._socket.close()
        await self._listener.aclose()


class ListenerAcceptor(Acceptor):
    """For any other Trio listener, such as `trio.SSLListener`."""

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        self._listener = listener
        self._accepted: trio.abc.Stream | None = None

    async def wait(self) -> None:
        if self._accepted is None:
            self._accepted = await self._listener.accept()
        else:
            await trio.lowlevel.checkpoint()

    async def take(self) -> tuple[Transport, str] | None:
        stream, self._accepted = self._accepted, None
        if stream is None:
            below = getattr(self._listener, "transport_listener", None)
            if not isinstance(below, trio.SocketListener) or not _is_readable(below.socket):
                return None
            stream = await self._listener.accept()
        return open_transport(stream), _peer_name(stream)

    async def aclose(self) -> None:
        try:
            if self._accepted is not None:
                await trio.aclose_forcefully(self._accepted)
        finally:
            await self._listener.aclose()


def open_acceptor(
    listener: trio.abc.Listener[trio.abc.Stream], shared_buffer: memoryview, hub: Hub | None = None
) -> Acceptor:
    """The acceptor for a listener, which belongs to the acceptor from now on.

    The connections of plain sockets receive into ``shared_buffer``; the hub that
    resumes them gives way when there is another to accept.
    """
    if isinstance(listener, trio.SocketListener):
        return SocketAcceptor(listener, shared_buffer, hub)
    return ListenerAcceptor(listener)


def format_address(address: object) -> str:
    """A socket address as people write it: ``127.0.0.1:80``, ``[::1]:80``."""
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(address) or "a Unix socket"


def _peer_name(stream: trio.abc.Stream) -> str:
    below = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if isinstance(below, trio.SocketStream):
        try:
            return format_address(below.socket.getpeername())
        except OSError:
            return "a peer that is gone already"
    return f"a {type(stream).__name__}"


def _is_readable(trio_socket: trio.socket.SocketType) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(trio_socket, selectors.EVENT_READ)
        return bool(selector.select(timeout=0))
