"""A log that a hostile crowd cannot flood: at most 20 lines a second, then a count."""

from __future__ import annotations

import logging

import trio

LINES_PER_SECOND = 20


class RateLimitedLog:
    """Passes on at most 20 lines a second; the rest of that second becomes one line.

    Args:
      logger: where the lines go, as warnings.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._second_ends = 0.0
        self._lines = 0
        self._left_out = 0
        self._overflow = trio.Event()

    def warning(self, line: str) -> None:
        """Log a line, or only count it."""
        now = trio.current_time()
        if now >= self._second_ends:
            self.flush()
            self._second_ends = now + 1
            self._lines = 0
        if self._lines < LINES_PER_SECOND:
            self._lines += 1
            self._logger.warning("%s", line)
        else:
            self._left_out += 1
            self._overflow.set()

    async def run(self) -> None:
        """Write the counts when their seconds end, until cancelled; call `flush` after that."""
        while True:
            await self._overflow.wait()
            while trio.current_time() < self._second_ends:  # noqa: ASYNC110 - which another second may move
                await trio.sleep_until(self._second_ends)
            self.flush()

    def flush(self) -> None:
        """Write the count of the lines that were left out, if there are any."""
        if self._left_out:
            self._logger.warning("%d more lines like these within the same second", self._left_out)
            self._left_out = 0
        if self._overflow.is_set():  # else run() waits for this very event
            self._overflow = trio.Event()
