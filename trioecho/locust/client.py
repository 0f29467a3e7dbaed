"""Requests by frame, each of which Locust counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import (
    ConnectionEndedError,
    NoReplyError,
    NotConnectedError,
    PeerTimeoutError,
    RemoteProtocolError,
)
from ..framing import Frame, encode_frame
from .connection import BlockingConnection, ConnectionSettings, checked_timeout
from .errors import RequestFailedError
from .reply import NO_FRAME, Fire, FramedReply, failure_by

# After a failed attempt: a service that is gone would be asked thousands of times a second, and where
# nothing ever waits, no other greenlet has its turn.
_RECONNECT_PAUSE_S = 0.1


class FramedClient:
    """Sends requests on one connection, and receives their replies; for one greenlet at a time.

    The connection is opened when it is first needed. After a failure it is closed, since what would come
    on it might belong to an earlier request, and the next request opens another one. Locust counts these
    as requests of the type ``CONNECT``.

    Nothing here raises what the service or the network has done: it is the reply's ``error``, and in
    Locust's table of failures. Mistakes of the caller are raised: a payload that is not bytes-like, or that
    no header of the format can announce.

    Args:
      settings: how connections are opened.
      fire: called with each request's event.
      timeout_s: how long a reply may take, in seconds, unless a request says otherwise.
      context: returns what each event has as its context.

    Raises:
      ValueError: ``timeout_s`` is not above 0.

    Attributes:
      connections_opened (int): how many were, until now.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        fire: Fire,
        *,
        timeout_s: float = 10.0,
        context: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.connections_opened: int = 0
        self._settings = settings
        self._fire = fire
        self._timeout_s = checked_timeout("timeout_s", timeout_s)
        self._context = context
        self._connection: BlockingConnection | None = None
        self._failed_attempts = 0

    def request(
        self,
        payload: bytes | bytearray | memoryview,
        name: str = "request",
        *,
        header: bytes | None = None,
        check: Callable[[bytes], object] | None = None,
        catch_response: bool = False,
        timeout_s: float | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> FramedReply:
        """Send a message, wait for the next frame, and return it as the reply.

        Args:
          payload: of the message.
          name: under which Locust counts it.
          header: one whose other bytes the message's header is to have; see `FrameFormat.encode_header`.
          check: gets the payload of the reply, and returns True if it is right, or False. Without it,
            and without ``catch_response``, every whole frame is a success.
          catch_response: the reply is for a ``with`` block, at whose end the request is counted.
          timeout_s: how long sending may take, and then the reply; in seconds.
          context: what the event has in its context, too.

        Raises:
          PayloadTooLargeError, TypeError, ValueError: there cannot be such a message, or timeout.
        """
        wire = encode_frame(payload, format=self._settings.format, header=header)
        limit_s = self._timeout_s if timeout_s is None else checked_timeout("timeout_s", timeout_s)

        def exchange(connection: BlockingConnection) -> Frame:
            connection.send(wire, limit_s)
            try:
                return connection.receive(limit_s)
            except (RemoteProtocolError, PeerTimeoutError):
                raise
            except ConnectionEndedError as error:
                raise NoReplyError(len(wire), 0, 1) from error

        reply = self._measured("FRAME", name, exchange, check, context)
        if not catch_response:
            reply.report()
        return reply

    def send(
        self,
        payload: bytes | bytearray | memoryview,
        name: str = "send",
        *,
        header: bytes | None = None,
        timeout_s: float | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> FramedReply:
        """Send a message to which no reply is awaited here, and return what came of it, without a payload.

        Its time is how long it took until the kernel had all of it. Arguments are as of `request`.
        """
        wire = encode_frame(payload, format=self._settings.format, header=header)
        limit_s = self._timeout_s if timeout_s is None else checked_timeout("timeout_s", timeout_s)

        def exchange(connection: BlockingConnection) -> Frame:
            connection.send(wire, limit_s)
            return NO_FRAME

        reply = self._measured("SEND", name, exchange, None, context)
        reply.report()
        return reply

    def receive(
        self,
        name: str = "receive",
        *,
        check: Callable[[bytes], object] | None = None,
        catch_response: bool = False,
        timeout_s: float | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> FramedReply:
        """Wait for the next frame and return it: one of several replies, or what no message asked for.

        Its time is how long this waited. Arguments are as of `request`.
        """
        limit_s = self._timeout_s if timeout_s is None else checked_timeout("timeout_s", timeout_s)
        reply = self._measured(
            "RECEIVE", name, lambda connection: connection.receive(limit_s), check, context
        )
        if not catch_response:
            reply.report()
        return reply

    def close(self) -> None:
        """Close the connection at once, if there is one; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _measured(
        self,
        kind: str,
        name: str,
        exchange: Callable[[BlockingConnection], Frame],
        check: Callable[[bytes], object] | None,
        context: Mapping[str, Any] | None,
    ) -> FramedReply:
        """Do something with the connection, and return what Locust is to count of it."""
        event: dict[str, Any] = {
            "request_type": kind,
            "name": name,
            "context": {**self._context(), **(context or {})},
            "start_time": time.time(),
        }
        frame, error = NO_FRAME, None
        if self._failed_attempts:
            time.sleep(_RECONNECT_PAUSE_S)
        began_at = time.perf_counter()
        try:
            connection = self._connection or self._open(event["context"])
            began_at = time.perf_counter()
            frame = exchange(connection)
            took_s = time.perf_counter() - began_at
        except ConnectionEndedError as failure:
            took_s = time.perf_counter() - began_at
            error = RequestFailedError.of(failure)
            self.close()
        except BaseException:  # the user was stopped in the middle
            self.close()
            raise
        event["response_time"] = took_s * 1000
        if error is None and check is not None:
            return FramedReply(self._fire, event, frame, failure_by(check, frame.payload))
        return FramedReply(self._fire, event, frame, error)

    def _open(self, context: Mapping[str, Any]) -> BlockingConnection:
        """Open a connection; all after the first one are events.

        Raises:
          NotConnectedError: it could not be opened.
        """
        start_time, began_at = time.time(), time.perf_counter()
        try:
            self._connection = BlockingConnection.open(self._settings)
        except (OSError, UnicodeError) as error:
            self._failed_attempts += 1
            raise NotConnectedError(self._failed_attempts) from error
        if self.connections_opened:
            self._fire(
                request_type="CONNECT",
                name=str(self._settings.target),
                response_time=(time.perf_counter() - began_at) * 1000,
                response_length=0,
                exception=None,
                context=context,
                start_time=start_time,
            )
        self.connections_opened += 1
        self._failed_attempts = 0
        return self._connection
