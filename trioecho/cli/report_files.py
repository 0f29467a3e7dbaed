"""Files that reports are written to: found to be writable before the work that they report on."""

from __future__ import annotations

import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from .result import CommandError, print_error

_STDOUT = "-"
_WRONG_USAGE = 2


class ReportFiles:
    """Where reports go, by kind; ``-`` is stdout.

    Attributes:
      wanted: the paths as they were given.
      use_stdout: whether one of them is stdout.

    Raises:
      CommandError: one cannot be written, or is named twice.
    """

    def __init__(self, wanted: Mapping[str, str]) -> None:
        self.wanted: Mapping[str, str] = wanted
        paths = list(wanted.values())
        self.use_stdout: bool = _STDOUT in paths
        self._made: list[Path] = []
        for path in paths:
            if paths.count(path) > 1:
                raise CommandError(
                    _WRONG_USAGE, f"{path} cannot take two reports; give each a file of its own"
                )
        for path in paths:
            self._make_sure_of(path)

    def _make_sure_of(self, path: str) -> None:
        """Open the file as it will be opened; what it holds stays until there is something better."""
        if path == _STDOUT:
            return
        file = Path(path)
        try:
            is_new = not file.exists()
            # The reader of a pipe would take the close for the end.
            if is_new or not stat.S_ISFIFO(file.stat().st_mode):
                with file.open("ab"):
                    pass
        except (OSError, ValueError) as error:
            self.forget()
            raise CommandError(_WRONG_USAGE, f"cannot write {path or repr(path)}: {_reason(error)}") from None
        if is_new:
            self._made.append(file)

    def is_stdout(self, kind: str) -> bool:
        """Whether this report goes to stdout."""
        return self.wanted[kind] == _STDOUT

    def forget(self) -> None:
        """Remove the files that were made, and are empty because there is no result."""
        for file in self._made:
            file.unlink(missing_ok=True)
        self._made = []

    def write(self, reports: Mapping[str, bytes]) -> bool:
        """Write them all; whether that went well. What went wrong is told, file by file."""
        went_well = True
        for kind, path in self.wanted.items():
            report = reports[kind]
            try:
                if path == _STDOUT:
                    sys.stdout.flush()
                    sys.stdout.buffer.write(report if report.endswith(b"\n") else report + b"\n")
                    sys.stdout.flush()
                else:
                    Path(path).write_bytes(report)
            except OSError as error:
                print_error(f"cannot write {path}: {_reason(error)}")
                went_well = False
        self._made = []
        return went_well


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
