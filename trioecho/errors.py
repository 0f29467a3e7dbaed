"""What can go wrong between two peers, as a tree of exceptions.

::

    ProtocolError
    ├── LocalProtocolError            this side asked for something the protocol forbids
    │   └── PayloadTooLargeError      .length .limit
    └── RemoteProtocolError           the peer broke the protocol
        ├── FrameTooLargeError        .length .limit .diagnosis
        ├── FrameTooSmallError        .length .minimum
        └── IncompleteFrameError      .received .expected
    ClockError                        the peer was too slow; .seconds
    ├── IdleTimeoutError              no frame began
    ├── FrameTimeoutError             a frame began and did not end
    └── WriteTimeoutError             the peer did not take what was sent to it

The names Local- and RemoteProtocolError follow h11. Every number in a message
is an attribute, too. A connection that was reset or closed shows as Trio's own
`trio.BrokenResourceError`, `trio.ClosedResourceError` and `trio.EndOfChannel`.

Pickling keeps the numbers: each class passes them all to ``Exception``.
"""

from __future__ import annotations


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


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; what follows on this connection has no meaning."""


class FrameTooLargeError(RemoteProtocolError):
    """The peer announced a frame over the limit; none of its payload was stored.

    Attributes:
      length (int): payload bytes announced.
      limit (int): payload bytes allowed.
      diagnosis (str | None): what the header looks like, if it looks like
        something: an HTTP request, a TLS hello, the other byte order.
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


class IncompleteFrameError(RemoteProtocolError):
    """The peer ended its stream inside a frame.

    Attributes:
      received (int): bytes of the frame that came, header included.
      expected (int): bytes the frame would have had, header included; only the
        header's size when not even the header was complete.
    """

    def __init__(self, received: int, expected: int) -> None:
        super().__init__(received, expected)
        self.received = received
        self.expected = expected

    def __str__(self) -> str:
        return (
            f"the stream ended inside a frame, after {self.received} of {self.expected} bytes: "
            "the peer stopped early, or its length and its payload do not agree"
        )


class ClockError(Exception):
    """The peer was slower than a clock allows.

    Attributes:
      seconds (float): what the clock was set to.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class IdleTimeoutError(ClockError):
    """No frame began for the given time."""

    def __str__(self) -> str:
        return f"no frame began for {self.seconds:g} s (idle timeout)"


class FrameTimeoutError(ClockError):
    """A frame began and was not complete after the given time, however its bytes trickled."""

    def __str__(self) -> str:
        return f"a frame was not complete {self.seconds:g} s after it began (frame timeout)"


class WriteTimeoutError(ClockError):
    """Nothing more could be sent for the given time, because the peer did not read enough.

    Counts from the last byte that the kernel accepted. A kernel may accept none
    while a peer reads very slowly: Linux waits until a third of its buffer is free.
    """

    def __str__(self) -> str:
        return f"the peer read too little, or nothing, for {self.seconds:g} s (write timeout)"
