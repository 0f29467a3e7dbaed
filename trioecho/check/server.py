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
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import trio

HOST = "127.0.0.1"
# What a process gets between being asked to end and being killed.
_KILL_AFTER_S = 0.5
_POLL_S = 0.02
_KEPT_LINES = 200
_PROC = Path("/proc")

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
    """The words of a command, of which one has ``{port}`` in it.

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
    """

    def __init__(self, process: trio.Process, port: int) -> None:
        self.address: tuple[str, int] = (HOST, port)
        self.process = process
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    @property
    def how_it_ended(self) -> str:
        """The exit code, or the signal, in words."""
        code = self.process.poll()
        if code is None:
            return "it runs"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def last_lines(self, most: int = 8) -> tuple[str, ...]:
        """What it has written last, without empty lines; enough for the message above a short stack trace."""
        return tuple([line for line in self._lines if line.strip()][-most:])

    def send_signal(self, number: int) -> None:
        """Send a signal to all of its process group, as a terminal and systemd do."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    async def wait_ended(self, within_s: float) -> bool:
        """Wait for the process to end; whether it did."""
        with trio.move_on_after(within_s):
            await self.process.wait()
        return self.has_ended

    # ---- what the system knows of it ----

    def resident_bytes(self) -> int | None:
        """The memory of its processes; None where that cannot be known."""
        return _sum_of(self._pids(), partial(_status_bytes, field="VmRSS"))

    def data_bytes(self) -> int | None:
        """The memory that its processes have asked for, used or not; None where that cannot be known."""
        return _sum_of(self._pids(), partial(_status_bytes, field="VmData"))

    def descriptors(self) -> int | None:
        """How many files its processes have open; None where that cannot be known."""
        return _sum_of(self._pids(), _count_descriptors)

    def _pids(self) -> list[int]:
        return [self.process.pid, *_descendants(self.process.pid)]

    async def _read(self, stream: trio.abc.ReceiveStream) -> None:
        rest = b""
        with contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            async for data in stream:
                *lines, rest = (rest + data).split(b"\n")
                self._lines.extend(line.decode(errors="replace").rstrip() for line in lines)
                rest = rest[-4096:]
        if rest:
            self._lines.append(rest.decode(errors="replace"))


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running_server(
    command: list[str], *, timeout_s: float, port: int | None = None
) -> AsyncIterator[tuple[SpawnedServer, trio.socket.SocketType]]:
    """Start a server; with it comes the first connection that it accepted.

    All of its processes are gone when the block is left, however.

    Args:
      command: words; ``{port}`` in them is replaced.
      timeout_s: how long it may take until it listens.
      port: where it shall listen; None for any port that is free.

    Raises:
      SpawnError: it does not start, or does not listen.
    """
    port = port or free_port()
    words = [word.replace("{port}", str(port)) for word in command]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        words = [sys.executable, "-c", _WITH_SIGINT, *words]
    try:
        process = await trio.lowlevel.open_process(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise SpawnError(f"cannot start {words[0]!r}: {error.strerror}") from None
    server = SpawnedServer(process, port)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        nursery.start_soon(server._read, process.stdout)
        try:
            with await _wait_listening(server, timeout_s) as first_connection:
                yield server, first_connection
        except Exception as error:  # noqa: BLE001 - to be raised outside of the nursery, which would wrap it
            failure = error
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 4 * _KILL_AFTER_S):
                await _end(server)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _wait_listening(server: SpawnedServer, timeout_s: float) -> trio.socket.SocketType:
    """The first connection that is accepted."""
    with trio.move_on_after(timeout_s):
        while not server.has_ended:
            sock = trio.socket.socket()
            try:
                await sock.connect(server.address)
            except OSError:
                sock.close()
                await trio.sleep(_POLL_S)
            except BaseException:
                sock.close()
                raise
            else:
                # While nobody listens, a connect to a free port may meet itself.
                if sock.getsockname() != sock.getpeername():
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return sock
                sock.close()
    await trio.sleep(_POLL_S)  # for its last words
    lines = server.last_lines(1)
    saying = f"; its last line was: {lines[0]}" if lines else "; it wrote nothing"
    if server.has_ended:
        raise SpawnError(
            f"the server {server.how_it_ended} before it listened on port {server.address[1]}{saying}"
        )
    raise SpawnError(f"the server does not listen on port {server.address[1]} after {timeout_s:g} s{saying}")


async def _end(server: SpawnedServer) -> None:
    """Ask, wait, kill; also those that it has started."""
    others = _descendants(server.process.pid)
    server.send_signal(signal.SIGTERM)
    await server.wait_ended(_KILL_AFTER_S)
    server.send_signal(signal.SIGKILL)
    for pid in others:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    await server.process.wait()
    while any(map(_is_running, others)):  # noqa: ASYNC110 - the kernel tells only the parent, which is gone
        await trio.sleep(_POLL_S)


def _is_running(pid: int) -> bool:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for stat in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The second field, a name in brackets, may have blanks in it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        new = children.get(waiting.pop(), [])
        found += new
        waiting += new
    return found


def _sum_of(pids: list[int], measure: Callable[[int], int]) -> int | None:
    try:
        return sum(map(measure, pids[:1])) + sum(_or_zero(measure, pid) for pid in pids[1:])
    except (OSError, ValueError):
        return None


def _or_zero(measure: Callable[[int], int], pid: int) -> int:
    try:
        return measure(pid)
    except (OSError, ValueError):
        return 0  # it has ended meanwhile


def _status_bytes(pid: int, field: str) -> int:
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise ValueError(field)


def _count_descriptors(pid: int) -> int:
    return sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
