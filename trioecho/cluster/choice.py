"""Which workers of a cluster are used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .errors import ClusterError
from .identity import Purpose, own_version
from .spec import ClusterSpec

_MOST_NAMED = 3


class ClusterMachine(NamedTuple):
    """A worker of a cluster.

    Attributes:
      number: by which the bridge knows it.
      name: by which the cluster knows it.
      host: on which it runs.
      clock: `clock.clock_identity` there.
      processors: that it may keep busy there.
    """

    number: int
    name: str
    host: str
    clock: str
    processors: int = 1

    @property
    def where(self) -> str:
        """The worker and its machine, in words."""
        return f"worker {self.name} on {self.host}"


def choose_workers(
    spec: ClusterSpec, described: Sequence[Mapping[str, Any]], count: int | None, purpose: Purpose
) -> list[ClusterMachine]:
    """Return the workers that are to be used: of each host one, then a second one of each, and so on.

    Args:
      spec: of the cluster.
      described: what the bridge found out about each of its workers.
      count: how many; None for all.
      purpose: of the engines.

    Raises:
      ClusterError: one of them cannot be used.
    """
    numbers = sorted(range(len(described)), key=lambda number: _order_of(described[number]))
    seen: dict[str, int] = {}
    rounds = []
    for number in numbers:
        host = _host_of(described[number])
        rounds.append(seen.get(host, 0))
        seen[host] = rounds[-1] + 1
    chosen = [number for _, number in sorted(zip(rounds, numbers, strict=True), key=lambda pair: pair[0])]
    chosen = chosen[:count]
    failures = [failure for number in chosen if (failure := _failure_of(described[number], purpose))]
    if failures:
        named = "; ".join(failures[:_MOST_NAMED])
        more = len(failures) - _MOST_NAMED
        raise ClusterError(str(spec), named + (f"; and {more} more workers" if more > 0 else ""))
    return [
        ClusterMachine(
            number,
            described[number]["name"],
            described[number]["host"],
            described[number]["clock"],
            described[number]["processors"],
        )
        for number in chosen
    ]


def _host_of(worker: Mapping[str, Any]) -> str:
    return str(worker.get("host", worker["address"]))


def _order_of(worker: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return what sorts names as people do: 2 before 10."""
    name = str(worker.get("name", worker["address"]))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]


def _failure_of(worker: Mapping[str, Any], purpose: Purpose) -> str:
    """Return why a worker cannot be used, in words; empty if it can."""
    if "failure" in worker:
        return f"the worker at {worker['address']} {worker['failure']}"
    where = f"worker {worker['name']} on {worker['host']}"
    if worker["version"] != own_version():
        return f"{where} has trioecho {worker['version']}, and this machine {own_version()}"
    if worker["schema"] != purpose.schema:
        version, shared = worker["version"], purpose.shared
        return f"{where} has a trioecho {version} with other {shared} than the one on this machine"
    return ""
