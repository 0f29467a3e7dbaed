"""The counts of a proxy, and the names of its two directions."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


class Direction(enum.Enum):
    """Which way bytes go."""

    TO_SERVER = "to-server"
    TO_CLIENT = "to-client"


@dataclass
class ByteCount:
    """A number of bytes that several streams add to."""

    value: int = 0


@dataclass
class ProxyCounts:
    """What a proxy has done so far; exact at any time.

    Attributes:
      connections: clients that were accepted.
      open_connections: clients that are connected now.
      unconnected: clients for which the server could not be connected to, or with whom or with which
        the handshake of TLS failed.
      rejected: clients that were reset at a limit of connections; they are not among the others.
      passed_bytes: bytes that the kernel has accepted for the other side.
      faults: faults of frames, and resets, by kind (``"corrupted"``, ``"reset"``).
      let_through: bytes that the faults of streams have let through. Some of them may still be on their way.
    """

    connections: int = 0
    open_connections: int = 0
    unconnected: int = 0
    passed_bytes: Counter[Direction] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    let_through: dict[Direction, ByteCount] = field(
        default_factory=lambda: {each: ByteCount() for each in Direction}, compare=False
    )


def total_of(parts: Iterable[ProxyCounts]) -> ProxyCounts:
    """Return what several proxies have done together."""
    parts = list(parts)
    return ProxyCounts(
        sum(each.connections for each in parts),
        sum(each.open_connections for each in parts),
        sum(each.unconnected for each in parts),
        sum((each.passed_bytes for each in parts), Counter()),
        sum((each.faults for each in parts), Counter()),
        sum(each.rejected for each in parts),
    )


def counts_as_object(counts: ProxyCounts) -> dict[str, Any]:
    """Return the counts of a proxy as JSON has them."""
    return {
        "connections": counts.connections,
        "open_connections": counts.open_connections,
        "unconnected": counts.unconnected,
        "passed_bytes": {each.value: counts.passed_bytes[each] for each in Direction},
        "faults": dict(sorted(counts.faults.items())),
        "rejected": counts.rejected,
    }


def counts_in_words(counts: ProxyCounts) -> str:
    """Return what the proxy has done, in one line."""
    faults = ", ".join(f"{number:,} {kind}" for kind, number in sorted(counts.faults.items()))
    rejected = f", {counts.rejected:,} rejected" if counts.rejected else ""
    to_server, to_client = (counts.passed_bytes[direction] for direction in Direction)
    return (
        f"connections: {counts.connections:,} ({counts.open_connections:,} open, "
        f"{counts.unconnected:,} without a server{rejected}); "
        f"bytes: {to_server:,} to the server, {to_client:,} to the client; "
        f"faults: {faults or 'none'}"
    )
