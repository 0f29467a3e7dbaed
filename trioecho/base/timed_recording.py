"""A file of what passed on connections, and when: JSON Lines, written while it passes.

The first line says what the file is, and the last one that it is whole. Times are nanoseconds since
the recording began, and never go back; connections are numbered from 1; bytes are in Base64:

    {"trioecho-recording": 1, "began": "2026-01-31T12:00:00Z", "target": "127.0.0.1:26066", "format": "u32be"}
    {"t": 1200345, "c": 1, "to-server": "AAAAAmhp"}
    {"t": 1431902, "c": 1, "to-client": "AAAAAmhp"}
    {"t": 2000100, "c": 1, "closed": true}
    {"t": 2300000, "end": "stopped"}

Bytes are as they came, in pieces that have nothing to do with frames. The end is ``"full"`` where
the recording has reached its limit before the connections ended.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .describe import describe
from .printable import printable_line

MAGIC = "trioecho-recording"
VERSION = 1
TO_SERVER, TO_CLIENT = "to-server", "to-client"
# A line has what one receive gave, and no receive gives as much.
_MOST_LINE_BYTES = 4 << 20


class TimedRecordingError(ValueError):
    """A file is no recording that can be used; the message is one line with the place.

    Attributes:
      file: its name.
      line: where, from 1; 0 for the file as a whole.
    """

    def __init__(self, file: str, line: int, reason: str) -> None:
        place = f"line {line}: " if line else ""
        super().__init__(f"{printable_line(file)}: {place}{reason}")
        self.file: str = file
        self.line: int = line


@dataclass(frozen=True)
class RecordedPiece:
    """What one side of a connection sent, as it came.

    Attributes:
      line: where it stands in the file, from 1.
      time_ns: when it came, since the recording began.
      connection: which one, from 1.
      direction: `TO_SERVER` or `TO_CLIENT`.
      data: the bytes.
    """

    line: int
    time_ns: int
    connection: int
    direction: str
    data: bytes


def first_line(*, began: str, target: str, format: str) -> bytes:
    """Return the first line of a file."""
    return _line({MAGIC: VERSION, "began": began, "target": target, "format": format})


def piece_line(time_ns: int, connection: int, direction: str, data: bytes | memoryview) -> bytes:
    """Return the line of what one side has sent."""
    return _line({"t": time_ns, "c": connection, direction: base64.b64encode(data).decode()})


def closed_line(time_ns: int, connection: int) -> bytes:
    """Return the line of a connection's end."""
    return _line({"t": time_ns, "c": connection, "closed": True})


def last_line(time_ns: int, *, is_full: bool) -> bytes:
    """Return the line that says that the file is whole."""
    return _line({"t": time_ns, "end": "full" if is_full else "stopped"})


def _line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def read_recorded_format(path: str | os.PathLike[str]) -> str:
    """Return the format of frames that the first line of a recording names.

    Raises:
      TimedRecordingError: the file cannot be read, or is none.
    """
    name = os.fspath(path)
    for _, record in _records(name):
        if record.get(MAGIC) == VERSION and isinstance(record.get("format"), str):
            found: str = record["format"]
            return found
        break
    raise _foreign(name)


def read_recording(path: str | os.PathLike[str]) -> Iterator[RecordedPiece]:
    """Yield what has passed, in its order; the file is read bit by bit.

    Raises:
      TimedRecordingError: the file cannot be read, is none, is damaged, or breaks off.
    """
    name = os.fspath(path)
    reached_ns = 0
    number = 0
    for number, record in _records(name):
        if number == 1:
            if record.get(MAGIC) != VERSION:
                raise _foreign(name)
            continue
        time_ns = record.pop("t", None)
        if not _is_count(time_ns, reached_ns):
            raise TimedRecordingError(name, number, f'its "t" is not a number of ns from {reached_ns} on')
        reached_ns = time_ns
        if "end" in record:
            return
        connection = record.pop("c", None)
        if not _is_count(connection, 1):
            raise TimedRecordingError(name, number, 'its "c" is not the number of a connection')
        if record == {"closed": True}:
            continue
        [direction, text] = next(iter(record.items()), ("", ""))
        if len(record) != 1 or direction not in (TO_SERVER, TO_CLIENT):
            raise TimedRecordingError(name, number, f'it has neither "{TO_SERVER}" nor "{TO_CLIENT}"')
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise TimedRecordingError(name, number, f'its "{direction}" is no Base64') from None
        yield RecordedPiece(number, time_ns, connection, direction, data)
    raise TimedRecordingError(
        name, number, "the file ends here without its last record: the proxy still records, or was killed"
    )


def _records(name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with Path(name).open("rb") as file:
            number = 0
            while line := file.readline(_MOST_LINE_BYTES):
                number += 1
                if not line.endswith(b"\n"):
                    raise TimedRecordingError(name, number, _why_not_whole(number, line))
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError):
                    record = None
                if not isinstance(record, dict):
                    if number == 1:
                        raise _foreign(name)
                    raise TimedRecordingError(name, number, "it is no object of JSON")
                yield number, record
    except (OSError, ValueError) as error:
        if isinstance(error, TimedRecordingError):
            raise
        raise TimedRecordingError(name, 0, f"it cannot be read: {describe(error)}") from None
    if not number:
        raise TimedRecordingError(name, 0, "it is empty; trioecho proxy --record writes recordings")


def _why_not_whole(number: int, line: bytes) -> str:
    if number == 1:
        return "it is no recording of trioecho proxy --record"
    if len(line) >= _MOST_LINE_BYTES:
        return f"it has more than {_MOST_LINE_BYTES >> 20} MiB"
    return "it breaks off: the recording is not whole"


def _foreign(name: str) -> TimedRecordingError:
    return TimedRecordingError(name, 1, f"it is no recording of trioecho proxy --record, version {VERSION}")


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
