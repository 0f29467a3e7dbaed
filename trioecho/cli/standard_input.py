"""Lines of stdin, as they come: from a person at a prompt, from a pipe, or from a file."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable

import trio

from .shared.output import print_error

_PIECE_BYTES = 1 << 16


class Prompt:
    """What is in front of the line that a person types, on stderr.

    Attributes:
      text: the prompt; empty where nobody is asked.
      is_shown: whether it is what the terminal's last line has.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_shown: bool = False

    def show(self) -> None:
        """Ask for the next line."""
        if self.text:
            self.is_shown = True  # first, since Ctrl-C may come in between
            print_error(self.text, end="")

    def leave(self) -> None:
        """Go on at the next line of the terminal."""
        if self.is_shown:
            print_error("")
            self.is_shown = False

    def show_around(self, show_other: Callable[[], object]) -> None:
        """Let something else be shown, on lines of its own, and show the prompt again if it was shown."""
        was_shown = self.is_shown
        self.leave()
        show_other()
        if was_shown:
            self.show()


async def lines_of_stdin(most_bytes: int) -> AsyncGenerator[bytes, None]:
    """Yield lines without their ends; the last one need not have an end.

    No thread waits: a terminal or a pipe is read when there is something in it, so a
    cancellation takes effect at once. A file never lets anybody wait.

    Args:
      most_bytes: that a line may have.

    Raises:
      ValueError: a line is longer.
      OSError: stdin cannot be read.
    """
    descriptor = sys.stdin.fileno()
    unfinished = bytearray()
    while data := await _read(descriptor):
        *lines, rest = data.split(b"\n")
        for line in lines:
            unfinished += line
            yield bytes(unfinished)
            unfinished.clear()
        unfinished += rest
        if len(unfinished) > most_bytes:
            raise ValueError(f"a line of stdin has more than {most_bytes} bytes: raise --max-frame-length")
    if unfinished:
        yield bytes(unfinished)


async def wait_for_end_of_stdin() -> None:
    """Wait until stdin has ended, or cannot be read; what comes before means nothing."""
    with contextlib.suppress(OSError):
        while await _read(sys.stdin.fileno()):
            pass


async def _read(descriptor: int) -> bytes:
    while True:
        await trio.lowlevel.checkpoint()
        # Files and the null device cannot be waited for, and need not be.
        with contextlib.suppress(PermissionError):
            await trio.lowlevel.wait_readable(descriptor)
        with contextlib.suppress(BlockingIOError):  # another process has read it meanwhile
            return os.read(descriptor, _PIECE_BYTES)
