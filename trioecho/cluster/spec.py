"""Which cluster: how people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

# How long to wait for the scheduler, and for its workers.
DEFAULT_WAIT_S = 10.0
_RIGHT = "write tcp://HOST:PORT or tls://HOST:PORT of a Dask scheduler, local:N, or ssh:HOST,HOST"
_MOST_LOCAL = 1024
_ADDRESS = re.compile(r"(?:tcp|tls|ws|wss)://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})")
# USER@HOST:PORT; an IPv6 address with a port is in brackets.
_HOST = re.compile(
    r"(?:(?P<user>[^\s@,:\[\]-][^\s@,:\[\]]*)@)?"
    r"(?:\[(?P<bracketed>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[\w.%][\w.%-]*)|(?P<address>[0-9A-Fa-f:.]+(?:%[\w.-]+)?))"
    r"(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)


class SshHost(NamedTuple):
    """A machine that is reached by SSH.

    Attributes:
      host: its name, which may be an alias of ``~/.ssh/config``, or its address.
      user: who logs in; None for what that file says, or oneself.
      port: of its sshd; None for what that file says, or 22.
    """

    host: str
    user: str | None = None
    port: int | None = None


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
    hosts: tuple[SshHost, ...] = ()

    def __str__(self) -> str:
        return self.text


def parse_cluster(text: str) -> ClusterSpec:
    """Read ``tcp://host:8786``, ``tls://host:8786``, ``local:3`` or ``ssh:host1,ada@host2:2222``.

    Raises:
      ValueError: it is something else; the message says what to write.
    """
    kind, colon, rest = text.partition(":")
    if kind == "local" and colon:
        if re.fullmatch(r"[0-9]{1,4}", rest, re.ASCII) and 1 <= int(rest) <= _MOST_LOCAL:
            return ClusterSpec(text, "local", count=int(rest))
        raise ValueError(f"local: is followed by a number of workers from 1 to {_MOST_LOCAL}, as local:3")
    if kind == "ssh" and colon:
        return ClusterSpec(text, "ssh", hosts=tuple(_ssh_host(host.strip()) for host in rest.split(",")))
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= 0xFFFF:
        raise ValueError(_RIGHT)
    return ClusterSpec(text, "address")


def _ssh_host(text: str) -> SshHost:
    match = _HOST.fullmatch(text)
    if match is None or not 1 <= int(match["port"] or 1) <= 0xFFFF:
        raise ValueError(
            "ssh: is followed by names of hosts with commas between them, as ssh:alpha,beta, or "
            "ssh:ada@alpha:2222"
        )
    host = match["bracketed"] or match["name"] or match["address"]
    return SshHost(host, match["user"], int(match["port"]) if match["port"] else None)
