"""Faults and counters as tests write and read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

FaultWord = Literal[
    "slice",
    "coalesce",
    "delay",
    "gap",
    "bandwidth",
    "end-after",
    "reset-after",
    "reset-after-total",
    "reset-after-time",
    "corrupt",
    "drop",
    "duplicate",
    "swap",
    "truncate",
    "reset",
    "stall",
]
WhenFullWord = Literal["wait", "reset"]
DirectionWord = Literal["both", "to-server", "to-client"]


@dataclass(frozen=True)
class ProxyCounters:
    """What a proxy has done since it was added.

    Attributes:
      connections: clients that were accepted.
      open_connections: clients that are connected now.
      unconnected: clients for which the server could not be connected to, or with whom or with which
        the handshake of TLS failed.
      passed_bytes: bytes passed on, by ``"to-server"`` and ``"to-client"``.
      faults: faults of frames, and resets, by kind, as ``"corrupted"`` and ``"reset"``; only kinds that
        have happened.
      rejected: clients that were reset at a limit of connections, and are not among the others.
    """

    connections: int
    open_connections: int
    unconnected: int
    passed_bytes: Mapping[str, int]
    faults: Mapping[str, int]
    rejected: int = 0


def counters_of(counted: Mapping[str, Any]) -> ProxyCounters:
    """Return the counters that an object of JSON has; keys that are not known are left out."""
    return ProxyCounters(
        counted["connections"],
        counted["open_connections"],
        counted["unconnected"],
        dict(counted["passed_bytes"]),
        dict(counted["faults"]),
        counted.get("rejected", 0),
    )


def fault_object(fault: FaultWord, value: str | float | None, **parameters: object) -> dict[str, object]:
    """Return a fault as the API of a proxy has it, without what is not given."""
    written = {"fault": fault, "value": value, **parameters}
    return {key: given for key, given in written.items() if given is not None}


def limits_object(
    max_connections: int | None, when_full: WhenFullWord | None, total_connections: int | None
) -> dict[str, object]:
    """Return limits of connections as the API of a proxy has them, without what is not given."""
    written = {
        "max_connections": max_connections,
        "when_full": when_full,
        "total_connections": total_connections,
    }
    return {key: given for key, given in written.items() if given is not None}


def proxy_object(
    name: str,
    target: tuple[str, int] | str,
    listen: tuple[str, int] | str,
    faults: Sequence[dict[str, object]],
    **others: object,
) -> dict[str, object]:
    """Return a proxy as the API has it, without what is not given."""
    addresses = {"target": address_text(target), "listen": address_text(listen)}
    given = {key: value for key, value in others.items() if value is not None}
    return {"name": name, **addresses, "faults": list(faults), **given}


def address_text(address: tuple[str, int] | str) -> str:
    """Return an address as the API has it: ``127.0.0.1:80``, ``[::1]:80``, ``unix:/path``."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_pair(text: str) -> tuple[str, int]:
    """Return host and port of the first address in a text of the API."""
    host, _, port = text.partition(" and ")[0].rpartition(":")
    return host.strip("[]"), int(port)
