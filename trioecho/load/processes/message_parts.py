"""Bring the messages of a load to a worker, in parts that are short enough for a JSON channel."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from ...base.message import Message
from ...base.message_template import Template
from ..message_list import GivenMessages, MessageList, MessageSource
from ..recorded_traffic import RecordedTraffic
from .messages import LoadMessagesPart

# Characters of a part.
_PART_LENGTH = 8 << 20


def messages_in_parts(
    given: GivenMessages, recorded: RecordedTraffic | None = None, *, length: int = _PART_LENGTH
) -> Iterator[LoadMessagesPart]:
    """Yield all messages, in parts of at most ``length`` characters.

    Args:
      given: the user's own.
      recorded: those of a recording, which a worker replays; None for any other load.
      length: of a part.
    """
    documents = [None if messages is None else _as_document(messages) for messages in given]
    text = json.dumps({"given": documents, "recorded": None if recorded is None else _as_traffic(recorded)})
    for start in range(0, len(text), length):
        yield LoadMessagesPart(text[start : start + length], start + length >= len(text))


def messages_from_parts(
    parts: Sequence[LoadMessagesPart],
) -> tuple[GivenMessages, RecordedTraffic | None]:
    """Return the messages that `messages_in_parts` cut into parts."""
    document = json.loads("".join(part.text for part in parts))
    given = (None if each is None else _from_document(each) for each in document["given"])
    recorded = document["recorded"]
    return GivenMessages(*given), None if recorded is None else _from_traffic(recorded)


def _as_traffic(recorded: RecordedTraffic) -> dict[str, Any]:
    return {
        "source": asdict(recorded.source),
        "connections": [_as_document(messages) for messages in recorded.connections],
        "times": recorded.times,
        "first": recorded.first,
    }


def _from_traffic(document: dict[str, Any]) -> RecordedTraffic:
    return RecordedTraffic(
        MessageSource(**document["source"]),
        [_from_document(messages) for messages in document["connections"]],
        [(time_ns, number) for time_ns, number in document["times"]],
        document["first"],
    )


def _as_document(messages: MessageList) -> dict[str, Any]:
    return {
        "file": messages.source.file,
        "payloads": [_encoded(message.payload) for message in messages.messages],
        "replies": [_encoded(message.reply) for message in messages.messages],
        "wires": [_encoded(wire) for wire in messages.wires],
        # By the number of the message: most have none.
        "templates": _templates(message.template for message in messages.messages),
        "reply_templates": _templates(message.reply_template for message in messages.messages),
        "header_templates": _templates(message.header_template for message in messages.messages),
        "reply_header_templates": _templates(message.reply_header_template for message in messages.messages),
        "headers": _headers(message.header for message in messages.messages),
        "reply_headers": _headers(message.reply_header for message in messages.messages),
        "raw": [number for number, message in enumerate(messages.messages) if message.is_raw],
        "untils": _headers(message.until or None for message in messages.messages),
    }


def _from_document(document: dict[str, Any]) -> MessageList:
    payloads = [base64.b64decode(payload) for payload in document["payloads"]]
    replies = [None if reply is None else base64.b64decode(reply) for reply in document["replies"]]
    wires = [base64.b64decode(wire) for wire in document["wires"]]
    messages = list(map(Message, payloads, replies))
    for name in ("template", "reply_template", "header_template", "reply_header_template"):
        for number, (source, kind) in document[f"{name}s"]:
            messages[number] = messages[number]._replace(**{name: Template(source, kind)})
    for number, header in document["headers"]:
        messages[number] = messages[number]._replace(header=bytes.fromhex(header))
    for number, header in document["reply_headers"]:
        messages[number] = messages[number]._replace(reply_header=bytes.fromhex(header))
    for number in document["raw"]:
        messages[number] = messages[number]._replace(is_raw=True)
    for number, until in document["untils"]:
        messages[number] = messages[number]._replace(until=bytes.fromhex(until))
    return MessageList(document["file"], messages, wires)


def _templates(templates: Iterable[Template | None]) -> list[tuple[int, tuple[str, str]]]:
    return [
        (number, (template.source, template.kind))
        for number, template in enumerate(templates)
        if template is not None
    ]


def _headers(headers: Iterable[bytes | None]) -> list[tuple[int, str]]:
    return [(number, header.hex()) for number, header in enumerate(headers) if header is not None]


def _encoded(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
