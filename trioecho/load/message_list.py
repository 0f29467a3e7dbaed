"""Messages of the user's own, in the place of those that a load makes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..base.json_part import Part
from ..base.message import Message
from ..base.message_file import MessageFileError, MessageFormat, message_format_of, read_messages
from ..errors import PayloadTooLargeError, ProtocolError
from ..framing import FrameDecoder, FrameFormat, encode_frame

# The longest reply that is taken for one, where its length does not follow from its message: 16 MiB.
MOST_REPLY_BYTES = 16 << 20


@dataclass(frozen=True)
class MessageSource:
    """What a result knows of the messages of a load that did not make them itself.

    Attributes:
      file: its name, as the user wrote it.
      sha256: of all messages and their replies, so that two runs with other messages are known apart.
      messages: how many there are.
      least_bytes: payload bytes of the shortest.
      most_bytes: payload bytes of the longest.
      all_bytes: payload bytes of all.
      most_reply_bytes: payload bytes of the longest reply that is to come; None if the file has none.
      templates: how many of the messages, or their replies, are templates.
    """

    file: str
    sha256: str
    messages: int
    least_bytes: int
    most_bytes: int
    all_bytes: int
    most_reply_bytes: int | None = None
    templates: int = 0


def read_message_source(part: Part) -> MessageSource:
    """Return the source that a part of a document is.

    Raises:
      DamagedError: it is none.
    """
    source: MessageSource = part.record(MessageSource, may_be_missing={"templates"})
    return source


class MessageList:
    """Messages that every connection sends in their order, and then again from the first.

    Args:
      file: where they come from.
      messages: at least one.
      wires: the frame of each, where the file has that; else it is made.

    Attributes:
      messages: all of them.
      wires: as above; empty if frames are to be made.
      source: what a plan and a result have of them.

    Raises:
      ValueError: there is none.
    """

    def __init__(self, file: str, messages: Sequence[Message], wires: Sequence[bytes] = ()) -> None:
        if not messages:
            raise ValueError("a list of messages needs at least one")
        digest = hashlib.sha256()
        for message in messages:
            reply_bytes = -1 if message.reply is None else len(message.reply)
            digest.update(json.dumps([len(message.payload), reply_bytes]).encode())
            digest.update(message.payload)
            digest.update(message.reply or b"")
            for template in message.templates:
                digest.update(json.dumps([template.kind, template.source]).encode())
            for name, header in (("header", message.header), ("reply", message.reply_header)):
                if header is not None and not wires:
                    digest.update(json.dumps([name, header.hex()]).encode())
            if message.is_raw or message.until:
                digest.update(json.dumps([message.is_raw, message.until.hex()]).encode())
        for wire in wires:
            digest.update(wire)
        lengths = [message.lengths for message in messages]
        replies = [message.reply_lengths[1] for message in messages if message.reply is not None]
        self.messages: Sequence[Message] = messages
        self.wires: Sequence[bytes] = wires
        self.source: MessageSource = MessageSource(
            file,
            digest.hexdigest(),
            len(messages),
            min(least for least, _ in lengths),
            max(most for _, most in lengths),
            sum(most for _, most in lengths),
            max(replies, default=None),
            sum(bool(message.templates) for message in messages),
        )

    def frames(self, format: FrameFormat) -> list[bytes]:
        """Return what is sent for each message, where no template makes it.

        Raises:
          PayloadTooLargeError: a message is longer than the header can express.
        """
        if self.wires:
            return list(self.wires)
        return [
            message.payload
            if message.is_raw
            else encode_frame(message.payload, format=format, header=message.header)
            for message in self.messages
        ]

    def reply_frames(self, format: FrameFormat) -> list[bytes]:
        """Return what is to come for each message, where no template makes it.

        Raises:
          PayloadTooLargeError: a reply is longer than the header can express.
          ValueError: a message has no reply.
        """
        replies = []
        for number, message in enumerate(self.messages, start=1):
            if message.reply is None:
                raise ValueError(f"message {number} of {self.source.file} has no reply to compare with")
            replies.append(encode_frame(message.reply, format=format, header=message.reply_header))
        return replies


class GivenMessages(NamedTuple):
    """The messages of a load that are the user's own.

    Attributes:
      messages: those of the plan's `source`; None if it has none.
      first_messages: those of the plan's `service.first_messages`; None if it has none.
    """

    messages: MessageList | None = None
    first_messages: MessageList | None = None

    @property
    def source(self) -> MessageSource | None:
        """What a plan has of the messages."""
        return None if self.messages is None else self.messages.source

    @property
    def first_source(self) -> MessageSource | None:
        """What a plan has of the first messages."""
        return None if self.first_messages is None else self.first_messages.source


class WireKeeper:
    """Finds frames, and keeps each as it is on the wire: a header may be more than a length."""

    def __init__(self, format: FrameFormat, max_frame_length: int = MOST_REPLY_BYTES) -> None:
        self._decoder = FrameDecoder(format=format, max_frame_length=max_frame_length)
        self._has_headers = not format.is_plain
        self.wires: list[bytes] = []
        # Where they are more than a length.
        self.headers: list[bytes] = []

    def receive_data(self, data: bytes, /) -> None:
        self._decoder.receive_data(data)

    def end_of_data(self) -> None:
        self._decoder.end_of_data()

    def next_frames(self) -> list[bytes]:
        frame = self._decoder.next_whole_frame()
        if frame is None:
            return []
        self.wires.append(b"".join(frame))
        if self._has_headers:
            self.headers.append(frame.header)
        return [frame.payload]


def header_completer(format: FrameFormat) -> Callable[[bytes, int], bytes]:
    """Return what makes a whole header of a given one, for a payload of so many bytes."""

    def complete_header(header: bytes, payload_bytes: int) -> bytes:
        try:
            return format.encode_header(payload_bytes, like=header)
        except PayloadTooLargeError as error:
            raise ValueError(str(error)) from None

    return complete_header


def read_message_list(
    path: str | os.PathLike[str],
    format: FrameFormat,
    *,
    message_format: MessageFormat | None = None,
    with_replies: bool = False,
    opens: bool = False,
) -> MessageList:
    """Read the messages of a file, of which `trioecho.base.message_file` says how they are written.

    Args:
      path: the file.
      format: of frames; those of the file, too.
      message_format: how messages are written there; None if the file's name says it.
      with_replies: whether each must have its reply.
      opens: whether they are the first messages of a connection; then one may be raw, in no frame,
        and have several replies.

    Raises:
      MessageFileError: it cannot be read, is too large, has no message, or one that is malformed, that
        does not fit into a frame of this format, or that lacks its reply.
    """
    name = os.fspath(path)
    if message_format is None:
        message_format = message_format_of(path)
    if with_replies and message_format is MessageFormat.FRAMES:
        raise MessageFileError(name, "raw frames have no replies with them: write the messages as JSON Lines")
    keeper = WireKeeper(format)
    messages = read_messages(
        path,
        message_format,
        keeper,
        errors=(ProtocolError,),
        most_payload_bytes=format.max_payload_length,
        with_replies=with_replies,
        with_templates=True,
        opens=opens,
        complete_header=header_completer(format),
    )
    if keeper.headers:
        pairs = zip(messages, keeper.headers, strict=True)
        messages = [message._replace(header=header) for message, header in pairs]
    return MessageList(name, messages, keeper.wires)
