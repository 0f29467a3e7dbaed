"""Files of messages: what is read, and what a file is refused for, with its place."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.wire import frame
from trioecho import FrameDecoder, ProtocolError
from trioecho.base.message import Message
from trioecho.base.message_file import MessageFileError, message_format_of, read_messages
from trioecho.base.message_template import Template


def read(path: Path, **options: Any) -> list[Message]:
    return read_messages(path, message_format_of(path), FrameDecoder(), errors=(ProtocolError,), **options)


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(MessageFileError) as caught:
        read(path, **options)
    assert caught.value.path == os.fspath(path)
    return str(caught.value).removeprefix(f"{path}")


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    lines = [
        '"text, and é"',
        '{"text": "ping", "reply": "pong"}',
        "  ",
        '{"hex": "00ff 01", "reply": {"base64": "AAE="}}',
        '{"base64": ""}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read(path) == [
        Message("text, and é".encode()),
        Message(b"ping", b"pong"),
        Message(b"\x00\xff\x01", b"\x00\x01"),
        Message(b""),
    ]


def test_what_opens_a_connection_may_be_raw_and_have_several_replies(tmp_path: Path) -> None:
    path = tmp_path / "opening.jsonl"
    path.write_text(
        '{"hex": "ff", "raw": true, "until": "5a 00"}\n'
        '{"text": "user", "raw": false}\n{"text": "a", "until": ""}\n'
    )
    assert read(path, opens=True) == [
        Message(b"\xff", is_raw=True, until=b"Z\0"),
        Message(b"user"),
        Message(b"a"),
    ]
    assert refused(path).startswith(", line 1: 'raw' means nothing here; write text, hex, base64")
    for line, reason in (
        ('{"text": "a", "raw": 1}', "raw: 1 is neither true nor false"),
        ('{"text": "a", "until": "Z"}', "until: 'Z' is not hexadecimal"),
        ('{"text": "a", "raw": true, "header": "00"}', "what is raw is in no frame, and has no header"),
        ('{"text": "a", "reply": {"text": "b", "raw": true}}', "reply: 'raw' means nothing here"),
    ):
        path.write_text(line)
        assert reason in refused(path, opens=True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ping", 'column 1: Expecting value; a message is "in quotes", or an object'),
        ("5", "5 is no message; write a text, or an object with text, hex or base64"),
        ("[]", "a list is no message; write a text, or an object with text, hex or base64"),
        ("{}", "it does not say what to send; write text, hex or base64"),
        ('{"text": "a", "hex": "00"}', "it has text and hex; write one of them alone"),
        ('{"txt": "a"}', "'txt' means nothing here; write text, hex, base64, reply or header"),
        ('{"hex": "0"}', "hex: '0' is not hexadecimal"),
        ('{"hex": 7}', "hex: 7 is not a text"),
        ('{"base64": "A"}', "base64: 'A' is not base64"),
        ('{"text": "a", "reply": 1}', "reply: 1 is no message; write a text, or an object"),
        ('"\\ud800"', "has half of a surrogate pair, which is no character"),
        ('{"text": "a\\udc00"}', "text: "),
        (b'"\xff"', "byte 1 of it is not UTF-8"),
        ("[" * 100_000, "line 2: "),
    ],
)
def test_a_malformed_line_is_refused_with_its_number(tmp_path: Path, line: str | bytes, reason: str) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(b'"good"\n' + (line if isinstance(line, bytes) else line.encode()))
    words = refused(path)
    assert words.startswith(", line 2: ")
    assert reason in words
    assert "\n" not in words


def test_frames(tmp_path: Path) -> None:
    path = tmp_path / "recorded.frames"
    payloads = [b"", b"a", bytes(3_000_000), b"z"]
    path.write_bytes(b"".join(map(frame, payloads[:2])) + frame(payloads[3]))
    assert [message.payload for message in read(path)] == [b"", b"a", b"z"]


def test_frames_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "recorded.frames"
    path.write_bytes(frame(b"whole") + frame(b"cut")[:-1])
    assert refused(path).startswith(": behind 1 frame: the stream ended inside a frame")


def test_a_file_is_refused_when_it_is_too_large_to_be_kept(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text('{"text": "12345", "reply": "12345"}\n' * 11)
    assert "more than 100 bytes" in refused(path, most_bytes=100)
    assert len(read(path, most_bytes=110)) == 11
    frames = tmp_path / "many.frames"
    frames.write_bytes(frame(bytes(60)) * 2)
    assert "more than 100 bytes" in refused(frames, most_bytes=100)


def test_a_file_without_a_message_is_refused(tmp_path: Path) -> None:
    for name in ("empty.jsonl", "empty.frames"):
        (tmp_path / name).write_bytes(b"\n\n" if name.endswith("l") else b"")
        assert refused(tmp_path / name) == ": there is no message in it"


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "missing.jsonl") == ": No such file or directory"
    (tmp_path / "folder.jsonl").mkdir()
    assert refused(tmp_path / "folder.jsonl") == ": Is a directory"
    with pytest.raises(MessageFileError, match=r"neither in \.jsonl nor in \.frames"):
        message_format_of("messages.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_messages_can_come_through_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=('"a"\n"b"\n',))
    writer.start()
    assert read(path) == [Message(b"a"), Message(b"b")]
    writer.join()


_PAYLOADS = st.binary(max_size=50)


@st.composite
def written(draw: st.DrawFn, payload: bytes) -> object:
    """A value that stands for a payload."""
    ways: list[object] = [{"hex": payload.hex()}, {"base64": base64.b64encode(payload).decode()}]
    with contextlib.suppress(UnicodeDecodeError):
        ways += [payload.decode(), {"text": payload.decode()}]
    return draw(st.sampled_from(ways))


@given(data=st.data())
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    messages: list[Message] = []
    lines: list[str] = []
    for payload in data.draw(st.lists(_PAYLOADS, min_size=1, max_size=5)):
        value = data.draw(written(payload))
        reply = None
        if data.draw(st.booleans()):
            reply = data.draw(_PAYLOADS)
            value = dict(value) if isinstance(value, dict) else {"text": value}
            value["reply"] = data.draw(written(reply))
        messages.append(Message(payload, reply))
        lines.append(json.dumps(value, ensure_ascii=data.draw(st.booleans())))
    path = tmp_path_factory.mktemp("messages") / "written.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read(path) == messages


def test_a_message_that_lacks_its_reply_or_fits_into_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "reply": "abc"}\n\n"b"\n')
    assert refused(path, with_replies=True) == ', line 3: it has no "reply", and every message needs one'
    assert refused(path, most_payload_bytes=2) == (
        ", line 1: it has 3 bytes, and a frame of this format at most 2"
    )
    assert len(read(path, most_payload_bytes=3)) == 2


def test_a_file_with_too_many_messages_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trioecho.base.message_file.MAX_MESSAGES", 3)
    path = tmp_path / "a.jsonl"
    path.write_text('""\n' * 3)
    assert len(read(path)) == 3
    path.write_text('""\n' * 4)
    assert refused(path) == ": it has more than 3 messages, which are all kept in memory"


# ---- templates ----


def test_templates_beside_other_messages(tmp_path: Path) -> None:
    lines = [
        '{"template": "GET {{number}}", "reply": {"template": {"text": "GOT {{number}}"}}}',
        '{"template": {"hex": "00{{number u8}}"}, "reply": "ok"}',
        '{"text": "{{number}}", "reply": {"template": "{{number}}"}}',
        '"{{number}}"',
    ]
    path = tmp_path / "messages.jsonl"
    path.write_text("\n".join(lines))
    assert read(path, with_templates=True) == [
        Message(b"", b"", Template("GET {{number}}", "text"), Template("GOT {{number}}", "text")),
        Message(b"", b"ok", Template("00{{number u8}}", "hex")),
        Message(b"{{number}}", b"", None, Template("{{number}}", "text")),
        Message(b"{{number}}"),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"template": "a {{numbr}}"}', "line 2: column 17: {{numbr}} is none of connection, number,"),
        (
            '{"text": "a", "reply": {"template": {"hex": "{{time}}"}}}',
            "line 2: column 46: {{time}}: in hexadecimal it needs a format",
        ),
        ('{"template": "\\u007b{numbr}}"}', "line 2: {{numbr}} is none of connection"),
        (
            '{"template": "a", "text": "b"}',
            "it has text and template; write one of them alone",
        ),
        ('{"template": {"base64": "aGk="}}', "template: write text or hex, and nothing else"),
        ('{"template": {"text": "a", "hex": "00"}}', "template: write text or hex, and nothing else"),
        ('{"template": 5}', "template: 5 is not a text"),
        (
            '{"template": "{{time}}{{random 80}}"}',
            "it may have 93 bytes, and a frame of this format at most 90",
        ),
    ],
)
def test_a_template_that_is_wrong(line: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_text(f'"fine"\n{line}\n')
    reason = refused(path, most_payload_bytes=90, with_templates=True)
    assert words in reason
    assert "\n" not in reason


def test_templates_are_refused_by_who_cannot_use_them(tmp_path: Path) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_text('{"template": "a"}')
    assert (
        refused(path) == ", line 1: 'template' means nothing here; write text, hex, base64, reply or header"
    )
