"""A message that somebody has written: what to send, and perhaps what the reply to it is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

from .json_part import Part
from .message_template import Template, TemplateKind

_ENCODINGS = ("text", "hex", "base64")
_HEADER = "header"
_TEMPLATE = "template"
_RAW, _UNTIL = "raw", "until"
_TEMPLATE_KINDS: tuple[TemplateKind, ...] = ("text", "hex")


class Message(NamedTuple):
    """What to send, and what is to come back.

    Attributes:
      payload: to be sent in one frame; empty if that is made by a template.
      reply: the payload of the right reply; None where the file does not say, and empty if a
        template makes it.
      template: makes the payload; None if there is none.
      reply_template: makes the reply; None if there is none.
      header: what the frame's header has beside its length; None where the file does not say.
      reply_header: the same of the right reply.
      header_template, reply_header_template: make these; None if there is none.
      is_raw: whether the payload is sent as it is, in no frame.
      until: how the frame begins that is the last one of the reply; empty if any is.
    """

    payload: bytes
    reply: bytes | None = None
    template: Template | None = None
    reply_template: Template | None = None
    header: bytes | None = None
    reply_header: bytes | None = None
    header_template: Template | None = None
    reply_header_template: Template | None = None
    is_raw: bool = False
    until: bytes = b""

    @property
    def templates(self) -> tuple[Template, ...]:
        """All templates in it."""
        found = (self.template, self.reply_template, self.header_template, self.reply_header_template)
        return tuple(template for template in found if template is not None)

    @property
    def most_bytes(self) -> int:
        """Payload bytes of the longest message, or reply, that may come of it."""
        return max(self.lengths[1], self.reply_lengths[1])

    @property
    def lengths(self) -> tuple[int, int]:
        """Payload bytes of the shortest and of the longest message that may come of it."""
        return _lengths(self.payload, self.template)

    @property
    def reply_lengths(self) -> tuple[int, int]:
        """The same of the reply."""
        return _lengths(self.reply or b"", self.reply_template)


def _lengths(data: bytes, template: Template | None) -> tuple[int, int]:
    return (len(data),) * 2 if template is None else (template.least_bytes, template.most_bytes)


def written_message(part: Part, *, with_templates: bool, opens: bool = False) -> Message:
    """Return the message that a string or an object stands for.

    Args:
      part: the string or object.
      with_templates: whether it may be a template.
      opens: whether it opens a connection; then it may be raw, and have several replies.

    Raises:
      DamagedError: it stands for none.
      TemplateError: a template cannot be read.
    """
    if not isinstance(part.value, dict):
        return Message(_bytes_of(part))
    encodings = (*_ENCODINGS, _TEMPLATE) if with_templates else _ENCODINGS
    payload, template = _payload_of(part, encodings, "reply", *((_RAW, _UNTIL) if opens else ()))
    header, header_template = _header_of(part, encodings)
    message = Message(payload, None, template, header=header, header_template=header_template)
    if _RAW in part and part[_RAW].flag():
        if _HEADER in part:
            raise part.wrong("what is raw is in no frame, and has no header")
        message = message._replace(is_raw=True)
    if _UNTIL in part:
        message = message._replace(until=_from_hex(part[_UNTIL]))
    if "reply" not in part:
        return message
    if not isinstance(part["reply"].value, dict):
        return message._replace(reply=_bytes_of(part["reply"], encodings))
    reply, template = _payload_of(part["reply"], encodings)
    header, header_template = _header_of(part["reply"], encodings)
    return message._replace(
        reply=reply, reply_template=template, reply_header=header, reply_header_template=header_template
    )


def _payload_of(part: Part, encodings: Sequence[str], *others: str) -> tuple[bytes, Template | None]:
    """Return the payload of an object, which may have these other keys, or its template."""
    known = (*encodings, *others, _HEADER)
    for key in part.fields():
        if key not in known:
            raise part.wrong(f"{Part(key)} means nothing here; write {_either(known)}")
    return _bytes_or_template(part, encodings)


def _header_of(part: Part, encodings: Sequence[str]) -> tuple[bytes | None, Template | None]:
    """Return the header of an object, or its template; neither if it has none."""
    if _HEADER not in part:
        return None, None
    header = part[_HEADER]
    if not isinstance(header.value, dict) or _TEMPLATE not in encodings:
        return _from_hex(header), None
    if list(header.value) != [_TEMPLATE]:
        raise header.wrong("write it in hexadecimal, or as an object with a template and nothing else")
    return None, _bytes_or_template(header, (_TEMPLATE,))[1]


def _bytes_or_template(part: Part, encodings: Sequence[str]) -> tuple[bytes, Template | None]:
    if _TEMPLATE not in encodings or _TEMPLATE not in part:
        return _bytes_of(part, encodings), None
    _refuse_others(part, encodings)
    source, kind = part[_TEMPLATE], _TEMPLATE_KINDS[0]
    if isinstance(source.value, dict):
        given = [known for known in _TEMPLATE_KINDS if known in source]
        if len(given) != 1 or len(source.value) != 1:
            raise source.wrong(f"write {_either(_TEMPLATE_KINDS)}, and nothing else")
        [kind] = given
        source = source[kind]
    return b"", Template(source.text(), kind)


def _bytes_of(part: Part, encodings: Sequence[str] = _ENCODINGS) -> bytes:
    """Return the bytes that a string or an object stands for."""
    if isinstance(part.value, str):
        return _encoded(part)
    if not isinstance(part.value, dict):
        raise part.wrong(f"{part} is no message; write a text, or an object with {_either(encodings)}")
    encoding = _refuse_others(part, encodings)
    value = part[encoding]
    if encoding == "text":
        return _encoded(value)
    if encoding == "hex":
        return _from_hex(value)
    written = value.text()
    try:
        return base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        raise value.wrong(f"{value} is not base64") from None


def _from_hex(part: Part) -> bytes:
    written = part.text()
    try:
        return bytes.fromhex(written)
    except ValueError:
        raise part.wrong(f"{part} is not hexadecimal") from None


def _refuse_others(part: Part, encodings: Sequence[str]) -> str:
    """Return the one encoding that an object has."""
    given = [key for key in encodings if key in part]
    if not given:
        raise part.wrong(f"it does not say what to send; write {_either(encodings)}")
    if len(given) > 1:
        raise part.wrong(f"it has {' and '.join(given)}; write one of them alone")
    return given[0]


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _encoded(part: Part) -> bytes:
    try:
        return part.text().encode()
    except UnicodeEncodeError:
        raise part.wrong(f"{part} has half of a surrogate pair, which is no character") from None
