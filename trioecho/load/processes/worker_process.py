"""A worker process of a load on this machine."""

from __future__ import annotations

import contextlib
import socket
import subprocess

import trio

from ...base.processes import own_program
from ...connection.json_frames import JsonChannel, open_json_pair
from ..errors import WorkerFailedError, WorkerSilentError
from .messages import LoadWorkerConfig
from .supervised_worker import SupervisedWorker

_KEPT_WORDS_BYTES = 1 << 14
# How long the last words of a process that has ended may take.
_LAST_WORDS_S = 1.0


class WorkerProcess(SupervisedWorker):
    """A process, and what it has sent.

    Attributes:
      process: which may have ended.

    Args:
      name: for people who look at processes, and in errors.
      config: what it has to do.
      process: which runs.
      channel: to the process.
    """

    def __init__(
        self, name: str, config: LoadWorkerConfig, process: trio.Process, channel: JsonChannel
    ) -> None:
        super().__init__(config, channel)
        self.process: trio.Process = process
        self._name = name
        self._last_words = b""
        self._has_no_more_words = trio.Event()

    def kill(self) -> None:
        self.process.kill()

    async def wait_for_failure(self, silent_s: float) -> WorkerFailedError:
        exit_code = await self.process.wait()
        with trio.move_on_after(_LAST_WORDS_S):
            await self._has_no_more_words.wait()
        lines = self._last_words.decode(errors="replace").strip().splitlines()
        last_words = lines[-1] if lines else ""
        if silent_s:
            return WorkerSilentError(
                exit_code, last_words, name=self._name, pid=self.process.pid, silent_s=silent_s
            )
        return WorkerFailedError(exit_code, last_words)

    async def follow(self) -> None:
        """Keep what the process says last."""
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
