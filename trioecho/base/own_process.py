"""Processes of this program that another one has started: what they say last, and how they end."""

from __future__ import annotations

import subprocess
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from .nursery import open_background_nursery
from .processes import Program

_KEPT_WORDS_BYTES = 1 << 14
# How long the last words of a process that has ended may take.
_LAST_WORDS_S = 1.0


class OwnProcess:
    """A process that `run_own_process` has started.

    Attributes:
      process: which may have ended.

    Args:
      process: which runs; its standard error is a pipe.
    """

    def __init__(self, process: trio.Process) -> None:
        self.process: trio.Process = process
        self._words = b""
        self._are_complete = trio.Event()

    async def last_words(self) -> str:
        """Wait until the process says nothing more, a second at most; return its last line, or nothing."""
        with trio.move_on_after(_LAST_WORDS_S):
            await self._are_complete.wait()
        lines = self._words.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    async def keep_words(self) -> None:
        """Keep what the process says on its standard error, until that is closed."""
        stderr = self.process.stderr
        if stderr is None:
            raise TypeError("the standard error of such a process must be a pipe")
        while data := await stderr.receive_some():
            self._words = (self._words + data)[-_KEPT_WORDS_BYTES:]
        self._are_complete.set()


async def run_own_process(
    program: Program,
    stdin: int,
    deliver_cancel: Callable[[trio.Process], Awaitable[object]] | None = None,
    *,
    task_status: trio.TaskStatus[OwnProcess],
) -> None:
    """Run a process until it ends, in a session of its own: signals of a terminal are for this one.

    Args:
      program: what to run.
      stdin: the descriptor that is its standard input, most often a socket to this process.
      deliver_cancel: ends it when this call is cancelled; None as for `trio.run_process`.
      task_status: gets the process when it runs.

    When cancelled, the process is ended.

    Raises:
      OSError: it cannot be started.
    """
    async with open_background_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(
                trio.run_process,
                program.command,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
                env=program.env,
                cwd=program.cwd,
                start_new_session=True,
                deliver_cancel=deliver_cancel,
            )
        )
        own = OwnProcess(process)
        nursery.start_soon(own.keep_words)
        task_status.started(own)
        await process.wait()
        await own.last_words()
        # What it has started may have its standard error still, which is no reason to wait longer.
