"""A worker process of a load, as its supervisor sees it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections import deque
from collections.abc import Callable

import trio

from ...base.heartbeats import SilenceWatch
from ...base.processes import own_program
from ...connection.json_frames import JsonChannel, open_json_pair
from ...errors import RemoteProtocolError
from ..errors import WorkerFailedError, WorkerSilentError
from ..results.progress import LoadProgress
from ..results.result import LoadResult
from .messages import (
    LoadMessage,
    LoadWorkerConfig,
    LoadWorkerReady,
    decode_load_message,
    encode_load_message,
)

# A worker sends something at least every beat. One that was silent for this number of beats of
# this process hangs: its loop has a turn every few milliseconds, but a load may keep a machine busy.
# After its start, the first message may take longer.
_SILENT_BEATS, _SILENT_START_BEATS = 30, 60
_KEPT_WORDS_BYTES = 1 << 14
# How long the last words of a process that has ended may take.
_LAST_WORDS_S = 1.0


class WorkerProcess:
    """A process, and what it has sent.

    Attributes:
      config: what it has to do.
      process: which may have ended.
      is_ready: set when its connections are open.
      progress: what it has sent and the supervisor has not yet reported.
      last_progress: what the supervisor has reported last; None before.
      result: None before there is one.
      failure: why there will be none; None while there may be one.

    Args:
      name: for people who look at processes, and in errors.
      config: what it has to do.
      process: which runs.
      channel: to the process.
    """

    def __init__(
        self, name: str, config: LoadWorkerConfig, process: trio.Process, channel: JsonChannel
    ) -> None:
        self.config: LoadWorkerConfig = config
        self.process: trio.Process = process
        self.is_ready: trio.Event = trio.Event()
        self.progress: deque[LoadProgress] = deque()
        self.last_progress: LoadProgress | None = None
        self.result: LoadResult | None = None
        self.failure: Exception | None = None
        self._name = name
        self._channel = channel
        self._sending = trio.Lock()
        self._silence = SilenceWatch()
        self._silent_s = 0.0
        self._has_sent = False
        self._last_words = b""
        self._has_no_more_words = trio.Event()

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
            nursery.start_soon(self._keep_last_words)
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
                self.failure = await self._wait_for_end()
            nursery.cancel_scope.cancel()

    def _take(self, message: LoadMessage) -> None:
        if isinstance(message, LoadWorkerReady):
            self.is_ready.set()
        elif isinstance(message, LoadProgress):
            self.progress.append(message)
        elif isinstance(message, LoadResult):
            self.result = message
        elif isinstance(message, Exception):
            self.failure = message

    async def _wait_for_end(self) -> WorkerFailedError:
        exit_code = await self.process.wait()
        with trio.move_on_after(_LAST_WORDS_S):
            await self._has_no_more_words.wait()
        lines = self._last_words.decode(errors="replace").strip().splitlines()
        last_words = lines[-1] if lines else ""
        if self._silent_s:
            return WorkerSilentError(
                exit_code, last_words, name=self._name, pid=self.process.pid, silent_s=self._silent_s
            )
        return WorkerFailedError(exit_code, last_words)

    async def _watch(self) -> None:
        """Kill a worker that hangs."""
        self._silent_s = await self._silence.wait_for_silence(
            lambda: _SILENT_BEATS if self._has_sent else _SILENT_START_BEATS
        )
        self.process.kill()

    async def _keep_last_words(self) -> None:
        stderr = self.process.stderr
        if stderr is None:
            raise TypeError("a worker's standard error must be a pipe")
        while data := await stderr.receive_some():
            self._last_words = (self._last_words + data)[-_KEPT_WORDS_BYTES:]
        self._has_no_more_words.set()


async def start_worker(
    name: str,
    config: LoadWorkerConfig,
    nursery: trio.Nursery,
    channels: contextlib.AsyncExitStack,
) -> WorkerProcess:
    """Start a worker process, which has no configuration yet.

    Args:
      name: for people who look at processes, and in errors.
      config: what it will have to do.
      nursery: when it is cancelled, the process is killed.
      channels: closes the channel to the process.
    """
    channel, theirs = open_json_pair()
    await channels.enter_async_context(channel)
    with theirs:
        process: trio.Process = await nursery.start(_run_process, name, theirs)
    return WorkerProcess(name, config, process, channel)


async def _run_process(
    name: str, connection: socket.socket, task_status: trio.TaskStatus[trio.Process]
) -> None:
    program = own_program("--name", name, module="trioecho.load.processes.worker")
    await trio.run_process(
        program.command,
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        env=program.env,
        cwd=program.cwd,
        # Ctrl-C is for the supervisor, which then commands the workers to stop.
        start_new_session=True,
        deliver_cancel=_kill,
        task_status=task_status,
    )


async def _kill(process: trio.Process) -> None:
    # A worker has nothing to clean up, and one that hangs would not notice SIGTERM.
    process.kill()
