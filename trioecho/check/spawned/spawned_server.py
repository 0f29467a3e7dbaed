"""A server that the suite starts itself: ``--spawn``."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import trio

from ...base.connect import connect
from ...base.nursery import open_background_nursery
from ...base.printable import printable, printable_line
from .free_port import reserved_port
from .guard import VARIABLE, Guard
from .process_tree import count_descriptors, descendants, is_running, processes_with, status_bytes, sum_of

HOST = "127.0.0.1"
# What a process gets between being asked to end and being killed.
_KILL_AFTER_S = 0.5
_POLL_S = 0.02
_KEPT_LINES, _KEPT_BYTES = 200, 4096
_PIPE_BYTES = 1 << 16  # what Linux keeps for who has not read yet
# How many characters of a line that a server wrote are shown.
_SHOWN_CHARACTERS = 300

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
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._rest = b""  # of a line whose end has not come

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
        return "it runs" if code is None else f"ended {in_words_of(code)}"

    def last_lines(self, most: int = 8) -> tuple[str, ...]:
        """Return what it has written last, without empty lines, and made safe to show.

        The default is enough for the message above a short stack trace.
        """
        self._read_on()
        written = [*self._lines, *([printable(self._rest)] if self.has_ended else ())]
        return tuple(_shown(line) for line in [line for line in written if line.strip()][-most:])

    def send_signal(self, number: int) -> None:
        """Send a signal to all of its process group, as a terminal and systemd do."""
        self.was_signalled = self.was_signalled or not self.has_ended
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

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
                self._take(data)
        self._take(b"\n" if self._rest else b"")

    def _read_on(self) -> None:
        """Read what the task that reads has not come to yet: the last words before an end."""
        stream = self.process.stdout
        assert isinstance(stream, trio.lowlevel.FdStream)  # noqa: S101 - for the type checker
        with contextlib.suppress(OSError):  # nothing is there, or it is closed
            for _ in range(_PIPE_BYTES // _KEPT_BYTES):
                self._take(os.read(stream.fileno(), _KEPT_BYTES))

    def _take(self, data: bytes | bytearray) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        self._lines.extend(printable(line[:_KEPT_BYTES]).rstrip() for line in lines)
        self._rest = rest[-_KEPT_BYTES:]


def in_words_of(code: int) -> str:
    """Say how a process ended, by its return code."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"with exit code {code}"


def _shown(line: str) -> str:
    line = printable_line(line)
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[:_SHOWN_CHARACTERS]}..."


@dataclass(frozen=True)
class OnlyFirst:
    """A server that serves its first connection, and no other.

    Attributes:
      exit_code: what its process ends with when that connection has ended; None if it runs on.
      last_line: what it has written then; empty if nothing.
    """

    exit_code: int | None
    last_line: str = ""

    @property
    def cause_id(self) -> str:
        """Why no other is served."""
        return "error-ends-server" if self.exit_code else "only-first-connection"

    @property
    def in_words(self) -> str:
        """What is to be said of the whole run."""
        if not self.exit_code:
            return "the server serves its first connection, and no other; so each had a fresh server"
        wrote = f" (it wrote: {self.last_line})" if self.last_line else ""
        return (
            f"the server ended {in_words_of(self.exit_code)} when its first connection had ended{wrote}; "
            "so each had a fresh server"
        )


@dataclass(frozen=True)
class Spawner:
    """Starts as many servers as are asked for.

    Attributes:
      command: words; ``{port}`` in them is replaced.
      timeout_s: how long one may take until it listens.
      guard: ends them if this process is killed.
      directory: where they are started; None for where this process is.
    """

    command: tuple[str, ...]
    timeout_s: float
    guard: Guard | None = None
    directory: str | None = None

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
        )


@contextlib.asynccontextmanager
async def spawn_server(
    command: list[str],
    *,
    timeout_s: float,
    port: int | None = None,
    guard: Guard | None = None,
    directory: str | None = None,
) -> AsyncIterator[tuple[SpawnedServer, trio.socket.SocketType]]:
    """Start a server; with it comes the first connection that it accepted.

    All of its processes are gone when the block is left, however.

    Args:
      command: words; ``{port}`` in them is replaced.
      timeout_s: how long it may take until it listens.
      port: where it must listen; None for any port that is free.
      guard: ends it if this process is killed.
      directory: where it is started; None for where this process is.

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
    others = list({*others, *processes_with(VARIABLE, mark)} - {server.process.pid})
    for pid in others:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    await server.process.wait()
    while any(map(is_running, others)):  # noqa: ASYNC110 - the kernel reports it to the parent only, which is gone
        await trio.sleep(_POLL_S)
