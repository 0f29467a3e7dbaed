"""A proxy in the process of a test on Trio."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import trio

from ..proxy import ManagedProxy, ProxySet, counts_as_object, read_proxy
from .words import (
    DirectionWord,
    FaultWord,
    ProxyCounters,
    WhenFullWord,
    address_text,
    counters_of,
    fault_object,
    limits_object,
    proxy_object,
)


class FaultProxy:
    """A proxy that runs in this process.

    Its async methods are checkpoints, and change all or nothing. What makes no sense is a `ValueError`
    whose message says what would be right.

    Attributes:
      address: where clients connect: host and port.
    """

    def __init__(self, proxies: ProxySet, proxy: ManagedProxy) -> None:
        self._proxies = proxies
        self._proxy = proxy
        host, port, *_ = proxy.addresses[0]
        self.address: tuple[str, int] = (host, port)

    async def add_fault(
        self,
        fault: FaultWord,
        value: str | float | None = None,
        *,
        name: str | None = None,
        direction: DirectionWord = "both",
        on_frame: int | None = None,
        probability: float | None = None,
        seed: int | None = None,
        coalesce_time: str | float | None = None,
    ) -> None:
        """Add a fault; the arguments are those of `RemoteProxy.add_fault`."""
        written = fault_object(
            fault,
            value,
            name=name,
            direction=direction,
            on_frame=on_frame,
            probability=probability,
            seed=seed,
            coalesce_time=coalesce_time,
        )
        await self._proxies.add_fault(self._proxy.name, written)

    async def change_fault(self, name: str, **changes: str | float | None) -> None:
        """Change a fault: ``value``, ``direction`` or a parameter; None is the default again."""
        await self._proxies.change_fault(self._proxy.name, name, changes)

    async def remove_fault(self, name: str) -> None:
        """Remove a fault."""
        await self._proxies.remove_fault(self._proxy.name, name)

    async def clear_faults(self) -> None:
        """Remove all faults."""
        await self._proxies.change(self._proxy.name, {"faults": []})

    def faults(self) -> list[dict[str, Any]]:
        """Return all faults, each with ``name``, ``fault``, ``direction`` and what else was given."""
        return [{**fault.as_object()} for fault in self._proxy.settings.faults]

    def counters(self) -> ProxyCounters:
        """Return what the proxy has done."""
        return counters_of(counts_as_object(self._proxy.counts))

    async def disable(self) -> None:
        """Reset all connections; nobody can connect until `enable`."""
        await self._proxies.change(self._proxy.name, {"enabled": False})

    async def enable(self) -> None:
        """Listen again, where it did before.

        Raises:
          ValueError: another program listens there meanwhile.
        """
        await self._proxies.change(self._proxy.name, {"enabled": True})

    async def set_target(self, target: tuple[str, int] | str) -> None:
        """Connect new clients to another server."""
        await self._proxies.change(self._proxy.name, {"target": address_text(target)})

    async def set_limits(
        self,
        *,
        max_connections: int | None = None,
        when_full: WhenFullWord | None = None,
        total_connections: int | None = None,
    ) -> None:
        """Take so many clients from now on, as of `open_fault_proxy`; None is as before.

        Those that are connected stay.
        """
        changes = limits_object(max_connections, when_full, total_connections)
        await self._proxies.change(self._proxy.name, changes)


@contextlib.asynccontextmanager
async def open_fault_proxy(
    target: tuple[str, int] | str,
    *,
    listen: tuple[str, int] | str = ("127.0.0.1", 0),
    format: str = "u32be",
    seed: int = 0,
    faults: Sequence[dict[str, object]] = (),
    max_connections: int | None = None,
    when_full: WhenFullWord | None = None,
    total_connections: int | None = None,
    tls: Mapping[str, object] | None = None,
) -> AsyncIterator[FaultProxy]:
    """Run a proxy while the block runs; clients can connect when it begins.

    Its sockets are real ones, so with a `trio.testing.MockClock` its delays pass only when the test lets
    time pass. At the end of the block, and when it is cancelled, all connections are reset.

    Args:
      target: where the server is, as host and port, or as ``unix:/path``.
      listen: where clients connect; port 0 for any that is free.
      format: of frames, as ``--format`` has it.
      seed: of random choices.
      faults: with the keys of the guide's page about the proxy.
      max_connections: clients at a time; 0 for any number. By default any number.
      when_full: whether one more client waits, or is reset.
      total_connections: clients in all; later ones are reset. 0 for any number.
      tls: where TLS ends and begins, with the keys of that page, as ``{"certfile": "cert.pem"}``.

    Raises:
      ValueError: an argument makes no sense, or it cannot listen there; nothing was started. What the
        block raises comes in an exception group, as from any nursery.
    """
    settings = read_proxy(
        proxy_object(
            "proxy",
            target,
            listen,
            faults,
            format=format,
            seed=seed,
            **limits_object(max_connections, when_full, total_connections),
            **(tls or {}),
        )
    )
    proxies = ProxySet()
    async with trio.open_nursery() as nursery:
        await nursery.start(proxies.run)
        yield FaultProxy(proxies, await proxies.add(settings, is_only=True))
        nursery.cancel_scope.cancel()
