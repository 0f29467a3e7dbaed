"""Keep what has passed on all connections, and when, in one file that a load can send again."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone

from ..base.describe import describe
from ..base.timed_recording import closed_line, first_line, last_line, piece_line
from .counts import Direction
from .recording import Record

logger: logging.Logger = logging.getLogger(__name__)

# A recording that is forgotten must not fill the disk.
MAX_FILE_BYTES: int = 1 << 30


class TimedFileRecording:
    """Writes what clients and servers send, before any fault, as `trioecho.base.timed_recording` has it.

    Each piece is written when it comes. A file that cannot be written ends the recording, with one line
    in the log, and connections go on; so does one that has `MAX_FILE_BYTES`.

    Args:
      path: of the file, which must not be there.
      target: the server, for the reader of the file.
      format: of frames, likewise.
      clock: ns, of any beginning.

    Raises:
      OSError: the file cannot be made, or is there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        target: str,
        format: str,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._path = os.fspath(path)
        self._clock = clock
        self._room = MAX_FILE_BYTES
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        self._is_open = True
        self._began = clock()
        began = datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
        self._write(first_line(began=began, target=target, format=format))

    @contextlib.contextmanager
    def of_connection(self, number: int) -> Iterator[dict[Direction, Record]]:
        """Return what records each direction of a connection, until the block is left."""

        def recorder(direction: Direction) -> Record:
            def record(data: bytes | memoryview) -> None:
                if self._is_open:
                    self._write(piece_line(self._now(), number, direction.value, data))

            return record

        try:
            yield {direction: recorder(direction) for direction in Direction}
        finally:
            if self._is_open:
                self._write(closed_line(self._now(), number))

    def close(self) -> None:
        """Write the last line, and close the file."""
        self._end(is_full=False)

    def _now(self) -> int:
        return self._clock() - self._began

    def _write(self, line: bytes) -> None:
        if len(line) > self._room:
            self._end(is_full=True)
            logger.warning("%s has %d bytes, and records nothing more", self._path, MAX_FILE_BYTES)
            return
        self._room -= len(line)
        self._write_all(line)

    def _end(self, *, is_full: bool) -> None:
        if self._is_open:
            self._write_all(last_line(self._now(), is_full=is_full))
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)

    def _write_all(self, line: bytes) -> None:
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._is_open = False
            os.close(self._descriptor)
            logger.error("nothing more is recorded in %s: %s", self._path, describe(error))
