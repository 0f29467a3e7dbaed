"""Wait for the end of a client, and see that it does something until then, and how much memory it takes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

import trio

from ..spawned.spawned_process import SpawnedProcess
from .served import Served

# More than this is not taken for the frames of any client's messages.
MOST_GROWTH_BYTES = 128 << 20
# Silence is counted in pieces of this length, so that a long stop of this machine is little of it.
_TICK_S = 0.1
_LOOK_S = 0.1
# A look goes through all processes of this machine: that takes one part of so many of the time.
_LOOKING_PART = 20
# A client that never stops to send is ended after so long, or so many times what is usual for it.
_MOST_S, _MOST_RUNS = 60.0, 10


class Watch:
    """A run of the client, watched from its start to its end.

    Args:
      client: that has just been started.
      served: gives its connections.
      fault: gives what is wrong; empty as long as all is right.

    Attributes:
      elapsed_s (float): how long it ran.
      silence_s (float): longest time in which nothing came from it before anything was wrong.
      waited_s (float): how long it could do nothing until it was given up.
      grown_bytes (int | None): by how much its memory has grown since `note_memory`.
      was_large (bool): whether it was ended for that.
    """

    def __init__(
        self, client: SpawnedProcess, served: Callable[[], Sequence[Served]], fault: Callable[[], str]
    ) -> None:
        self.elapsed_s: float = 0.0
        self.silence_s: float = 0.0
        self.waited_s: float = 0.0
        self.grown_bytes: int | None = None
        self.was_large: bool = False
        self._client = client
        self._served = served
        self._fault = fault
        self._before: tuple[int, int] | None = None

    async def wait(self, patience_s: float, notice_s: float, run_s: float) -> None:
        """Wait until the client has ended, or has done nothing for too long.

        Args:
          patience_s: how long it may send nothing as long as all is right.
          notice_s: how long it may take to end when something is wrong.
          run_s: how long it usually takes.
        """
        began = trio.current_time()
        silent_s = wrong_s = total_s = 0.0
        while not self._client.has_ended:
            tick_began = trio.current_time()
            is_wrong = bool(self._fault())
            with trio.move_on_after(_TICK_S):
                await self._client.process.wait()
            # Of a long stop of this machine twice a tick is counted.
            counted_s = min(trio.current_time() - tick_began, 2 * _TICK_S)
            total_s += counted_s
            if is_wrong:
                wrong_s += counted_s
                self.waited_s = wrong_s
                if wrong_s >= notice_s:
                    break
                continue
            has_moved = any(each.last_moved >= tick_began for each in self._served())
            silent_s = 0.0 if has_moved else silent_s + counted_s
            self.silence_s = max(self.silence_s, silent_s)
            self.waited_s = silent_s
            if silent_s >= patience_s or total_s >= _MOST_S + _MOST_RUNS * run_s:
                break
        self.elapsed_s = trio.current_time() - began

    # ---- memory ----

    def note_memory(self) -> None:
        """Note how much memory the client has had until now; what it takes from here on has grown."""
        self._before = self._client.memory_bytes(at_most=True)

    async def memory(self) -> None:
        """Look at its memory from `note_memory` on, and end the client if that grows too much."""
        looked_s = 0.0
        while not self._client.has_ended:
            await trio.sleep(max(_LOOK_S, _LOOKING_PART * looked_s))
            began = trio.current_time()
            self._look()
            looked_s = trio.current_time() - began
            if (self.grown_bytes or 0) > MOST_GROWTH_BYTES:
                self.was_large = True
                self._client.send_signal(signal.SIGKILL)
                return

    def _look(self) -> None:
        if self._before is not None and (now := self._client.memory_bytes(at_most=True)) is not None:
            grown = max(after - before for after, before in zip(now, self._before, strict=True))
            self.grown_bytes = max(self.grown_bytes or 0, grown)
