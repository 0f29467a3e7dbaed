"""One proxy of a set: what it is to be, whether it runs, and what it has done."""

from __future__ import annotations

from typing import Any

import trio

from ..base.addresses import format_addresses, format_host
from .counts import ProxyCounts, counts_as_object
from .listening import look_up, open_proxy_listeners
from .proxy_settings import ProxySettings, format_target
from .recording import ConnectionRecording
from .relay import Relay


class ManagedProxy:
    """A proxy of a `ProxySet`, which alone changes it.

    Attributes:
      settings: what it is to be.
      counts: what it has done, since it was added.
      recording: keeps what both sides send; None if nothing does.
      log_name: put before what is logged of it.
      addresses: what its sockets are bound to, as ``getsockname`` gives it; they stay while it is disabled.
      relay: what runs; None while it is disabled.
    """

    def __init__(
        self, settings: ProxySettings, recording: ConnectionRecording | None, *, log_name: str
    ) -> None:
        self.settings: ProxySettings = settings
        self.counts: ProxyCounts = ProxyCounts()
        self.recording: ConnectionRecording | None = recording
        self.log_name: str = log_name
        self.addresses: tuple[tuple[Any, ...], ...] = ()
        self.relay: Relay | None = None
        self._looked_up: list[tuple[str, int]] = []
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()

    @property
    def name(self) -> str:
        """Its name."""
        return self.settings.name

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        settings = self.settings
        return {
            "name": settings.name,
            "listen": format_addresses(self.addresses) if self.addresses else str(settings.listen),
            "target": format_target(settings.target),
            "enabled": settings.enabled,
            "format": settings.format_text,
            "seed": settings.seed,
            **settings.limits.as_object(),
            **settings.tls_written,
            "faults": [fault.as_object() for fault in settings.faults],
            "counters": counts_as_object(self.counts),
        }

    @property
    def has_to_look_up(self) -> bool:
        """Whether `look_up` has to come before `open_listeners`."""
        return not (self.addresses or self._looked_up)

    async def look_up(self) -> None:
        """Look up where it should listen, which may take any time.

        Raises:
          CannotListenThereError: a name is not known.
        """
        self._looked_up = await look_up(self.settings.listen)

    async def open_listeners(self) -> list[trio.SocketListener]:
        """Listen where it did before, or, the first time, where it should.

        Raises:
          CannotListenThereError: that is not possible; nothing is left open.
        """
        addresses = [(format_host(each), each[1]) for each in self.addresses] or self._looked_up
        self._looked_up = []  # if it fails, a name may have another address the next time
        return await open_proxy_listeners(addresses)

    async def start(
        self,
        nursery: trio.Nursery,
        relay: Relay,
        listeners: list[trio.SocketListener],
    ) -> None:
        """Pass connections on in a task of the nursery, until `stop`.

        Raises:
          OSError: the machine is short of descriptors; the listeners are closed, and nothing has begun.
        """
        addresses = tuple(listener.socket.getsockname() for listener in listeners)
        try:
            await nursery.start(self._run, relay, listeners)
        except BaseException:  # it may have been cancelled when it had begun already
            self.give_up()
            raise
        self.relay, self.addresses = relay, addresses

    async def _run(
        self,
        relay: Relay,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        self._scope, self._stopped = trio.CancelScope(), trio.Event()
        try:
            with self._scope:
                await relay.run(listeners, task_status=task_status)
        finally:
            self._stopped.set()

    async def stop(self) -> None:
        """Listen no more, and reset all connections; return when that is done."""
        if self.relay is not None:
            self.give_up()
            await self._stopped.wait()

    def give_up(self) -> None:
        """Begin to do what `stop` does."""
        self.relay = None
        self._scope.cancel()
