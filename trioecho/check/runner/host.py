"""Where the server is that is checked, and whether it still is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import trio

from ...base.addresses import format_address, format_host
from ...base.connect import connect, find_addresses
from ...base.endpoint import is_unix, why_not_connected
from ...base.nursery import open_background_nursery
from ..client.connecting import connected
from ..client.finding import Deviation, InconclusiveError, Kind
from ..client.payloads import PayloadMaker
from ..client.peer import Peer
from ..client.probe import dies
from ..client.settings import Settings
from ..client.transcript import Transcript
from ..preflight.result import CannotCheckError
from ..spawned.guard import open_guard
from ..spawned.spawned_server import SpawnedServer, Spawner

# A server that echoes in this time is not about to end.
_SIGN_OF_LIFE_S = 0.3
# A process that ends closes what listens at about the time of its connections.
_LISTENER_S = 0.1
# An accept queue that is full takes no connection, and refuses none.
_MOST_CONNECTING_S = 5.0


@dataclass(frozen=True)
class Target:
    """What is to be checked: a server that listens, or the command that starts one.

    Attributes:
      name: the name that its user has given it; else the address or the command, as written.
      address: where it listens; None for a command.
      command: what starts it, as a user writes it, if that is not its name.
      words: what stands for it on the command line, if that is not its name.
    """

    name: str
    address: tuple[str, int] | None = None
    command: str = ""
    words: tuple[str, ...] = ()


class Host:
    """Where the server is; one that was started is started again when it has ended.

    Attributes:
      server: the one that runs, or ran last; None if the suite does not start it.
      spawner: starts further ones, for cases that need one of their own; None likewise.
      died: those that were found dead when a case needed one, the first one first.
    """

    def __init__(
        self, target: Target, settings: Settings, nursery: trio.Nursery, spawner: Spawner | None = None
    ) -> None:
        self.server: SpawnedServer | None = None
        self.spawner = spawner
        self.died: list[SpawnedServer] = []
        self._settings = settings
        self._nursery = nursery
        self._lock = trio.Lock()
        self._fixed = target.address
        self._scope = trio.CancelScope()

    async def address(self, *, restart: bool = True) -> tuple[str, int]:
        """Return where to connect.

        Raises:
          SpawnError: the server does not start.
        """
        if self._fixed is not None:
            return self._fixed
        async with self._lock:
            if self.server is None or (restart and self.server.has_ended):
                self._note_death()
                self.server = await self._nursery.start(self._run_server)
            return self.server.address

    async def renew(self) -> None:
        """See to it that the next case has a fresh server, if the suite can start one."""
        if self.server is not None:
            self._note_death()
            self._scope.cancel()
            await self.server.process.wait()
            self.server = None

    def _note_death(self) -> None:
        if self.server is not None and self.server.has_died:
            self.died.append(self.server)

    async def _run_server(self, task_status: trio.TaskStatus[SpawnedServer]) -> None:
        assert self.spawner is not None  # noqa: S101 - for the type checker
        async with self.spawner.running() as (server, first_connection):
            first_connection.close()
            with trio.CancelScope() as self._scope:
                task_status.started(server)
                await trio.sleep_forever()

    async def has_gone(self, server: SpawnedServer | None, *, looks_so: bool) -> bool:
        """Return whether the server that was there is gone.

        Args:
          server: which; None if the suite has not started it.
          looks_so: whether it has ended or refused a connection; then it may be about to
            end, so it must echo a frame, or it gets a moment.
        """
        if server is not None and (server.has_ended or not looks_so):
            return server.has_ended
        address = self._fixed if server is None else server.address
        if address is None or await self._serves(address):
            return False
        if server is not None:
            return await dies(server, looks_so=True)
        await trio.sleep(_LISTENER_S)
        return await self._refuses(address)

    async def revive(self, may_start: bool) -> tuple[str, int] | None:
        """Return where the server is; None if it is gone, and cannot or may not be started again.

        Raises:
          SpawnError: the server does not start.
        """
        if await self.has_gone(self.server, looks_so=True) and (self._fixed is not None or not may_start):
            return None
        return await self.address()

    async def _serves(self, address: tuple[str, int]) -> bool:
        with trio.move_on_after(_SIGN_OF_LIFE_S), contextlib.suppress(Deviation, InconclusiveError):
            async with self._connection(address) as peer:
                await peer.echo(PayloadMaker("life", self._settings).text(b"?"))
                return True
        return False

    async def _refuses(self, address: tuple[str, int]) -> bool:
        with trio.move_on_after(_MOST_CONNECTING_S):
            try:
                async with self._connection(address):
                    return False
            except Deviation as error:
                return error.kind is Kind.NO_CONNECTION  # a reset says that somebody listens
            except InconclusiveError:
                pass
        return False

    def _connection(self, address: tuple[str, int]) -> contextlib.AbstractAsyncContextManager[Peer]:
        return connected(
            address,
            self._settings.wire,
            Transcript(),
            number=0,
            patience_s=_SIGN_OF_LIFE_S,
            dialogue=self._settings.dialogue,
        )


@contextlib.asynccontextmanager
async def open_host(target: Target, settings: Settings) -> AsyncIterator[Host]:
    """Find where a target is; a server that was started is gone when the block is left.

    Raises:
      CannotCheckError: its address cannot be reached.
    """
    if target.address is not None:
        # A name may have several addresses; all cases are for the one that answers.
        target = replace(target, address=await _resolve(target.address))
    async with contextlib.AsyncExitStack() as stack:
        spawner = None
        if settings.command is not None:
            guard = await stack.enter_async_context(open_guard())
            spawner = Spawner(
                settings.command,
                settings.spawn_timeout_s,
                guard,
                settings.directory,
                settings.memory_bound,
            )
        nursery = await stack.enter_async_context(open_background_nursery())
        yield Host(target, settings, nursery, spawner)


async def _resolve(address: tuple[str, int]) -> tuple[str, int]:
    """Find the first of a name's addresses that accepts a connection; if it has only one, take that.

    Raises:
      CannotCheckError: none does.
    """
    reason: object = "no address"
    try:
        with trio.fail_after(10):
            found = await find_addresses(*address)
            if is_unix(address[0]):
                return address
            if len(found) == 1:
                # The first connection may be the only one that a server serves: it is not for this.
                where = found[0][3]
                return format_host(tuple(where)), int(where[1])
            for family, kind, protocol, where in found:
                with trio.socket.socket(family, kind, protocol) as sock:
                    try:
                        await connect(sock, where)
                    except OSError as error:
                        reason = why_not_connected(error)
                        continue
                    return format_host(tuple(where)), int(where[1])
    except trio.TooSlowError:
        reason = "no reply within 10 s"
    except (OSError, UnicodeError) as error:
        reason = why_not_connected(error)
    raise CannotCheckError(f"cannot connect to {format_address(address)}: {reason}")
