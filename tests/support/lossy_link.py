"""Two hosts on this machine, in network namespaces, and a link between them that loses segments."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .guard import GUARD_S
from .programs import needs_program

NEAR, FAR = "10.213.7.1", "10.213.7.2"
# IPv4 and TCP with timestamps: what has more is no mere acknowledgement, and no end either.
_MOST_WITHOUT_DATA = 80


class LossyLink:
    """A link that is up.

    Attributes:
      near: what stands before a command, which then runs on the near host, as the same process.
      far: likewise for the far one.
    """

    def __init__(self, near_pid: int, far_pid: int) -> None:
        self._near_pid = near_pid
        self.near = _on_host_of(near_pid)
        self.far = _on_host_of(far_pid)

    def lose(self, port: int, every: int) -> None:
        """Lose every so many-th of the segments with data that come to a port of the far host."""
        nft = needs_program("nft")
        rule = f"tcp dport {port} meta length > {_MOST_WITHOUT_DATA} numgen inc mod {every} {every - 1} drop"
        for words in (
            "add table inet loss",
            "add chain inet loss in { type filter hook input priority 0; }",
            f"add rule inet loss in {rule}",
        ):
            _run([*self.far, nft, words])

    @property
    def sent_again(self) -> int:
        """Segments that the near host has sent again, as its kernel counts them."""
        lines = Path(f"/proc/{self._near_pid}/net/snmp").read_text()
        names, values = (line.split()[1:] for line in lines.splitlines() if line.startswith("Tcp:"))
        return int(values[names.index("RetransSegs")])


@contextlib.contextmanager
def lossy_link() -> Iterator[LossyLink]:
    """Two hosts; they are gone when the block ends, or this process, however it ends."""
    ip = needs_program("ip")
    needs_program("nft")
    needs_program("unshare")
    needs_program("nsenter")
    with contextlib.ExitStack() as hosts:
        near_pid = hosts.enter_context(_host([] if os.geteuid() == 0 else ["--map-root-user"]))
        far_pid = hosts.enter_context(_host([], _on_host_of(near_pid)))
        link = LossyLink(near_pid, far_pid)
        _run(
            [
                *link.near,
                ip,
                "link",
                "add",
                "wire",
                "type",
                "veth",
                "peer",
                "name",
                "wire",
                "netns",
                str(far_pid),
            ]
        )
        for host, address in ((link.near, NEAR), (link.far, FAR)):
            _run([*host, ip, "address", "add", f"{address}/24", "dev", "wire"])
            for device in ("lo", "wire"):
                _run([*host, ip, "link", "set", device, "up"])
        yield link


@contextlib.contextmanager
def _host(options: Sequence[str], prefix: Sequence[str] = ()) -> Iterator[int]:
    """A network namespace, and the process that keeps it until its input ends."""
    command = [*prefix, "unshare", "--net", *options, "sh", "-c", "echo up && exec cat"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        if process.stdout.readline() != "up\n":
            reason = process.stderr.read().strip()
            if os.environ.get("TRIOECHO_PROGRAMS") == "required":
                pytest.fail(f"no network namespaces: {reason}")
            pytest.skip(f"no network namespaces: {reason}")
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.wait(GUARD_S)


def _on_host_of(pid: int) -> list[str]:
    rights = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    return ["nsenter", f"--target={pid}", "--net", *rights]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=GUARD_S, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}: {done.stderr.strip()}")
