"""Stdin, stdout and stderr, as commands need them."""

from __future__ import annotations

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


class _RememberingFile(io.FileIO):
    """A file that still knows of a write that has failed when what it should have written is gone."""

    failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


def remember_failures_of_stdout() -> None:
    """Have `failure_of` know of every write to stdout that fails from now on.

    A buffer does not keep what it could not write if that was long, and with ``PYTHONUNBUFFERED`` there
    is no buffer.
    """
    stdout = sys.stdout
    if not isinstance(stdout, io.TextIOWrapper) or not isinstance(_raw(stdout), io.FileIO):
        return
    if stdout.fileno() != 1 or isinstance(_raw(stdout), _RememberingFile):
        return
    encoding, errors, is_by_line = stdout.encoding, stdout.errors, stdout.line_buffering
    stdout.flush()
    stdout.detach()
    buffer = io.BufferedWriter(_RememberingFile(1, "w", closefd=False))
    sys.stdout = io.TextIOWrapper(buffer, encoding, errors, line_buffering=is_by_line)


def failure_of(stream: TextIO) -> OSError | None:
    """Return why a write to the stream has failed, if one has."""
    raw = _raw(stream)
    return raw.failure if isinstance(raw, _RememberingFile) else None


def _raw(stream: TextIO) -> object:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)
