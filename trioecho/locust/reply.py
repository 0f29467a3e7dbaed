"""What came of a request, and how a locustfile says whether that is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from ..framing import Frame
from .errors import CheckFailedError, RequestFailedError

NO_FRAME = Frame(b"", b"")

Fire = Callable[..., object]
"""What takes a request's event: ``environment.events.request.fire`` of Locust."""


class FramedReply:
    """The reply to a request, or why there is none.

    With ``catch_response=True`` it is for a ``with`` block, which says whether the request was a success:
    with `success` or `failure`, or with an ``assert``, which is a failure if it does not hold. Locust
    counts the request at the end of the block.

    Attributes:
      payload: of the reply; empty where there is none.
      header: of the reply, the length included.
      trailer: what followed the payload, in formats that have something there.
      error: why the request has failed; None if it has not.
      response_time_ms: from when the request was sent to its whole reply; a failed one took so long.
    """

    def __init__(self, fire: Fire, event: Mapping[str, Any], frame: Frame, error: Exception | None) -> None:
        self.payload: bytes = frame.payload
        self.header: bytes = frame.header
        self.trailer: bytes = frame.trailer
        self.error: Exception | None = error
        self.response_time_ms: float = event["response_time"]
        self._fire = fire
        self._event = event

    @property
    def ok(self) -> bool:
        """Whether the request was a success, as far as is known."""
        return self.error is None

    def success(self) -> None:
        """Count the request as a success, also where it failed."""
        self.error = None

    def failure(self, reason: str | Exception) -> None:
        """Count the request as a failure, for a reason that Locust's table of failures shows."""
        if not isinstance(reason, Exception):
            reason = RequestFailedError.of(CheckFailedError(len(self.payload), reason))
        self.error = reason

    def report(self) -> None:
        """Have Locust count the request."""
        self._fire(**self._event, response_length=len(self.payload), exception=self.error, response=self)

    def __enter__(self) -> FramedReply:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, place: TracebackType | None
    ) -> bool:
        is_refused = isinstance(raised, AssertionError)
        if is_refused:
            self.failure(" ".join(str(raised).split()) or "an assertion does not hold")
        self.report()
        return is_refused


def failure_by(check: Callable[[bytes], object], payload: bytes) -> Exception | None:
    """Return what a check has against a reply; None if it says that it is right."""
    try:
        verdict = check(payload)
    except AssertionError as error:
        reason = " ".join(str(error).split()) or "an assertion of the check does not hold"
    except Exception as error:  # noqa: BLE001 - of a user's function, which must not end the user's task
        reason = f"the check has raised {type(error).__name__}"
    else:
        if verdict is True:
            return None
        reason = "the check says no"
        if verdict is not False:
            reason = f"the check returned {type(verdict).__name__}, and not True or False"
    return RequestFailedError.of(CheckFailedError(len(payload), reason))
