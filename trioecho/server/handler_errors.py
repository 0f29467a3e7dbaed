"""What handlers let out: whose error it is, how it is counted and logged; it ends only its own connection.

Only what the channel of a connection has raised is its peer's doing. Any other exception,
also one of another connection that the handler uses, is an error of the handler.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..base.describe import describe
from ..base.exception_groups import BaseExceptionGroup, leaves
from ..base.rate_limited_log import RateLimitedLog
from ..connection.channel import FrameChannel
from ..connection.trio_errors import EndOfMessagesError
from ..errors import (
    ConnectionEndedError,
    FrameTimeoutError,
    FrameTooLargeError,
    FrameTooSmallError,
    IdleTimeoutError,
    IncompleteFrameError,
    WriteTimeoutError,
)

# What a peer can do to its own connection, and what the reports call it: the first that is a
# base of the exception.
_PEER_ERRORS: dict[type[ConnectionEndedError], str] = {
    FrameTooLargeError: "frame_too_large",
    FrameTooSmallError: "frame_too_small",
    IncompleteFrameError: "incomplete_frame",
    IdleTimeoutError: "idle_timeout",
    FrameTimeoutError: "frame_timeout",
    WriteTimeoutError: "write_timeout",
    ConnectionEndedError: "connection_lost",
}


class HandlerErrors:
    """Counts and logs the errors of the connections of one server.

    Args:
      count: called with the kind of each error.
      logger: where errors of the handler go, with their tracebacks.
      log: where errors of peers go, a line for each.
    """

    def __init__(self, count: Callable[[str], object], logger: logging.Logger, log: RateLimitedLog) -> None:
        self._count = count
        self._logger = logger
        self._log = log

    def contain(self, channel: FrameChannel, error: BaseException) -> None:
        """Note what ended a connection, and raise what must not end there: cancellation and the like."""
        if isinstance(error, BaseExceptionGroup):
            stop, failures = error.split(lambda each: not isinstance(each, Exception | BaseExceptionGroup))
            if failures is not None:
                self._note(channel, failures)
            if stop is not None:
                raise stop from None
        elif isinstance(error, Exception):
            self._note(channel, error)
        else:
            raise error

    def _note(self, channel: FrameChannel, error: BaseException) -> None:
        # A group comes from a nursery of the handler's own.
        causes = list(leaves(error))
        if not all(map(channel._has_raised, causes)):
            self._count("handler_failed")
            hint = ""
            if isinstance(getattr(causes[0], "obj", None), FrameChannel):  # an AttributeError
                hint = " (it was given a channel; a function from message to message goes into reply_with)"
            self._logger.error(
                "%s: the handler failed; its connection is closed%s", channel.peer, hint, exc_info=error
            )
            return
        causes = [cause for cause in causes if not isinstance(cause, EndOfMessagesError)]
        if causes:  # else it is a clean end
            self._count(next(kind for base, kind in _PEER_ERRORS.items() if isinstance(causes[0], base)))
            self._log.warning(f"{channel.peer}: {describe(causes[0])}")
