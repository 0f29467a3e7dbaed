"""A test that hangs fails instead."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
import trio

# Nothing waits this long when all is well, on a busy machine either.
GUARD_S = 60.0
# ... but for all cases of the suite, one after the other.
SUITE_GUARD_S = 300.0


@contextlib.contextmanager
def guarded(seconds: float = GUARD_S) -> Iterator[None]:
    """Fail instead of hanging; in real time, even where the test's clock stands still."""
    with trio.CancelScope() as scope:
        token = trio.lowlevel.current_trio_token()
        timer = threading.Timer(seconds, token.run_sync_soon, [scope.cancel])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
    if scope.cancelled_caught:
        pytest.fail(f"not done after {seconds:g} s")
