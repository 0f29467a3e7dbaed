"""What can go wrong with a request of a Locust user, beside the exceptions of `trioecho.errors`.

Locust counts failures by the ``repr`` of their exceptions. One with its numbers in it would be a line of
its own in Locust's table for each message. So Locust is given a `RequestFailedError`, whose ``repr`` has
words that stay the same, and whose ``cause`` has the numbers.
"""

from __future__ import annotations

import re
import ssl

from ..base.describe import describe
from ..base.endpoint import why_not_connected
from ..base.tls_reasons import handshake_reason
from ..errors import NoReplyError, NotConnectedError, PeerTimeoutError, RemoteProtocolError

# A number by itself: not the one in HTTP/1.1, in u32le, or in 127.0.0.1.
_NUMBER = re.compile(r"(?<![\w./:-])\d[\d,]*(?![\w./:-])")


class ReplyTimeoutError(PeerTimeoutError):
    """No reply, or not the whole of one, came within the timeout; the connection was given up.

    Attributes:
      seconds (float): the timeout.
      received (int): bytes of the reply that came.
    """

    def __init__(self, seconds: float, received: int) -> None:
        super().__init__(seconds, received)
        self.received = received

    def __str__(self) -> str:
        came = f"only {self.received} bytes of it came" if self.received else "nothing of it came"
        return f"no reply within {self.seconds:g} s: {came}; raise timeout_s if the service may take longer"


class CheckFailedError(Exception):
    """A reply came, and the check of the request says that it is not right, or does not say.

    Attributes:
      length (int): payload bytes of the reply.
      reason (str): what the check says.
    """

    def __init__(self, length: int, reason: str) -> None:
        super().__init__(length, reason)
        self.length = length
        self.reason = reason

    def __str__(self) -> str:
        return f"a reply of {self.length} bytes is not right: {self.reason}"


class RequestFailedError(Exception):
    """A request that failed, as Locust shows it.

    Attributes:
      reason (str): why, in words that are the same for all that failed in the same way.
      cause (Exception): the same with its numbers: one of `trioecho.errors`, or of this module.
    """

    def __init__(self, reason: str, cause: Exception) -> None:
        super().__init__(reason, cause)
        self.reason = reason
        self.cause = cause

    @classmethod
    def of(cls, cause: Exception) -> RequestFailedError:
        """Return the one that stands for an exception."""
        return cls(_reason_of(cause), cause)

    def __str__(self) -> str:
        return str(self.cause)

    def __repr__(self) -> str:
        return f"{type(self.cause).__name__}: {self.reason}"


def _reason_of(error: Exception) -> str:
    below = error.__cause__
    if isinstance(error, NotConnectedError) and isinstance(below, ssl.SSLError):
        return handshake_reason(below)[0]
    if isinstance(error, NotConnectedError) and isinstance(below, OSError):
        return why_not_connected(below)
    if isinstance(error, NoReplyError):
        return describe(below) if isinstance(below, Exception) else "the server has ended the connection"
    if isinstance(error, ReplyTimeoutError):
        return f"no reply within {error.seconds:g} s"
    if isinstance(error, CheckFailedError):
        return error.reason
    if isinstance(error, RemoteProtocolError):
        return _NUMBER.sub("N", str(error))
    return str(error)
