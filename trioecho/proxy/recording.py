"""Keep what the two sides of a connection have sent, in files."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from ..base.describe import describe
from .counts import Direction

logger: logging.Logger = logging.getLogger(__name__)

# What is kept: a recording that is forgotten must not fill the disk.
MAX_CONNECTIONS: int = 100
MAX_BYTES: int = 64 << 20

Record = Callable[[bytes | memoryview], None]


class ConnectionRecording(Protocol):
    """Keeps what passes on connections."""

    def of_connection(self, number: int) -> contextlib.AbstractContextManager[Mapping[Direction, Record]]:
        """Return what records each direction of a connection, until the block is left; perhaps none."""


class WireRecording:
    """Keeps what clients and servers have sent, in a file for each connection and direction.

    The files are called ``1-to-server.frames`` and ``1-to-client.frames``, ``2-to-server.frames``
    and so on, and have the bytes as they came, before any fault. Those of the first
    `MAX_CONNECTIONS` connections are kept, the first `MAX_BYTES` bytes of each direction.

    A file that cannot be written ends the recording, with one line in the log; connections go on.

    Args:
      folder: where the files are made; it is made if it is not there.

    Raises:
      OSError: the folder cannot be made or read, or has files already.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        if any(self._folder.iterdir()):
            raise FileExistsError("the folder has files already; name a new one")
        self._has_failed = False

    @contextlib.contextmanager
    def of_connection(self, number: int) -> Iterator[dict[Direction, Record]]:
        """Return what records each direction of a connection, until the block is left.

        Args:
          number: of the connection, from 1 on. Of one that is not kept nothing is returned.
        """
        if number > MAX_CONNECTIONS or self._has_failed:
            yield {}
            return
        files = {
            direction: _File(self._folder / f"{number}-{direction.value}.frames", self._note_failure)
            for direction in Direction
        }
        try:
            yield {direction: file.write for direction, file in files.items()}
        finally:
            for file in files.values():
                file.close()

    def _note_failure(self, error: OSError) -> None:
        if not self._has_failed:
            self._has_failed = True
            logger.error("nothing more is recorded in %s: %s", self._folder, describe(error))


class _File:
    """The bytes of one direction; the file is made with the first of them."""

    def __init__(self, path: Path, on_failure: Callable[[OSError], None]) -> None:
        self._path = path
        self._on_failure = on_failure
        self._descriptor: int | None = None
        self._room = MAX_BYTES

    def write(self, data: bytes | memoryview) -> None:
        """Write bytes at once, so that a person can look at them while the connection lasts."""
        rest = memoryview(data)[: self._room]
        self._room -= len(rest)
        try:
            while rest:
                if self._descriptor is None:
                    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                    self._descriptor = os.open(self._path, flags, 0o666)
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self._room = 0
            self._on_failure(error)

    def close(self) -> None:
        """Close the file, if there is one."""
        self._room = 0
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
