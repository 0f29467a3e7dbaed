"""Stdin, stdout and stderr, as commands need them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def open_missing_standard_files() -> None:
    """Open the null device in place of stdin, stdout and stderr where they are closed.

    Otherwise the next files that are opened get their numbers, and child processes
    take these files for their own stdin, stdout and stderr.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


class _RememberingBuffer(io.BufferedWriter):
    """A buffer that still knows of a failure by which it has lost something.

    What it has and cannot write, it keeps; what it is given meanwhile, it loses if that is too long.

    Attributes:
      loss: the last such failure.
      is_unbuffered: whether all is written at once.
    """

    loss: OSError | None = None
    is_unbuffered: bool = False

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            count = super().write(data)
        except OSError as error:
            self.loss = error
            raise
        if self.is_unbuffered:
            with contextlib.suppress(BlockingIOError):  # then it is kept
                self.flush()
        return count


def remember_losses_of_stdout() -> None:
    """Have `output_loss` know of what is written to stdout from now on, and gets lost.

    It is as unbuffered as before (``PYTHONUNBUFFERED``), but for what cannot be written at once.
    """
    stdout = sys.stdout
    if not isinstance(stdout, io.TextIOWrapper) or isinstance(stdout.buffer, _RememberingBuffer):
        return
    is_unbuffered = isinstance(stdout.buffer, io.FileIO)
    if not is_unbuffered and not isinstance(getattr(stdout.buffer, "raw", None), io.FileIO):
        return
    if stdout.fileno() != 1:
        return
    encoding, errors = stdout.encoding, stdout.errors
    is_by_line, is_through = stdout.line_buffering, stdout.write_through
    stdout.flush()
    stdout.detach()
    buffer = _RememberingBuffer(io.FileIO(1, "w", closefd=False))
    buffer.is_unbuffered = is_unbuffered
    sys.stdout = io.TextIOWrapper(
        buffer, encoding, errors, line_buffering=is_by_line, write_through=is_through
    )


def note_loss(stream: TextIO, error: OSError) -> None:
    """Have `output_loss` know of what was not even given to the stream."""
    if (buffer := _remembering(stream)) is not None:
        buffer.loss = error


def output_loss(stream: TextIO) -> OSError | None:
    """Return why something that was to be written to the stream is lost, if so."""
    buffer = _remembering(stream)
    return None if buffer is None else buffer.loss


def _remembering(stream: TextIO) -> _RememberingBuffer | None:
    buffer = getattr(stream, "buffer", None)  # which a stream in memory does not have
    return buffer if isinstance(buffer, _RememberingBuffer) else None
