"""The proxies of a process, which can be changed while they run."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import trio

from ..base.describe import describe
from ..base.open_files import has_room_for
from ..base.suggestion import did_you_mean, quoted
from .circles import circle_in_words, circle_through
from .connection_limits import UNLIMITED, ConnectionLimits
from .counts import ProxyCounts, total_of
from .listening import CannotListenThereError, close_listeners
from .managed_proxy import ManagedProxy
from .named_fault import (
    ConflictError,
    NamedFault,
    NotThereError,
    change_fault,
    read_fault,
)
from .proxy_settings import ProxySettings, change_proxy, find_fault, read_proxy, those
from .recording import ConnectionRecording
from .relay import Relay
from .tls_side import NO_TLS, ProxyTls

# Each takes a little of every request that lists them all.
MOST_PROXIES: int = 1000
# What listens, a duplicate to accept from, for two hosts, and what notices who leaves.
_DESCRIPTORS_EACH = 5


class ProxySet:
    """Proxies by their names.

    Every change is done as a whole or not at all. It holds for new connections and for those that there
    are, as `Relay.change_faults` says it.

    Args:
      limits: of each proxy that has none of its own.
      most_connections: how many of each there are open files for; 0 for any number.
      tls: where TLS ends and begins, for each proxy that says nothing of it.
      is_changeable: whether faults may be changed.
      on_listening: called with each proxy that begins to listen.
    """

    def __init__(
        self,
        *,
        limits: ConnectionLimits = UNLIMITED,
        most_connections: int = 0,
        tls: ProxyTls = NO_TLS,
        is_changeable: bool = True,
        on_listening: Callable[[ManagedProxy], object] = lambda proxy: None,
    ) -> None:
        self._limits = limits
        self._most_connections = most_connections
        self._tls = tls
        self._is_changeable = is_changeable
        self._on_listening = on_listening
        self._proxies: dict[str, ManagedProxy] = {}
        self._gone = ProxyCounts()
        self._lock = trio.Lock()
        self._nursery: trio.Nursery

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the proxies until cancelled, which resets all connections. Report when some can be added.

        Raises:
          OSError: accepting failed for a reason that waiting does not change; in an exception group.
        """
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def __iter__(self) -> Iterator[ManagedProxy]:
        return iter(self._proxies.values())

    def __len__(self) -> int:
        return len(self._proxies)

    def __getitem__(self, name: str) -> ManagedProxy:
        """Return the proxy of this name.

        Raises:
          NotThereError: there is none.
        """
        if name not in self._proxies:
            hint = did_you_mean(name, self._proxies, those(self._proxies))
            raise NotThereError(f"there is no proxy {quoted(name)}; {hint}")
        return self._proxies[name]

    def total(self) -> ProxyCounts:
        """Return what all proxies have done together, those that were removed, too."""
        return total_of([self._gone, *(proxy.counts for proxy in self)])

    async def add(
        self,
        settings: ProxySettings,
        *,
        listeners: list[trio.SocketListener] | None = None,
        recording: ConnectionRecording | None = None,
        is_only: bool = False,
    ) -> ManagedProxy:
        """Add a proxy, and return it when clients can connect.

        Args:
          settings: what it is to be.
          listeners: where it listens, if it does so already; they belong to it then.
          recording: keeps what both sides send.
          is_only: whether its name is left out of the log.

        Raises:
          ConflictError: its name is taken, or it cannot listen there, or its target leads back to it.
          ProxyRequestError: its faults do not go together.
        """
        settings.combined()
        proxy = ManagedProxy(settings, recording, log_name="" if is_only else f"{settings.name}: ")

        def to_start() -> list[ManagedProxy]:
            if settings.name in self._proxies:
                raise ConflictError(f"there is a proxy {settings.name} already; choose another name")
            if len(self._proxies) >= MOST_PROXIES:
                raise ConflictError(f"there are {MOST_PROXIES} proxies, and that is the most; remove one")
            self._refuse_circle(proxy, settings, proxy.addresses)
            return [proxy] if settings.enabled and listeners is None else []

        async with self._locked_for_start(to_start):
            if settings.enabled or listeners is not None:
                await self._start(proxy, settings, listeners)
            self._proxies[settings.name] = proxy
            return proxy

    async def add_as(self, written: object) -> ManagedProxy:
        """Add the proxy that an object asks for, as `add` does."""
        return await self.add(read_proxy(written, limits=self._limits, tls=self._tls))

    async def remove(self, name: str) -> None:
        """Remove a proxy: nobody can connect any more, and its connections are reset.

        Raises:
          NotThereError: there is none of this name.
        """
        async with self._lock:
            proxy = self[name]
            del self._proxies[name]
            try:
                await proxy.stop()
            finally:  # who has asked may be gone meanwhile
                self._gone = total_of([self._gone, replace(proxy.counts, open_connections=0)])

    async def change(self, name: str, changes: object) -> ManagedProxy:
        """Change what an object has of ``target``, ``faults``, ``enabled`` and the limits of connections.

        A proxy that is disabled resets its connections, and nobody can connect. When it is enabled again,
        it listens where it did before. A new target is for new connections,
        and so are new limits.

        Raises:
          NotThereError: there is none of this name.
          ConflictError: another program listens there meanwhile, or the target leads back to the proxy.
          ProxyRequestError: the changes make no sense.
        """

        def to_start() -> list[ManagedProxy]:
            proxy = self[name]
            settings = change_proxy(proxy.settings, changes)
            if settings.target != proxy.settings.target:
                self._refuse_circle(proxy, settings, proxy.addresses)
            return [proxy] if settings.enabled and proxy.relay is None else []

        async with self._locked_for_start(to_start):
            proxy = self[name]
            await self._become(proxy, change_proxy(proxy.settings, changes))
            return proxy

    async def add_fault(self, name: str, written: object) -> NamedFault:
        """Add the fault that an object asks for to a proxy.

        Raises:
          NotThereError: there is no proxy of this name.
          ConflictError: the proxy has a fault of that name.
          ProxyRequestError: the fault makes no sense, or does not go together with others.
        """
        async with self._lock:
            proxy = self[name]
            fault = read_fault(written)
            if proxy.settings.fault(fault.name) is not None:
                raise ConflictError(
                    f"{name} has a fault {fault.name} already; change it, or give this one another name"
                )
            self._set_faults(proxy, (*proxy.settings.faults, fault))
            return fault

    async def change_fault(self, name: str, fault_name: str, changes: object) -> NamedFault:
        """Change the value, the direction or parameters of a fault.

        Raises:
          NotThereError: there is no proxy of this name, or it has no such fault.
          ProxyRequestError: the changes make no sense.
        """
        async with self._lock:
            proxy = self[name]
            before = find_fault(proxy.settings, fault_name)
            after = change_fault(before, changes)
            faults = proxy.settings.faults
            self._set_faults(proxy, tuple(after if each is before else each for each in faults))
            return after

    async def remove_fault(self, name: str, fault_name: str) -> None:
        """Remove a fault.

        Raises:
          NotThereError: there is no proxy of this name, or it has no such fault.
        """
        async with self._lock:
            proxy = self[name]
            gone = find_fault(proxy.settings, fault_name)
            self._set_faults(proxy, tuple(each for each in proxy.settings.faults if each is not gone))

    async def reset(self) -> None:
        """Remove all faults of all proxies, and enable all of them.

        Raises:
          ConflictError: one cannot listen any more, or its target leads back to it; nothing was changed.
        """
        async with self._locked_for_start(lambda: [proxy for proxy in self if proxy.relay is None]):
            begun: list[ManagedProxy] = []
            try:
                for proxy in self:
                    if proxy.relay is None:
                        await self._start(proxy, _reset(proxy.settings))
                        begun.append(proxy)
            except BaseException:
                for proxy in begun:
                    proxy.give_up()
                raise
            for proxy in self:
                self._set_faults(proxy, ())
                proxy.settings = _reset(proxy.settings)

    @contextlib.asynccontextmanager
    async def _locked_for_start(self, to_start: Callable[[], list[ManagedProxy]]) -> AsyncIterator[None]:
        """Hold the lock, with the addresses of proxies that are to start looked up before.

        A name server may take any time, in which nobody else has to wait.

        Args:
          to_start: returns the proxies, or raises what there is against it. Called until all are looked up,
            as much may change meanwhile.

        Raises:
          ConflictError: an address is not known.
        """
        while True:
            for proxy in to_start():
                if proxy.has_to_look_up:
                    try:
                        await proxy.look_up()
                    except CannotListenThereError as error:
                        raise ConflictError(f"{proxy.name}: {error}") from error
            async with self._lock:
                if not any(proxy.has_to_look_up for proxy in to_start()):
                    yield
                    return

    def _refuse_circle(
        self, proxy: ManagedProxy, settings: ProxySettings, addresses: Sequence[tuple[Any, ...]]
    ) -> None:
        """Raise a `ConflictError` if a proxy that listens on these addresses leads back to itself."""
        others = [each.settings.as_hop(each.addresses) for each in self if each is not proxy]
        names = circle_through(settings.as_hop(addresses), others)
        if names:
            raise ConflictError(f"target: {circle_in_words(names)}")

    async def _become(self, proxy: ManagedProxy, settings: ProxySettings) -> None:
        if settings.enabled and proxy.relay is None:
            await self._start(proxy, settings)
        self._set_faults(proxy, settings.faults)
        proxy.settings = settings
        if proxy.relay is not None:
            proxy.relay.change_target(settings.target)
            proxy.relay.change_limits(settings.limits)
        if not settings.enabled:
            await proxy.stop()

    def _set_faults(self, proxy: ManagedProxy, faults: tuple[NamedFault, ...]) -> None:
        settings = replace(proxy.settings, faults=faults)
        combined = settings.combined()
        proxy.settings = settings
        if proxy.relay is not None:
            proxy.relay.change_faults(combined)

    async def _start(
        self,
        proxy: ManagedProxy,
        settings: ProxySettings,
        listeners: list[trio.SocketListener] | None = None,
    ) -> None:
        """Have a proxy run with these settings, or leave it as it is and raise a `ConflictError`."""
        if listeners is None:
            if not has_room_for(_DESCRIPTORS_EACH):  # the last ones are for removing proxies
                raise ConflictError(
                    f"{proxy.name}: the limit of open files has no room for it; remove a proxy (ulimit -n "
                    "raises the limit)"
                )
            listeners = await _open_listeners(proxy)
        try:
            # Only now it is known which addresses its name has.
            addresses = [listener.socket.getsockname() for listener in listeners]
            self._refuse_circle(proxy, settings, addresses)
        except ConflictError:
            close_listeners(listeners)
            raise
        relay = Relay(
            settings.target,
            settings.combined(),
            seed=settings.seed,
            counts=proxy.counts,
            recording=proxy.recording,
            tls=settings.tls,
            is_changeable=self._is_changeable,
            limits=settings.limits,
            most_connections=self._most_connections,
            name=proxy.log_name,
        )
        try:
            await proxy.start(self._nursery, relay, listeners)
        except OSError as error:
            raise ConflictError(f"{proxy.name}: cannot listen: {describe(error)}") from error
        self._on_listening(proxy)


async def _open_listeners(proxy: ManagedProxy) -> list[trio.SocketListener]:
    try:
        return await proxy.open_listeners()
    except CannotListenThereError as error:
        raise ConflictError(f"{proxy.name}: {error}") from error


def _reset(settings: ProxySettings) -> ProxySettings:
    return replace(settings, faults=(), enabled=True)
