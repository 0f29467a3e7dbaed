"""``trioecho proxy`` in a process of its own."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence

from .processes import ServerProcess

PROXY = ("-m", "trioecho", "proxy")


class ProxyProcess(ServerProcess):
    """``trioecho proxy`` in a subprocess, listening."""


@contextlib.contextmanager
def proxy_process(
    server: int | str | None,
    *arguments: str,
    limit_of_open_files: int | None = None,
    command: Sequence[str] = PROXY,
) -> Iterator[ProxyProcess]:
    """A proxy of the server at an address, or at a port of this machine; None if the arguments say it."""
    address = f"127.0.0.1:{server}" if isinstance(server, int) else server
    words = [*([] if address is None else [address]), "--seed", "1", *arguments]

    def limit() -> None:
        if limit_of_open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit_of_open_files, limit_of_open_files))

    process = subprocess.Popen(
        [sys.executable, *command, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,  # noqa: PLW1509 - no thread of a test runs while it is started
    )
    try:
        yield ProxyProcess(process)
    finally:
        process.kill()
        process.communicate()
