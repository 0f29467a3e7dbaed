"""A process that the suite starts itself, in a process group of its own: how it ends, and what it writes."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

import trio

from ...base.nursery import open_background_nursery
from ...base.quantities import in_bytes
from .guard import VARIABLE, Guard
from .output_tail import OutputTail
from .process_tree import count_descriptors, descendants, is_running, processes_with, status_bytes, sum_of

# What a process gets between being asked to end and being killed.
_KILL_AFTER_S = 0.5
_POLL_S = 0.02
_PIPE_BYTES = 1 << 16  # what Linux keeps for who has not read yet

# A child inherits that SIGINT is ignored, as it is in a shell's background;
# then this sets it right, on the way to the command.
_WITH_SIGINT = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class SpawnError(Exception):
    """A process could not be started, or is of no use; the message says what was seen."""


def parse_command(command: str) -> list[str]:
    """Return the words of a command, of which one has ``{port}`` in it.

    Raises:
      ValueError: it is no such command.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"{command!r} is no command: {error}") from None
    if not words:
        raise ValueError("the command is empty")
    if not any("{port}" in word for word in words):
        raise ValueError(f"{command!r} does not say where the port goes; write {{port}} there")
    return words


class Output:
    """What a process writes to a pipe."""

    def __init__(self, stream: trio.lowlevel.FdStream) -> None:
        self._stream = stream
        self._tail = OutputTail()

    async def read(self) -> None:
        """Read until the process has closed it."""
        with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            async for data in self._stream:
                self._tail.add(data)

    def last_lines(self, most: int, *, with_rest: bool) -> tuple[str, ...]:
        """Return the last lines, also those that the task which reads has not come to yet."""
        with contextlib.suppress(OSError):  # nothing is there, or it is closed
            self._tail.add(os.read(self._stream.fileno(), _PIPE_BYTES))
        return self._tail.last_lines(most, with_rest=with_rest)


class SpawnedProcess:
    """A process that runs, in a process group of its own.

    Attributes:
      was_signalled (bool): whether the suite itself has sent it a signal.
      bytes_at_end (int): how much memory it had when it was killed for that; 0 if it was not.
    """

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.was_signalled: bool = False
        self.bytes_at_end: int = 0
        # First what is for people: where both come by one pipe, that is all there is.
        self._outputs = [
            Output(stream)
            for stream in (process.stderr, process.stdout)
            if isinstance(stream, trio.lowlevel.FdStream)
        ]

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    @property
    def has_died(self) -> bool:
        """Whether the process has ended though the suite has not asked it to."""
        return self.has_ended and not self.was_signalled

    @property
    def how_it_ended(self) -> str:
        """The exit code, or the signal, in words."""
        code = self.process.poll()
        if code is not None and self.bytes_at_end:
            return f"was killed by the suite, as it had {in_bytes(self.bytes_at_end)} of memory"
        return "it runs" if code is None else f"ended {in_words_of(code)}"

    def last_lines(self, most: int = 8) -> tuple[str, ...]:
        """Return what it has written last, without empty lines, and made safe to show.

        If it has a pipe for each of both, that is stderr; stdout, if nothing came there.
        The default is enough for the message above a short stack trace.
        """
        found = (output.last_lines(most, with_rest=self.has_ended) for output in self._outputs)
        return next((lines for lines in found if lines), ())

    def send_signal(self, number: int) -> None:
        """Send a signal to all of its process group, as a terminal and systemd do."""
        self.was_signalled = self.was_signalled or not self.has_ended
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def end_for(self, resident_bytes: int) -> None:
        """Kill it, as it has so much memory that other processes would suffer; that is its own fault."""
        self.bytes_at_end = resident_bytes
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def wait_ended(self, within_s: float) -> bool:
        """Wait for the process to end; whether it did."""
        with trio.move_on_after(within_s):
            await self.process.wait()
        return self.has_ended

    # ---- what the system knows of it ----

    def resident_bytes(self) -> int | None:
        """Return the memory of its processes; None where that cannot be known."""
        return sum_of(self._pids(), partial(status_bytes, field="VmRSS"))

    def memory_bytes(self, *, at_most: bool = False) -> tuple[int, int] | None:
        """Return what its processes use, and what they have asked for; None where that cannot be known.

        Args:
          at_most: whether to return the most that they have used until now instead.
        """
        pids = self._pids()
        used = sum_of(pids, partial(status_bytes, field="VmHWM" if at_most else "VmRSS"))
        asked_for = sum_of(pids, partial(status_bytes, field="VmData"))
        return None if used is None or asked_for is None else (used, asked_for)

    def descriptors(self) -> int | None:
        """Return how many files its processes have open; None where that cannot be known."""
        return sum_of(self._pids(), count_descriptors)

    def _pids(self) -> list[int]:
        return [self.process.pid, *descendants(self.process.pid)]

    async def read_all(self) -> None:
        """Read what it writes, as long as it does."""
        async with trio.open_nursery() as nursery:
            for output in self._outputs:
                nursery.start_soon(output.read)


P = TypeVar("P", bound=SpawnedProcess)


@contextlib.asynccontextmanager
async def spawn_process(
    words: list[str],
    make: Callable[[trio.Process], P],
    *,
    guard: Guard,
    directory: str | None = None,
    stderr: int = subprocess.STDOUT,
) -> AsyncIterator[P]:
    """Start a process; all that it has started is gone when the block is left, however.

    Args:
      words: of the command.
      make: makes of the process what is given.
      guard: ends it if this process is killed.
      directory: where it is started; None for where this process is.
      stderr: where that goes; by default, with stdout.

    Raises:
      SpawnError: it does not start.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        words = [sys.executable, "-c", _WITH_SIGINT, *words]
    mark = guard.next_mark()
    try:
        process = await trio.lowlevel.open_process(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            cwd=directory,
            env={**os.environ, VARIABLE: mark},
        )
    except OSError as error:
        raise SpawnError(f"cannot start {words[0]!r}: {error.strerror}") from None
    guard.watch(process.pid)
    spawned = make(process)
    async with open_background_nursery() as nursery:
        nursery.start_soon(spawned.read_all)
        try:
            yield spawned
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 4 * _KILL_AFTER_S):
                await _end(spawned, mark)
            guard.forget(process.pid)


async def _end(spawned: SpawnedProcess, mark: str) -> None:
    """Ask, wait, kill; also those that it has started, and those that have left its tree."""
    others = descendants(spawned.process.pid)
    spawned.send_signal(signal.SIGTERM)
    await spawned.wait_ended(_KILL_AFTER_S)
    spawned.send_signal(signal.SIGKILL)
    while others := [pid for pid in {*others, *processes_with(VARIABLE, mark)} if is_running(pid)]:
        for pid in others:
            if pid != spawned.process.pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        # The kernel reports their end to their parent only, which is gone; and what was killed may
        # have started another a moment ago.
        await trio.sleep(_POLL_S)
    await spawned.process.wait()


def in_words_of(code: int) -> str:
    """Say how a process ended, by its return code."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"
