"""A process of its own that ends the servers of a suite that could not: one that was killed."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator

import trio

# The variable in the environment of every server that is started, and so of all that it starts.
VARIABLE = "TRIOECHO_CHECK"
_END_S = 2.0

# Reads process ids, +PID and -PID a line each, until the suite has ended, however; its end
# closes the pipe. What is left of its servers then is killed: their process groups, and on
# Linux whatever bears the mark. It has a session of its own, so no terminal ends it.
_PROGRAM = """\
import os, signal, sys
mark, groups = sys.argv[1].encode(), set()
for line in sys.stdin.buffer:
    (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
def kill(how, number):
    try:
        how(number, signal.SIGKILL)
    except OSError:
        pass
def marked():
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        try:
            with open(f"/proc/{int(name)}/environ", "rb") as file:
                if mark in file.read():
                    yield int(name)
        except (OSError, ValueError):
            pass
for group in groups:
    kill(os.killpg, group)
for _ in range(20):  # what is killed may have started another a moment ago
    found = list(marked())
    for pid in found:
        kill(os.kill, pid)
    if not found:
        break
"""


class Guard:
    """Knows which servers run; without a pipe to its process it only marks them."""

    def __init__(self, pipe: int | None = None, mark: str = "") -> None:
        self._pipe = pipe
        self._mark = mark or secrets.token_hex(8)
        self._servers = 0

    def next_mark(self) -> str:
        """Return the value of the variable that one more server gets."""
        self._servers += 1
        return f"{self._mark}-{self._servers}"

    def watch(self, pid: int) -> None:
        """See to it that this server's process group ends with this process."""
        self._tell(f"+{pid}\n")

    def forget(self, pid: int) -> None:
        """Note that the server has ended, and all of its group."""
        self._tell(f"-{pid}\n")

    def _tell(self, line: str) -> None:
        if self._pipe is not None:
            with contextlib.suppress(OSError):  # it is gone; the suite's own end still works
                os.write(self._pipe, line.encode())


@contextlib.asynccontextmanager
async def open_guard() -> AsyncIterator[Guard]:
    """Give a guard, whose process is gone when the block is left, however.

    Where the process cannot be started the guard does without. A cancelled block takes at
    most two seconds more.
    """
    mark = secrets.token_hex(8)
    reading, writing = os.pipe()  # no other child inherits them
    process = None
    try:
        with contextlib.suppress(OSError):
            process = await trio.lowlevel.open_process(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, f"{VARIABLE}={mark}"],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        os.close(reading)
        reading = -1
        yield Guard(writing if process is not None else None, mark)
    finally:
        if reading >= 0:
            os.close(reading)
        os.close(writing)
        if process is not None:
            with trio.move_on_after(_END_S, shield=True):
                await process.wait()
            with contextlib.suppress(OSError):
                process.kill()
