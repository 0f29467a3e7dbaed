"""How a command tells its outcome: results to stdout, all else to stderr, a code to the shell."""

from __future__ import annotations

import contextlib
import sys


class CommandError(Exception):
    """A command cannot do what it was asked to; the message is for the user.

    Attributes:
      exit_code (int): what the process ends with.
    """

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def print_result(line: str) -> None:
    """A line of results; nobody has to read it."""
    with contextlib.suppress(OSError):
        print(line, flush=True)


def print_error(line: str) -> None:
    """A line that is not a result."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
