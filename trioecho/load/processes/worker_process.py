"""A worker process of a load on this machine."""

from __future__ import annotations

import contextlib

import trio

from ...base.own_process import OwnProcess, run_own_process
from ...base.processes import own_program
from ...connection.json_frames import JsonChannel, open_json_pair
from ..errors import WorkerFailedError, WorkerSilentError
from .messages import LoadWorkerConfig
from .supervised_worker import SupervisedWorker


class WorkerProcess(SupervisedWorker):
    """A process, and what it has sent.

    Attributes:
      process: which may have ended.

    Args:
      name: for people who look at processes, and in errors.
      config: what it has to do.
      own: the process, which runs.
      channel: to the process.
    """

    def __init__(self, name: str, config: LoadWorkerConfig, own: OwnProcess, channel: JsonChannel) -> None:
        super().__init__(config, channel)
        self.process: trio.Process = own.process
        self._name = name
        self._own = own

    def kill(self) -> None:
        self.process.kill()

    async def wait_for_failure(self, silent_s: float) -> WorkerFailedError:
        exit_code = await self.process.wait()
        last_words = await self._own.last_words()
        worker = f"worker process {self._name} (process {self.process.pid})"
        if silent_s:
            return WorkerSilentError(exit_code, last_words, worker=worker, silent_s=silent_s)
        return WorkerFailedError(exit_code, last_words, worker=worker)


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
    program = own_program("--name", name, module="trioecho.load.processes.worker")
    channel, theirs = open_json_pair()
    await channels.enter_async_context(channel)
    with theirs:
        # Ctrl-C is for the supervisor, which then commands the workers to stop.
        own: OwnProcess = await nursery.start(run_own_process, program, theirs.fileno(), _kill)
    return WorkerProcess(name, config, own, channel)


async def _kill(process: trio.Process) -> None:
    # A worker has nothing to clean up, and one that hangs would not notice SIGTERM.
    process.kill()
