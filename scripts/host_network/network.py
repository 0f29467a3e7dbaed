"""The network: each host is a network namespace, and a switch in one more connects them.

::

    gen1 gen2 gen3 control          server1 server2 server3
      |    |    |    |                 |       |       |
    --+----+----+----+---+-- front   --+---+---+-------+-- back
                         +--- balancer ----+

A host has a name of its own, and where the kernel can do that, a monotonic clock that goes alike, but
is hours from those of the others. Nothing outside of the namespaces changes: bridges and cables are
inside of the one with the switch.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

# Of RFC 2544, for benchmarks of networks: nobody has these addresses in earnest.
HOSTS = {
    "control": {"front": "198.18.0.10"},
    "gen1": {"front": "198.18.0.11"},
    "gen2": {"front": "198.18.0.12"},
    "gen3": {"front": "198.18.0.13"},
    "balancer": {"front": "198.18.0.20", "back": "198.19.0.20"},
    "server1": {"back": "198.19.0.31"},
    "server2": {"back": "198.19.0.32"},
    "server3": {"back": "198.19.0.33"},
}
BRIDGES = ("front", "back")
SWITCH = "switch"
_APART_S = 10_000
_END_S = 5.0
_POLL_S = 0.02


class NetworkError(Exception):
    """What cannot be done, and why, in one line."""


class Quality(NamedTuple):
    """What every network card adds to what it sends, as `tc` writes it; empty for nothing."""

    delay: str = ""
    loss: str = ""


class Network:
    """One network; several with different names know nothing of each other.

    Args:
      name: in front of the names of its namespaces.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def namespace(self, host: str) -> str:
        """Return the name of a host's namespace."""
        return f"{self._name}-{host}"

    def is_up(self) -> bool:
        return {*map(self.namespace, (*HOSTS, SWITCH))} <= _namespaces()

    def up(self, quality: Quality) -> str:
        """Make the network, unless it is there; return what it lacks, if anything.

        Raises:
          NetworkError: this machine, or this user, cannot do that; nothing is left of it.
        """
        if not self.is_up():
            self.down()  # what an earlier one may have left
            try:
                self._make()
            except BaseException:
                self.down()
                raise
        return self._set_quality(quality)

    def _make(self) -> None:
        for host in (SWITCH, *HOSTS):
            _ip(f"netns add {self.namespace(host)}")
            _ip("link set lo up", within=self.namespace(host))
        inside = [f"link add {bridge} type bridge" for bridge in BRIDGES]
        inside += [f"link set {bridge} up" for bridge in BRIDGES]
        for host, addresses in HOSTS.items():
            for bridge in addresses:
                end, other = cable_of(host, bridge), f"{bridge} netns {self.namespace(host)}"
                inside += [
                    f"link add {end} type veth peer name {other}",
                    f"link set {end} master {bridge} up",
                ]
        _ip(*inside, within=self.namespace(SWITCH))
        for host, addresses in HOSTS.items():
            lines = [f"address add {address}/24 dev {bridge}" for bridge, address in addresses.items()]
            lines += [f"link set {bridge} up" for bridge in addresses]
            _ip(*lines, within=self.namespace(host))

    def _set_quality(self, quality: Quality) -> str:
        """Set or remove delay and loss of all network cards; return why that is impossible, if it is."""
        words = [word for name, value in quality._asdict().items() if value for word in (name, value)]
        for host, addresses in HOSTS.items():
            for bridge in addresses:
                within = ("-n", self.namespace(host), "qdisc")
                _run(["tc", *within, "del", "dev", bridge, "root"], check=False)  # there may be none
                if words:
                    done = _run(["tc", *within, "add", "dev", bridge, "root", "netem", *words], check=False)
                    if done.returncode:
                        return f"without {' and '.join(words[::2])}: tc netem says: {_in_a_line(done.stderr)}"
        return ""

    def set_link(self, host: str, *, up: bool) -> None:
        """Plug in or pull out all cables of a host, at the switch.

        Raises:
          NetworkError: there is no network.
        """
        self._check_up()
        state = "up" if up else "down"
        lines = [f"link set {cable_of(host, bridge)} {state}" for bridge in HOSTS[host]]
        _ip(*lines, within=self.namespace(SWITCH))

    def command(self, host: str, command: Sequence[str]) -> list[str]:
        """Return what runs a command on a host, as the same process.

        Raises:
          NetworkError: there is no network.
        """
        self._check_up()
        named = ["sh", "-c", 'hostname "$0" && exec "$@"', host]
        return [
            "ip",
            "netns",
            "exec",
            self.namespace(host),
            "unshare",
            "--uts",
            *_clock(host),
            *named,
            *command,
        ]

    def down(self) -> None:
        """End what runs on the hosts, and remove the network, whatever there is of it.

        Raises:
          NetworkError: this machine, or this user, cannot do that.
        """
        there = [name for name in map(self.namespace, (*HOSTS, SWITCH)) if name in _namespaces()]
        for name in there:
            self._end_processes(name)
        for name in there:
            _ip(f"netns delete {name}")

    def _end_processes(self, namespace: str) -> None:
        until = time.monotonic() + _END_S
        number = signal.SIGTERM
        while pids := _run(["ip", "netns", "pids", namespace]).stdout.split():
            if time.monotonic() > until:
                number = signal.SIGKILL
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), number)
            time.sleep(_POLL_S)

    def _check_up(self) -> None:
        if not self.is_up():
            raise NetworkError("there is no network: scripts/network up")


def cable_of(host: str, bridge: str) -> str:
    """Return the name of the switch's end of a cable; Linux takes at most 15 characters."""
    return f"{host}-{bridge}"


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Say in a line why a program that is needed could not do its work."""
    try:
        yield
    except FileNotFoundError as error:
        raise NetworkError(f"there is no {error.filename}: apt install iproute2") from None
    except subprocess.CalledProcessError as error:
        why = _in_a_line(error.stderr.partition("Command failed")[0])
        lacks_rights = os.geteuid() != 0 or "not permitted" in why or "denied" in why
        raise NetworkError(f"{why}{'; it needs root' if lacks_rights else ''}") from None


def _clock(host: str) -> list[str]:
    """Return options of `unshare` for a clock of a host's own, where the kernel can do that."""
    done = _run(["unshare", "--time", "readlink", "/proc/self/ns/time"], check=False)
    # Linux before 6.2 lets only the children of a process enter it.
    if done.returncode or done.stdout.strip() == str(Path("/proc/self/ns/time").readlink()):
        return []
    ahead_s = _APART_S * (1 + [*HOSTS].index(host))
    return ["--time", "--monotonic", str(ahead_s), "--boottime", str(ahead_s)]


def _namespaces() -> set[str]:
    folder = Path("/run/netns")  # where ip keeps them
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def _ip(*lines: str, within: str | None = None) -> None:
    """Carry out commands of `ip`, all in one namespace."""
    words = ["ip", *(["-n", within] if within else []), "-batch", "-"]
    _run(words, "".join(f"{line}\n" for line in lines))


def _run(words: Sequence[str], lines: str = "", *, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, input=lines, capture_output=True, text=True, check=check)


def _in_a_line(text: str) -> str:
    return " ".join(text.split()) or "failed"
