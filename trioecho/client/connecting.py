"""When a `FrameClient` opens connections, and how long that may take."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from ..limits import or_infinite

_T = TypeVar("_T")

# The longest wait after the first failure, and the longest of all.
_FIRST_S, _LONGEST_S = 0.1, 5.0


class Backoff:
    """How long to wait before the next connection is opened; `FrameClient` says how, and the source.

    Attributes:
      failures: connections in a row that could not be opened, or ended without a reply.
    """

    def __init__(self, generator: random.Random | None = None) -> None:
        self._random = generator or random.Random()
        self.failures = 0

    def next_wait_s(self) -> float:
        """Return how many seconds to wait; another number each time."""
        if not self.failures:
            return 0
        # The exponent is bounded, or the power would become larger than any float.
        return self._random.uniform(0, min(_LONGEST_S, _FIRST_S * 2 ** min(self.failures - 1, 10)))


async def within(seconds: float, connect: Callable[[], Awaitable[_T]]) -> _T:
    """Connect within that time; 0 for any time.

    Raises:
      TimeoutError: the time was over; it is an `OSError`, as whatever else means that the
        service cannot be reached now.
    """
    try:
        with trio.fail_after(or_infinite(seconds)):
            return await connect()
    except trio.TooSlowError:
        raise TimeoutError(f"no connection within {seconds:g} s") from None
