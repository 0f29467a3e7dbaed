"""Whether a user's own source files have changed, for ``serve --reload``.

They are looked at twice a second. That needs no library, finds modules that are imported late, and
works on network file systems, which report no changes.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import trio

from ...base.describe import is_of_user
from ...base.functions_by_name import FunctionReference

_LOOK_S = 0.5


class SourceFiles:
    """The files of all modules that are imported, except Python's, this package's and installed ones.

    Args:
      reference: of the function that is served; its file counts even if it cannot be imported.
    """

    def __init__(self, reference: FunctionReference) -> None:
        where = reference.name.rpartition(":")[0]
        path = where if where.endswith(".py") else where.replace(".", "/") + ".py"
        # When each was changed last, in nanoseconds; None while there is none.
        self._changed_at: dict[str, int | None] = {}
        self.add(str(Path(reference.folder, path)))

    def add(self, file: str) -> None:
        """Watch a file from now on."""
        self._changed_at.setdefault(file, _changed_at(file))

    def add_places_of(self, error: BaseException | None) -> None:
        """Watch the user's files in which an error was raised, or those that caused it."""
        while error is not None:
            if isinstance(error, SyntaxError) and error.filename:
                self.add(error.filename)
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if is_of_user(frame.f_code.co_filename):
                    self.add(frame.f_code.co_filename)
            error = error.__cause__

    async def wait_for_change(self, on_look: Callable[[], object] = lambda: None) -> str:
        """Wait until a file has changed, and return its name.

        Args:
          on_look: called each time before the files are looked at.
        """
        while True:
            for file in _imported_files():
                self.add(file)
            await trio.sleep(_LOOK_S)
            on_look()
            for file, before in self._changed_at.items():
                # One that an editor writes anew may be missing for a moment.
                if _changed_at(file) not in (None, before):
                    return Path(file).name


def _imported_files() -> Iterator[str]:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and is_of_user(file):
            yield file


def _changed_at(file: str) -> int | None:
    try:
        return Path(file).stat().st_mtime_ns
    except OSError:
        return None
