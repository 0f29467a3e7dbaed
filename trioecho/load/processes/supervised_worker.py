"""A worker of a load, wherever it runs, as its supervisor sees it."""

from __future__ import annotations

import abc
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any

import trio

from ...base.heartbeats import SilenceWatch
from ...errors import RemoteProtocolError
from ..errors import WorkerFailedError
from ..results.progress import LoadProgress
from ..results.result import LoadResult
from .messages import (
    LoadMessage,
    LoadWorkerConfig,
    LoadWorkerReady,
    LoadWorkerStarted,
    decode_load_message,
    encode_load_message,
)
from .reported_part import ReportedPart

# A worker sends something at least every beat. One that was silent for this number of beats of
# this process hangs: its loop has a turn every few milliseconds, but a load may keep a machine busy.
# After its start, the first message may take longer.
_SILENT_BEATS, _SILENT_START_BEATS = 30, 60


class SupervisedWorker(abc.ABC):
    """A worker, and what it has sent.

    Attributes:
      config: what it has to do.
      is_ready: set when its connections are open.
      sources: the addresses from which these were made.
      started_late_ns: how long after its moment it started; None before.
      progress: what it has sent and the supervisor has not yet reported.
      last_progress: what the supervisor has reported last; None before.
      result: None before there is one.
      failure: why there will be none; None while there may be one.
      reported: all that it has sent of its progress.

    Args:
      config: what it has to do.
      channel: to the worker.
    """

    def __init__(self, config: LoadWorkerConfig, channel: trio.abc.Channel[Any]) -> None:
        self.config: LoadWorkerConfig = config
        self.is_ready: trio.Event = trio.Event()
        self.sources: tuple[str, ...] = ()
        self.started_late_ns: int | None = None
        self.progress: deque[LoadProgress] = deque()
        self.last_progress: LoadProgress | None = None
        self.result: LoadResult | None = None
        self.failure: Exception | None = None
        self.reported: ReportedPart = ReportedPart(
            config.plan, config.first, config.count, config.progress_interval_s
        )
        self._channel = channel
        self._sending = trio.Lock()
        self._silence = SilenceWatch()
        self._silent_s = 0.0
        self._has_sent = False

    @abc.abstractmethod
    def kill(self) -> None:
        """End the worker at once; its channel then ends, too."""

    @abc.abstractmethod
    async def wait_for_failure(self, silent_s: float) -> WorkerFailedError:
        """Wait until a worker whose channel has ended is gone, and return why.

        Args:
          silent_s: for how long it had been silent, if it was killed for that; else 0.
        """

    async def send(self, message: LoadMessage) -> None:
        """Send a message; a worker that is gone has failed, which `supervise` sees."""
        async with self._sending:
            with contextlib.suppress(trio.BrokenResourceError):
                await self._channel.send(encode_load_message(message))

    async def supervise(self, on_message: Callable[[], object]) -> None:
        """Take what the worker sends until it has a result or has failed; kill it if it hangs.

        Args:
          on_message: called after each message was taken.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            # A message that was cut off by the death of the worker cannot be used.
            with contextlib.suppress(trio.BrokenResourceError, RemoteProtocolError):
                async for document in self._channel:
                    self._silence.note_message()
                    self._has_sent = True
                    self._take(decode_load_message(document))
                    on_message()
                    if self.result is not None or self.failure is not None:
                        break
            if self.result is None and self.failure is None:
                self.failure = await self.wait_for_failure(self._silent_s)
            nursery.cancel_scope.cancel()

    def _take(self, message: LoadMessage) -> None:
        if isinstance(message, LoadWorkerReady):
            self.sources = message.sources
            self.is_ready.set()
        elif isinstance(message, LoadWorkerStarted):
            self.started_late_ns = message.late_ns
        elif isinstance(message, LoadProgress):
            self.progress.append(message)
            self.reported.add(message)
        elif isinstance(message, LoadResult):
            self.result = message
        elif isinstance(message, Exception):
            self.failure = message

    async def _watch(self) -> None:
        """Kill a worker that hangs."""
        self._silent_s = await self._silence.wait_for_silence(
            lambda: _SILENT_BEATS if self._has_sent else _SILENT_START_BEATS
        )
        self.kill()
