"""A server that the suite starts itself: ``--spawn``."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import trio

from ...base.connect import connect
from ...base.nursery import open_background_nursery
from ...base.quantities import in_bytes
from .free_port import reserved_port
from .guard import VARIABLE, Guard
from .memory_watch import watch_memory
from .output_tail import OutputTail
from .process_tree import count_descriptors, descendants, is_running, processes_with, status_bytes, sum_of

HOST = "127.0.0.1"
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
    """A server could not be started; the message says what was seen."""


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


class SpawnedServer:
    """A server that runs, in a process group of its own.

    Attributes:
      address (tuple[str, int]): where it listens.
      was_signalled (bool): whether the suite itself has sent it a signal.
    """

    def __init__(self, process: trio.Process, port: int) -> None:
        self.address: tuple[str, int] = (HOST, port)
        self.process = process
        self.was_signalled: bool = False
        self._output = OutputTail()
        self._bytes_at_end = 0  # if it was ended for them

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
        if code is not None and self._bytes_at_end:
            return f"was killed by the suite, as it had {in_bytes(self._bytes_at_end)} of memory"
        return "it runs" if code is None else f"ended {in_words_of(code)}"

    def last_lines(self, most: int = 8) -> tuple[str, ...]:
        """Return what it has written last, without empty lines, and made safe to show.

        The default is enough for the message above a short stack trace.
        """
        self._read_on()
        return self._output.last_lines(most, with_rest=self.has_ended)

    def send_signal(self, number: int) -> None:
        """Send a signal to all of its process group, as a terminal and systemd do."""
        self.was_signalled = self.was_signalled or not self.has_ended
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def end_for(self, resident_bytes: int) -> None:
        """Kill it, as it has so much memory that other processes would suffer; that is its own fault."""
        self._bytes_at_end = resident_bytes
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

    def data_bytes(self) -> int | None:
        """Return the memory that its processes have asked for, used or not; None where it is not known."""
        return sum_of(self._pids(), partial(status_bytes, field="VmData"))

    def descriptors(self) -> int | None:
        """Return how many files its processes have open; None where that cannot be known."""
        return sum_of(self._pids(), count_descriptors)

    def _pids(self) -> list[int]:
        return [self.process.pid, *descendants(self.process.pid)]

    async def _read(self, stream: trio.abc.ReceiveStream) -> None:
        with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            async for data in stream:
                self._output.add(data)

    def _read_on(self) -> None:
        """Read what the task that reads has not come to yet: the last words before an end."""
        stream = self.process.stdout
        assert isinstance(stream, trio.lowlevel.FdStream)  # noqa: S101 - for the type checker
        with contextlib.suppress(OSError):  # nothing is there, or it is closed
            self._output.add(os.read(stream.fileno(), _PIPE_BYTES))


def in_words_of(code: int) -> str:
    """Say how a process ended, by its return code."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"


@dataclass(frozen=True)
class Spawner:
    """Starts as many servers as are asked for.

    Attributes:
      command: words; ``{port}`` in them is replaced.
      timeout_s: how long one may take until it listens.
      guard: ends them if this process is killed.
      directory: where they are started; None for where this process is.
      most_resident_bytes: one that has more memory is killed; None for any.
    """

    command: tuple[str, ...]
    timeout_s: float
    guard: Guard | None = None
    directory: str | None = None
    most_resident_bytes: int | None = None

    def running(
        self, *, port: int | None = None
    ) -> contextlib.AbstractAsyncContextManager[tuple[SpawnedServer, trio.socket.SocketType]]:
        """Start a server, as `spawn_server` does."""
        return spawn_server(
            list(self.command),
            timeout_s=self.timeout_s,
            port=port,
            guard=self.guard,
            directory=self.directory,
            most_resident_bytes=self.most_resident_bytes,
        )


@contextlib.asynccontextmanager
async def spawn_server(
    command: list[str],
    *,
    timeout_s: float,
    port: int | None = None,
    guard: Guard | None = None,
    directory: str | None = None,
    most_resident_bytes: int | None = None,
) -> AsyncIterator[tuple[SpawnedServer, trio.socket.SocketType]]:
    """Start a server; with it comes the first connection that it accepted.

    All of its processes are gone when the block is left, however.

    Args:
      command: words; ``{port}`` in them is replaced.
      timeout_s: how long it may take until it listens.
      port: where it must listen; None for any port that is free.
      guard: ends it if this process is killed.
      directory: where it is started; None for where this process is.
      most_resident_bytes: it is killed when it has more memory; None for any.

    Raises:
      SpawnError: it does not start, or does not listen.
    """
    with contextlib.ExitStack() as claim:
        try:
            port = port or claim.enter_context(reserved_port(HOST))
        except OSError as error:
            raise SpawnError(f"cannot start a server: {error.strerror}") from None
        words = [word.replace("{port}", str(port)) for word in command]
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            words = [sys.executable, "-c", _WITH_SIGINT, *words]
        guard = guard or Guard()
        mark = guard.next_mark()
        try:
            process = await trio.lowlevel.open_process(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=directory,
                env={**os.environ, VARIABLE: mark},
            )
        except OSError as error:
            raise SpawnError(f"cannot start {words[0]!r}: {error.strerror}") from None
        guard.watch(process.pid)
        server = SpawnedServer(process, port)
        async with open_background_nursery() as nursery:
            assert process.stdout is not None  # noqa: S101 - for the type checker
            nursery.start_soon(server._read, process.stdout)
            if most_resident_bytes is not None:
                nursery.start_soon(watch_memory, server, most_resident_bytes)
            try:
                with await _wait_listening(server, timeout_s) as first_connection:
                    claim.close()  # the server has it
                    yield server, first_connection
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 4 * _KILL_AFTER_S):
                    await _end(server, mark)
                guard.forget(process.pid)


async def _wait_listening(server: SpawnedServer, timeout_s: float) -> trio.socket.SocketType:
    """Wait for the server to listen, and return the first connection that it accepts."""
    with trio.move_on_after(timeout_s):
        while not server.has_ended:
            sock = trio.socket.socket()
            try:
                await connect(sock, server.address)
            except OSError:
                sock.close()
                await trio.sleep(_POLL_S)
            except BaseException:
                sock.close()
                raise
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
    await trio.sleep(_POLL_S)  # for its last words
    lines = server.last_lines(1)
    saying = f"; its last line was: {lines[0]}" if lines else "; it wrote nothing"
    if server.has_ended:
        raise SpawnError(
            f"the server {server.how_it_ended} before it listened on port {server.address[1]}{saying}"
        )
    raise SpawnError(f"the server does not listen on port {server.address[1]} after {timeout_s:g} s{saying}")


async def _end(server: SpawnedServer, mark: str) -> None:
    """Ask, wait, kill; also those that it has started, and those that have left its tree."""
    others = descendants(server.process.pid)
    server.send_signal(signal.SIGTERM)
    await server.wait_ended(_KILL_AFTER_S)
    server.send_signal(signal.SIGKILL)
    while others := [pid for pid in {*others, *processes_with(VARIABLE, mark)} if is_running(pid)]:
        for pid in others:
            if pid != server.process.pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        # The kernel reports their end to their parent only, which is gone; and what was killed may
        # have started another a moment ago.
        await trio.sleep(_POLL_S)
    await server.process.wait()
