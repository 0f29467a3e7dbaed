"""Stdin, stdout and stderr, where they are closed."""

from __future__ import annotations

import os


def open_missing_standard_files() -> None:
    """Open the null device in place of stdin, stdout and stderr where they are closed.

    Otherwise the next files that are opened get their numbers, and child processes
    take these files for their own stdin, stdout and stderr.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
