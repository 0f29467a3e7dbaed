"""The file of a recording: written in parts, one for each process, which become one when the load is over."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from pathlib import Path
from types import TracebackType

import trio

from ...base.describe import describe
from ..engine.recording import RecordingTask
from ..results.recording_result import RecordingResult

_COPIED_BYTES = 1 << 20


class RecordingFiles:
    """The parts beside a file, which takes what is in them. A context manager, which leaves no part behind.

    The file that is there stays until the new one is whole.

    Attributes:
      tasks: what each process has to record.

    Args:
      file: the recording.
      processes: how many write a part.
    """

    def __init__(self, file: str, processes: int) -> None:
        self._file = file
        self._path = Path(os.path.realpath(file))
        token = secrets.token_hex(8)
        self._parts = [self._path.with_name(f".trioecho-{token}-{number}") for number in range(processes)]
        self.tasks: list[RecordingTask] = [RecordingTask(file, str(part)) for part in self._parts]

    def __enter__(self) -> RecordingFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for part in self._parts:
            part.unlink(missing_ok=True)

    async def join(self, found: RecordingResult | None) -> RecordingResult | None:
        """Make one file of the parts, if all went well, and return what came of it.

        When cancelled, it is made nevertheless.
        """
        if found is None or found.failure:
            return found
        try:
            await trio.to_thread.run_sync(self._join)
        except OSError as error:
            return RecordingResult(self._file, 0, describe(error))
        return found

    def _join(self) -> None:
        first, *others = self._parts
        with first.open("ab") as whole:
            for part in filter(Path.exists, others):
                with part.open("rb") as more:
                    shutil.copyfileobj(more, whole, _COPIED_BYTES)
                part.unlink()
            whole.flush()
            os.fsync(whole.fileno())
        if self._path.exists():
            first.chmod(stat.S_IMODE(self._path.stat().st_mode))
        first.replace(self._path)
