"""``trioecho proxy`` in a process of its own."""

from __future__ import annotations

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator

from .processes import ServerProcess


class ProxyProcess(ServerProcess):
    """``trioecho proxy`` in a subprocess, listening."""


@contextlib.contextmanager
def proxy_process(
    port: int, *arguments: str, limit_of_open_files: int | None = None
) -> Iterator[ProxyProcess]:
    def limit() -> None:
        if limit_of_open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit_of_open_files, limit_of_open_files))

    process = subprocess.Popen(
        [sys.executable, "-m", "trioecho", "proxy", f"127.0.0.1:{port}", "--seed", "1", *arguments],
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
