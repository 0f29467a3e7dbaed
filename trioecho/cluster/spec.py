"""Which cluster: how people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_RIGHT = "write tcp://HOST:PORT or tls://HOST:PORT of a Dask scheduler, local:N, or ssh:HOST,HOST"
_MOST_LOCAL = 1024
_ADDRESS = re.compile(r"(?:tcp|tls|ws|wss)://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
_HOST = re.compile(r"[A-Za-z0-9_.:@\[\]%][A-Za-z0-9_.:@\[\]%-]*")


@dataclass(frozen=True)
class ClusterSpec:
    """Which cluster to use.

    Attributes:
      text: as it was written.
      kind: ``"address"`` of a scheduler that runs; ``"local"``, one that is started on this machine,
        and ``"ssh"``, one that is started on others: these end with the command.
      count: of the workers of a local one; else 0.
      hosts: of one that is started by SSH.
    """

    text: str
    kind: Literal["address", "local", "ssh"]
    count: int = 0
    hosts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


def parse_cluster(text: str) -> ClusterSpec:
    """Read ``tcp://host:8786``, ``tls://host:8786``, ``local:3`` or ``ssh:host1,host2``.

    Raises:
      ValueError: it is something else; the message says what to write.
    """
    kind, colon, rest = text.partition(":")
    if kind == "local" and colon:
        if re.fullmatch(r"[0-9]{1,4}", rest, re.ASCII) and 1 <= int(rest) <= _MOST_LOCAL:
            return ClusterSpec(text, "local", count=int(rest))
        raise ValueError(f"local: is followed by a number of workers from 1 to {_MOST_LOCAL}, as local:3")
    if kind == "ssh" and colon:
        hosts = tuple(host.strip() for host in rest.split(","))
        if all(_HOST.fullmatch(host) for host in hosts):
            return ClusterSpec(text, "ssh", hosts=hosts)
        raise ValueError("ssh: is followed by names of hosts with commas between them, as ssh:alpha,beta")
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= 0xFFFF:
        raise ValueError(_RIGHT)
    return ClusterSpec(text, "address")
