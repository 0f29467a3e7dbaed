"""A server that the suite starts itself: ``--spawn``."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

from ...base.connect import connect
from ...base.nursery import open_background_nursery
from .free_port import reserved_port
from .guard import Guard
from .memory_watch import MemoryBound, watch_memory
from .spawned_process import SpawnedProcess, SpawnError, parse_command, spawn_process

__all__ = ["HOST", "SpawnError", "SpawnedServer", "Spawner", "parse_command", "spawn_server"]

HOST = "127.0.0.1"
_POLL_S = 0.02


class SpawnedServer(SpawnedProcess):
    """A server that runs, in a process group of its own.

    Attributes:
      address (tuple[str, int]): where it listens.
    """

    def __init__(self, process: trio.Process, port: int) -> None:
        super().__init__(process)
        self.address: tuple[str, int] = (HOST, port)


@dataclass(frozen=True)
class Spawner:
    """Starts as many servers as are asked for.

    Attributes:
      command: words; ``{port}`` in them is replaced.
      timeout_s: how long one may take until it listens.
      guard: ends them if this process is killed.
      directory: where they are started; None for where this process is.
      memory_bound: one that has more memory is killed; None for any.
    """

    command: tuple[str, ...]
    timeout_s: float
    guard: Guard | None = None
    directory: str | None = None
    memory_bound: MemoryBound | None = None

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
            memory_bound=self.memory_bound,
        )


@contextlib.asynccontextmanager
async def spawn_server(
    command: list[str],
    *,
    timeout_s: float,
    port: int | None = None,
    guard: Guard | None = None,
    directory: str | None = None,
    memory_bound: MemoryBound | None = None,
) -> AsyncIterator[tuple[SpawnedServer, trio.socket.SocketType]]:
    """Start a server; with it comes the first connection that it accepted.

    All of its processes are gone when the block is left, however.

    Args:
      command: words; ``{port}`` in them is replaced.
      timeout_s: how long it may take until it listens.
      port: where it must listen; None for any port that is free.
      guard: ends it if this process is killed.
      directory: where it is started; None for where this process is.
      memory_bound: it is killed when it has more memory; None for any.

    Raises:
      SpawnError: it does not start, or does not listen.
    """
    with contextlib.ExitStack() as claim:
        try:
            port = port or claim.enter_context(reserved_port(HOST))
        except OSError as error:
            raise SpawnError(f"cannot start a server: {error.strerror}") from None
        words = [word.replace("{port}", str(port)) for word in command]
        bound = port

        def server_of(process: trio.Process) -> SpawnedServer:
            return SpawnedServer(process, bound)

        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(
                spawn_process(words, server_of, guard=guard or Guard(), directory=directory)
            )
            if memory_bound is not None:
                nursery = await stack.enter_async_context(open_background_nursery())
                nursery.start_soon(watch_memory, server, memory_bound)
            with await _wait_listening(server, timeout_s) as first_connection:
                claim.close()  # the server has it
                yield server, first_connection


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
