"""The instructions that a server executes, counted by the processor: Linux's ``perf``, where it can."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator

import trio

_EVENT = "instructions:u"  # those of the program itself, not of the kernel
_COMMAND = ("perf", "stat", "-x,", "-e", _EVENT)


def why_not_counted() -> str | None:
    """Return why instructions cannot be counted here, in a few words; None if they can."""
    if shutil.which(_COMMAND[0]) is None:
        return "perf is not installed"
    done = subprocess.run([*_COMMAND, "true"], capture_output=True, text=True, check=False)
    if _count(done.stderr) is None:
        return "perf has no hardware counter here, as in most virtual machines"
    return None


class Counted:
    """What `counting` has counted.

    Attributes:
      instructions (int | None): None until the block was left, and where perf gave nothing.
    """

    def __init__(self) -> None:
        self.instructions: int | None = None


@contextlib.asynccontextmanager
async def counting(pid: int) -> AsyncIterator[Counted]:
    """Count the instructions of a process while the block runs."""
    counted = Counted()
    with tempfile.NamedTemporaryFile("r") as output:
        process = await trio.lowlevel.open_process([*_COMMAND, "-o", output.name, "-p", str(pid)])
        try:
            yield counted
            process.send_signal(signal.SIGINT)  # then it writes what it has counted, and ends
            await process.wait()
            counted.instructions = _count(output.read())
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


def _count(text: str) -> int | None:
    """Return the number in the lines of ``perf stat -x,``: ``123456,,instructions:u,...``."""
    for line in text.splitlines():
        number, _, rest = line.partition(",")
        if _EVENT in rest and number.isdecimal():
            return int(number)
    return None
