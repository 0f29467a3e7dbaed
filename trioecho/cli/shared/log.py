"""The log of a command: lines on stderr that never make the service wait."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TextIO

from ...base.describe import describe_with_place
from ...base.printable import printable_line
from .non_blocking_writer import NonBlockingWriter, note_as_text


def record_in_words(record: logging.LogRecord) -> str:
    """Return a record's message, and of an unexpected error where it came from, without its traceback."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1]:
        text += f": {describe_with_place(record.exc_info[1])}"
    return text


@dataclass(frozen=True)
class LogSettings:
    """What a log has in it, and how it is written.

    Attributes:
      level: the least that is written, as of the module `logging`.
      is_json: whether each line is a JSON object, for programs, and not a text.
    """

    level: int = logging.INFO
    is_json: bool = False


class NonBlockingLogHandler(logging.Handler):
    """Writes each record as one line, with its time in UTC, and its level where that is not INFO."""

    def __init__(self, writer: NonBlockingWriter, settings: LogSettings | None = None) -> None:
        settings = settings or LogSettings()
        super().__init__(settings.level)  # which holds for the records of other processes, too
        self._writer = writer
        self._line = _as_json if settings.is_json else _as_text

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line; errors go to ``handleError``, as with every handler."""
        self._writer.write_line(self._line(record))


def _as_text(record: logging.LogRecord) -> str:
    level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
    words = record_in_words(record).replace("\n", " ")
    return printable_line(f"{_time(record):%Y-%m-%d %H:%M:%SZ} {level}{words}")


def _as_json(record: logging.LogRecord) -> str:
    return json.dumps(
        {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record_in_words(record),
        }
    )


def error_as_json(text: str) -> str:
    """Return a line of the log that is JSON, for an error before there is a log."""
    return _as_json(logging.LogRecord("trioecho", logging.ERROR, "", 0, text, None, None))


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, timezone.utc)


def open_log_writer(stream: TextIO | None, settings: LogSettings) -> NonBlockingWriter:
    """Return what writes a log, and says in the log's own form how many lines a slow reader has missed."""
    return NonBlockingWriter(stream, note=_note_as_json if settings.is_json else note_as_text)


def _note_as_json(lines: int, why: str) -> str:
    return json.dumps({"log_lines_left_out": lines, "reason": why})


def open_log(handler: logging.Handler) -> logging.Logger:
    """Return the program's logger, all of whose records go to this handler and nowhere else."""
    logger = logging.getLogger("trioecho")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger
