"""Heartbeats: how a process notices that another one hangs."""

from __future__ import annotations

from collections.abc import Callable

import trio

# A process that does not hang sends something at least this often.
BEAT_S = 1.0
# What every engine of a cluster takes for a sign of life, and sends as one: a JSON document.
HEARTBEAT = {"Heartbeat": dict[str, object]()}


class SilenceWatch:
    """Counts the beats in which another process has sent nothing.

    Beats of this process are counted, not time: while this process was suspended, the other
    one may have been suspended, too, and could not send anything.
    """

    def __init__(self) -> None:
        self._has_received = False

    def note_message(self) -> None:
        """Note that the other process has sent something."""
        self._has_received = True

    async def wait_for_silence(self, most_beats: Callable[[], int]) -> float:
        """Wait until the other process has sent nothing for a number of beats; return how many seconds.

        Args:
          most_beats: returns that number, which may change.
        """
        silent_beats = 0
        while silent_beats < most_beats():
            self._has_received = False
            await trio.sleep(BEAT_S)
            silent_beats = 0 if self._has_received else silent_beats + 1
        return silent_beats * BEAT_S
