"""Bring the messages of a load to a worker, in parts that are short enough for a JSON channel."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence

from ...base.message_file import Message
from ..message_list import MessageList
from .messages import LoadMessagesPart

# Characters of a part.
_PART_LENGTH = 8 << 20


def messages_in_parts(messages: MessageList, *, length: int = _PART_LENGTH) -> Iterator[LoadMessagesPart]:
    """Yield all messages, in parts of at most ``length`` characters."""
    text = json.dumps(
        {
            "file": messages.source.file,
            "payloads": [_encoded(message.payload) for message in messages.messages],
            "replies": [_encoded(message.reply) for message in messages.messages],
            "wires": [_encoded(wire) for wire in messages.wires],
        }
    )
    for start in range(0, len(text), length):
        yield LoadMessagesPart(text[start : start + length], start + length >= len(text))


def messages_from_parts(parts: Sequence[LoadMessagesPart]) -> MessageList:
    """Return the messages that `messages_in_parts` cut into parts."""
    document = json.loads("".join(part.text for part in parts))
    payloads = [base64.b64decode(payload) for payload in document["payloads"]]
    replies = [None if reply is None else base64.b64decode(reply) for reply in document["replies"]]
    wires = [base64.b64decode(wire) for wire in document["wires"]]
    return MessageList(document["file"], list(map(Message, payloads, replies)), wires)


def _encoded(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
