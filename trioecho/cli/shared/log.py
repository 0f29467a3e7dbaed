"""The log of a command: lines on stderr that never make the service wait."""

from __future__ import annotations

import logging
import time

from ...base.describe import describe_with_place
from ...base.printable import printable_line
from .non_blocking_writer import NonBlockingWriter


def record_in_words(record: logging.LogRecord) -> str:
    """Return a record's message, and of an unexpected error where it came from, without its traceback."""
    text = record.getMessage()
    if record.exc_info and record.exc_info[1]:
        text += f": {describe_with_place(record.exc_info[1])}"
    return text


class NonBlockingLogHandler(logging.Handler):
    """Writes each record as one line, with its time."""

    def __init__(self, writer: NonBlockingWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line; errors go to ``handleError``, as with every handler."""
        line = f"{time.strftime('%H:%M:%SZ', time.gmtime(record.created))} {record_in_words(record)}"
        self._writer.write_line(printable_line(line.replace("\n", " ")))


def open_log(handler: logging.Handler) -> logging.Logger:
    """Return the program's logger, all of whose records go to this handler and nowhere else."""
    logger = logging.getLogger("trioecho")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger
