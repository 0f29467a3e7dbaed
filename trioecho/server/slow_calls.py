"""Says, once for each server, that a function which is not async kept all connections waiting."""

from __future__ import annotations

import logging


class SlowCalls:
    """Logs the first slow call of a function given to `reply_with`.

    Args:
      logger: where the line goes.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._is_known = False

    def note(self, name: str, seconds: float, messages: int) -> None:
        """Log that a function took so many seconds for its replies to so many messages, if none was yet."""
        if not self._is_known:
            self._is_known = True
            self._logger.warning(
                "%s() took %.0f ms for %s, and all connections waited for it: make it async, and let a "
                "thread (trio.to_thread.run_sync) do what takes long; further slow calls are not logged",
                name,
                seconds * 1000,
                "1 message" if messages == 1 else f"{messages} messages",
            )
