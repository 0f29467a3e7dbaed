"""Lines to stdout and stderr that never make the service wait."""

from __future__ import annotations

import collections
import logging
import os
import select
import time
from pathlib import Path
from typing import TextIO

import trio

_WAITING_LINES = 1000
# What a pipe that is writable takes without blocking: PIPE_BUF of Linux is 4096,
# that of macOS 512 (pipe(7), poll(2)).
_PIECE_BYTES = getattr(select, "PIPE_BUF", 512)


class Outlet:
    """Writes lines to a file descriptor as fast as the reader takes them.

    Nobody has to read: lines wait, up to a thousand; then the oldest are left
    out, and a note stands in their place. A reader that is gone is ignored. The
    descriptor is not made non-blocking, because other processes share that mode.

    Args:
      stream: ``sys.stdout`` or ``sys.stderr``; None, as these are when their
        descriptor was closed, for an outlet that writes nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._descriptor: int | None = None if stream is None else stream.fileno()
        self._encoding = "utf-8" if stream is None else stream.encoding
        self._lines: collections.deque[bytes] = collections.deque()
        self._started = b""  # what is left of a line that was written in part
        self._left_out = 0
        self._has_waiting = trio.Event()

    def write_line(self, line: str) -> None:
        """Write a line now if it can be, else later, else never; return at once."""
        if self._descriptor is None:
            return
        if len(self._lines) >= _WAITING_LINES:
            self._lines.popleft()
            self._left_out += 1
        self._lines.append(line.encode(self._encoding, "backslashreplace") + b"\n")
        self._write_while_possible()
        if self.is_waiting:
            self._has_waiting.set()

    async def run(self) -> None:
        """Write what waits as soon as the reader makes room, until cancelled."""
        while self._descriptor is not None:
            await self._has_waiting.wait()
            await trio.lowlevel.wait_writable(self._descriptor)
            self._write_while_possible()
            if not self.is_waiting:
                self._has_waiting = trio.Event()

    def flush(self, timeout_s: float) -> None:
        """Write what waits, for so long at most; for the end, when no task runs any more."""
        end = time.monotonic() + timeout_s
        self._write_while_possible()
        while self.is_waiting and (left_s := end - time.monotonic()) > 0:
            self._write_while_possible(wait_s=left_s)

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
            except OSError:  # the reader is gone, or the disk is full: nothing to be done
                self._descriptor = None
                return
            self._started = self._started[written:]

    def _next_line(self) -> bytes:
        if self._left_out:
            note, self._left_out = b"(%d lines were left out: nobody read them)\n" % self._left_out, 0
            return note
        return self._lines.popleft()

    def _is_writable(self, wait_s: float) -> bool:
        if not hasattr(select, "poll"):
            return True  # Windows, where only sockets can be asked
        poll = select.poll()
        poll.register(self._descriptor or 0, select.POLLOUT)
        return bool(poll.poll(wait_s * 1000))


class OutletLogHandler(logging.Handler):
    """Log records as one line each: no traceback, but where an unexpected error came from."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line; like every handler's, its errors go to ``handleError``."""
        line = f"{time.strftime('%H:%M:%SZ', time.gmtime(record.created))} {record.getMessage()}"
        if record.exc_info and record.exc_info[1]:
            line += f": {describe_error(record.exc_info[1])}"
        self._outlet.write_line(line.replace("\n", " "))


def open_missing_standard_files() -> None:
    """Open the null device in place of stdin, stdout and stderr where they are closed.

    Otherwise the next files to be opened would get their numbers, and programs
    that are started would take these for their own stdin, stdout and stderr.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def describe_error(error: BaseException) -> str:
    """An unexpected error in one line: its kind, its words and its place."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{place}"
