"""Locust in processes of its own: a headless master and its workers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .guard import GUARD_S
from .sockets import LOOPBACK

_LOCUST = (sys.executable, "-W", "error", "-m", "locust")
_TRIES = 5
# Several processes import all that Locust needs, wait for each other, and report every 3 s.
_GUARD_S = 3 * GUARD_S
# Wide enough for names and failures.
_ENVIRONMENT = {**os.environ, "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}


class LocustMaster:
    """A master that waits for its workers, and these.

    Attributes:
      workers: by their order.
      log: what the master has logged and printed; complete when it has ended.
    """

    def __init__(self, folder: Path, common: Sequence[str], options: Sequence[str], port: int) -> None:
        where = ("--master-bind-host", LOOPBACK, "--master-bind-port", str(port))
        self.process = _start(folder, *common, "--headless", "--master", *where, *options)
        self.workers: list[subprocess.Popen[str]] = []
        self.log = ""
        self._folder = folder
        self._common = common
        self._port = port

    def add_worker(self) -> None:
        words = ("--worker", "--master-host", LOOPBACK, "--master-port", str(self._port))
        self.workers.append(_start(self._folder, *self._common, *words))

    def read_until(self, words: str) -> str:
        """Wait for a line of the master's log."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.log += line
            if words in line:
                return line
        raise AssertionError(f"{words!r} is not in {self.log}")

    def wait(self) -> int:
        """Wait for the end of all; return the master's exit code."""
        output, _ = self.process.communicate(timeout=_GUARD_S)
        self.log += output
        for worker in self.workers:
            # What it logs is shown where the test fails.
            self.log += worker.communicate(timeout=_GUARD_S)[0]
        return self.process.returncode

    @property
    def stats(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What Locust has counted, by type and name."""
        entries = json.loads(self.log[self.log.index("\n[\n") : self.log.index("\n]\n") + 2])
        return {(entry["method"], entry["name"]): entry for entry in entries}

    @property
    def failures(self) -> dict[str, int]:
        """How often each failure of Locust's table occurred."""
        _, _, table = self.log.rpartition("Error report\n")
        return {
            match[2].strip(): int(match[1]) for match in re.finditer(r"^(\d+) +(\S.*)$", table, re.MULTILINE)
        }

    def end(self) -> None:
        for process in (*self.workers, self.process):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


def _start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*_LOCUST, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=_ENVIRONMENT,
    )


def run_locust(folder: Path, locustfile: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Locust to its end, in one process; stdout has all that it says."""
    path = folder / "locustfile.py"
    path.write_text(locustfile)
    return subprocess.run(
        [*_LOCUST, "-f", str(path), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=_ENVIRONMENT,
        timeout=_GUARD_S,
        check=False,
    )


@contextlib.contextmanager
def locust_master(
    folder: Path, locustfile: str, *options: str, users: str = "", workers: int = 2
) -> Iterator[LocustMaster]:
    """A headless master and its workers, which are about to connect to it; all killed at the end.

    Args:
      folder: in which all run.
      locustfile: its text.
      options: of the master.
      users: the class of the users; all, if it is empty.
      workers: how many.
    """
    path = folder / "locustfile.py"
    path.write_text(locustfile)
    common = ("-f", str(path), *((users,) if users else ()))
    master = _listening_master(
        folder, common, ("--expect-workers", str(workers), "--loglevel", "DEBUG", "--json", *options)
    )
    try:
        for _ in range(workers):
            master.add_worker()
        yield master
    finally:
        master.end()


def _listening_master(folder: Path, common: Sequence[str], options: Sequence[str]) -> LocustMaster:
    """Start one that listens. Locust has no way to say which port it has taken by itself."""
    for _ in range(_TRIES):
        with socket.socket() as free:
            free.bind((LOOPBACK, 0))
            port = free.getsockname()[1]
        master = LocustMaster(folder, common, options, port)
        try:
            master.read_until("Waiting for workers to be ready")
        except AssertionError:
            master.end()
            if "was busy" not in master.log:
                raise
        else:
            return master
    raise AssertionError("no port was free")
