"""Lines to stdout and stderr that never make the service wait."""

from __future__ import annotations

import collections
import os
import select
import time
from collections.abc import Callable
from typing import TextIO

import trio

from .encoding import PLAIN
from .output import is_reader_gone

_WAITING_LINES = 1000
# A pipe that is writable takes this many bytes without blocking: PIPE_BUF is 4096 on
# Linux and 512 on macOS (pipe(7), poll(2)).
_PIECE_BYTES = getattr(select, "PIPE_BUF", 512)
# How long the writer waits before it tries again to write to a disk that was full.
_RETRY_S = 1.0
_UNREAD = "nobody read them"


def note_as_text(lines: int, why: str) -> str:
    """Return the note that replaces lines that were left out."""
    return f"({lines} lines were left out: {why})"


class NonBlockingWriter:
    """Writes lines to a file descriptor as fast as the reader takes them.

    While the reader does not read, or the disk is full, at most a thousand lines wait.
    Then the oldest are left out, and a note replaces them. If the reader is gone, nothing
    is written any more. The descriptor is not made non-blocking, because other processes
    share that mode.

    Args:
      stream: ``sys.stdout`` or ``sys.stderr``; None, as these are when their
        descriptor was closed, for a writer that writes nothing.
      note: makes the note, given how many lines were left out, and why.
      on_change: called with the reason when a write fails although there may be a
        reader, and with an empty text when writes succeed again.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        note: Callable[[int, str], str] = note_as_text,
        on_change: Callable[[str], object] = lambda why: None,
    ) -> None:
        self._descriptor: int | None = None if stream is None else stream.fileno()
        self._encoding = "utf-8" if stream is None else stream.encoding
        self._note = note
        self._on_change = on_change
        self._lines: collections.deque[bytes] = collections.deque()
        self._started = b""  # what is left of a line that was written in part
        self._left_out = 0
        self._why_left_out = ""
        self._failure = ""  # why the last try to write failed
        self._has_waiting = trio.Event()

    def write_line(self, line: str) -> None:
        """Write a line now if possible, else later, unless it is left out; return at once."""
        if self._descriptor is None:
            return
        if len(self._lines) >= _WAITING_LINES:
            self._leave_out_oldest()
        self._lines.append(self._encoded(line))
        self._write_while_possible()
        if self.is_waiting:
            self._has_waiting.set()

    async def run(self) -> None:
        """Write lines that wait as soon as the reader makes room, until cancelled."""
        while self._descriptor is not None:
            await self._has_waiting.wait()
            if self._failure:
                await trio.sleep(_RETRY_S)
            else:
                await trio.lowlevel.wait_writable(self._descriptor)
            self._write_while_possible()
            if not self.is_waiting:
                self._has_waiting = trio.Event()

    def flush(self, timeout_s: float) -> None:
        """Write lines that wait, for at most this time; for the end, when no task runs any more."""
        end = time.monotonic() + timeout_s
        self._write_while_possible()
        while self.is_waiting and not self._failure and (left_s := end - time.monotonic()) > 0:
            self._write_while_possible(wait_s=left_s)

    def finish(self, timeout_s: float) -> str:
        """Write lines that wait, as `flush` does; after half of the time, the last line only.

        Returns:
          Why the last line could not be written; empty if it was, or if the reader is gone.
        """
        self.flush(timeout_s / 2)
        while len(self._lines) > 1:
            self._leave_out_oldest()
        self.flush(timeout_s / 2)
        if not self.is_waiting:
            return ""
        return self._failure or f"nobody has read for {timeout_s:g} s"

    @property
    def is_waiting(self) -> bool:
        """Whether lines wait for a reader."""
        return self._descriptor is not None and bool(self._started or self._lines)

    def _write_while_possible(self, wait_s: float = 0) -> None:
        while self.is_waiting and self._is_writable(wait_s):
            if not self._started:
                self._started = self._next_line()
            assert self._descriptor is not None  # noqa: S101 - for the type checker: is_waiting said so
            try:
                written = os.write(self._descriptor, self._started[:_PIECE_BYTES])
            except OSError as error:
                if is_reader_gone(error, self._descriptor):
                    self._descriptor = None
                else:
                    self._change_failure(error.strerror or type(error).__name__)
                return
            self._started = self._started[written:]
            self._change_failure("")

    def _change_failure(self, failure: str) -> None:
        before, self._failure = self._failure, failure
        if before != failure:
            self._on_change(failure)

    def _leave_out_oldest(self) -> None:
        self._lines.popleft()
        self._left_out += 1
        self._why_left_out = self._failure or _UNREAD

    def _next_line(self) -> bytes:
        if self._left_out:
            note, self._left_out = self._note(self._left_out, self._why_left_out), 0
            return self._encoded(note)
        return self._lines.popleft()

    def _encoded(self, line: str) -> bytes:
        return line.encode(self._encoding, PLAIN) + b"\n"

    def _is_writable(self, wait_s: float) -> bool:
        if not hasattr(select, "poll"):
            return True  # Windows, where only sockets can be asked
        poll = select.poll()
        poll.register(self._descriptor or 0, select.POLLOUT)
        return bool(poll.poll(wait_s * 1000))
