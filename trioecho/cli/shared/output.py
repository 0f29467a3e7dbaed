"""How a command reports: results on stdout, everything else on stderr, an exit code for the shell."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import TextIO

from ...base.printable import printable
from .exit_codes import ExitCode
from .standard_files import note_loss, output_loss

# This much fits into the buffer of a stream, in any encoding: it is written whole or kept whole.
_PIECE_CHARACTERS = 2000
_RETRY_S = 0.01


class CommandError(Exception):
    """A command cannot do what the user asked for; the message is for the user.

    Attributes:
      exit_code (int): what the process ends with.
    """

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def print_result(text: str, *, is_safe: bool = False) -> None:
    """Print lines of results; `end_output` reports what cannot be written.

    Args:
      text: the lines; control characters are escaped.
      is_safe: whether text of others is escaped already; control characters for colours stay.
    """
    with contextlib.suppress(OSError):
        _write(sys.stdout, f"{text if is_safe else printable(text)}\n")


def write_result(data: bytes) -> None:
    """Write bytes of a result as they are; `end_output` reports what cannot be written."""
    with contextlib.suppress(OSError):
        with _noting_loss(sys.stdout, is_last=not data):
            _write(sys.stdout, "")
        for start in range(0, len(data), _PIECE_CHARACTERS):
            with _noting_loss(sys.stdout, is_last=start + _PIECE_CHARACTERS >= len(data)):
                sys.stdout.buffer.write(data[start : start + _PIECE_CHARACTERS])
                _flush(sys.stdout)


def print_error(text: str, *, is_safe: bool = False, end: str = "\n") -> None:
    """Print lines that are not results; the arguments are those of `print_result`, and of `print`."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, f"{text if is_safe else printable(text)}{end}")


def show_traceback(error: BaseException) -> bool:
    """Print where an unexpected error comes from, if the user has asked for that; return whether so."""
    if "TRIOECHO_DEBUG" not in os.environ:
        return False
    import traceback  # which only this needs

    print_error("".join(traceback.format_exception(error)), end="")
    return True


def end_output(exit_code: int) -> int:
    """Return the exit code of a command that has printed everything: 74 instead of 0 if it could not.

    A reader of stdout that is gone has read what it wanted, which is no failure.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            _write(stream, "")
            if stream is not None and (loss := output_loss(stream)) is not None:
                raise loss
        except OSError as error:
            if stream is sys.stdout and not is_reader_gone(error, stream.fileno()):
                print_error(f"trioecho: the results could not be written: {error.strerror}")
                exit_code = exit_code or ExitCode.CANNOT_WRITE
            # The interpreter must not try to write the rest of the buffer at its end.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return exit_code


def is_reader_gone(error: OSError, descriptor: int) -> bool:
    """Return whether a write failed because the reader of a pipe, socket or terminal is gone."""
    if error.errno in (errno.EPIPE, errno.ECONNRESET):
        return True
    return error.errno == errno.EIO and not stat.S_ISREG(os.fstat(descriptor).st_mode)


def _write(stream: TextIO | None, text: str) -> None:
    """Write text and everything in the buffer of the stream, however long that takes.

    Raises:
      OSError: it cannot be written; some of it stays in the buffer.
    """
    if stream is None:  # its descriptor was closed when the process was started
        return
    for start in range(0, max(1, len(text)), _PIECE_CHARACTERS):
        with _noting_loss(stream, is_last=start + _PIECE_CHARACTERS >= len(text)):
            stream.write(text[start : start + _PIECE_CHARACTERS])
            _flush(stream)


def _flush(stream: TextIO) -> None:
    while True:
        try:
            stream.flush()
        except BlockingIOError:  # a pipe that another process has made non-blocking is full
            time.sleep(_RETRY_S)
        else:
            return


@contextlib.contextmanager
def _noting_loss(stream: TextIO, *, is_last: bool) -> Iterator[None]:
    """Note that the pieces behind this one are lost if it cannot be written, which is kept itself."""
    try:
        yield
    except OSError as error:
        if not is_last:
            note_loss(stream, error)
        raise
