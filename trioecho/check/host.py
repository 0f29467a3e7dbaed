"""Where the server is that is checked, and whether it still is."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import trio

from .finding import Deviation, InconclusiveError, Kind
from .peer import connected, in_words
from .probe import Settings, died_of_it
from .server import SpawnedServer, running_server
from .survey import CannotCheckError
from .transcript import Transcript


@dataclass(frozen=True)
class Target:
    """What is to be checked: a server that listens, or the command that starts one.

    Attributes:
      name: as its user has written it.
      address: where it listens; None for a command.
    """

    name: str
    address: tuple[str, int] | None = None


def joined(address: tuple[str, int]) -> str:
    """As it is written: ``127.0.0.1:50666``, ``[::1]:50666``."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Host:
    """Where the server is; one that was started is started again when it has ended."""

    def __init__(self, target: Target, settings: Settings, nursery: trio.Nursery) -> None:
        self.server: SpawnedServer | None = None
        self._target = target
        self._settings = settings
        self._nursery = nursery
        self._lock = trio.Lock()
        self._fixed = target.address
        self._scope = trio.CancelScope()

    async def address(self, *, restart: bool = True) -> tuple[str, int]:
        """Where to connect.

        Raises:
          SpawnError: the server does not start.
        """
        if self._fixed is not None:
            return self._fixed
        async with self._lock:
            if self.server is None or (restart and self.server.has_ended):
                self.server = await self._nursery.start(self._run_server)
            return self.server.address

    async def renew(self) -> None:
        """See to it that the next case has a fresh server, if the suite can start one."""
        if self.server is not None:
            self._scope.cancel()
            await self.server.process.wait()
            self.server = None

    async def _run_server(self, task_status: trio.TaskStatus[SpawnedServer]) -> None:
        assert self._settings.command is not None  # noqa: S101 - for the type checker
        running = running_server(list(self._settings.command), timeout_s=self._settings.spawn_timeout_s)
        async with running as (server, first_connection):
            first_connection.close()
            with trio.CancelScope() as self._scope:
                task_status.started(server)
                await trio.sleep_forever()

    async def has_ended(self, server: SpawnedServer | None, deviation: Deviation) -> bool:
        """Whether the server that was there is gone."""
        if server is not None:
            return await died_of_it(server, deviation)
        if self._fixed is None:
            return False
        try:
            with trio.fail_after(5):
                async with connected(self._fixed, self._settings.wire, Transcript(), number=0, patience_s=0):
                    return False
        except Deviation as error:
            return error.kind is Kind.NO_CONNECTION  # a reset says that somebody listens
        except (trio.TooSlowError, InconclusiveError):
            return False


@contextlib.asynccontextmanager
async def open_host(target: Target, settings: Settings) -> AsyncIterator[Host]:
    """Where a target is; a server that was started is gone when the block is left.

    Raises:
      CannotCheckError: its address cannot be reached.
    """
    if target.address is not None:
        # A name may have several addresses; all cases are for the one that answers.
        target = replace(target, address=await _resolve(target.address))
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield Host(target, settings, nursery)
        except Exception as error:  # noqa: BLE001 - to be raised outside of the nursery, which would wrap it
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _resolve(address: tuple[str, int]) -> tuple[str, int]:
    """The first of a name's addresses that accepts a connection; if it has only one, that.

    Raises:
      CannotCheckError: none does.
    """
    reason: object = "no address"
    try:
        with trio.fail_after(10):
            found = await trio.socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
            if len(found) == 1:
                # The first connection may be the only one that a server serves: it is not for this.
                where = found[0][4]
                return str(where[0]), int(where[1])
            for family, kind, protocol, _, where in found:
                with trio.socket.socket(family, kind, protocol) as sock:
                    try:
                        await sock.connect(where)
                    except OSError as error:
                        reason = in_words(error)
                        continue
                    return str(where[0]), int(where[1])
    except trio.TooSlowError:
        reason = "no answer within 10 s"
    except (OSError, UnicodeError) as error:
        reason = in_words(error)
    raise CannotCheckError(f"cannot reach {joined(address)}: {reason}")
