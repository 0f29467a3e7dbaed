"""A process with proxies, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .client import ProxyClient

# On a busy machine Python alone takes seconds to start.
_START_S = 60.0
_STOP_S = 5.0
_LOOK_S = 0.01
_READY = re.compile(r"admin on (?:http://)?(\S+)$", re.MULTILINE)


class ProxyProcessError(Exception):
    """The process with the proxies did not start; the message has what it printed."""


@contextlib.contextmanager
def run_proxies(*options: str, admin: str = "127.0.0.1:0") -> Iterator[ProxyClient]:
    """Run ``trioecho proxy`` in a process of its own, and return what commands it; without proxies at first.

    The block begins when the process takes commands; the calling thread waits for that, about a second. After
    the block the process is gone. It also ends with the process that started it, however that ends. It needs
    the extra ``admin``: ``pip install 'trioecho[admin]'``.

    Args:
      options: more of the command's, as ``"--proxies", "proxies.toml"``.
      admin: where it takes commands.

    Raises:
      ProxyProcessError: it did not start, or not within a minute.
    """
    # A file: a pipe that nobody reads would fill up.
    with tempfile.TemporaryDirectory(prefix="trioecho-") as folder:
        log = Path(folder, "log")
        with log.open("w") as stderr:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "trioecho", "proxy", "--end-with-stdin", "--admin", admin, *options],
                stdin=subprocess.PIPE,  # it ends with this process, also if that is killed
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C is for the tests, which may need their proxies to end
            )
        try:
            yield ProxyClient(_wait_until_ready(process, log))
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the address that it takes commands on, when it has printed it."""
    gives_up_at = time.monotonic() + _START_S
    while True:
        has_ended = process.poll() is not None
        printed = log.read_text()
        if (match := _READY.search(printed)) is not None and not has_ended and printed.endswith("\n"):
            return match[1]
        if has_ended:
            raise ProxyProcessError(f"trioecho proxy has ended: {printed.strip()}")
        if time.monotonic() > gives_up_at:
            raise ProxyProcessError(f"trioecho proxy is not ready after {_START_S:g} s: {printed.strip()}")
        time.sleep(_LOOK_S)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
