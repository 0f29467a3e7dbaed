"""A connection on blocking sockets: those of gevent, where they were put in the place of Python's own."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from dataclasses import dataclass, field

from ..base.addresses import UNIX
from ..base.describe import describe
from ..base.endpoint import (
    SelfConnectionError,
    UnixRefusedError,
    is_connected_to_itself,
    is_unix,
    send_at_once,
    tls_name,
)
from ..base.unix_socket import address_of_path
from ..errors import ConnectionEndedError, WriteTimeoutError
from ..framing import DEFAULT_MAX_FRAME_LENGTH, Frame, FrameDecoder, FrameFormat
from .errors import ReplyTimeoutError
from .service_address import ServiceAddress

_RECEIVE_BYTES = 1 << 16
# As of `base.connect`, where the reasons stand.
_TRIES = 3
_UNIX_QUEUE_S = 0.005


def checked_timeout(name: str, seconds: float) -> float:
    """Return a timeout.

    Raises:
      ValueError: it is none.
    """
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise ValueError(f"{name} must be more than 0 seconds, and not {seconds:g}")
    return seconds


@dataclass(frozen=True)
class ConnectionSettings:
    """How connections are opened, and what goes over them.

    Attributes:
      target: where to.
      format: how headers are written.
      max_frame_length: payload bytes that a reply may have.
      ssl_context: for TLS; None for none.
      server_hostname: whose certificate the service has to have; None for the host's.
      connect_timeout_s: how long opening one may take, with its handshake.

    Raises:
      ValueError: one of them cannot be.
    """

    target: ServiceAddress
    format: FrameFormat = field(default_factory=FrameFormat)
    max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH
    ssl_context: ssl.SSLContext | None = None
    server_hostname: str | None = None
    connect_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        checked_timeout("connect_timeout_s", self.connect_timeout_s)
        if self.max_frame_length < 0:
            raise ValueError(f"max_frame_length must not be negative, as {self.max_frame_length} is")


class BlockingConnection:
    """Sends and receives whole frames; for one task, thread or greenlet at a time.

    Args:
      connected: a socket, which the connection owns from now on.
      format: how headers are written.
      max_frame_length: payload bytes that a frame may have that comes.
    """

    def __init__(self, connected: socket.socket, format: FrameFormat, max_frame_length: int) -> None:
        self._socket = connected
        self._decoder = FrameDecoder(format=format, max_frame_length=max_frame_length)
        self._has_ended = False

    @classmethod
    def open(cls, settings: ConnectionSettings) -> BlockingConnection:
        """Connect, and shake hands where there is TLS.

        Raises:
          OSError, UnicodeError: it cannot be opened; nothing is left open.
        """
        timeout_s = settings.connect_timeout_s
        deadline = time.perf_counter() + timeout_s
        try:
            connected = _connected(settings.target, deadline)
            try:
                send_at_once(connected)
                secured = _under_tls(connected, settings, deadline)
                return cls(secured, settings.format, settings.max_frame_length)
            except BaseException:
                connected.close()
                raise
        except TimeoutError as error:
            if error.errno:  # the kernel's own
                raise
            raise TimeoutError(f"not connected within {timeout_s:g} s") from None

    def send(self, wire: bytes, timeout_s: float) -> None:
        """Send bytes; after an exception the connection is of no use.

        Raises:
          WriteTimeoutError: the service has not taken them in time.
          ConnectionEndedError: the connection is lost.
        """
        self._socket.settimeout(timeout_s)
        try:
            self._socket.sendall(wire)
        except TimeoutError as error:
            if error.errno:
                raise _lost(error) from error
            raise WriteTimeoutError(timeout_s) from None
        except OSError as error:
            raise _lost(error) from error

    def receive(self, timeout_s: float) -> Frame:
        """Wait for the next frame and return it; after an exception the connection is of no use.

        Raises:
          ReplyTimeoutError: it has not come in time.
          RemoteProtocolError: what has come cannot be one.
          ConnectionEndedError: the service has ended the connection, or it is lost.
        """
        deadline = time.perf_counter() + timeout_s
        decoder = self._decoder
        while (frame := decoder.next_whole_frame()) is None:
            if self._has_ended:
                raise ConnectionEndedError("the service has ended the connection")
            left_s = deadline - time.perf_counter()
            if left_s <= 0:
                raise ReplyTimeoutError(timeout_s, decoder.buffered_bytes)
            self._socket.settimeout(left_s)
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except TimeoutError as error:
                if error.errno:
                    raise _lost(error) from error
                raise ReplyTimeoutError(timeout_s, decoder.buffered_bytes) from None
            except OSError as error:
                raise _lost(error) from error
            if data:
                decoder.receive_data(data)
            else:
                decoder.end_of_data()
                self._has_ended = True
        return frame

    def close(self) -> None:
        """Close it at once; it may be closed twice."""
        self._socket.close()


def _lost(error: OSError) -> ConnectionEndedError:
    return ConnectionEndedError(f"connection lost: {describe(error)}")


def _connected(target: ServiceAddress, deadline: float) -> socket.socket:
    if is_unix(target.host):
        return _connected_to_path(target.host.removeprefix(UNIX), deadline)
    for _ in range(_TRIES):
        connected = socket.create_connection((target.host, target.port), timeout=_left_s(deadline))
        if not is_connected_to_itself(connected):
            return connected
        connected.close()
    raise SelfConnectionError


def _connected_to_path(path: str, deadline: float) -> socket.socket:
    address = address_of_path(path)
    connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        while True:
            connecting.settimeout(_left_s(deadline))
            try:
                connecting.connect(address)
            except BlockingIOError:  # its queue is full
                time.sleep(_UNIX_QUEUE_S)
            else:
                return connecting
    except ConnectionRefusedError:
        connecting.close()
        raise UnixRefusedError(address) from None
    except BaseException:
        connecting.close()
        raise


def _under_tls(connected: socket.socket, settings: ConnectionSettings, deadline: float) -> socket.socket:
    if settings.ssl_context is None:
        return connected
    name = settings.server_hostname or tls_name(settings.target.host)
    connected.settimeout(_left_s(deadline))
    return settings.ssl_context.wrap_socket(connected, server_hostname=name)


def _left_s(deadline: float) -> float:
    """Return the time that is left; of none a trace, since 0 would be another kind of socket."""
    return max(1e-3, deadline - time.perf_counter())
