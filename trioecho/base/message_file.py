"""Messages from a file: what to send, and perhaps what the reply to it is.

Two kinds of file:

- JSON Lines: a JSON value a line. A string is the message's text; an object has exactly one
  of ``text``, ``hex`` and ``base64``, and perhaps ``reply``, which is written likewise. Either may have
  a ``header``, in hexadecimal. Where messages open a connection, one may have ``raw``, which is true if
  it is sent in no frame, and ``until``, in hexadecimal: how the last frame of its reply begins. Lines of
  nothing but white space do not count. Who can use them also allows ``template``, a text or an object
  with ``text`` or ``hex`` (see `message_template`), also as what a ``header`` is.
- Raw frames, one behind the other, as they are on the wire. What finds them is the caller's:
  this module knows nothing of frames.

All of a file is in memory while it is used, and so it is refused when it is too large.
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from .json_part import DamagedError, Part
from .message import Message, written_message
from .message_template import TemplateError, Values
from .printable import printable_line
from .quantities import plural

# Payload bytes, those of replies included, that a file may have.
MAX_MESSAGES_BYTES = 256 << 20
# Each takes about 200 bytes of memory beside its own.
MAX_MESSAGES = 1 << 20
_MOST_LINE_BYTES = MAX_MESSAGES_BYTES
_PIECE_BYTES = 1 << 20
# All placeholders but one make bytes of 0 with the first, and other ones with the second.
_EXTREMES = (Values(0, 0, 1, 0), Values(1, *[(1 << 64) - 1] * 3))


class MessageFormat(enum.Enum):
    """How messages are written in a file; the value is its name for people."""

    JSON_LINES = "jsonl"
    FRAMES = "frames"


class MessageFileError(ValueError):
    """A file has no messages that can be used; the message is one line: the place, and what is wrong.

    Attributes:
      path (str): the file.
      line (int | None): the number of the line, from 1 on, where there is one.
    """

    def __init__(self, path: str, reason: str, line: int | None = None) -> None:
        super().__init__(path, reason, line)
        self.path = path
        self.reason = reason
        self.line = line

    def __str__(self) -> str:
        place = printable_line(self.path)
        return f"{place}: {self.reason}" if self.line is None else f"{place}, line {self.line}: {self.reason}"


class FrameReader(Protocol):
    """Finds frames, as a decoder does."""

    def receive_data(self, data: bytes, /) -> object:
        """Take the next bytes."""
        raise NotImplementedError

    def end_of_data(self) -> object:
        """Note that there are no more."""
        raise NotImplementedError

    def next_frames(self) -> list[bytes]:
        """Return the payloads that are complete; an empty list when more bytes are needed, or at the end."""
        raise NotImplementedError


CompleteHeader = Callable[[bytes, int], bytes]
"""Returns a header as it is to be kept, for a payload of so many bytes.

Raises:
  ValueError: it is no header, with what would be one.
"""


def _any_header(header: bytes, _: int) -> bytes:
    return header


def message_format_of(path: str | os.PathLike[str]) -> MessageFormat:
    """Return how messages are written in a file, by its name.

    Raises:
      MessageFileError: the name does not say.
    """
    suffix = Path(path).suffix.lower()
    for message_format in MessageFormat:
        if suffix == f".{message_format.value}":
            return message_format
    raise MessageFileError(os.fspath(path), "the name ends neither in .jsonl nor in .frames: say which it is")


def read_messages(
    path: str | os.PathLike[str],
    message_format: MessageFormat,
    frames: FrameReader,
    *,
    errors: tuple[type[Exception], ...] = (),
    most_bytes: int = MAX_MESSAGES_BYTES,
    most_payload_bytes: int = MAX_MESSAGES_BYTES,
    with_replies: bool = False,
    with_templates: bool = False,
    opens: bool = False,
    complete_header: CompleteHeader = _any_header,
    refuse: Callable[[Message], str | None] = lambda _: None,
) -> list[Message]:
    """Read all messages of a file.

    Args:
      path: the file; also a pipe.
      message_format: how they are written there.
      frames: finds raw frames; not used for JSON Lines.
      errors: what it raises for bytes that are no frames.
      most_bytes: payload bytes that the file may have, those of replies included.
      most_payload_bytes: that a message, or a reply, may have.
      with_replies: whether every message must have its reply.
      with_templates: whether a message, or a reply, may be a template.
      opens: whether they open a connection; then one may be raw, and have several replies.
      complete_header: returns a header as it is to be kept, for a payload of so many bytes.
      refuse: returns why a message is of no use, or None.

    Returns:
      At least one message.

    Raises:
      MessageFileError: it cannot be read, is too large, has no message, or one that is malformed.
    """
    name = os.fspath(path)
    messages: list[Message] = []
    size = 0
    try:
        with Path(path).open("rb") as file:
            if message_format is MessageFormat.JSON_LINES:
                found = _json_lines(
                    name,
                    file,
                    most_payload_bytes,
                    refuse,
                    with_replies=with_replies,
                    with_templates=with_templates,
                    opens=opens,
                    complete_header=complete_header,
                )
            else:
                found = _frames(name, file, frames, errors, refuse)
            for message in found:
                size += message.lengths[1] + message.reply_lengths[1]
                if size > most_bytes:
                    raise MessageFileError(
                        name, f"it has more than {most_bytes} bytes of messages, which are all kept in memory"
                    )
                if len(messages) == MAX_MESSAGES:
                    raise MessageFileError(
                        name, f"it has more than {MAX_MESSAGES} messages, which are all kept in memory"
                    )
                messages.append(message)
    except OSError as error:
        raise MessageFileError(name, error.strerror or str(error)) from None
    if not messages:
        raise MessageFileError(name, "there is no message in it")
    return messages


def _json_lines(
    name: str,
    file: BinaryIO,
    most_payload_bytes: int,
    refuse: Callable[[Message], str | None],
    *,
    with_replies: bool,
    with_templates: bool,
    opens: bool,
    complete_header: CompleteHeader,
) -> Iterator[Message]:
    number = 0
    while line := file.readline(_MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > _MOST_LINE_BYTES:
            raise MessageFileError(name, f"it is longer than {_MOST_LINE_BYTES} bytes", number)
        if line.isspace():
            continue
        try:
            message = written_message(Part(json.loads(line)), with_templates=with_templates, opens=opens)
        except TemplateError as error:
            raise MessageFileError(name, f"{_column_of(error.piece, line)}{error}", number) from None
        except UnicodeDecodeError as error:
            raise MessageFileError(name, f"byte {error.start} of it is not UTF-8", number) from None
        except json.JSONDecodeError as error:
            reason = f'column {error.colno}: {error.msg}; a message is "in quotes", or an object'
            raise MessageFileError(name, reason, number) from None
        except (DamagedError, ValueError, RecursionError) as error:
            raise MessageFileError(name, str(error), number) from None
        if message.reply is None and with_replies:
            raise MessageFileError(name, 'it has no "reply", and every message needs one', number)
        if message.most_bytes > most_payload_bytes:
            has = "may have" if message.template or message.reply_template else "has"
            most = f"and a frame of this format at most {most_payload_bytes}"
            reason = f"it {has} {message.most_bytes} bytes, {most}"
            raise MessageFileError(name, reason, number)
        message = _with_whole_headers(name, number, message, complete_header)
        if (refusal := refuse(message)) is not None:
            raise MessageFileError(name, refusal, number)
        yield message


def _with_whole_headers(name: str, line: int, message: Message, complete_header: CompleteHeader) -> Message:
    """Return the message, with headers as they are to be kept."""
    _check_templates_of_headers(name, line, message, complete_header)
    if message.header is None and message.reply_header is None:
        return message
    whole: list[bytes | None] = []
    place = "header"
    try:
        for header, lengths in (
            (message.header, message.lengths),
            (message.reply_header, message.reply_lengths),
        ):
            whole.append(None if header is None else complete_header(header, lengths[1]))
            place = "reply.header"
    except ValueError as error:
        raise MessageFileError(name, f"{place}: {error}", line) from None
    return message._replace(header=whole[0], reply_header=whole[1])


def _check_templates_of_headers(
    name: str, line: int, message: Message, complete_header: CompleteHeader
) -> None:
    """Refuse a template of a header that makes no header, or not always."""
    place = "header"
    try:
        for template, lengths in (
            (message.header_template, message.lengths),
            (message.reply_header_template, message.reply_lengths),
        ):
            if template is not None:
                if template.least_bytes != template.most_bytes:
                    raise ValueError("every header that it makes has to have as many bytes: give widths")
                for values in _EXTREMES:
                    complete_header(template.render(values), lengths[1])
            place = "reply.header"
    except ValueError as error:
        raise MessageFileError(name, f"{place}: {error}", line) from None


def _column_of(piece: str, line: bytes) -> str:
    """Return where a piece of a text is in its line; nothing if it is written in another way there."""
    at = line.decode(errors="replace").find(piece)
    return f"column {at + 1}: " if at >= 0 else ""


def _frames(
    name: str,
    file: BinaryIO,
    frames: FrameReader,
    errors: tuple[type[Exception], ...],
    refuse: Callable[[Message], str | None],
) -> Iterator[Message]:
    count = 0
    try:
        while True:
            data = file.read(_PIECE_BYTES)
            if data:
                frames.receive_data(data)
            else:
                frames.end_of_data()
            while payloads := frames.next_frames():
                for message in map(Message, payloads):
                    count += 1
                    if (refusal := refuse(message)) is not None:
                        raise MessageFileError(name, f"frame {count}: {refusal}")
                    yield message
            if not data:
                return
    except errors as error:
        raise MessageFileError(name, f"behind {plural(count, 'frame')}: {error}") from None
