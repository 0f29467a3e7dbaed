"""Several hosts on this machine, by `scripts/network`, which changes nothing outside of them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from scripts.host_network.network import HOSTS

from .checkout import ROOT
from .guard import GUARD_S
from .programs import needs_program


class HostNetwork:
    """A network that is up.

    Args:
      name: of the network.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def on(self, host: str) -> list[str]:
        """What stands before a command, which then runs on that host, as the same process."""
        return [*command_of(self._name), "run", host]

    def cut(self, host: str) -> None:
        """Pull out all cables of a host."""
        subprocess.run([*command_of(self._name), "cut", host], check=True, timeout=GUARD_S)

    def join(self, host: str) -> None:
        """Plug them in again."""
        subprocess.run([*command_of(self._name), "join", host], check=True, timeout=GUARD_S)


def address_of(host: str, network: str) -> str:
    """The address of a host, in ``front`` or ``back``."""
    return HOSTS[host][network]


def command_of(name: str) -> list[str]:
    """The script, for the network of a name."""
    return ["env", f"PYTHON={sys.executable}", str(ROOT / "scripts" / "network"), "--name", name]


@contextlib.contextmanager
def host_network() -> Iterator[HostNetwork]:
    """Eight hosts; they end with the block, or with this process, however it ends."""
    needs_program("ip")
    needs_program("unshare")
    name = f"test-{os.getpid()}"
    # It goes down when `cat` has ended, which is at the end of its input.
    with subprocess.Popen(
        [*command_of(name), "try", "cat"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        line = process.stderr.readline()
        if "is up" not in line:
            if os.environ.get("TRIOECHO_PROGRAMS") == "required":
                pytest.fail(f"no network namespaces: {line}")
            pytest.skip(f"no network namespaces: {line.strip()}")
        try:
            yield HostNetwork(name)
        finally:
            process.stdin.close()
            complaints = process.stderr.read()
            assert (process.wait(GUARD_S), complaints) == (0, "")
