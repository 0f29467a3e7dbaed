"""A folder that pages are written to: made before the work that they report on, filled after it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...base.describe import describe
from ...base.printable import printable_line
from ...base.quantities import plural
from .exit_codes import ExitCode
from .output import CommandError, print_error
from .report_files import write_whole


class ReportFolder:
    """A folder of pages, of which other files stay as they are.

    Args:
      path: of the folder, which is made if there is none.
      files: the paths of other reports; none may take the name of a page.
      prog: the command, which each error begins with.

    Raises:
      CommandError: no file can be written there.
    """

    def __init__(self, path: str, files: Iterable[str], prog: str) -> None:
        self._path = Path(path)
        self._shown = printable_line(path) or "''"
        self._prog = prog
        try:
            if not path:
                raise FileNotFoundError(2, os.strerror(2))
            self._path.mkdir(parents=True, exist_ok=True)
            trial = self._path / f".trioecho-{secrets.token_hex(8)}"
            with trial.open("xb"):
                trial.unlink()
        except (OSError, ValueError) as error:
            raise CommandError(
                ExitCode.WRONG_USAGE, f"cannot write to the folder {self._shown}: {describe(error)}"
            ) from None
        for file in files:
            if Path(file).suffix == ".html" and Path(file).resolve().parent == self._path.resolve():
                raise CommandError(
                    ExitCode.WRONG_USAGE,
                    f"{printable_line(file)} is in the folder of pages, one of which may have its name; "
                    "write it elsewhere",
                )

    def write(self, pages: Mapping[str, bytes]) -> str:
        """Write each page whole, in this order; return in words what was written, or nothing if one was not.

        A line on stderr says what could not be written, and why.
        """
        for name, content in pages.items():
            try:
                write_whole(str(self._path / name), content)
            except OSError as error:
                print_error(f"{self._prog}: cannot write {self._shown}/{name}: {describe(error)}")
                return ""
        *others, last = pages
        return f"{self._shown.rstrip('/')}/{last} and {plural(len(others), 'page')}"
