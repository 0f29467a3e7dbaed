"""What can go wrong between two peers, as a tree of exceptions.

::

    ConnectionEndedError              the connection is over, for any reason
    ├── RemoteProtocolError           the peer broke the protocol; also a ProtocolError
    │   ├── FrameTooLargeError        .length .limit .diagnosis
    │   ├── FrameTooSmallError        .length .minimum
    │   ├── MalformedFrameError       .reason .offset .diagnosis
    │   ├── IncompleteFrameError      .received .expected .diagnosis
    │   └── UnexpectedReplyError      .key .length .in_flight
    ├── PeerTimeoutError              the peer was too slow; .seconds
    │   ├── IdleTimeoutError          no frame began
    │   ├── FrameTimeoutError         a frame began and did not end; .diagnosis
    │   └── WriteTimeoutError         the peer did not take what was sent to it
    ├── ConnectionLostError           reset or lost, or torn by a send; also Trio's BrokenResourceError
    ├── EndOfMessagesError            the peer has ended its stream; also Trio's EndOfChannel
    ├── NoReplyError                  a request was sent; .request_bytes .ahead .in_flight
    └── NotConnectedError             nothing of a request was sent; .failures
    ProtocolError                     the rules of the framing were broken
    └── LocalProtocolError            this side asked for something the protocol forbids
        ├── PayloadTooLargeError      .length .limit
        └── DuplicateKeyError           .key .in_flight
    RequestTimeoutError               a TooSlowError of Trio's; .seconds .in_flight .was_sent

To know that a connection is over, catch `ConnectionEndedError`. Beside it and
`RequestTimeoutError` there are only mistakes of this side: `LocalProtocolError`, and Trio's own
`trio.ClosedResourceError` (the channel was closed here) and `trio.BusyResourceError`
(two tasks at once); and `OSError`, when a connection cannot be opened.

The names Local- and RemoteProtocolError follow h11. Every number in a message
is an attribute, too. The three that are Trio's as well are in
`trioecho.connection.trio_errors`, because this module knows nothing of Trio.

Pickling keeps the numbers: each class passes them all to ``Exception``.
"""

from __future__ import annotations

from collections.abc import Hashable


class ConnectionEndedError(Exception):
    """The connection is over: its peer ended, lost or misused it, or was too slow."""


class ProtocolError(Exception):
    """The rules of the framing were broken, by one side or the other."""


class LocalProtocolError(ProtocolError):
    """This side asked for something that the protocol forbids; nothing was sent."""


class PayloadTooLargeError(LocalProtocolError):
    """A payload that this side wanted to send is over the limit.

    Attributes:
      length (int): payload bytes.
      limit (int): payload bytes that may be sent at most.
    """

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(length, limit)
        self.length = length
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"a payload of {self.length} bytes is over the limit of {self.limit}: "
            "send it in pieces, or raise max_frame_length on both sides"
        )


class DuplicateKeyError(LocalProtocolError):
    """A request has the key of another one that has no reply yet; nothing was sent.

    Attributes:
      key (Hashable): the key of both.
      in_flight (int): requests that were sent and not replied to.
    """

    def __init__(self, key: Hashable, in_flight: int) -> None:
        super().__init__(key, in_flight)
        self.key = key
        self.in_flight = in_flight

    def __str__(self) -> str:
        return (
            f"a request with the key {self.key!r} has no reply yet ({self.in_flight} in flight): "
            "take another key, or wait for that reply; a request that was given up keeps its key, too"
        )


class RemoteProtocolError(ConnectionEndedError, ProtocolError):
    """The peer broke the protocol; what follows on this connection has no meaning."""


class FrameTooLargeError(RemoteProtocolError):
    """The peer announced a frame over the limit; none of its payload was stored.

    Attributes:
      length (int): payload bytes announced.
      limit (int): payload bytes allowed.
      diagnosis (str | None): what the bytes look like, if they look like something:
        an HTTP request, text, the other byte order; the likelier first.
    """

    def __init__(self, length: int, limit: int, diagnosis: str | None = None) -> None:
        super().__init__(length, limit, diagnosis)
        self.length = length
        self.limit = limit
        self.diagnosis = diagnosis

    def __str__(self) -> str:
        hint = self.diagnosis or "if the peer means it, raise max_frame_length"
        return f"a frame of {self.length} bytes is over the limit of {self.limit}: {hint}"


class FrameTooSmallError(RemoteProtocolError):
    """The peer announced a length that does not even cover the header it includes.

    Attributes:
      length (int): bytes announced, header included.
      minimum (int): the header's own bytes.
    """

    def __init__(self, length: int, minimum: int) -> None:
        super().__init__(length, minimum)
        self.length = length
        self.minimum = minimum

    def __str__(self) -> str:
        return (
            f"a length of {self.length} bytes does not cover its own header of {self.minimum}: "
            "does the peer count the header, as this format does (length_includes_header)?"
        )


class MalformedFrameError(RemoteProtocolError):
    """The peer sent what cannot be a frame of this format: another byte than it has to be, or no digit.

    Attributes:
      reason (str): what is wrong.
      offset (int): of the wrong byte in its frame, from 0.
      diagnosis (str | None): what the bytes look like, if they look like something.
    """

    def __init__(self, reason: str, offset: int, diagnosis: str | None = None) -> None:
        super().__init__(reason, offset, diagnosis)
        self.reason = reason
        self.offset = offset
        self.diagnosis = diagnosis

    def __str__(self) -> str:
        hint = self.diagnosis or "does the peer send frames of this format?"
        return f"byte {self.offset} of a frame cannot be: {self.reason}; {hint}"


class IncompleteFrameError(RemoteProtocolError):
    """The peer ended its stream inside a frame.

    Attributes:
      received (int): bytes of the frame that came, header included.
      expected (int): bytes the frame would have had, header included; only the
        header's size when not even the header was complete.
      diagnosis (str | None): what the bytes look like, if they look like something.
    """

    def __init__(self, received: int, expected: int, diagnosis: str | None = None) -> None:
        super().__init__(received, expected, diagnosis)
        self.received = received
        self.expected = expected
        self.diagnosis = diagnosis

    def __str__(self) -> str:
        hint = self.diagnosis or "the peer stopped early, or its length and its payload do not agree"
        return f"the stream ended inside a frame, after {self.received} of {self.expected} bytes: {hint}"


class UnexpectedReplyError(RemoteProtocolError):
    """The service sent a reply to which there is no request.

    Attributes:
      key (Hashable): the reply's; None where replies come in order.
      length (int): payload bytes of the reply.
      in_flight (int): requests that were sent and not replied to.
    """

    def __init__(self, key: Hashable, length: int, in_flight: int) -> None:
        super().__init__(key, length, in_flight)
        self.key = key
        self.length = length
        self.in_flight = in_flight

    def __str__(self) -> str:
        which = "" if self.key is None else f" with the key {self.key!r}"
        return (
            f"a reply of {self.length} bytes{which} belongs to none of {self.in_flight} requests in flight: "
            "does the service reply once to each request, and does it send nothing else?"
        )


class NoReplyError(ConnectionEndedError):
    """A request was sent, or a part of it, and the connection has ended before its reply.

    The service may have acted on the request. Why the connection has ended is in ``__cause__``,
    another `ConnectionEndedError`.

    Attributes:
      request_bytes (int): of the request's frame.
      ahead (int): requests sent before it whose replies had not come either.
      in_flight (int): requests that were sent and not replied to, this one among them.
    """

    def __init__(self, request_bytes: int, ahead: int, in_flight: int) -> None:
        super().__init__(request_bytes, ahead, in_flight)
        self.request_bytes = request_bytes
        self.ahead = ahead
        self.in_flight = in_flight

    def __str__(self) -> str:
        why = "" if self.__cause__ is None else f": {self.__cause__}"
        return (
            f"the connection has ended before the reply to a request of {self.request_bytes} bytes "
            f"({self.ahead} of {self.in_flight} in flight were sent before it){why}; "
            "the service may have acted on it: repeat it only if that does no harm"
        )


class NotConnectedError(ConnectionEndedError):
    """There is no connection to send a request on, and nothing of it was sent.

    What failed last is in ``__cause__``: an `OSError`, or what ended the last connection.

    Attributes:
      failures (int): connections in a row that could not be opened, or ended without a reply.
    """

    def __init__(self, failures: int) -> None:
        super().__init__(failures)
        self.failures = failures

    def __str__(self) -> str:
        why = "" if self.__cause__ is None else f": {self.__cause__}"
        return (
            f"nothing was sent: the service cannot be reached, after {self.failures} failures in a row{why}"
        )


class PeerTimeoutError(ConnectionEndedError):
    """The peer was slower than a clock allows, so this side gives the connection up.

    Attributes:
      seconds (float): what the clock was set to.
    """

    def __init__(self, seconds: float, *details: object) -> None:
        super().__init__(seconds, *details)
        self.seconds = seconds


class IdleTimeoutError(PeerTimeoutError):
    """No frame began for the given time."""

    def __str__(self) -> str:
        return f"no frame began for {self.seconds:g} s (idle timeout)"


class FrameTimeoutError(PeerTimeoutError):
    """A frame began and was not complete after the given time, however its bytes trickled.

    Attributes:
      diagnosis (str | None): what the bytes look like that came, if they look like something.
    """

    def __init__(self, seconds: float, diagnosis: str | None = None) -> None:
        super().__init__(seconds, diagnosis)
        self.diagnosis = diagnosis

    def __str__(self) -> str:
        hint = f": {self.diagnosis}" if self.diagnosis else ""
        return f"a frame was not complete {self.seconds:g} s after it began (frame timeout){hint}"


class WriteTimeoutError(PeerTimeoutError):
    """Nothing more could be sent for the given time, because the peer did not read enough.

    Counts from the last byte that the kernel accepted. A kernel may accept none
    while a peer reads very slowly: Linux waits until a third of its buffer is free.
    """

    def __str__(self) -> str:
        return f"the peer read too little, or nothing, for {self.seconds:g} s (write timeout)"
